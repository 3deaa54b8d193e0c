"""Which part of a job's items a process does, where jobs of several machines or launchers share them.

No process asks another: each takes every n-th item of the same sorted list, beginning with its own number.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from csl_plugin.errors import OptionError

AUTO = "auto"
"""A shard's name where the launcher's variables say which one it is."""

MOST = 99999
"""Shards that a job can have."""

ItemT = TypeVar("ItemT")

_NAMED = re.compile(r"([0-9]{1,5})/([0-9]{1,5})")
_ARRAY = "SLURM_ARRAY_TASK_ID"
_OF_ARRAY = ("SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_MAX")
_ARRAY_STEP = "SLURM_ARRAY_TASK_STEP"
_TORCHRUN = ("RANK", "WORLD_SIZE")
_SRUN = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS")


@dataclass(frozen=True, order=True)
class Shard:
    """One of the equal parts of a job's items.

    Args:
        number: Which one, 1 ... count.
        count: How many there are; some have no item where there are more of them than items.

    Example:
        >>> Shard(2, 3).of("abcdefg"), str(Shard(2, 3))
        ('be', '2/3')
    """

    number: int
    count: int

    def of(self, items: Sequence[ItemT]) -> Sequence[ItemT]:
        """The items of the shard: every `count`-th. Items that are added at the end move no other one."""
        return items[self.number - 1 :: self.count]

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


def shard_of(text: str, environment: Mapping[str, str] = os.environ) -> Shard:
    """The shard that an option names.

    With "auto" it is counted from the variables of the launcher: the task of a SLURM array, and in it the
    process of torchrun or else of srun. They are read by no other text.

    Args:
        text: "I/N", or "auto".
        environment: The variables.

    Raises:
        OptionError: Neither; a number that is not among 1 ... N; or variables that do not say which shard.

    Example:
        >>> shard_of("2/4"), shard_of("auto", {"RANK": "0", "WORLD_SIZE": "8"})
        (Shard(number=2, count=4), Shard(number=1, count=8))
    """
    if text == AUTO:
        return _launched(environment)
    found = _NAMED.fullmatch(text)
    number, count = (int(found[1]), int(found[2])) if found else (0, 0)
    if not 1 <= number <= count:
        expected = f"I/N with I from 1 to N and N up to {MOST}, or {AUTO}"
        raise OptionError("shard", ascii(text), expected, "Of four shards the first is 1/4, the last 4/4.")
    return Shard(number, count)


def _launched(environment: Mapping[str, str]) -> Shard:
    parts = [
        part
        for part in (_of_array(environment), _of_process(environment, _TORCHRUN, _SRUN))
        if part is not None
    ]
    if not parts:
        got = f"{AUTO} without the variables of a launcher"
        hint = "Name the shard, as 1/4, or omit it for all."
        if environment.get("SLURM_NTASKS", "1") != "1":
            got = f"{AUTO} with SLURM_NTASKS={environment['SLURM_NTASKS']!a} in a single process"
            hint = "Start the tasks with srun; a batch script itself runs once."
        expected = f"{_ARRAY}, " + " or ".join(f"{name} with {count}" for name, count in (_TORCHRUN, _SRUN))
        raise OptionError("shard", got, expected, hint)
    number, count = 0, 1
    for index, size in parts:
        number, count = number * size + index, count * size
    if count > MOST:
        got, hint = f"{count} shards by {AUTO}", "Start fewer tasks; each does many images."
        raise OptionError("shard", got, f"up to {MOST}", hint)
    return Shard(number + 1, count)


def _of_array(environment: Mapping[str, str]) -> tuple[int, int] | None:
    """The position in an array, which may begin anywhere and have steps, and its length."""
    if _ARRAY not in environment:
        return None
    task = _number(environment, _ARRAY)
    count, first, last = (_number(environment, name) for name in _OF_ARRAY)
    step = _number(environment, _ARRAY_STEP) if _ARRAY_STEP in environment else 1
    if step < 1 or last < first or (last - first) // step + 1 != count or (task - first) % step:
        got = f"a SLURM array of {count} tasks from {first} to {last} with the step {step}"
        hint = "Submit a range, as --array=1-8, or name the shard, as 3/8, to start single ones again."
        raise OptionError("shard", got, "one in which every task has its place", hint)
    return _within((task - first) // step, count, _ARRAY, environment)


def _of_process(environment: Mapping[str, str], *launchers: tuple[str, str]) -> tuple[int, int] | None:
    """Of the first launcher that has set both of its variables."""
    for rank, size in launchers:
        if rank in environment and size in environment:
            return _within(_number(environment, rank), _number(environment, size), rank, environment)
    return None


def _within(index: int, count: int, name: str, environment: Mapping[str, str]) -> tuple[int, int]:
    if not 0 <= index < count:
        got = f"{name}={environment[name]} of {count}"
        raise OptionError("shard", got, "a process of those that are counted", "Name the shard, as 1/4.")
    return index, count


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        got = f"{name}={text!a}" if name in environment else f"no {name}"
        hint = "Name the shard, as 1/4: the launcher's variables do not say which one this is."
        raise OptionError("shard", got, "a number", hint)
    return int(text)
