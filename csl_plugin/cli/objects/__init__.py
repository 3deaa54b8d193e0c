"""`csl-plugin objects`: from score maps to objects."""

from csl_plugin.cli.objects.command import add_parser

__all__ = ["add_parser"]
