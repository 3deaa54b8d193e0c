"""From a fused map to fifty objects: masks, boxes, areas and scores."""

from __future__ import annotations

from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.speed.contestants import Agreement, Case, Contestant, Spec
from benchmarks.speed.peers import object_lists
from benchmarks.speed.stages.subject import Subject, installed
from csl_plugin import RegionMap, find_objects
from csl_plugin.objects import Objects

_NUMBER, _LEVEL, _LEAST = 50, 0.5, 64
_CELL = 128  # side of what divides the regions: as many runs as the default proposer's finest partition


def build(spec: Spec) -> Case:
    """The contestants."""
    fused = _fused(spec.size)
    subject = Subject(spec)
    coarse = RegionMap(subject.labels, subject.count)
    fine = RegionMap(subject.labels * _cells(spec.size).max() + _cells(spec.size))
    oracle = object_lists.opencv(fused, _LEVEL, _LEAST)

    def agrees(found: Any) -> Agreement:
        if isinstance(found, list) and isinstance(found[0], Objects):
            found = object_lists.of_objects(found[0])
        same = object_lists.equal(found, oracle)
        return Agreement(same, "same objects" if same else "other objects")

    missing: list[str] = []
    contestants = [
        Contestant("read the map once", "floor", fused.sum),
        Contestant(
            "cv2, a dense mask each",
            "simple",
            partial(object_lists.opencv, fused, _LEVEL, _LEAST),
            verify=agrees,
        ),
    ]
    if installed("skimage", missing):
        call = partial(object_lists.skimage, fused, _LEVEL, _LEAST)
        contestants.append(Contestant("skimage.measure.regionprops", "peer", call, verify=agrees))
    ours = partial(find_objects, fused, _LEVEL)
    contestants += [
        Contestant("ours, pixels decide", "ours", ours, verify=agrees),
        Contestant("ours, two partitions decide", "ours", partial(ours, [coarse, fine])),
    ]
    return Case(contestants, [f"{len(oracle)} objects of at least {_LEAST} pixels"], missing)


def _fused(size: tuple[int, int]) -> NDArray[np.float32]:
    """A map of low noise with fifty ellipses above the level."""
    rng = np.random.default_rng(0)
    fused = 0.4 * rng.random(size, dtype=np.float32)
    for _ in range(_NUMBER):
        center = (int(rng.integers(size[1])), int(rng.integers(size[0])))
        axes = (int(rng.integers(8, 60)), int(rng.integers(8, 40)))
        shape = np.zeros(size, np.uint8)
        cv2.ellipse(shape, center, axes, float(rng.integers(180)), 0, 360, 1, -1)
        fused[shape > 0] = 0.6 + 0.3 * rng.random(int(shape.sum()), dtype=np.float32)
    return fused


def _cells(size: tuple[int, int]) -> Any:
    rows, columns = (np.arange(side) // _CELL for side in size)
    return (rows[:, None] * (columns[-1] + 1) + columns + 1)[None].astype(np.int32)
