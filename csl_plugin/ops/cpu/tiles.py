"""A rule on the CPU: some rows of an image, runs in place of pixels, small enough for the cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from csl_plugin.ops.cpu.runs import Ints, Runs
from csl_plugin.ops.dtypes import SERIAL
from csl_plugin.ops.rules import PlainRule, Rule

Floats = NDArray[np.floating[Any]]


class Tile(Protocol):
    """The runs of some rows, and what they hold of an image's table."""

    def fuse(self, c: int, scores: Floats, out: Floats) -> None:
        """Write one class, (rows, W), into `out`, which may be `scores`."""
        ...


def tiles(image: Runs, step: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Bands of `step` whole rows, and which runs they hold; no run crosses a row.

    Left out, it is what the cache holds.
    """
    height, width = image.shape
    step = step or max(1, SERIAL // width)
    for top in range(0, height, step):
        bottom = min(top + step, height)
        first, last = np.searchsorted(image.starts, [top * width, bottom * width])
        yield slice(top, bottom), slice(int(first), int(last))


def tile_of(image: Runs, part: slice, table: Floats, rule: Rule) -> Tile:
    """The tile of some of the image's runs, and the image's table."""
    ids, lengths = image.ids[part], image.lengths[part]
    without = ids < 0
    unassigned = np.repeat(without, lengths) if without.any() else None
    rows = table[:, ids] if table.shape[1] else np.zeros((len(table), len(ids)), table.dtype)
    if rule != "adaptive":
        return _Plain(np.sqrt(rows) if rule == "geometric" else rows, lengths, unassigned, rule)
    heard, own, floor = rows[:-2], rows[-2], rows[-1]
    if len(heard) == 1:
        return _OfScore(np.sqrt(heard), floor, lengths, unassigned)
    return _OfClasses(heard, np.repeat(own, lengths), lengths, unassigned)


@dataclass(frozen=True)
class _Plain:
    """What each run is multiplied with, and which pixels are unassigned."""

    factors: Floats
    lengths: Ints
    unassigned: NDArray[np.bool_] | None
    rule: PlainRule

    def fuse(self, c: int, scores: Floats, out: Floats) -> None:
        """An unassigned pixel's mean is its own score."""
        factors = np.repeat(self.factors[c], self.lengths).reshape(scores.shape)
        scores = np.sqrt(scores) if self.rule == "geometric" else scores
        if self.unassigned is not None:
            np.copyto(factors, scores, where=self.unassigned.reshape(scores.shape))
        if self.rule == "mean":
            np.copyto(out, factors)
        else:
            np.multiply(factors, scores, out=out)


@dataclass(frozen=True)
class _OfScore:
    """Rule "adaptive" for one class: root of the mean and floor of each run."""

    roots: Floats
    floor: Floats
    lengths: Ints
    unassigned: NDArray[np.bool_] | None

    def fuse(self, c: int, scores: Floats, out: Floats) -> None:
        """An unassigned pixel keeps its score."""
        fused = np.maximum(scores, np.repeat(self.floor, self.lengths).reshape(scores.shape))
        np.sqrt(fused, out=fused)
        fused *= np.repeat(self.roots[c], self.lengths).reshape(scores.shape)
        _write(fused, scores, self.unassigned, out)


@dataclass(frozen=True)
class _OfClasses:
    """Rule "adaptive" for several classes: what each run says of each, and the share of the pixel's own."""

    heard: Floats
    own: Floats
    lengths: Ints
    unassigned: NDArray[np.bool_] | None

    def fuse(self, c: int, scores: Floats, out: Floats) -> None:
        """An unassigned pixel keeps its score."""
        fused = self.own.reshape(scores.shape) * scores
        fused += np.repeat(self.heard[c], self.lengths).reshape(scores.shape)
        np.sqrt(fused, out=fused)
        fused *= np.sqrt(scores)
        _write(fused, scores, self.unassigned, out)


def _write(fused: Floats, scores: Floats, unassigned: NDArray[np.bool_] | None, out: Floats) -> None:
    if unassigned is not None:
        np.copyto(fused, scores, where=unassigned.reshape(scores.shape))
    np.copyto(out, fused)
