"""Fusion of one image that is read band by band, twice: for the sums over its regions, and for its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from csl_plugin.ops import adaptive
from csl_plugin.ops.cpu.bands import AsStored, Bands, WithRoot
from csl_plugin.ops.cpu.fuse import apply, run_sums
from csl_plugin.ops.cpu.memory import empty_like, quiet
from csl_plugin.ops.cpu.overlay import Overlay
from csl_plugin.ops.cpu.runs import Ints, find_runs
from csl_plugin.ops.cpu.totals import Totals
from csl_plugin.ops.dtypes import compute_dtype
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.pieces import places
from csl_plugin.ops.rules import Rule


class BandedFusion:
    """The fused map of an image, bit for bit that of the whole image, from bands of whole rows.

    First `add` every band, from top to bottom; then `fused` gives any of them.

    Args:
        counts: An upper bound of the region ids of each partition that is heard.
        classes: C.
        rule: How pixels and regions combine.
        dtype: Of D as stored.
    """

    def __init__(self, counts: Sequence[int], classes: int, rule: Rule, dtype: torch.dtype) -> None:
        self._rule, self._classes, self._dtype = rule, classes, compute_dtype(dtype)
        self._roots = rule == "adaptive" and classes == 1
        rows = 2 * classes if self._roots else classes
        self._totals = [Totals.of(1, rows, count) for count in counts]
        self._tables: list[Tensor] | None = None

    @quiet
    def add(self, distribution: Tensor, ids: Sequence[Ints]) -> None:
        """Add a band.

        Args:
            distribution: (1, C, rows, W).
            ids: The region ids of each partition, (rows, W), negative for unassigned.
        """
        self._tables, partitions = None, self._partitions(ids)
        source: Bands = AsStored(distribution)
        source = WithRoot(source) if self._roots else source
        if len(partitions) > 1:
            Overlay.of(partitions).add_to(self._totals, source)
            return
        [total], [part] = self._totals, partitions
        [image] = part.runs or ()
        [(slots, _)] = places([(torch.from_numpy(image.ids)[None].long(), part.count)])
        sizes = torch.from_numpy(image.lengths)[None].double()
        total.add(torch.from_numpy(run_sums(source, 0, image))[None], sizes, slots)

    def fused(self, distribution: Tensor, ids: Sequence[Ints]) -> Tensor:
        """The fused map of a band that was added, in its dtype; arguments as for `add`."""
        tables, partitions = self._means(), self._partitions(ids)
        if len(partitions) > 1:
            one, said = Overlay.of(partitions).together(tables, self._rule, self._classes)
            table = self._table(said)
        else:
            [one], [table] = partitions, tables
        out = empty_like(distribution)
        apply(AsStored(distribution), one, table, self._rule, out)
        return out

    def _partitions(self, ids: Sequence[Ints]) -> list[Partition]:
        # Not by `ops.partition`, which numbers the few regions of a band anew.
        found = zip(self._totals, ids, strict=True)
        return [Partition.of_runs(total.sizes.shape[1] - 1, [find_runs(each)]) for total, each in found]

    def _means(self) -> list[Tensor]:
        """What is looked up: region means, or of one partition the table itself."""
        if self._tables is None:
            means = [each.means() for each in self._totals]
            self._tables = means if len(means) > 1 else [self._table(means[0])]
        return self._tables

    def _table(self, means: Tensor) -> Tensor:
        means = means.to(self._dtype)
        return adaptive.table_of(means, self._classes) if self._rule == "adaptive" else means
