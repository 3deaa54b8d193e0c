"""Networks trained for a comparison: one recipe and one folder each, trained once."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from csl_plugin.errors import FileError
from csl_plugin.models import CSLNetwork
from csl_plugin.training import Batch, Recipe, TrainingSettings, batches, train, train_recipe


@dataclass(frozen=True)
class Training:
    """One training of a comparison.

    Attributes:
        name: Of its folder.
        document: The recipe.
    """

    name: str
    document: Mapping[str, Any]

    def network(self, data: Path, work: Path) -> CSLNetwork:
        """The network, trained now unless WORK holds it; an interrupted training is resumed.

        Args:
            data: The paths of the recipe are relative to it.
            work: Holds one folder per training.

        Raises:
            FileError: WORK holds a training of this name by another recipe.
        """
        kept = work / f"{self.name}.json"
        if kept.is_file() and json.loads(kept.read_text(encoding="utf-8")) != self.document:
            hint = "Use another folder for the trainings, or remove this one."
            raise FileError(str(kept), "the recipe of another training", "this one's", hint)
        if not self.is_finished(work):
            print(f"training {self.name}", flush=True)
            train_recipe(self.recipe(work), data, work / self.name, workers=0)
        return CSLNetwork.from_pretrained(work / self.name / "network")

    def is_finished(self, work: Path) -> bool:
        """Whether WORK holds the network."""
        network = work / self.name / "network" / "config.json"
        return network.is_file() and (work / f"{self.name}.json").is_file()

    @property
    def batch_size(self) -> int:
        """Images per step."""
        return TrainingSettings.from_json(self.document["settings"]).batch_size

    @property
    def has_boundary_head(self) -> bool:
        """Whether the network predicts boundaries."""
        return bool(self.document["network"].get("boundary", False))

    def recipe(self, folder: Path) -> Recipe:
        """The recipe, stored in a folder under the training's name."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(self.document, indent=2), encoding="utf-8")
        return Recipe.read(path)


def images_per_second(
    trainings: Sequence[Training], data: Path, *, rounds: int = 2, steps: int = 8
) -> dict[str, float]:
    """Training images per second of processor time, data loading included, by training.

    All trainings take turns, so that other load on the machine slows them alike; the median step counts.

    Args:
        trainings: Each starts from new weights.
        data: The paths of the recipes are relative to it.
        rounds: Turns of each training.
        steps: Of a turn; the first two are warm-up.
    """
    seconds: dict[str, list[float]] = {training.name: [] for training in trainings}
    for training in list(trainings) * rounds:
        with tempfile.TemporaryDirectory() as folder:
            seconds[training.name] += _step_seconds(
                training.recipe(Path(folder)), data, Path(folder, "run"), steps
            )
    sizes = {training.name: training.batch_size for training in trainings}
    return {name: sizes[name] / float(np.median(found)) for name, found in seconds.items()}


def _step_seconds(recipe: Recipe, data: Path, folder: Path, steps: int) -> list[float]:
    settings = replace(recipe.settings, steps=steps, save_every=steps)
    mixture, drawn = recipe.mixture(data), list[float]()

    def timed(start: int) -> Iterator[Batch]:
        for batch in batches(mixture, settings.batch_size, start=start, stop=steps):
            drawn.append(time.process_time())
            yield batch

    train(CSLNetwork(recipe.network), timed, settings, folder)
    return [after - before for before, after in pairwise(drawn)][2:]
