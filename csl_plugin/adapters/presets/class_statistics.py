"""Mean and variance of each class's largest logit, from the files that SML's published code writes."""

from __future__ import annotations

import io
import os
import pickletools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.io.numpy_files import read_npy

_LARGEST_FILE = 1 << 20
_PUSHED = ("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "NONE", "NEWTRUE", "NEWFALSE")
_NAMES = ("SHORT_BINUNICODE", "BINUNICODE", "SHORT_BINBYTES", "BINBYTES", "GLOBAL")
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


@dataclass(frozen=True)
class ClassStatistics:
    """Mean and variance of the largest logit over the in-distribution pixels of each class.

    Args:
        mean: One number for each class.
        variance: One positive number for each class.

    Raises:
        OptionError: Their lengths differ, a number is not finite, or a variance is not positive.

    Example:
        >>> ClassStatistics((6.6, 9.5), (1.3, 6.7)).variance
        (1.3, 6.7)

    Source:
        Jung et al., "Standardized Max Logits", ICCV 2021.
    """

    mean: tuple[float, ...]
    variance: tuple[float, ...]

    def __post_init__(self) -> None:
        both = np.array([*self.mean, *self.variance], np.float64)
        if not (len(self.mean) == len(self.variance) and np.isfinite(both).all() and min(self.variance) > 0):
            raise OptionError(
                "mean, variance",
                f"{self.mean}, {self.variance}",
                "a finite mean and a positive variance of each class",
                "Pass the mean's file first.",
            )

    @staticmethod
    def load(mean: str | os.PathLike[str], variance: str | os.PathLike[str]) -> ClassStatistics:
        """The statistics in two `.npy` files.

        Each holds an array (C,) of numbers, or what the published code saves: a pickled dictionary from class
        to number. The pickle is not executed. Its numbers are read, and any other content is an error.

        Raises:
            FileError: A file is missing, damaged, too large, or holds something else.
        """
        return ClassStatistics(_numbers(Path(mean)), _numbers(Path(variance)))


def _numbers(path: Path) -> tuple[float, ...]:
    if check_file(path) > _LARGEST_FILE:
        raise FileError(str(path), "over 1 MiB", "one number for each class", "Check the path.")
    data = path.read_bytes()
    with as_file_error(path, "an .npy file"):
        head = io.BytesIO(data)
        version = npy.read_magic(head)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = reader(head)
        if dtype.hasobject and shape == ():
            table = _dictionary(data[head.tell() :])
            return tuple(float(table[index]) for index in range(len(table)))
    array = read_npy(path, _check)
    return tuple(float(value) for value in array)


def _check(shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if len(shape) != 1 or dtype.kind != "f":
        raise ValueError(f"shape {shape} and type {dtype} instead of a number for each class")


def _dictionary(pickled: bytes) -> dict[int, float]:
    """The one dictionary of numbers in a pickle, read from its opcodes without any call."""
    stack: list[Any] = []
    found: list[dict[int, float]] = []
    mark = object()

    def since_mark() -> list[Any]:
        start = next(place for place in reversed(range(len(stack))) if stack[place] is mark)
        items = stack[start + 1 :]
        del stack[start:]
        return items

    for opcode, argument, _ in pickletools.genops(pickled):
        name = opcode.name
        if name in _PUSHED:
            stack.append(argument)
        elif name in _NAMES:
            stack.append(None)  # text and names of Python classes are ignored
        elif name == "MARK":
            stack.append(mark)
        elif name == "EMPTY_DICT":
            found.append({})
            stack.append(found[-1])
        elif name in ("SETITEM", "SETITEMS"):
            items = since_mark() if name == "SETITEMS" else [stack.pop(-2), stack.pop()]
            stack[-1].update({int(k): float(v) for k, v in zip(items[::2], items[1::2], strict=True)})
        elif name in _TUPLES or name in ("TUPLE", "EMPTY_LIST"):
            if name == "TUPLE":
                since_mark()
            for _ in range(_TUPLES.get(name, 0)):
                stack.pop()
            stack.append(None)
        elif name == "APPEND":
            stack.pop()
        elif name == "APPENDS":
            since_mark()
        elif name in ("REDUCE", "STACK_GLOBAL"):
            stack[-2:] = [None]
        elif name == "BUILD":
            stack.pop()
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(None)  # a memoized text or Python class, or the dictionary again
        elif name not in ("PROTO", "FRAME", "STOP", "MEMOIZE", "BINPUT", "LONG_BINPUT"):
            raise ValueError(f"the pickle opcode {name}, which no dictionary of numbers needs")
    if len(found) != 1 or sorted(found[0]) != list(range(len(found[0]))) or not found[0]:
        raise ValueError("no single dictionary from classes 0, 1, ... to numbers")
    return found[0]
