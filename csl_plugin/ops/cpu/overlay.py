"""Several partitions on the CPU: laid over each other, they are one partition into shorter runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from csl_plugin.ops.cpu.bands import Bands
from csl_plugin.ops.cpu.fuse import means
from csl_plugin.ops.cpu.runs import overlay, without
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.pieces import Combine, Pieces, combined_means


class Overlay(NamedTuple):
    """The runs that no region of several partitions divides.

    Attributes:
        runs: As a partition: each run of an image is a region of its own.
        pieces: The same runs, with their regions in each partition.
    """

    runs: Partition
    pieces: Pieces

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
        pieces = Pieces(sizes, members, [part.count for part in partitions])
        return Overlay(Partition(most, runs=tuple(image for image, _ in images)), pieces)


def combined(scores: Bands, partitions: Sequence[Partition], combine: Combine) -> tuple[Partition, Tensor]:
    """What each pixel's regions say together: one partition into runs, and its table (B, C, runs)."""
    laid = Overlay.of(partitions)
    prior, unassigned = combined_means(means(scores, laid.runs).double(), laid.pieces, combine)
    images = laid.runs.runs or ()
    assigned = tuple(
        without(image, unassigned[b, : len(image.ids)].numpy()) for b, image in enumerate(images)
    )
    return Partition(laid.runs.count, runs=assigned), prior.to(scores.dtype)
