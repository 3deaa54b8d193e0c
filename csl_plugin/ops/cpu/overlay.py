"""Several partitions on the CPU: laid over each other, they are one partition into shorter runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from csl_plugin.ops import trust
from csl_plugin.ops.cpu.bands import Bands, Roots
from csl_plugin.ops.cpu.fuse import Floats, means, tiles
from csl_plugin.ops.cpu.memory import quiet
from csl_plugin.ops.cpu.runs import overlay, without
from csl_plugin.ops.dtypes import largest_root
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.pieces import Pieces, average_means
from csl_plugin.ops.rules import Trust


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


def average(scores: Bands, partitions: Sequence[Partition]) -> tuple[Partition, Tensor]:
    """The average of each pixel's region means: one partition into runs, and its table (B, C, runs)."""
    laid = Overlay.of(partitions)
    prior, unassigned = average_means(means(scores, laid.runs).double(), laid.pieces)
    images = laid.runs.runs or ()
    assigned = tuple(
        without(image, unassigned[b, : len(image.ids)].numpy()) for b, image in enumerate(images)
    )
    return Partition(laid.runs.count, runs=assigned), prior.to(scores.dtype)


def fused_by_trust(
    scores: Bands, partitions: Sequence[Partition], rule: Trust
) -> Iterator[tuple[int, slice, Tensor]]:
    """The fused maps of the rule "trust" in bands: image, rows and scores (C, rows, W)."""
    laid = Overlay.of(partitions)
    roots = means(Roots(scores), laid.runs).double()
    center = trust.center(roots, laid.pieces).to(scores.dtype)
    squares = means(Roots(scores, center), laid.runs).double()
    found = trust.estimate(roots - center[..., None], squares, laid.pieces, rule)
    priors = (found.prior + center[..., None]).to(scores.dtype).numpy()
    noise = trust.floored(found.noise).to(scores.dtype).numpy()
    for b, image in enumerate(laid.runs.runs or ()):
        unassigned = found.unassigned[b].numpy()
        for rows, part in tiles(image, planes=scores.shape[1]):
            band = scores.band(b, rows)
            lengths = image.lengths[part]
            prior = np.repeat(priors[b][:, part], lengths, axis=1)
            own = band.flatten(1).numpy()
            fused = _filtered(own, prior, noise[b][:, None], rule.keep_sigma * rule.keep_sigma)
            if unassigned[part].any():
                np.copyto(fused, own, where=np.repeat(unassigned[part], lengths))
            yield b, rows, torch.from_numpy(fused).view(band.shape)


@quiet
def _filtered(own: Floats, prior: Floats, noise: Floats, keep: float) -> Floats:
    """The last step of `trust.fused` for the pixels (C, P) of a band, in the cache."""
    apart = np.sqrt(own)
    np.sqrt(apart, out=apart)
    apart -= prior
    power = np.square(apart)
    power /= noise
    share = power.max(0)
    share /= share + keep
    # 0 / 0 and inf / inf: without noise everything is signal.
    np.copyto(share, 1.0, where=np.isnan(share))
    apart *= share
    apart += prior
    np.clip(apart, 0, largest_root(torch.from_numpy(apart).dtype), out=apart)
    np.square(apart, out=apart)
    return np.square(apart, out=apart)
