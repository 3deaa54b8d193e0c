"""The values of one category, by score, setting and defect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.inspection.scorers import scorers
from benchmarks.inspection.textures import DEFECTS, GOOD, Sample, defective, normal
from csl_plugin import Calibration, fuse, load_proposer
from csl_plugin.metrics import ImageAnomaly, PooledAnomaly, RegionOverlap

TRAIN, HELD_OUT, GOOD_TESTED, EACH = 8, 4, 6, 4
VALUES = ("aupro_30", "aupro_05", "ap", "image_auroc")
BASE, DEFAULT, ALL = "base", "default", "all defects"
_FINE = "csl-tiny:5"

Values = dict[str, dict[str, dict[str, list[float]]]]
"""VALUES by score, setting and group of defects."""


@dataclass(frozen=True)
class Setting:
    """How maps are fused.

    Args:
        name: In the tables.
        proposer: For `load_proposer`; None for its default.
        rule: As for `fuse`.
        calibrated: Whether the maps are calibrated before, over pictures without defects.
    """

    name: str
    proposer: str | None
    rule: Any
    calibrated: bool = False


SETTINGS = (
    Setting(DEFAULT, None, "adaptive"),
    Setting("product", None, "product"),
    Setting(_FINE, _FINE, "adaptive"),
    Setting(f"{_FINE}, product", _FINE, "product"),
    Setting("default, calibrated", None, "adaptive", calibrated=True),
)


class _Metrics:
    def __init__(self) -> None:
        self._overlap, self._pixels, self._images = RegionOverlap(), PooledAnomaly(), ImageAnomaly()

    def update(self, maps: Tensor, sample: Sample) -> None:
        labels = sample.defect.astype(np.uint8)
        for metric in (self._overlap, self._pixels, self._images):
            metric.update(maps[0, 0], labels)

    def values(self) -> list[float]:
        overlap = self._overlap.compute()
        image = self._images.compute().image_auroc
        return [overlap.aupro_30, overlap.aupro_05, self._pixels.compute().ap, image]


def category_values(kind: str, seed: int) -> Values:
    """The values of a category of made pictures."""
    draw = np.random.default_rng(seed)
    train = [_tensor(normal(kind, draw)) for _ in range(TRAIN)]
    held_out = [_tensor(normal(kind, draw)) for _ in range(HELD_OUT)]
    tested = list(_tested(kind, draw))
    proposers = {name: load_proposer(name) for name in {setting.proposer for setting in SETTINGS}}
    models = scorers(seed, train)
    with torch.no_grad():
        fits = {
            name: Calibration.fit_quantile([model(one[None]) for one in held_out])
            for name, model in models.items()
        }
        metrics: dict[tuple[str, str, str], _Metrics] = {}
        for defect, sample in tested:
            picture = _tensor(sample)[None]
            regions = {name: propose(picture) for name, propose in proposers.items()}
            for score, model in models.items():
                for setting, maps in _maps(model(picture), fits[score], regions):
                    for group in [ALL, *([defect] if defect != GOOD else DEFECTS)]:
                        metrics.setdefault((score, setting, group), _Metrics()).update(maps, sample)
    found: Values = {}
    for (score, setting, group), measured in metrics.items():
        found.setdefault(score, {}).setdefault(setting, {})[group] = measured.values()
    return found


def _maps(
    plain: Tensor, fitted: Calibration, regions: Mapping[str | None, Any]
) -> Iterator[tuple[str, Tensor]]:
    yield BASE, plain
    for setting in SETTINGS:
        scores = fitted(plain) if setting.calibrated else plain
        yield setting.name, fuse(scores, regions[setting.proposer], rule=setting.rule)


def _tested(kind: str, draw: np.random.Generator) -> Iterator[tuple[str, Sample]]:
    for _ in range(GOOD_TESTED):
        yield GOOD, normal(kind, draw)
    for defect in DEFECTS:
        for _ in range(EACH):
            yield defect, defective(kind, defect, draw)


def _tensor(sample: Sample) -> Tensor:
    return torch.from_numpy(sample.picture).movedim(-1, 0).float() / 255
