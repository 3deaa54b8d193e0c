"""What all metrics have in common, and the reading of a state that may come from a file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

from csl_plugin.arrays import Array
from csl_plugin.errors import FileError, OptionError, ShapeError

State: TypeAlias = Mapping[str, NDArray[Any]]
"""All that a metric holds, as plain numeric arrays by name; fit for an .npz file."""

FiguresT = TypeVar("FiguresT", covariant=True)

_MEND = "The record is damaged, or of another metric: measure the frame again."


class Metric(Protocol[FiguresT]):
    """A figure of a data set, gathered frame by frame."""

    def update(self, prediction: Array, labels: Array, /) -> None:
        """Take in one frame."""

    def state(self) -> State:
        """All that is held; complete, and additive."""

    def add_state(self, state: State) -> None:
        """Add what another metric of the same settings held."""

    def merge(self, other: Self, /) -> None:
        """Add what another metric of the same settings holds."""

    def compute(self) -> FiguresT:
        """The figures of all frames so far."""


def state_array(state: State, name: str, dtype: type[np.generic], size: int | None = None) -> NDArray[Any]:
    """A one-dimensional array of a state.

    Args:
        state: The state.
        name: Which array.
        dtype: The element type that it must have.
        size: The length that it must have, where that is known.

    Raises:
        FileError: It is missing, no array, or of another element type.
        ShapeError: It has another shape.
    """
    array = state.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        got = f"{array.dtype} values" if isinstance(array, np.ndarray) else "no array"
        raise FileError(f"state[{name!r}]", got, f"an array of {np.dtype(dtype)}", _MEND)
    if array.ndim != 1 or (size is not None and array.size != size):
        expected = "one axis" if size is None else f"shape ({size},)"
        raise ShapeError(f"state[{name!r}]", f"shape {array.shape}", expected, _MEND)
    return array


def state_counts(state: State, name: str, size: int | None = None) -> NDArray[np.int64]:
    """As `state_array`, of int64 counts from 0.

    Raises:
        FileError: As `state_array`, or a negative count.
        ShapeError: As `state_array`.
    """
    counts = state_array(state, name, np.int64, size)
    if counts.size and int(counts.min()) < 0:
        raise nonsense(name, "a negative count")
    return counts


def nonsense(name: str, got: str) -> FileError:
    """The error of a state that no frames could have given."""
    return FileError(f"state[{name!r}]", got, "what state() gave", _MEND)


def check_same_kind(metric: object, other: object) -> None:
    """Refuse to merge metrics of different classes.

    Raises:
        OptionError: They are.
    """
    if type(other) is not type(metric):
        expected = type(metric).__name__
        hint = "Merge metrics of one class and the same settings."
        raise OptionError("other", type(other).__name__, expected, hint)
