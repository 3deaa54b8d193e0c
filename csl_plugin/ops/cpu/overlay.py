"""Fusion with several partitions at once, and the rule "trust", which is of use with one already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from csl_plugin.ops import trust as experts
from csl_plugin.ops.cpu import fuse as on_runs
from csl_plugin.ops.cpu.bands import Bands, Rooted
from csl_plugin.ops.cpu.fuse import Floats
from csl_plugin.ops.cpu.memory import empty
from csl_plugin.ops.cpu.runs import Runs, overlay, without
from csl_plugin.ops.dtypes import Rule, rooted, sum_dtype, to_scores, to_stored
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.rules import Trust
from csl_plugin.ops.trust import Belief, Pieces


class Overlay(NamedTuple):
    """Several partitions on the CPU as one: the runs that no region of any of them divides.

    Attributes:
        runs: Of each image, numbered from 0 on.
        pieces: The same runs as the experts take them.
    """

    runs: tuple[Runs, ...]
    pieces: Pieces

    @staticmethod
    def of(partitions: Sequence[Partition]) -> Overlay:
        """Of partitions with runs, of the same images."""
        images = [overlay(maps) for maps in zip(*(part.runs or () for part in partitions), strict=True)]
        most = max(len(image.ids) for image, _ in images)
        sizes = torch.zeros(len(images), most, dtype=torch.float64)
        members = torch.full((len(images), len(partitions), most), -1)
        for b, (image, regions) in enumerate(images):
            sizes[b, : len(image.lengths)] = torch.from_numpy(image.lengths)
            members[b, :, : len(image.lengths)] = torch.from_numpy(regions)
        pieces = Pieces(sizes, members, [part.count for part in partitions])
        return Overlay(tuple(image for image, _ in images), pieces)

    def without(self, silent: Tensor) -> tuple[Runs, ...]:
        """The runs, unassigned where no partition says anything."""
        return tuple(without(image, silent[b, : len(image.ids)].numpy()) for b, image in enumerate(self.runs))

    def averaged(self, scores: Bands) -> tuple[tuple[Runs, ...], Tensor]:
        """Runs and a table as `on_runs` takes them: the average of each run's region means."""
        means = on_runs.means(scores, self.runs, self.pieces.sizes.shape[1])
        prior, silent = experts.average(means.double(), self.pieces)
        return self.without(silent), prior.to(scores.dtype)

    def trusted(self, scores: Bands, trust: Trust) -> Iterator[tuple[int, slice, Tensor]]:
        """The fused maps of the rule "trust" in bands: image, rows and (C, rows, W)."""
        most = self.pieces.sizes.shape[1]
        means = on_runs.means(Rooted(scores), self.runs, most).double()
        center = experts.center(means, self.pieces).to(scores.dtype)
        squares = on_runs.means(Rooted(scores, center), self.runs, most).double()
        belief = experts.trusted(means - center[..., None], squares, self.pieces, trust)
        prior = (belief.prior + center[..., None]).to(scores.dtype).numpy()
        loudness = experts.audible(belief.noise).to(scores.dtype).numpy()
        for b, image in enumerate(self.runs):
            silent = belief.silent[b].numpy()
            for rows, part in on_runs.tiles(image, planes=scores.shape[1]):
                band = scores.band(b, rows)
                lengths = image.lengths[part]
                said = np.repeat(prior[b][:, part], lengths, axis=1)
                own = band.flatten(1).numpy()
                fused = _settled_in_cache(own, said, loudness[b][:, None], trust.keep_sigma**2)
                if silent[part].any():
                    np.copyto(fused, own, where=np.repeat(silent[part], lengths))
                yield b, rows, torch.from_numpy(fused).view(band.shape)


def fuse_on_runs(scores: Bands, partitions: Sequence[Partition], rule: Rule | Trust, out: Tensor) -> None:
    """Write the fused maps into `out`, which may be the distribution itself."""
    together = Overlay.of(partitions)
    if not isinstance(rule, Trust):
        on_runs.apply(scores, *together.averaged(scores), rule, out)
        return
    for b, rows, fused in together.trusted(scores, rule):
        out[b, :, rows] = to_stored(fused, out.dtype)


def labels_on_runs(scores: Bands, partitions: Sequence[Partition], rule: Rule | Trust) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64."""
    together = Overlay.of(partitions)
    if not isinstance(rule, Trust):
        return on_runs.labels(scores, *together.averaged(scores), rule)
    batch, _, height, width = scores.shape
    winners = empty((batch, height, width), torch.int64)
    for b, rows, fused in together.trusted(scores, rule):
        winners[b, rows] = torch.from_numpy(on_runs.first_largest(fused.numpy()))
    return winners


def average(distribution: Tensor, partitions: Sequence[Partition]) -> tuple[Partition, Tensor]:
    """The average of the region means, as the means of a partition into pixels; on any device."""
    scores = to_scores(distribution).flatten(2)
    prior, silent = experts.average(scores.to(sum_dtype(scores.device)), _pixels(scores, partitions))
    places = torch.arange(scores.shape[2], device=scores.device).expand_as(silent)
    labels = torch.where(silent, -1, places).view(-1, *distribution.shape[2:])
    return Partition(scores.shape[2], labels), prior.to(scores.dtype)


def trusted(distribution: Tensor, partitions: Sequence[Partition], trust: Trust) -> Tensor:
    """The fused maps of the rule "trust", (B, C, H, W) in the dtype of the arithmetic; on any device.

    Whole-tensor torch, differentiable; it takes a few copies of D.
    """
    scores = to_scores(distribution).flatten(2)
    roots = rooted(scores).to(sum_dtype(scores.device))
    pixels = _pixels(scores, partitions)
    center = experts.center(roots, pixels)[..., None]
    apart = roots - center
    belief: Belief = experts.trusted(apart, apart * apart, pixels, trust)
    prior, noise = (belief.prior + center).to(scores.dtype), belief.noise.to(scores.dtype)
    return _settled(scores, prior, belief.silent, noise, trust).view(distribution.shape)


def _settled(scores: Tensor, prior: Tensor, silent: Tensor, noise: Tensor, trust: Trust) -> Tensor:
    """The fused scores of pixels (B, C, P): what is said of them and what they keep of their own."""
    fused = prior + experts.kept(rooted(scores) - prior, noise, trust)
    return torch.where(silent[:, None], scores, fused.clamp(min=0) ** 4)


def _settled_in_cache(own: Floats, said: Floats, loudness: Floats, ground: float) -> Floats:
    """`_settled` for the pixels (C, P) of a band, in as many passes as there are operations."""
    apart = np.sqrt(own)
    np.sqrt(apart, out=apart)
    apart -= said
    power = np.square(apart)
    with np.errstate(divide="ignore", invalid="ignore"):
        power /= loudness
        share = power.max(0)
        share /= share + ground
    # Where nothing is heard, or infinitely much, nothing is noise.
    np.copyto(share, 1.0, where=np.isnan(share))
    apart *= share
    apart += said
    np.maximum(apart, 0, out=apart)
    np.square(apart, out=apart)
    return np.square(apart, out=apart)


def _pixels(scores: Tensor, partitions: Sequence[Partition]) -> Pieces:
    members = torch.stack([part.labels.flatten(1).long() for part in partitions], dim=1)
    sizes = torch.ones_like(scores[:, 0], dtype=sum_dtype(scores.device))
    return Pieces(sizes, members, [part.count for part in partitions])
