"""The operations of `csl_plugin.ops` as Triton kernels for CUDA tensors. Importing this imports Triton.

No call waits for the device, reads a number back or depends on data in what it launches, so that a stage
can be captured in a CUDA graph; results do not depend on the order in which the device runs anything.
"""

from csl_plugin.ops.kernels.assignment import assign
from csl_plugin.ops.kernels.regions import apply, labels, means
from csl_plugin.ops.kernels.union_find import components

__all__ = ["apply", "assign", "components", "labels", "means"]
