"""What the default does to single frames, and the frames that lose most."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.effect.frames.sets import FrameSet
from benchmarks.effect.page.measured import markdown
from benchmarks.effect.rows.anomaly import BASE, SHIPPED
from benchmarks.effect.states.measurements import SetStates
from benchmarks.effect.states.pixels import values_over

SCORES = ("entropy", "sml")
_SHOWN, _EACH = 10, 2
_POINT = 0.01
_REASONS = Path(__file__).parents[1] / "reasons.json"


@dataclass(frozen=True)
class FrameChange:
    """AP of one frame before and after fusion by the default."""

    frames: FrameSet
    network: str
    score: str
    frame: str
    before: float
    after: float

    @property
    def change(self) -> float:
        """Of AP."""
        return self.after - self.before

    @property
    def key(self) -> str:
        """Its name in files."""
        return f"{self.frames.key}-{self.network.replace(' ', '-')}-{self.score}-{self.frame}"


def frame_changes(frames: FrameSet, states: SetStates, networks: Sequence[str]) -> list[FrameChange]:
    """Every frame with anomalous and normal pixels, for two of the scores."""
    found = []
    for network in networks:
        for score in SCORES:
            sides = [states.pixels(network, row, score) for row in (BASE, SHIPPED)]
            for index, frame in enumerate(frames.frames):
                before, after = (values_over([side[index]]).where_defined().ap for side in sides)
                if math.isfinite(before):
                    found.append(FrameChange(frames, network, score, frame.name, before, after))
    return found


def counts_table(changes: Sequence[FrameChange]) -> list[str]:
    """On how many frames the default raises AP, and on how many it lowers it by more than a point."""
    groups: dict[tuple[str, str, str], list[FrameChange]] = {}
    for each in changes:
        groups.setdefault((each.frames.title, each.network, each.score), []).append(each)
    rows = [
        [
            *group,
            str(len(found)),
            str(sum(each.change > 0 for each in found)),
            str(sum(each.change < -_POINT for each in found)),
            f"{100 * min(each.change for each in found):+.1f}",
        ]
        for group, found in groups.items()
    ]
    head = ["set", "segmenter", "score", "frames", "AP rises", "falls by more than 1", "worst"]
    return markdown(head, rows)


def worst_frames(changes: Sequence[FrameChange]) -> list[FrameChange]:
    """The ten frames that lose most AP, at most two of a set and segmenter, none twice."""
    taken: Counter[tuple[str, str]] = Counter()
    seen, found = set(), []
    for each in sorted(changes, key=lambda each: each.change):
        group, place = (each.frames.key, each.network), (each.frames.key, each.network, each.frame)
        if each.change < 0 and taken[group] < _EACH and place not in seen and len(found) < _SHOWN:
            taken[group] += 1
            seen.add(place)
            found.append(each)
    return found


def read_reasons() -> dict[str, str]:
    """What a person saw on the pictures, by the key of the frame."""
    found: dict[str, str] = json.loads(_REASONS.read_text(encoding="utf-8"))
    return found


def worst_table(worst: Sequence[FrameChange], reasons: Mapping[str, str]) -> list[str]:
    """The worst frames with their reasons."""
    rows = [
        [
            each.frames.title,
            each.network,
            each.score,
            each.frame,
            f"{100 * each.before:.1f}",
            f"{100 * each.after:.1f}",
            reasons.get(each.key, ""),
        ]
        for each in worst
    ]
    return markdown(["set", "segmenter", "score", "frame", "base AP", "default AP", "what is seen"], rows)
