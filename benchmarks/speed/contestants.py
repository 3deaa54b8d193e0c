"""Contestants: functions that compute the same result from the same input, grouped in cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Role = Literal["naive", "simple", "peer", "ours", "floor"]


@dataclass(frozen=True)
class Agreement:
    """The comparison of a contestant's result with the oracle."""

    holds: bool
    text: str


@dataclass(frozen=True)
class Contestant:
    """One implementation of a case.

    Attributes:
        name: Its name in the tables; unique within its case.
        role: naive (the equations as printed), simple (careful user code), peer (another program), ours, or
            floor (the memory traffic only).
        call: The timed function.
        prepare: Run before every call, not timed.
        verify: Compares a result with the case's oracle; None if it is not compared.
        threads: torch's threads during the call.
        output_bytes: Size of the result, if the call allocates it.
        aside: No target names it; if slow, it is measured in three rounds only.
    """

    name: str
    role: Role
    call: Callable[[], Any]
    prepare: Callable[[], Any] | None = None
    verify: Callable[[Any], Agreement] | None = None
    threads: int = 1
    output_bytes: int = 0
    aside: bool = False


@dataclass(frozen=True)
class Spec:
    """The specification of a case; plain values, so that another process can build the same case.

    Attributes:
        stage: A key of `stages.STAGES`.
        size: (H, W) of the image.
        classes: C of the distribution, 0 if the stage has none.
        source: "scene", "noise", or the path of a network's proposals.
        compiled: Whether torch.compile(naive) takes part.
    """

    stage: str
    size: tuple[int, int]
    classes: int = 0
    source: str = "scene"
    compiled: bool = False

    @property
    def key(self) -> str:
        """For example "means 1024x2048 C=19"."""
        parts = [self.stage, f"{self.size[0]}x{self.size[1]}"]
        parts += [f"C={self.classes}"] if self.classes else []
        parts += [] if self.source == "scene" else ["noise" if self.source == "noise" else "network"]
        return " ".join(parts)

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Spec:
        """Inverse of `to_json`."""
        return cls(**{**values, "size": (values["size"][0], values["size"][1])})


@dataclass
class Case:
    """The contestants on one input, with notes for the report.

    Attributes:
        contestants: In the order of their turns.
        notes: Facts about the input, for the report.
        missing: One line for each peer that is not installed.
    """

    contestants: list[Contestant]
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
