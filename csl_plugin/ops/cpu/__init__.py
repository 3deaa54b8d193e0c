"""The operations of `csl_plugin.ops` on the CPU, on runs of pixels."""

from csl_plugin.ops.cpu.assign import assign
from csl_plugin.ops.cpu.fuse import apply, first_largest, labels, means
from csl_plugin.ops.cpu.overlay import average, fused_by_trust
from csl_plugin.ops.cpu.runs import components

__all__ = ["apply", "assign", "average", "components", "first_largest", "fused_by_trust", "labels", "means"]
