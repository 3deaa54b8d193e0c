"""The operations of `csl_plugin.ops` as Triton kernels for CUDA tensors. Importing this imports Triton.

No call waits for the device, reads a number back or depends on data in what it launches, so that a stage
can be captured in a CUDA graph; results do not depend on the order in which the device runs anything.
"""

from csl_plugin.ops.triton.assign import assign
from csl_plugin.ops.triton.components import components
from csl_plugin.ops.triton.fuse import apply, labels
from csl_plugin.ops.triton.means import means

__all__ = ["apply", "assign", "components", "labels", "means"]
