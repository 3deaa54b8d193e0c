"""The objects of an image: masks as run lengths, boxes, areas and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.arrays import Array, as_array, describe, shown
from csl_plugin.errors import DTypeError, ScoreRangeError, ShapeError
from csl_plugin.fusion.score_argument import LARGEST_SCORE
from csl_plugin.objects.border import border_share
from csl_plugin.objects.run_lengths import RunLengths, box_of_runs, mask_of_runs, runs_of_crop


@dataclass(frozen=True, eq=False)
class Objects:
    """The objects of one image, by falling score; equal scores by their first pixel down the columns.

    `find_objects` makes them; `from_masks` does from masks of any origin. No object is a normal result.

    Attributes:
        size: (H, W) of the image.
        runs: The mask of each, as the lengths of its runs, alternately outside and inside, down the columns,
            as COCO counts them; their sum is H x W.
        boxes: (N, 4) int64: left, top, right, bottom; right and bottom are beyond the last pixel.
        areas: (N,) int64, in pixels.
        scores: (N,) float64, on the scale of the map that they were found in.
        border_shares: (N,) float64 in [0, 1]: the share of an object's outline that the edge of the image
            cuts off. 0 for an object that is seen whole.

    Example:
        >>> import numpy as np
        >>> found = Objects.from_masks(np.array([[[0, 1, 1], [0, 1, 0]]], bool), np.array([0.9]))
        >>> len(found), found.boxes.tolist(), found.areas.tolist()
        (1, [[1, 0, 3, 2]], [3])
    """

    size: tuple[int, int]
    runs: tuple[RunLengths, ...]
    boxes: NDArray[np.int64]
    areas: NDArray[np.int64]
    scores: NDArray[np.float64]
    border_shares: NDArray[np.float64]

    @classmethod
    def from_masks(cls, masks: Array, scores: Array) -> Objects:
        """The objects of masks, sorted by their scores.

        Args:
            masks: (N, H, W) boolean; N may be 0. They may overlap.
            scores: (N,) real numbers, finite and up to 1e290.

        Raises:
            DTypeError: Masks that are not boolean, or scores that are no real numbers.
            ShapeError: Other shapes, an empty axis H or W, or an empty mask.
            ScoreRangeError: A score that is not finite, or beyond 1e290.
        """
        planes, values = as_array("masks", masks), as_array("scores", scores)
        if planes.dtype != np.bool_:
            raise DTypeError("masks", describe(masks), "boolean masks", "Compare them, as in masks > 0.5.")
        if planes.ndim != 3 or 0 in planes.shape[1:]:
            got, hint = f"shape {planes.shape}", "Add the first axis to a single mask with mask[None]."
            raise ShapeError("masks", got, "(N, H, W), H and W at least 1", hint)
        if values.dtype.kind not in "fiu":
            raise DTypeError("scores", describe(scores), "real numbers", "Pass one score for each mask.")
        if values.shape != planes.shape[:1]:
            expected = f"({len(planes)},), one for each mask"
            raise ShapeError("scores", f"shape {values.shape}", expected, "Pass one score for each mask.")
        if not np.isfinite(values).all():
            raise ScoreRangeError("scores", "nan or infinity", "finite scores", "Leave out such masks.")
        if len(values) and not np.abs(values.astype(np.float64)).max() <= LARGEST_SCORE:
            got, hint = f"scores up to {np.abs(values).max():.4g}", "Scale them to [0, 1]."
            raise ScoreRangeError("scores", got, f"scores up to {LARGEST_SCORE:g}", hint)
        size = (planes.shape[1], planes.shape[2])
        runs = [runs_of_crop(plane, 0, 0, size) for plane in planes]
        border = [border_share(counts, size) for counts in runs]
        return sorted_objects(size, runs, values.astype(np.float64), border)

    def __len__(self) -> int:
        return len(self.runs)

    def __repr__(self) -> str:
        best = f", best_score={self.scores[0]:.4g}" if len(self) else ""
        return f"Objects(size={self.size}, number={len(self)}{best})"

    @property
    def image_score(self) -> float:
        """How anomalous the image is: the share of it that its objects cover, weighted by their scores.

        On the scale of the map; 0 where there is no object. A single pixel hardly moves it, and it is the
        same at any resolution. Of overlapping objects each counts.
        """
        with np.errstate(under="ignore"):
            return float((self.areas * self.scores).sum() / (self.size[0] * self.size[1]))

    def take(self, kept: NDArray[Any] | Sequence[int]) -> Objects:
        """Some of the objects, by their indices or by one flag for each.

        Raises:
            IndexError: An index or a number of flags that does not fit.
        """
        places = np.arange(len(self))[np.asarray(kept, dtype=None if len(kept) else np.int64)]
        runs = tuple(self.runs[place] for place in places)
        chosen = (self.boxes[places], self.areas[places], self.scores[places], self.border_shares[places])
        return Objects(self.size, runs, *chosen)

    def masks(self) -> NDArray[np.bool_]:
        """The masks, (N, H, W)."""
        planes = np.zeros((len(self), *self.size), np.bool_)
        for plane, runs in zip(planes, self.runs, strict=True):
            plane[:] = mask_of_runs(runs, self.size)
        return planes

    def label_map(self) -> NDArray[np.int32]:
        """(H, W): 0 where there is no object, else 1 + the index of the object; the first wins a pixel."""
        flat = np.zeros(self.size[0] * self.size[1], np.int32)
        for place in range(len(self) - 1, -1, -1):
            ends = np.cumsum(self.runs[place])
            for start, end in zip(ends[0::2], ends[1::2], strict=False):
                flat[start:end] = place + 1
        return np.ascontiguousarray(flat.reshape(self.size[::-1]).T)


@dataclass(frozen=True, eq=False)
class _ByRuns:
    """Runs in order, compared where they are: as lists of numbers they would take the memory again."""

    runs: RunLengths

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByRuns) and np.array_equal(self.runs, other.runs)

    def __lt__(self, other: _ByRuns) -> bool:
        common = min(len(self.runs), len(other.runs))
        differ = np.flatnonzero(self.runs[:common] != other.runs[:common])
        if not differ.size:
            return len(self.runs) < len(other.runs)
        return bool(self.runs[differ[0]] < other.runs[differ[0]])


def sorted_objects(
    size: tuple[int, int], runs: Sequence[RunLengths], scores: NDArray[np.float64], border: Sequence[float]
) -> Objects:
    """Objects by falling score; equal ones by their first pixel down the columns, then by their runs."""
    keys = [
        (-score, int(counts[0]), _ByRuns(counts)) for score, counts in zip(scores.tolist(), runs, strict=True)
    ]
    order = sorted(range(len(runs)), key=keys.__getitem__)
    ordered = tuple(runs[place] for place in order)
    boxes = np.array([box_of_runs(counts, size) for counts in ordered], np.int64).reshape(-1, 4)
    areas = np.array([counts[1::2].sum() for counts in ordered], np.int64)
    return Objects(size, ordered, boxes, areas, scores[order], np.array(border, np.float64)[order])


def check_objects(objects: Any) -> None:
    """Refuse what is not the objects of one image.

    Raises:
        DTypeError: It is anything else.
    """
    if not isinstance(objects, Objects):
        hint = "find_objects gives a list with one for each image: pass one of them, as found[0]."
        raise DTypeError("objects", shown(objects), "the Objects of one image", hint)


def check_objects_of_images(objects: Any) -> None:
    """Refuse what is not a mapping from names of images to their objects.

    Raises:
        DTypeError: It is anything else.
    """
    if not isinstance(objects, Mapping) or not all(isinstance(name, str) for name in objects):
        hint = 'Pass a dict, as {"a.jpg": found[0]}.'
        raise DTypeError("objects", shown(objects), "Objects by the names of images", hint)
    for each in objects.values():
        check_objects(each)
