"""What is kept of a visitor between two clicks, so that a slider does not wait for a network."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Lock
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from csl_plugin.app.photographs import EXAMPLES, OWN, Photograph, own_photograph
from csl_plugin.app.region_sources import SOURCES, all_partitions
from csl_plugin.app.scores import OWN_MAP, SCORES, TEACHER
from csl_plugin.app.settings import Settings
from csl_plugin.app.uploads import read_map
from csl_plugin.demo.street.scoring import street_threshold
from csl_plugin.fusion import fuse
from csl_plugin.metrics import AnomalyValues, PooledAnomaly
from csl_plugin.objects import Objects, find_objects
from csl_plugin.regions import RegionMap

ValueT = TypeVar("ValueT")

_KEPT = 2
_TOP = 0.03
_LEVELS = 200


@dataclass(frozen=True, eq=False)
class Result:
    """What the page shows.

    Attributes:
        photograph: What was scored.
        score: (h, w) float32 in [0, 1].
        divisor: What the values of a visitor's map were divided by.
        partitions: The coarse and the fine one.
        regions: What `load_proposer` is called with for these.
        fused: (h, w) float32 in [0, 1].
        threshold: That the objects are found at.
        objects: Of the fused score.
        quality: Of the score and of the fused score, where the truth is known.
        is_out_of_place: Whether the street teacher scored what is no drawn street.
    """

    photograph: Photograph
    score: NDArray[np.float32]
    divisor: float
    partitions: tuple[RegionMap, RegionMap]
    regions: str
    fused: NDArray[np.float32]
    threshold: float
    objects: Objects
    quality: tuple[AnomalyValues, AnomalyValues] | None
    is_out_of_place: bool


class Session:
    """The results of one visitor: each step is done once for the same choices, and the last two are kept.

    Everything that is kept is found by what it was made of, so a session that was dropped is only slower.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._kept: dict[str, OrderedDict[Hashable, Any]] = {}

    def result(self, settings: Settings) -> Result:
        """What the page shows for these settings.

        Raises:
            FileError, DTypeError, ShapeError, ScoreRangeError: A file of the visitor, as in `uploads`.
        """
        with self._lock:
            return self._result(settings)

    def _result(self, settings: Settings) -> Result:
        of_photograph = settings.photograph, settings.own_photograph
        photograph = self._once("photograph", of_photograph, lambda: _photograph(settings))
        of_score = of_photograph, settings.score, settings.own_map if settings.score == OWN_MAP else None
        score, divisor = self._once("score", of_score, lambda: _score(settings, photograph))
        source = SOURCES[settings.regions]
        of_regions = of_photograph, settings.regions
        hierarchy = self._once("regions", of_regions, lambda: all_partitions(source, photograph.image))
        partitions = hierarchy.partitions(settings.fineness)
        of_fused = of_score, of_regions, settings.fineness, settings.rule
        fused = self._once("fused", of_fused, lambda: fuse(score, partitions, rule=settings.rule))
        threshold = settings.threshold
        if threshold is None:
            is_fitted = settings.score == TEACHER and settings.rule != "product"  # which has another scale
            threshold = float(street_threshold()) if is_fitted else highest_share(fused)
        (objects,) = find_objects(fused, threshold, partitions, min_area=settings.min_area)
        quality = None
        if photograph.truth is not None:
            truth = photograph.truth
            quality = (
                self._once("quality before", of_score, lambda: _quality(score, truth)),
                self._once("quality after", of_fused, lambda: _quality(fused, truth)),
            )
        regions = source.name(settings.fineness)
        return Result(
            photograph,
            score,
            divisor,
            partitions,
            regions,
            fused,
            threshold,
            objects,
            quality,
            settings.score == TEACHER and not photograph.is_street,
        )

    def _once(self, step: str, made_of: Hashable, make: Callable[[], ValueT]) -> ValueT:
        kept = self._kept.setdefault(step, OrderedDict())
        if made_of not in kept:
            kept[made_of] = make()
            while len(kept) > _KEPT:
                kept.popitem(last=False)
        kept.move_to_end(made_of)
        value: ValueT = kept[made_of]
        return value


class Sessions:
    """The sessions of all visitors, at most `most` of them: the one that was longest unused is dropped."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._lock = Lock()
        self._of: OrderedDict[str, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._of)

    def of(self, visitor: str) -> Session:
        """The session of a visitor, a new one where there is none."""
        with self._lock:
            session = self._of.setdefault(visitor, Session())
            self._of.move_to_end(visitor)
            while len(self._of) > self.most:
                self._of.popitem(last=False)
            return session

    def drop(self, visitor: str) -> None:
        """Forget a visitor that has left."""
        with self._lock:
            self._of.pop(visitor, None)


def highest_share(fused: NDArray[np.float32]) -> float:
    """The threshold that the highest 3 % of an image are above, in steps of 0.005.

    Example:
        >>> highest_share(np.linspace(0, 1, 1000, dtype=np.float32)[None])
        0.97
    """
    level = float(np.quantile(fused, 1 - _TOP))
    return min(max(round(level * _LEVELS), 1), _LEVELS) / _LEVELS


def _photograph(settings: Settings) -> Photograph:
    if settings.photograph == OWN:
        assert settings.own_photograph is not None  # noqa: S101 - settings were checked
        return own_photograph(settings.own_photograph)
    return EXAMPLES[settings.photograph]()


def _score(settings: Settings, photograph: Photograph) -> tuple[NDArray[np.float32], float]:
    if settings.score == OWN_MAP:
        assert settings.own_map is not None  # noqa: S101 - settings were checked
        return read_map(settings.own_map, photograph.own_size, photograph.size)
    return SCORES[settings.score](photograph.image), 1.0


def _quality(score: NDArray[np.float32], truth: NDArray[np.bool_]) -> AnomalyValues:
    metric = PooledAnomaly()
    metric.update(score, truth.astype(np.uint8))
    return metric.compute()
