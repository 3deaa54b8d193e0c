"""The rows of docs/results/ablation.md: the training of csl-tiny, part by part."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from benchmarks.effect.networks.bundled import recipe_of
from benchmarks.effect.networks.trainings import Training

_STREETS = {"source": "camvid", "share": 4}
_PHOTOGRAPHS = {"source": "bsds500", "share": 3}
_LEAVES = {"source": "dead-leaves", "share": 1}


@dataclass(frozen=True)
class Setting:
    """One row of the ablation.

    Attributes:
        row: Its name in the table.
        against: The row that it is compared with, None for the first.
        training: The training of its network.
    """

    row: str
    against: str | None
    training: Training


def ablation_settings(steps: int) -> list[Setting]:
    """All rows, each after the row that it is compared with.

    Args:
        steps: Of each training.
    """
    whole = json.loads(recipe_of().read_text(encoding="utf-8"))
    whole["settings"] = {**whole["settings"], "steps": steps, "save_every": 150}

    def setting(name: str, row: str, against: str | None, **changes: Any) -> Setting:
        document = copy.deepcopy(whole)
        for key in ("network", "settings"):
            document[key] |= changes.pop(key, {})
        return Setting(row, against, Training(name, document | changes))

    nothing_pasted: dict[str, Any] = {"objects": {}, "textures": []}
    pasted = [{**_STREETS, "paste": [0, 7]}, {**_PHOTOGRAPHS, "paste": [0, 4]}]
    first, photographs, segments = "CamVid", "+ BSDS500", "+ pasted BSDS500 segments"
    everything = "+ procedural shapes: all"
    return [
        setting("camvid", first, None, **nothing_pasted, parts=[_STREETS]),
        setting("bsds500", photographs, first, **nothing_pasted, parts=[_STREETS, _PHOTOGRAPHS]),
        setting("segments", segments, photographs, objects={"bsds500": 1.0}, parts=pasted),
        setting("all", everything, segments, parts=[*pasted, _LEAVES]),
        setting("no-points", "all without point queries", everything, network={"points": False}),
        setting("no-boundary", "all without boundary head", everything, network={"boundary": False}),
        setting("no-split", "all without mask split", everything, split=False),
        setting(
            "resolution",
            "all at 256x352, batch of 5",
            everything,
            settings={"crop": [256, 352], "batch_size": 5},
        ),
    ]
