"""The scores of the pixels of many images, sorted, in bounded memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.arrays import as_array, describe
from csl_plugin.errors import CSLError, DTypeError, ScoreRangeError, ShapeError
from csl_plugin.metrics.external_sort import Spills
from csl_plugin.metrics.pixels import scores_by_label
from csl_plugin.metrics.pr_roc import CurveScan
from csl_plugin.metrics.sorted_scores import SortedScores, sort_scores

_MEMORY = 512 << 20
NORMAL, ANOMALOUS = 0, 1
_NOTHING = "A threshold is not fitted on nothing."
_FEW = 8


class PixelPool:
    """Normal and anomalous pixels of images; above 512 MiB of scores they are kept in temporary files."""

    def __init__(self) -> None:
        self._spills = Spills(_MEMORY, None)
        self._sizes: list[tuple[int, int]] = []
        self._narrow = False

    @classmethod
    def of_normal(cls, maps: Iterable[Any]) -> PixelPool:
        """The pool of maps without anomalies.

        Raises:
            CSLError: No map, no pixel, or a map that `plain_scores` refuses.
        """
        pool = cls()
        for scores in each_map(maps):
            pool.add(plain_scores(scores).ravel())
        pool._check_filled(NORMAL, "maps", "no pixel", "the fused maps of in-distribution images")
        return pool

    @classmethod
    def of_labeled(cls, maps: Iterable[Any], labels: Iterable[Any]) -> PixelPool:
        """The pool of maps and their labels: 0 normal, 1 anomaly, everything else void.

        Raises:
            CSLError: Not as many labels as maps, no anomalous or no normal pixel, or a map or labels that
                cannot be read.
        """
        pool, ended = cls(), object()
        values: set[int] = set()  # of the labels, while no pixel is anomalous
        label_maps = iter(each_map(labels, "labels"))
        for scores in each_map(maps):
            label = next(label_maps, ended)
            if label is ended:
                raise _unequal("fewer labels than maps")
            try:
                anomalous, normal = scores_by_label(plain_scores(scores, void=True), label)  # type: ignore[arg-type]
            except CSLError as error:
                argument = "maps" if error.argument == "scores" else error.argument
                raise type(error)(argument, error.got, error.expected, error.hint) from error
            pool.add(normal, anomalous)
            if not pool._spills.size(ANOMALOUS):
                values.update(np.unique(as_array("labels", label)).tolist())
        if next(label_maps, ended) is not ended:
            raise _unequal("more labels than maps")
        expected = "0 for normal pixels and 1 for anomalous ones"
        pool._check_filled(
            ANOMALOUS, "labels", f"no anomalous pixel in labels of {_named(values)}", expected, _mend(values)
        )
        pool._check_filled(NORMAL, "labels", "no normal pixel", expected)
        return pool

    @property
    def images(self) -> int:
        """How many were added."""
        return len(self._sizes)

    def add(self, normal: NDArray[Any], anomalous: NDArray[Any] | None = None) -> None:
        """Add an image's scores, (n,) float32 or float64 each.

        Raises:
            ScoreRangeError: A score is nan or infinite.
            FileError: The scores cannot be written to a file.
        """
        given = (normal, normal[:0] if anomalous is None else anomalous)
        sides = [sort_scores(scores, "maps").values for scores in given]
        for values in sides:
            if values.size and not np.isfinite(values[[0, -1]]).all():
                raise not_finite()
        self._spills.add([sides[0]], [sides[1]])
        self._sizes.append((sides[0].size, sides[1].size))
        self._narrow |= any(values.size and values.dtype == np.float32 for values in sides)

    def totals(self) -> NDArray[np.int64]:
        """(images, 2): normal and anomalous pixels."""
        return np.array(self._sizes, np.int64).reshape(-1, 2)

    def above(self, value: float) -> NDArray[np.int64]:
        """(images, 2): normal and anomalous pixels at or above a value."""
        counts = self.totals()
        for kind in (NORMAL, ANOMALOUS):
            arrays = iter(self._spills.of_kind(kind))
            for image in np.flatnonzero(counts[:, kind]):
                counts[image, kind] -= SortedScores(next(arrays)).below(np.array([value]))[0]
        return counts

    def ranked(self, kind: int, rank: int) -> float:
        """The score with so many scores of its kind before it in falling order."""
        for _, (part,) in self._spills.ranges(kind):
            if rank < part.size:
                return float(part.at(np.array([part.size - 1 - rank]))[0])
            rank -= part.size
        raise IndexError(rank)

    def following(self, value: float) -> float:
        """The next number above a score, in the narrowest element type of the scores."""
        return next_above(value, np.float32 if self._narrow else np.float64)

    def check_differ(self) -> None:
        """Refuse normal pixels whose scores are all equal.

        Raises:
            ScoreRangeError: They are.
        """
        arrays = self._spills.of_kind(NORMAL)
        if min(values[0] for values in arrays) == max(values[-1] for values in arrays):
            raise equal_scores()

    def best_f1(self) -> float:
        """The highest threshold at which F1 is best."""
        normal, anomalous = self.totals().sum(axis=0)
        scan = CurveScan(int(anomalous), int(normal))
        for _, (anomalies, others) in self._spills.ranges(ANOMALOUS, NORMAL):
            scan.feed([anomalies], [others])
        return scan.values("first", self.images).best_f1_threshold

    def _check_filled(self, kind: int, argument: str, got: str, expected: str, hint: str = _NOTHING) -> None:
        if not self.images:
            raise ScoreRangeError("maps", "no image", "one map for each image, at least one", _NOTHING)
        if not self._spills.size(kind):
            raise ScoreRangeError(argument, got, expected, hint)


def _named(values: Collection[int]) -> str:
    first = sorted(values)[:_FEW]
    return " and ".join(map(str, first)) + (", ..." if len(values) > _FEW else "")


def _mend(values: Collection[int]) -> str:
    if 255 not in values:
        return _NOTHING
    return "255 is void here. Where it means anomalous, divide the labels by 255."


def each_map(maps: Iterable[Any], argument: str = "maps") -> Iterator[Any]:
    """The entries of an iterable of maps.

    Raises:
        DTypeError: A single array, or nothing to iterate.
    """
    array = isinstance(maps, (Tensor, np.ndarray))
    if not isinstance(maps, Iterable) or array or hasattr(maps, "shape"):
        hint = "Wrap a single array in a list."
        raise DTypeError(argument, describe(maps), "an iterable of maps, one for each image", hint)
    return iter(maps)


def plain_scores(fused: Any, *, void: bool = False) -> NDArray[Any]:
    """One image's map as `find_objects` reads it: float32 or float64, uint8 divided by 255.

    Args:
        fused: (H, W), or with axes of 1 before them; or (n,), some of its pixels.
        void: Pixels may be nan or infinite, because labels may say that they do not count.

    Raises:
        DTypeError: Other elements.
        ShapeError: Several images or classes.
        ScoreRangeError: nan or infinity.
    """
    values = as_array("maps", fused)
    if values.dtype not in (np.float16, np.float32, np.float64, np.uint8):
        hint = "Pass the fused maps as fuse gave them."
        raise DTypeError("maps", describe(fused), "floating-point or uint8 maps", hint)
    while values.ndim > 2 and values.shape[0] == 1:
        values = values[0]
    if values.ndim not in (1, 2):
        hint = "Pass the maps of one class, and those of a batch one by one."
        raise ShapeError("maps", f"shape {tuple(fused.shape)}", "(H, W) for each image", hint)
    if values.dtype == np.uint8:
        return np.asarray(values / np.float32(255))
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if not void and not np.isfinite(values).all():
        raise not_finite()
    return values


def next_above(value: float, kind: type[np.floating[Any]]) -> float:
    """The next number above a score, but no subnormal one: processors may be set to take these for 0.

    Raises:
        ScoreRangeError: There is none.
    """
    with np.errstate(over="ignore", under="ignore"):
        found = float(np.nextafter(kind(value), kind(np.inf)))
    least = float(np.finfo(kind).tiny)
    if abs(found) < least:
        return least
    if not np.isfinite(found):
        hint = "Fused maps of scores in [0, 1] are in [0, 1]."
        raise ScoreRangeError("maps", f"scores up to {value:.4g}", "a number above the largest score", hint)
    return found


def not_finite() -> ScoreRangeError:
    """The error of nan and infinities."""
    hint = "Find out what produced them, or leave out such pixels."
    return ScoreRangeError("maps", "nan or infinity", "finite scores", hint)


def equal_scores() -> ScoreRangeError:
    """The error of maps that are constant, and all the same."""
    hint = "A threshold is not fitted on nothing: pass the fused maps of in-distribution images."
    return ScoreRangeError("maps", "scores that are all equal", "scores that differ", hint)


def largest_count(share: float, total: int) -> int:
    """The largest count that is at most so many times a total."""
    count = int(share * total)
    while (count + 1) / total <= share:
        count += 1
    while count / total > share:
        count -= 1
    return count


def least_count(share: float, total: int) -> int:
    """The least count that is at least so many times a total."""
    count = int(share * total)
    while count / total >= share:
        count -= 1
    while count / total < share:
        count += 1
    return count


def _unequal(got: str) -> ShapeError:
    return ShapeError("labels", got, "one label map for each map, in the same order", "Pair them first.")
