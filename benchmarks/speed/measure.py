"""Time: contestants take turns in one process, so that other load slows them alike."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import torch

from benchmarks.speed.contestants import Case, Contestant, Role, Spec
from benchmarks.speed.stages import build
from benchmarks.timing import quartiles

_QUICK, _SLOW = 0.05, 0.5
_TURNS_OF_QUICK, _ROUNDS_OF_SLOW = 3, 3


@dataclass
class Row:
    """The measurements of one contestant.

    Attributes:
        name: The contestant's.
        role: The contestant's.
        seconds: One entry for each call.
        agreement: The comparison with the oracle in words, empty if it is not compared.
        agrees: Whether the result is right.
        output_bytes: Size of the result.
        extra_bytes: Growth of peak memory during one call, None if it was not measured.
    """

    name: str
    role: Role
    seconds: list[float] = field(default_factory=list)
    agreement: str = ""
    agrees: bool = True
    output_bytes: int = 0
    extra_bytes: int | None = None

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)

    @property
    def fastest(self) -> float:
        """Seconds."""
        return min(self.seconds)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Seconds, the first and the third."""
        first, _, third = quartiles(self.seconds)
        return first, third


@dataclass
class Result:
    """The measurements of one case."""

    spec: Spec
    rows: list[Row]
    notes: list[str]
    missing: list[str]

    def __getitem__(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)

    def __contains__(self, name: str) -> bool:
        return any(row.name == name for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "spec": self.spec.to_json()}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Result:
        """Inverse of `to_json`."""
        rows = [Row(**row) for row in values["rows"]]
        return cls(Spec.from_json(values["spec"]), rows, values["notes"], values["missing"])


def measure(spec: Spec, rounds: int) -> Result:
    """Build a case and let its contestants take turns, each once a round.

    Calls below 50 ms are repeated three times in a row. Contestants that no target names stop after three
    rounds if they take more than half a second. The first result of each is compared with the oracle, not
    timed.
    """
    case = build(spec)
    _warm_up(spec)
    rows = [Row(entry.name, entry.role, output_bytes=entry.output_bytes) for entry in case.contestants]
    with _garbage_kept():
        for turn in range(rounds):
            gc.collect()
            for entry, row in zip(case.contestants, rows, strict=True):
                if turn >= _ROUNDS_OF_SLOW and entry.aside and row.median > _SLOW:
                    continue
                _take_turn(entry, row)
    torch.set_num_threads(1)
    return Result(spec, rows, case.notes, case.missing)


def _take_turn(entry: Contestant, row: Row) -> None:
    for _ in range(_TURNS_OF_QUICK if row.seconds and row.fastest < _QUICK else 1):
        result, seconds = call(entry)
        if not row.seconds and entry.verify is not None:
            agreement = entry.verify(result)
            row.agreement, row.agrees = agreement.text, agreement.holds
        row.seconds.append(seconds)
        del result


def call(entry: Contestant) -> tuple[Any, float]:
    """One call: its result and its seconds."""
    if entry.prepare is not None:
        entry.prepare()
    torch.set_num_threads(entry.threads)
    began = time.perf_counter()
    result = entry.call()
    return result, time.perf_counter() - began


@contextmanager
def _garbage_kept() -> Iterator[None]:
    """No garbage collection during calls, and none of the objects of other libraries between them."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


def _warm_up(spec: Spec) -> None:
    """Call the same contestants on a small image, so that imports and first calls are not measured."""
    for entry in small(spec).contestants:
        call(entry)


def small(spec: Spec) -> Case:
    """A case of the same contestants on a small image."""
    source = "scene" if spec.source != "noise" else "noise"
    return build(Spec(spec.stage, (64, 128), min(spec.classes, 2), source))
