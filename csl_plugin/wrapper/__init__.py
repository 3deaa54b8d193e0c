"""Structure-constrained fusion around an unchanged model: scheme 2 of the paper as one module."""

from csl_plugin.wrapper.module import CSLWrapper

__all__ = ["CSLWrapper"]
