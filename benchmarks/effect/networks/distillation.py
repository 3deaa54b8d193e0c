"""Networks distilled from a teacher: the training of scheme 1, started from csl-tiny."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from benchmarks.effect.networks.bundled import BUNDLED, bundled_network, recipe_of
from csl_plugin.errors import FileError
from csl_plugin.io import atomic_path
from csl_plugin.models import CSLNetwork
from csl_plugin.models.hub.safetensors_io import write_network
from csl_plugin.training import Batch, Recipe, batches, train
from examples.ood_scores import ood_scores
from examples.train_segmenter import Segmenter, statistics

_PEAK, _WARM_UP = 5e-4, 100
_PASTED_INTO = "camvid"

Target = Callable[[Tensor], Tensor]
"""From a batch of images to the target of the network's distribution, (B, C, h, w) in [0, 1]."""


@dataclass(frozen=True)
class Student:
    """A distilled network, and the statistics that standardize the scores of its logits.

    Attributes:
        network: In evaluation mode.
        logits: Statistics file of its raw logits, as `examples.ood_scores` reads it; None where the target
            is a score.
        log_probabilities: The same of the logarithms of its distribution.
    """

    network: CSLNetwork
    logits: Path | None = None
    log_probabilities: Path | None = None


def load_teacher(folder: Path) -> Segmenter:
    """The segmenter that `examples/train_segmenter.py` wrote."""
    return Segmenter(CSLNetwork.from_pretrained(folder / "network")).eval()


def class_target(teacher: Segmenter) -> Target:
    """The teacher's softmax: C classes."""

    def target(images: Tensor) -> Tensor:
        return _logits(teacher, images).softmax(1)

    return target


def score_target(teacher: Segmenter, stored: Path, score: str) -> Target:
    """One of the teacher's anomaly scores on [0, 1]: C = 1, as the paper has it for OOD segmentation."""
    compute = ood_scores(stored)[score]

    def target(images: Tensor) -> Tensor:
        return torch.stack([compute(image) for image in _logits(teacher, images)])[:, None]

    return target


def _logits(teacher: Segmenter, images: Tensor) -> Tensor:
    """At the network's resolution, in bfloat16 as the student's: a third of the time of float32."""
    with torch.autocast(images.device.type, torch.bfloat16):
        return teacher.network(images).distribution.float()  # type: ignore[no-any-return]


def distil(target: Target, num_classes: int, data: Path, work: Path, steps: int) -> CSLNetwork:
    """Train csl-tiny with a distribution head on `target`, unless WORK holds the network.

    The scenes are the street scenes of csl-tiny's recipe, with pasted objects.
    """
    folder = work / "network"
    if not (folder / "config.json").is_file():
        recipe = _recipe(num_classes, steps)
        mixture = recipe.mixture(data)

        def batches_from(start: int) -> Iterator[Batch]:
            return batches(mixture, recipe.settings.batch_size, start=start, stop=recipe.settings.steps)

        torch.manual_seed(recipe.settings.seed)
        network = started(CSLNetwork(recipe.network))
        average = train(
            network.to(memory_format=torch.channels_last),  # type: ignore[call-overload]
            batches_from,
            recipe.settings,
            work,
            teacher=target,
        )
        write_network(folder, recipe.network, average)
    return CSLNetwork.from_pretrained(folder)


def started(network: CSLNetwork) -> CSLNetwork:
    """The network with csl-tiny's weights except for its distribution head, which csl-tiny does not have.

    Raises:
        FileError: Other weights are missing, or unknown to the network.
    """
    found = network.load_state_dict(bundled_network().state_dict(), strict=False)
    other = [name for name in found.missing_keys if not name.startswith("distribution.")]
    if other or found.unexpected_keys:
        got = ", ".join([*other, *found.unexpected_keys][:4])
        hint = "Take the configuration in its config.json, and change num_classes only."
        raise FileError(BUNDLED[0], got, "all weights but the distribution head's", hint)
    return network


def student(network: CSLNetwork, images: Path, labels: Path, work: Path) -> Student:
    """A distilled network with its statistics, which are computed once and kept in `work`."""
    model = Segmenter(network)
    kinds: dict[str, Callable[[Tensor], Tensor]] = {
        "logits": model,
        "log_probabilities": lambda batch: model(batch).log_softmax(1),
    }
    for name, logits in kinds.items():
        path = work / f"{name}.json"
        if not path.is_file():
            with atomic_path(path) as temporary:
                temporary.write_text(json.dumps(statistics(logits, images, labels)), encoding="utf-8")
    return Student(network, work / "logits.json", work / "log_probabilities.json")


def _recipe(num_classes: int, steps: int) -> Recipe:
    start = Recipe.read(recipe_of())
    return Recipe(
        replace(bundled_network().config, num_classes=num_classes),
        replace(start.settings, steps=steps, learning_rate=_PEAK, warm_up=_WARM_UP),
        {
            **start.document,
            "parts": [part for part in start.document["parts"] if part["source"] == _PASTED_INTO],
        },
    )
