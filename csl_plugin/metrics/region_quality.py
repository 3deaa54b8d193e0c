"""Agreement of a partition with ground-truth regions: covering and best IoU."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array, as_array, as_tensor, describe
from csl_plugin.errors import ShapeError
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array
from csl_plugin.metrics.semantic import check_same_size, read_integers

NAMES = ("covered", "pixels", "overlap", "regions")


@dataclass(frozen=True)
class RegionQualityValues:
    """Values over a set of frames, as fractions; nan without ground-truth regions.

    Attributes:
        covering: Segmentation covering: the mean, over the pixels in ground-truth regions, of the region's
            best IoU with a region of the partition.
        best_iou: The mean over the regions, so that small and large ones have the same weight.
        num_regions: Ground-truth regions; for several annotators of a frame, their mean number.
        num_frames: Frames.
    """

    covering: float
    best_iou: float
    num_regions: float
    num_frames: int


class RegionQuality:
    """Segmentation covering and mean best IoU of class-agnostic regions.

    Each ground-truth region is compared with the region of the partition that has the best IoU with it.
    Frames are pooled, by pixels and by regions; a frame with several annotators counts as their mean.

    Example:
        >>> metric = RegionQuality()
        >>> metric.update(np.array([[0, 0, 0, 1]]), np.array([[0, 0, 1, 1]]))
        >>> values = metric.compute()
        >>> round(values.covering, 4), round(values.best_iou, 4)
        (0.5833, 0.5833)

    Source:
        Arbelaez, Maire, Fowlkes, Malik: Contour detection and hierarchical image segmentation, TPAMI 2011.
    """

    def __init__(self) -> None:
        self._frames: dict[str, list[float]] = {name: [] for name in NAMES}

    def update(self, labels: Array, truth: Array, valid: Array | None = None) -> None:
        """Add one frame.

        Args:
            labels: (H, W) integers: region ids, negative for unassigned pixels.
            truth: (H, W), or (A, H, W) for A annotators, integers: region ids, connected or not. A negative
                pixel is in no ground-truth region, but still counts in the partition's region.
            valid: (H, W), False for void pixels, which are removed from all regions; None for no void.

        Raises:
            ShapeError: Not these shapes, or not of one size.
            DTypeError: Not integers.
        """
        found = read_integers("labels", labels)
        annotators = _annotators(truth)
        counted = np.ones(found.shape, bool)
        if valid is not None:
            counted = np.asarray(as_array("valid", valid), bool)
            check_same_size("valid", counted, found)
        sums = np.zeros(len(NAMES))
        for annotator in annotators:
            check_same_size("truth", annotator, found)
            sums += _compare(found[counted], annotator[counted])
        for name, value in zip(NAMES, sums / len(annotators), strict=True):
            self._frames[name].append(float(value))

    def state(self) -> dict[str, NDArray[np.float64]]:
        """Per frame, (frames,) float64: sums over its pixels and regions, and their numbers."""
        return {name: np.array(values, np.float64) for name, values in self._frames.items()}

    def add_state(self, state: State) -> None:
        """Add the state of another metric.

        Raises:
            FileError: An array is missing, of another element type, or invalid.
            ShapeError: An array of another shape.
        """
        size = state_array(state, NAMES[0], np.float64).size
        arrays = {name: state_array(state, name, np.float64, size) for name in NAMES}
        for part, whole in (("covered", "pixels"), ("overlap", "regions")):
            if not ((arrays[part] >= 0) & (arrays[part] <= arrays[whole] * (1 + 1e-9))).all():
                raise invalid_state(part, f"values outside [0, {whole}]")
        for name, values in arrays.items():
            self._frames[name] += values.tolist()

    def merge(self, other: RegionQuality) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self.add_state(other.state())

    def compute(self) -> RegionQualityValues:
        """The values over all frames so far."""
        covered, pixels, overlap, regions = (math.fsum(self._frames[name]) for name in NAMES)
        return RegionQualityValues(
            covering=covered / pixels if pixels else math.nan,
            best_iou=overlap / regions if regions else math.nan,
            num_regions=regions,
            num_frames=len(self._frames["pixels"]),
        )


def _annotators(truth: Array) -> list[NDArray[np.integer]]:
    maps = as_tensor("truth", truth)
    if maps.ndim not in (2, 3) or 0 in maps.shape:
        hint = "Pass one frame at a time; its annotators are the first axis."
        raise ShapeError("truth", describe(truth), "(H, W) or (A, H, W)", hint)
    return [read_integers("truth", annotator) for annotator in (maps if maps.ndim == 3 else maps[None])]


def _compare(found: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.float64]:
    """The sums of `NAMES` for one annotator, from the ids of the valid pixels."""
    _, regions = np.unique(np.maximum(found.astype(np.int64), -1), return_inverse=True)
    _, own = np.unique(np.maximum(truth.astype(np.int64), -1), return_inverse=True)
    if not own.size:
        return np.zeros(len(NAMES))
    columns = int(regions.max()) + 1
    pairs, shared = np.unique(own * columns + regions, return_counts=True)
    of_truth, of_found = np.divmod(pairs, columns)
    sizes, extents = np.bincount(own), np.bincount(regions)
    overlap = shared / (sizes[of_truth] + extents[of_found] - shared)
    best = np.zeros(sizes.size)
    # If any pixel is unassigned, index 0 stands for "no region".
    assigned = (of_found > 0) | (found.min() >= 0)
    np.maximum.at(best, of_truth[assigned], overlap[assigned])
    first = int(truth.min() < 0)
    best, sizes = best[first:], sizes[first:]
    return np.array([(best * sizes).sum(), sizes.sum(), best.sum(), sizes.size])
