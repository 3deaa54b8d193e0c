"""All frames of a set through all rows; what the store holds already is not computed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

import examples.ood_scores
from benchmarks.effect.frames.scored import true_regions
from benchmarks.effect.frames.sets import FrameSet
from benchmarks.effect.networks.teachers import Teacher, digest
from benchmarks.effect.rows.anomaly import Row
from benchmarks.effect.rows.case import Case
from benchmarks.effect.rows.regions import FrameRegions
from benchmarks.effect.states.measurements import Label, Measurement, SetStates, components_of, pixels_of
from benchmarks.effect.states.store import StateStore, Unit, identity_from
from csl_plugin.datasets.dataset import Frame
from csl_plugin.io import image_batch
from examples.ood_scores import ood_scores

SCORES = ("msp", "entropy", "max_logit", "energy", "sml")
_SCORES_CODE = Path(examples.ood_scores.__file__)


@dataclass(frozen=True)
class Missing:
    """A file that has to be made."""

    unit: Unit
    row: Row
    identity: str


def measure_set(frames: FrameSet, networks: Sequence[str], rows: Sequence[Row], store: StateStore) -> None:
    """Pixels of all rows, then components at the thresholds that the pixels of all frames give."""
    measure_pixels(frames, networks, rows, store)
    states = SetStates(store, frames)
    thresholds = {
        (network, row.key, score): states.threshold(network, row, score)
        for network in networks
        for row in rows
        if row.components
        for score in SCORES
    }
    _measure(frames, networks, components_of(frames, rows, thresholds), store)


def measure_pixels(frames: FrameSet, networks: Sequence[str], rows: Sequence[Row], store: StateStore) -> None:
    """Pixels of all rows."""
    _measure(frames, networks, pixels_of(frames, rows), store)


def _measure(frames: FrameSet, networks: Sequence[str], measurement: Measurement, store: StateStore) -> None:
    title = f"{frames.title}, {measurement.name}"
    for frame in tqdm(frames.frames, desc=title, unit="frame", disable=None):
        missing = {
            network: found
            for network in networks
            if (found := _missing(frames, frame, network, measurement, store))
        }
        if missing:
            opened = OpenedFrame(frames, frame)
            for network, wanted in missing.items():
                cases = opened.cases(network)
                for each in wanted:
                    states = {
                        score: measurement.state(
                            network, each.row, score, each.row.method(case), opened.label
                        )
                        for score, case in cases.items()
                    }
                    store.write(each.unit, each.identity, states)


def _missing(
    frames: FrameSet, frame: Frame, network: str, measurement: Measurement, store: StateStore
) -> list[Missing]:
    shared = [frames.identity(frame), frames.teachers[network].identity(frame.name), digest(_SCORES_CODE)]
    found = []
    for row in measurement.rows:
        unit = Unit(measurement.name, frames.key, network, frame.name, row.key)
        identity = identity_from([*shared, row.identity(), measurement.settings(network, row)])
        if not store.holds(unit, identity):
            found.append(Missing(unit, row, identity))
    return found


class OpenedFrame:
    """A frame's image, label and regions, and its cases by network.

    Args:
        frames: The set.
        frame: One of its frames.
    """

    def __init__(self, frames: FrameSet, frame: Frame) -> None:
        self._frames, self._frame = frames, frame
        self.regions = FrameRegions(image_batch(frames.dataset.read_image(frame)))

    @cached_property
    def label(self) -> Label:
        """(H, W)."""
        return self._frames.label(self._frame)

    def cases(self, network: str) -> dict[str, Case]:
        """The case of every score."""
        teacher = self._frames.teachers[network]
        full = self._logits(teacher)
        true = true_regions(self.label, full.argmax(0).numpy())
        scores = ood_scores(teacher.statistics)
        return {name: Case(_clipped(scores[name](full).numpy()), self.regions, true) for name in SCORES}

    def _logits(self, teacher: Teacher) -> Tensor:
        """At the image's size."""
        low = teacher(self.regions.image, self._frame.name)
        size = self.regions.image.shape[2:]
        return F.interpolate(low[None], size, mode="bilinear", align_corners=False)[0]


def _clipped(score: NDArray[np.float32]) -> NDArray[np.float32]:
    # 1 - max softmax and entropies may be -1e-8.
    return score.clip(0, 1)
