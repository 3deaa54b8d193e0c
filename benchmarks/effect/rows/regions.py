"""The regions of one image for all rows, each kind computed once."""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import NamedTuple

import cv2
import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, from_numpy

from benchmarks.effect.networks.bundled import bundled_network
from benchmarks.effect.rows.filters import DenseField, ScoreMap
from csl_plugin import RegionMap, RegionProposals, hard_assignment, load_proposer
from csl_plugin.proposers import NetworkProposals, Proposer
from csl_plugin.proposers.base import Partition, as_partitions

_SURE = 0.5
FELZENSZWALB = {"scale": 100, "sigma": 0.5, "min_size": 50}
SLIC = {"n_segments": 1000, "compactness": 10, "sigma": 1}


class GivenMasks(NamedTuple):
    """Masks that overlap, as SAM's generator gives them.

    Attributes:
        inside: (H, W) uint8 of each mask, 1 inside.
        best: (H, W) index of the mask of the highest predicted quality, -1 where there is none.
        smallest: (H, W) index of the smallest mask.
    """

    inside: list[NDArray[np.uint8]]
    best: NDArray[np.int32]
    smallest: NDArray[np.int32]

    def means(self, score: ScoreMap) -> ScoreMap:
        """The mean of each mask over all of its pixels."""
        return np.array([cv2.mean(score, mask=mask)[0] for mask in self.inside], np.float32)


class FrameRegions:
    """The regions of one image, each kind computed at its first use.

    Args:
        image: (1, 3, H, W), RGB in [0, 1].
    """

    def __init__(self, image: Tensor) -> None:
        self.image = image
        self._parts: dict[str, tuple[Partition, ...]] = {}

    def of(self, source: str) -> tuple[Partition, ...]:
        """The partitions of `load_proposer(source)`; what two sources share is computed once."""
        found: list[Partition] = []
        for part in source.split("+"):
            if part not in self._parts:
                self._parts[part] = as_partitions(proposer(part)(self.image))
            found += self._parts[part]
        return tuple(found)

    @cached_property
    def pixels(self) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB."""
        found: NDArray[np.uint8] = (self.image[0] * 255).round().byte().permute(1, 2, 0).numpy()
        return np.ascontiguousarray(found)

    @cached_property
    def gray(self) -> ScoreMap:
        """(H, W) in [0, 1]."""
        found: ScoreMap = cv2.cvtColor(self.pixels, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
        return found

    @cached_property
    def dense_field(self) -> DenseField:
        """Over the image."""
        return DenseField(self.pixels)

    @cached_property
    def felzenszwalb(self) -> RegionMap:
        """Felzenszwalb and Huttenlocher's graph-based regions."""
        from skimage.segmentation import felzenszwalb

        return _map(felzenszwalb(self.pixels, **FELZENSZWALB))

    @cached_property
    def slic(self) -> RegionMap:
        """Superpixels of about equal size."""
        from skimage.segmentation import slic

        return _map(slic(self.pixels, **SLIC, start_label=0))

    @cached_property
    def hard(self) -> RegionMap:
        """The network's proposals painted in ascending validity."""
        return hard_assignment(self._proposals, self._size)

    @cached_property
    def masks(self) -> GivenMasks:
        """The network's proposals as masks, those that it believes to be real."""
        validity = self._proposals.validity[0].numpy()
        kept = np.flatnonzero(validity >= _SURE)
        inside = [
            (F.interpolate(one, self._size, mode="bilinear", align_corners=False)[0, 0] > _SURE)
            .byte()
            .numpy()
            for one in self._proposals.scores[0, kept, None, None]
        ]
        areas = np.array([int(mask.sum()) for mask in inside])
        return GivenMasks(
            inside,
            best=_painted(inside, np.argsort(validity[kept], kind="stable"), self._size),
            smallest=_painted(inside, np.argsort(-areas, kind="stable"), self._size),
        )

    @cached_property
    def _proposals(self) -> RegionProposals:
        return NetworkProposals(_network())(self.image)[0]

    @property
    def _size(self) -> tuple[int, int]:
        return self.image.shape[2], self.image.shape[3]


@lru_cache
def proposer(source: str) -> Proposer:
    """The proposer of a name, loaded once in a process."""
    return load_proposer(source)


_network = lru_cache(bundled_network)


def _map(labels: NDArray[np.int64]) -> RegionMap:
    return RegionMap(from_numpy(labels.astype(np.int32))[None])


def _painted(
    masks: list[NDArray[np.uint8]], order: NDArray[np.int64], size: tuple[int, int]
) -> NDArray[np.int32]:
    """The index of the mask that is painted last, -1 where there is none."""
    labels = np.full(size, -1, np.int32)
    for index in order:
        labels[masks[index] > 0] = index
    return labels
