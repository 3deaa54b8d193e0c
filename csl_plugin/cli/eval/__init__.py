"""`csl-plugin eval`: predictions against labels."""

from csl_plugin.cli.eval.command import add_parser

__all__ = ["add_parser"]
