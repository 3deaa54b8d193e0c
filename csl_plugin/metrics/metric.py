"""The interface of all metrics, and checks of states, which may come from files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, Self, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array, shown
from csl_plugin.errors import FileError, OptionError, ShapeError

State: TypeAlias = Mapping[str, NDArray[Any]]
"""The complete state of a metric, as numeric arrays by name, which an .npz file can hold."""

ValuesT = TypeVar("ValuesT", covariant=True)

_MOST = 2**53
_HINT = "The record is damaged, or of another metric: measure the frame again."


class Metric(Protocol[ValuesT]):
    """A metric of a data set, updated frame by frame."""

    def update(self, prediction: Array, labels: Array, /) -> None:
        """Add one frame."""

    def state(self) -> State:
        """The complete state, which is additive."""

    def add_state(self, state: State) -> None:
        """Add the state of another metric of the same settings."""

    def merge(self, other: Self, /) -> None:
        """Add another metric of the same settings."""

    def compute(self) -> ValuesT:
        """The values over all frames so far."""


def state_array(state: State, name: str, dtype: type[np.generic], size: int | None = None) -> NDArray[Any]:
    """A one-dimensional array of a state.

    Args:
        state: The state.
        name: Which array.
        dtype: The required element type.
        size: The required length, if known.

    Raises:
        FileError: Missing, not an array, or of another element type.
        ShapeError: Another shape.
    """
    if not isinstance(state, Mapping):
        raise FileError("state", shown(state), "a mapping of arrays", _HINT)
    array = state.get(name)
    if not isinstance(array, np.ndarray) or array.dtype != np.dtype(dtype):
        got = f"{array.dtype} values" if isinstance(array, np.ndarray) else "no array"
        raise FileError(f"state[{name!r}]", got, f"an array of {np.dtype(dtype)}", _HINT)
    if array.ndim != 1 or (size is not None and array.size != size):
        expected = "one axis" if size is None else f"shape ({size},)"
        raise ShapeError(f"state[{name!r}]", f"shape {array.shape}", expected, _HINT)
    return array


def state_counts(state: State, name: str, size: int | None = None) -> NDArray[np.int64]:
    """As `state_array`, of int64 counts from 0.

    Raises:
        FileError: As `state_array`, or a negative count, or more than 2^53 together: no frames have as many.
        ShapeError: As `state_array`.
    """
    counts = state_array(state, name, np.int64, size)
    if counts.size and int(counts.min()) < 0:
        raise invalid_state(name, "a negative count")
    if counts.sum(dtype=np.float64) > _MOST:  # their sums would leave the integers of 64 bits
        raise invalid_state(name, "counts beyond those of any frames")
    return counts


def invalid_state(name: str, got: str) -> FileError:
    """The error of a state that no frames can give."""
    return FileError(f"state[{name!r}]", got, "a state that state() returned", _HINT)


def check_same_class(metric: object, other: object) -> None:
    """Refuse to merge metrics of different classes.

    Raises:
        OptionError: The classes differ.
    """
    if type(other) is not type(metric):
        expected = type(metric).__name__
        hint = "Merge metrics of one class and the same settings."
        raise OptionError("other", type(other).__name__, expected, hint)
