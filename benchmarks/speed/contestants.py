"""What is measured: contestants that do one job on one input, gathered in cases."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Role = Literal["naive", "simple", "peer", "ours", "floor"]


@dataclass(frozen=True)
class Agreement:
    """How a contestant's result stands to what it claims to equal."""

    holds: bool
    text: str


@dataclass(frozen=True)
class Contestant:
    """One way to do a case's job.

    Attributes:
        name: What the tables call it; unique within its case.
        role: naive (the equations as written), simple (what a careful user writes), peer (another program),
            ours, or floor (only the memory traffic).
        call: What is timed.
        prepare: Run before every call, outside the clock.
        verify: Compares a result with the case's oracle; None where nothing is claimed.
        threads: torch's threads during the call.
        output_bytes: Size of what the call returns, where it is allocated by the call.
        aside: No target names it; three rounds suffice where it is slow.
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
    """What a case is built from; plain values, so that another process can build the same.

    Attributes:
        stage: A key of `stages.STAGES`.
        size: (H, W) of the image.
        classes: C of the distribution, 0 where the stage has none.
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
    """Contestants on one input, and what is to be said about it.

    Attributes:
        contestants: In the order in which they take turns.
        notes: Facts about the input, for the report.
        missing: One line for each peer that could not take part.
    """

    contestants: list[Contestant]
    notes: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
