"""Several partitions on the CPU: laid over each other, they are one partition into shorter runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.ops.cpu.bands import Bands, WithRoot
from csl_plugin.ops.cpu.fuse import means
from csl_plugin.ops.cpu.runs import overlay, without
from csl_plugin.ops.cpu.totals import Totals
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.pieces import OfPartition, Place, gather, places, together
from csl_plugin.ops.rules import Rule


class Overlay(NamedTuple):
    """The runs that no region of several partitions divides, padded to the same number A with empty ones.

    Attributes:
        runs: As a partition: each run of an image is a region of its own.
        sizes: Pixels of each run, (B, A) float64.
        members: The region of each run in each of K partitions, (B, K, A) int64; negative for unassigned.
        counts: An upper bound of the region ids of each partition, K numbers.
    """

    runs: Partition
    sizes: Tensor
    members: Tensor
    counts: Sequence[int]

    @staticmethod
    def of(partitions: Sequence[Partition]) -> Overlay:
        """Of partitions with runs, of the same images."""
        images = [overlay(maps) for maps in zip(*(part.runs or () for part in partitions), strict=True)]
        most = max(len(image.ids) for image, _ in images)
        sizes = torch.zeros(len(images), most, dtype=torch.float64, device="cpu")
        members = torch.full((len(images), len(partitions), most), -1, device="cpu")
        for b, (image, regions) in enumerate(images):
            sizes[b, : len(image.lengths)] = torch.from_numpy(image.lengths)
            members[b, :, : len(image.lengths)] = torch.from_numpy(regions)
        runs = Partition(most, runs=tuple(image for image, _ in images))
        return Overlay(runs, sizes, members, [part.count for part in partitions])

    def add_to(self, totals: Sequence[Totals], source: Bands) -> None:
        """Add what D sums to over each region of each partition."""
        values = means(source, self.runs).double() * self.sizes[:, None]
        for each, (slots, _) in zip(totals, self._places(), strict=True):
            each.add(values, self.sizes, slots)

    def together(self, tables: Sequence[Tensor], rule: Rule, classes: int) -> tuple[Partition, Tensor]:
        """One partition into runs, and what the regions of each say together, (B, C, runs) float64.

        Args:
            tables: The means of each partition's regions, (B, C, R).
            rule: How they are combined.
            classes: Of D.
        """
        each = list(self._said(tables))
        said = together(each, rule, classes)
        unassigned = ~torch.stack([assigned for _, assigned in each]).any(0)
        images = self.runs.runs or ()
        assigned = [without(image, unassigned[b, : len(image.ids)].numpy()) for b, image in enumerate(images)]
        return Partition(self.runs.count, runs=tuple(assigned)), said

    def _said(self, tables: Sequence[Tensor]) -> Iterator[OfPartition]:
        for table, (slots, assigned) in zip(tables, self._places(), strict=True):
            yield gather(F.pad(table, (0, 1)), slots), assigned

    def _places(self) -> Iterator[Place]:
        for member, count in zip(self.members.unbind(1), self.counts, strict=True):
            yield from places([(member, count)])


def combined(
    scores: Bands, partitions: Sequence[Partition], rule: Rule, *, roots: bool
) -> tuple[Partition, Tensor]:
    """What each pixel's regions say together: one partition into runs, and its table (B, C, runs).

    With `roots` also of the square root of D, as a further row.
    """
    source = WithRoot(scores) if roots else scores
    if len(partitions) == 1:
        return partitions[0], means(source, partitions[0])
    laid = Overlay.of(partitions)
    totals = [Totals.of(source.shape[0], source.shape[1], part.count) for part in partitions]
    laid.add_to(totals, source)
    one, said = laid.together([each.means() for each in totals], rule, scores.shape[1])
    return one, said.to(scores.dtype)
