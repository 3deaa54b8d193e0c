"""Networks trained for a comparison: one recipe each, in a folder of its own, none trained twice."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

import csl_plugin
from csl_plugin.models import CSLNetwork
from csl_plugin.training import Recipe, train_recipe
from csl_plugin.training.loop import STATE

BASE = Path(csl_plugin.__file__).parent / "weights" / "csl-tiny" / "recipe.json"
_SPEED = "speed.json"


@dataclass(frozen=True)
class Training:
    """One training run of a comparison.

    Attributes:
        name: Of its folder.
        document: The recipe.
    """

    name: str
    document: Mapping[str, Any]

    def network(self, data: Path, work: Path) -> CSLNetwork:
        """The network, trained now unless WORK holds it; a run that was stopped goes on.

        Args:
            data: What the recipe's paths are relative to.
            work: Holds one folder per training.
        """
        if not self.is_finished(work):
            self._train(data, work / self.name)
        return CSLNetwork.from_pretrained(work / self.name / "network").eval()

    def is_finished(self, work: Path) -> bool:
        """Whether WORK holds the network."""
        return (work / self.name / "network" / "config.json").is_file()

    @property
    def has_boundary_head(self) -> bool:
        """Whether the network predicts boundaries."""
        return bool(self.document["network"].get("boundary", False))

    def images_per_second(self, work: Path) -> float:
        """Images trained on per second of processor time, drawing the batches included."""
        return float(json.loads((work / self.name / _SPEED).read_text(encoding="utf-8"))["images_per_second"])

    def _train(self, data: Path, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "recipe.json").write_text(json.dumps(self.document, indent=2), encoding="utf-8")
        recipe = Recipe.read(folder / "recipe.json")
        print(f"training {self.name}", flush=True)
        before, began = _steps_done(folder / STATE), time.process_time()
        train_recipe(recipe, data, folder, workers=0)
        seconds = time.process_time() - began
        images = (recipe.settings.steps - before) * recipe.settings.batch_size
        speed = {"images_per_second": images / seconds, "threads": torch.get_num_threads()}
        (folder / _SPEED).write_text(json.dumps(speed), encoding="utf-8")


def _steps_done(state: Path) -> int:
    if not state.is_file():
        return 0
    with safe_open(state, "pt") as stored:
        return int(json.loads((stored.metadata() or {})["facts"])["step"])
