"""`csl-plugin threshold`: thresholds of fused maps."""

from csl_plugin.cli.threshold.command import add_parser

__all__ = ["add_parser"]
