"""The exceptions of the package: one family, each also the matching built-in.

Every message has four parts: the argument, what it got, what was expected, and a hint.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CSLError",
    "DTypeError",
    "DeviceError",
    "FileError",
    "MissingExtraError",
    "OptionError",
    "OutputError",
    "ScoreRangeError",
    "ShapeError",
]


class CSLError(Exception):
    """Base of every error this package raises on purpose.

    Args:
        argument: Name of the argument, option or file with the error.
        got: Its value.
        expected: A value that is accepted.
        hint: A full sentence on how to fix it.

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
        super().__init__(_printable(f"{argument}: got {got}, expected {expected}. {hint}"))

    def __reduce__(self) -> tuple[type[CSLError], tuple[Any, ...]]:
        return type(self), (self.argument, self.got, self.expected, self.hint)


class ShapeError(CSLError, ValueError):
    """An array has the wrong number of axes, an empty axis, or a size that does not fit another argument."""


class DTypeError(CSLError, TypeError):
    """A value has a type, or an array an element type, that is not accepted."""


class DeviceError(CSLError, ValueError):
    """Two tensors are on different devices, or a tensor holds no values."""


class ScoreRangeError(CSLError, ValueError):
    """Scores are negative, not finite, or outside the range of the operation."""


class OptionError(CSLError, ValueError):
    """An option has an unknown or impossible value."""


class OutputError(CSLError, TypeError):
    """A model's output does not have the structure that the adapter declares."""


class FileError(CSLError, OSError):
    """A file or folder is missing, unreadable, damaged, too large or of an unknown format."""


class MissingExtraError(CSLError, ImportError):
    """A feature needs a package that is not installed, or that cannot be imported."""


def reason_of(error: BaseException) -> str:
    """What an exception of another package says, on one line of at most 200 characters; else its name."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _printable(text: str) -> str:
    """The text on one line that every terminal and log takes: names of files may hold anything."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
