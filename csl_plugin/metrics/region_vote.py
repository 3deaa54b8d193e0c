"""Quality of class-agnostic regions: each takes its most frequent label, then semantic metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import check_choice
from csl_plugin.arrays import Array
from csl_plugin.errors import ScoreRangeError
from csl_plugin.metrics.metric import check_same_class
from csl_plugin.metrics.semantic import (
    VOID,
    SemanticMetric,
    SemanticValues,
    check_same_size,
    read_ids,
    read_integers,
)


class RegionVoteMetric:
    """Semantic metrics of a partition whose regions are labeled by majority vote, an upper bound.

    In each frame every region takes the most frequent class of its labeled pixels (the lowest index for
    ties), and the result is measured as a prediction. The paper does not specify what the options decide;
    the defaults are the stricter choices.

    Args:
        num_classes: C, 1 to 255.
        unseen: The classes of the unseen group (in Table 7 the out-of-distribution classes).
        unassigned: How a labeled pixel without class counts, in no region or in a region that void won:
            "miss" for its class, or "exclude", not at all.
        void_votes: Whether void pixels vote too; a region that void wins has no class. A class wins ties.
        vote_per: "region", or "component": each 8-connected component of a region votes separately.

    Raises:
        OptionError: An unknown choice, or classes out of range.

    Source:
        Paper, section "CA Training and Soft Assignment", Table 7.

    Example:
        >>> metric = RegionVoteMetric(2)
        >>> metric.update(np.array([[0, 0, 0, 1]]), np.array([[0, 0, 1, 1]]))
        >>> metric.compute().per_class
        array([0.66666667, 0.5       ])
    """

    def __init__(
        self,
        num_classes: int,
        *,
        unseen: Sequence[int] = (),
        unassigned: Literal["miss", "exclude"] = "miss",
        void_votes: bool = False,
        vote_per: Literal["region", "component"] = "region",
    ) -> None:
        hint = "Use miss unless unassigned pixels should not count."
        check_choice("unassigned", unassigned, ("miss", "exclude"), hint)
        hint = "Use region unless disconnected parts should vote separately."
        check_choice("vote_per", vote_per, ("region", "component"), hint)
        self._metric = SemanticMetric(num_classes, unseen=unseen)
        self.unassigned, self.void_votes, self.vote_per = unassigned, void_votes, vote_per

    @property
    def num_classes(self) -> int:
        """C."""
        return self._metric.num_classes

    @property
    def unseen(self) -> tuple[int, ...]:
        """The classes of the unseen group."""
        return self._metric.unseen

    def update(self, regions: Array, labels: Array) -> None:
        """Vote in one frame and count it.

        Args:
            regions: (H, W) integers: region ids from 0, -1 for unassigned pixels.
            labels: (H, W) integers: class indices, and 255 for void.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Not integers.
            ScoreRangeError: A region id below -1 or beyond int32, or a label out of range.
        """
        voted = majority_vote(regions, labels, void_votes=self.void_votes, vote_per=self.vote_per)
        labeled = read_ids("labels", labels, 0)
        if self.unassigned == "exclude":
            labeled = np.where(voted == VOID, np.uint8(VOID), labeled)
        self._metric.update(voted, labeled)

    def state(self) -> dict[str, NDArray[np.int64]]:
        """The counts, as `SemanticMetric.state`."""
        return self._metric.state()

    def add_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Add the state of another metric of the same classes; errors as `SemanticMetric.add_state`."""
        self._metric.add_state(state)

    def merge(self, other: RegionVoteMetric) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self.add_state(other.state())

    def compute(self) -> SemanticValues:
        """The values over all frames so far."""
        return self._metric.compute()


def majority_vote(
    regions: Array,
    labels: Array,
    *,
    void_votes: bool = False,
    vote_per: Literal["region", "component"] = "region",
) -> NDArray[np.uint8]:
    """The class of every pixel's region by majority vote.

    Args:
        regions: (H, W) integers: region ids from 0, -1 for unassigned pixels.
        labels: (H, W) integers: class indices, and 255 for void.
        void_votes: As for `RegionVoteMetric`.
        vote_per: As for `RegionVoteMetric`.

    Returns:
        (H, W) uint8; 255 for unassigned pixels, and in regions without votes or where void wins.

    Raises:
        ShapeError: Not (H, W), or not the same.
        DTypeError: Not integers.
        ScoreRangeError: A region id below -1 or beyond int32, or a label beyond 0 to 255.

    Example:
        >>> majority_vote(np.array([[0, 0, 0, -1]]), np.array([[7, 7, 255, 7]]))
        array([[  7,   7,   7, 255]], dtype=uint8)
    """
    from csl_plugin.ops.cpu.runs import components, find_runs

    ids, labeled = read_integers("regions", regions), read_ids("labels", labels, 0)
    check_same_size("regions", ids, labeled)
    low, high = int(ids.min()), int(ids.max())
    if low < -1 or high >= np.iinfo(np.int32).max:
        hint = "Number the regions from 0 and use -1 for unassigned pixels."
        raise ScoreRangeError("regions", f"ids from {low} to {high}", "-1 or an id that fits int32", hint)
    if vote_per == "component":
        ids = components(find_runs(ids), connectivity=8)[0].paint()

    # Runs of equal region and label are a thousand times fewer than pixels, so sorting them is fast.
    runs = find_runs((ids.astype(np.int64) << 8) + labeled)
    keys, inverse = np.unique(runs.ids, return_inverse=True)
    sizes = np.bincount(inverse, weights=runs.lengths)
    region, label = keys >> 8, keys & 0xFF
    ranking = np.lexsort((label, -sizes, (label == VOID) & (not void_votes), region))
    best = ranking[np.unique(region[ranking], return_index=True)[1]]
    winners = np.where(region[best] < 0, VOID, label[best]).astype(np.uint8)
    of_run = winners[np.searchsorted(region[best], runs.ids >> 8)]
    return np.repeat(of_run, runs.lengths).reshape(labeled.shape)
