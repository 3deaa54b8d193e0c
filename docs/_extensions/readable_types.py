"""Signatures say `NDArray[uint8]` and `Iterable[Array]`, and not what these stand for.

numpy's own alias is gone once Python has read it, so this module is to be imported before any other that
takes `NDArray` from numpy.typing.
"""

from typing import Generic, TypeVar

import numpy.typing
from sphinx.util.inspect import TypeAliasForwardRef

_ElementT = TypeVar("_ElementT")


class NDArray(Generic[_ElementT]):
    """An array of elements of one type."""


NDArray.__module__ = "numpy.typing"
numpy.typing.NDArray = NDArray  # type: ignore[assignment, misc]

TypeAliasForwardRef.__repr__ = lambda self: self.name  # type: ignore[method-assign]  # within other types
