"""The exceptions of the package: one small family, each also the matching built-in.

Every message has the same four parts: which argument, what came, what was expected, how to fix it.
"""

from __future__ import annotations

from typing import Any


class CSLError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        argument: Name of the argument, option or file at fault.
        got: What came.
        expected: What would have been accepted.
        hint: A full sentence that says how to fix it.

    Example:
        >>> from csl_plugin import CSLError, RegionMap
        >>> import torch
        >>> try:
        ...     RegionMap(torch.zeros(4, 5))
        ... except CSLError as error:
        ...     print(error.argument, "|", isinstance(error, TypeError))
        labels | True
    """

    def __init__(self, argument: str, got: str, expected: str, hint: str) -> None:
        self.argument, self.got, self.expected, self.hint = argument, got, expected, hint
        super().__init__(f"{argument}: got {got}, expected {expected}. {hint}")

    def __reduce__(self) -> tuple[type[CSLError], tuple[Any, ...]]:
        return type(self), (self.argument, self.got, self.expected, self.hint)


class ShapeError(CSLError, ValueError):
    """An array has the wrong number of axes, an empty axis, or a size that fits no other argument."""


class DTypeError(CSLError, TypeError):
    """A value is of a type, or an array of an element type, that has no meaning here."""


class DeviceError(CSLError, ValueError):
    """Two tensors that must meet lie on different devices, or a tensor holds no values."""


class ScoreRangeError(CSLError, ValueError):
    """Scores are negative, not finite, or outside the range the operation is defined on."""


class OptionError(CSLError, ValueError):
    """An option has a value that does not exist."""


class OutputError(CSLError, TypeError):
    """A model's output is not what the adapter was told to find."""


class FileError(CSLError, OSError):
    """A file or folder is missing, unreadable, damaged, too large or of an unknown format."""


class MissingExtraError(CSLError, ImportError):
    """A feature needs a package that is not installed, or that cannot be imported."""
