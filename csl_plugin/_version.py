"""The version, read at build time and at run time."""

__version__ = "0.2.0"
