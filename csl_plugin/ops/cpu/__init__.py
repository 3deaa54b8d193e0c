"""The operations of `csl_plugin.ops` on the CPU, on runs of pixels."""

from csl_plugin.ops.cpu.assign import assign
from csl_plugin.ops.cpu.fuse import apply, labels, means
from csl_plugin.ops.cpu.overlay import combined
from csl_plugin.ops.cpu.runs import components

__all__ = ["apply", "assign", "combined", "components", "labels", "means"]
