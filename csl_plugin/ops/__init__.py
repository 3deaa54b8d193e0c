"""The engine: one signature per operation, and the only place that decides which path serves a call.

`reference` holds the equations letter by letter. `cpu` works on runs of pixels. `dense` is whole-tensor torch
for calls that are compiled, exported or differentiated, `triton` holds kernels for CUDA, `planewise` is torch
plane by plane for every other device, for float64 and where Triton is missing or older than 3.3.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Sequence
from types import ModuleType
from typing import TypeAlias

import torch
from torch import Tensor

from csl_plugin._tracing import is_differentiated, is_exporting
from csl_plugin.arrays import has_values
from csl_plugin.errors import ScoreRangeError
from csl_plugin.ops import adaptive, cpu, dense, planewise
from csl_plugin.ops.cpu.banded import BandedFusion
from csl_plugin.ops.cpu.bands import AsStored, Bands, Upsampled
from csl_plugin.ops.cpu.memory import empty, empty_like
from csl_plugin.ops.cpu.runs import compacted, find_runs
from csl_plugin.ops.dtypes import Sigmoid, to_probabilities, to_scores, to_stored
from csl_plugin.ops.partition import Partition, finest
from csl_plugin.ops.rules import PlainRule, Rule

__all__ = [
    "BandedFusion",
    "Partition",
    "apply",
    "assign",
    "components",
    "fuse",
    "fuse_labels",
    "hard_assign",
    "means",
    "partition",
    "to_probabilities",
    "to_stored",
    "upsample",
]

Scores: TypeAlias = "Tensor | Bands"
"""D as a path reads it: bands of rows on the CPU, else a tensor."""


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2: (B, N, h, w) and (B, N) to region ids (B, H, W) int32; -1 everywhere where N = 0."""
    if values.shape[1] == 0:
        return torch.full((values.shape[0], *size), -1, dtype=torch.int32, device=values.device)
    with torch.no_grad():
        if torch.compiler.is_compiling() or not has_values(values):
            return dense.assign(values, validity, size, sigmoid)
        if values.device.type != "cpu":
            ids: Tensor = _on_device(values).assign(values, validity, size, sigmoid)
            return ids
        assigned = empty((values.shape[0], *size), torch.int32)
        for image, validities, out in zip(values.detach(), validity.detach(), assigned, strict=True):
            cpu.assign(image, validities, sigmoid, out.numpy())
        return assigned


def hard_assign(
    values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid, threshold: float
) -> Tensor:
    """The baseline's region ids (B, H, W) int32, -1 where no mask covers the pixel."""
    with torch.no_grad():
        return planewise.hard_assign(values, validity, size, sigmoid, threshold)


def components(ids: Tensor, connectivity: int) -> tuple[Tensor, int]:
    """Connected components of each map of (B, H, W), int32, and the largest count of one image."""
    split = _components(ids, connectivity)
    return split.ids.to(ids.device), split.count


def partition(ids: Tensor, count: int, *, split: bool, check: bool = False) -> Partition:
    """What the operations below work with, from region ids (B, H, W) below `count`.

    With `split` every region is split into its 8-connected components. Where `count` exceeds the number of
    pixels, ids are made consecutive: as many means as regions, not as the largest id says.

    Raises:
        ScoreRangeError: An id is not below `count`. With check=False that is seen on the CPU only: elsewhere
            it would synchronize, and such pixels are unassigned.
    """
    on_cpu = ids.device.type == "cpu" and not torch.compiler.is_compiling() and has_values(ids)
    if split:
        parts = _components(ids, 8)
        return parts if on_cpu else Partition(parts.count, parts.ids.to(ids.device), gapless=parts.gapless)
    # The sizes of a graph are open, and its ids are unknown.
    sparse = not is_exporting() and count > ids.shape[1] * ids.shape[2]
    if not on_cpu:
        compiled = torch.compiler.is_compiling()
        if not compiled and not has_values(ids):
            return Partition(ids.shape[1] * ids.shape[2] if sparse else count, ids)
        if sparse:
            return _consecutive(ids)
        if compiled or not check:
            return Partition(count, ids)
        least, most = torch.stack([ids.min(), ids.max()]).tolist()
        _check_below(count, most)
        return Partition(count, ids, gapless=least >= 0)
    found = [find_runs(image.numpy()) for image in ids.detach()]
    if sparse:
        compact = [compacted(image) for image in found]
        return Partition.of_runs(max(most for _, most in compact), [image for image, _ in compact])
    _check_below(count, max(int(image.ids.max()) for image in found))
    return Partition.of_runs(count, found, ids)


def upsample(distribution: Tensor, size: tuple[int, int], *, logits: bool) -> Tensor:
    """D or its logits (B, C, h, w) as D at another size, (B, C, H, W).

    It is D itself where nothing is to be done, else in the dtype of the arithmetic.
    """
    own = size == tuple(distribution.shape[2:])
    if own and not logits:
        return distribution
    scores = to_scores(distribution)
    return to_probabilities(scores, 1) if own else Upsampled(scores, size, logits).materialized()


def fuse(
    distribution: Tensor, partitions: Sequence[Partition], rule: Rule, out: Tensor | None = None
) -> Tensor:
    """The fused maps (B, C, H, W) of K >= 1 partitions, or written into `out`, which may be D itself."""
    scores = _read(distribution, partitions)
    return _apply(distribution, scores, *_table(scores, partitions, rule), rule, out)


def fuse_labels(
    distribution: Tensor,
    partitions: Sequence[Partition],
    rule: Rule,
    size: tuple[int, int],
    *,
    logits: bool,
) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, from D or its logits at any resolution."""
    scores = _read(distribution, partitions, size, logits=logits)
    return _labels(scores, *_table(scores, partitions, rule), rule)


def means(distribution: Tensor, regions: Partition) -> Tensor:
    """The first step of eq. 3: region means of D, (B, C, R)."""
    return _table(_read(distribution, [regions]), [regions], "product")[1]


def apply(
    distribution: Tensor, regions: Partition, table: Tensor, rule: PlainRule, out: Tensor | None = None
) -> Tensor:
    """The second step of eq. 3: fused maps from D and region means, or written into `out`."""
    return _apply(distribution, _read(distribution, [regions]), [regions], table, rule, out)


def _read(
    distribution: Tensor,
    partitions: Sequence[Partition],
    size: tuple[int, int] | None = None,
    *,
    logits: bool = False,
) -> Scores:
    own = (distribution.shape[2], distribution.shape[3])
    size = own if size is None else size
    if _is_traced(distribution) or any(part.runs is None for part in partitions):
        return upsample(distribution, size, logits=logits)
    if size == own and not logits:
        return AsStored(distribution.detach())
    return Upsampled(distribution.detach(), size, logits)


def _table(scores: Scores, partitions: Sequence[Partition], rule: Rule) -> tuple[Sequence[Partition], Tensor]:
    """The partitions that are heard, and the table of what the rule needs of their regions.

    Regions are numbered through. On the CPU several partitions become one.
    """
    classes = scores.shape[1]
    roots = rule == "adaptive" and classes == 1
    heard = finest(partitions) if rule == "adaptive" and classes > 1 else partitions
    if not isinstance(scores, Tensor):
        one, means = cpu.combined(scores, heard, rule, roots=roots)
        heard = [one]
    elif _is_traced(scores):
        means = dense.means(scores, heard, roots=roots)
    else:
        means = _on_device(scores).means(scores.detach(), heard, roots=roots)
    return heard, adaptive.table_of(means, classes) if rule == "adaptive" else means


def _apply(
    distribution: Tensor,
    scores: Scores,
    heard: Sequence[Partition],
    table: Tensor,
    rule: Rule,
    out: Tensor | None,
) -> Tensor:
    """The fused maps in the distribution's dtype and memory layout, or written into `out`."""
    if isinstance(scores, Tensor) and _is_traced(scores):
        fused = to_stored(dense.apply(scores, heard, table, rule), distribution.dtype)
        return fused if out is None else out.copy_(fused)
    out = empty_like(distribution.detach()) if out is None else out
    if isinstance(scores, Tensor):
        _on_device(scores).apply(scores.detach(), heard, table, rule, out)
    else:
        cpu.apply(scores, heard[0], table, rule, out)
    return out


def _labels(scores: Scores, heard: Sequence[Partition], table: Tensor, rule: Rule) -> Tensor:
    if not isinstance(scores, Tensor):
        return cpu.labels(scores, heard[0], table, rule)
    if _is_traced(scores):
        return dense.labels(scores, heard, table, rule)
    winners: Tensor = _on_device(scores).labels(scores.detach(), heard, table, rule)
    return winners


def _is_traced(distribution: Tensor) -> bool:
    return torch.compiler.is_compiling() or is_differentiated(distribution) or not has_values(distribution)


def _on_device(values: Tensor) -> ModuleType:
    """What serves a tensor that does not lie on the CPU: Triton's kernels, else torch."""
    kernels = _kernels() if values.device.type == "cuda" and values.dtype != torch.float64 else None
    return kernels or planewise


@functools.cache
def _kernels() -> ModuleType | None:
    """The kernels, imported now since they import Triton; None without one that passes tuples to a kernel."""
    if importlib.util.find_spec("triton") is None:
        return None
    version = importlib.import_module("triton").__version__
    if [int(part) for part in version.split(".")[:2]] < [3, 3]:
        return None
    return importlib.import_module("csl_plugin.ops.triton")


def _components(ids: Tensor, connectivity: int) -> Partition:
    path = _on_device(ids)
    if path is not planewise:
        found, counts = path.components(ids, connectivity)
        # The one time that is waited for the device.
        least, most = torch.stack([found.min(), counts.max()]).tolist()
        return Partition(most, found, gapless=least >= 0)
    images = ids.detach().cpu().numpy()
    split = [cpu.components(find_runs(image), connectivity) for image in images]
    return Partition.of_runs(max(count for _, count in split), [image for image, _ in split])


def _consecutive(ids: Tensor) -> Partition:
    known, positions = torch.unique(ids.long().clamp(min=-1), return_inverse=True)
    gaps = int(known[0] < 0)
    return Partition(len(known), positions - gaps, gapless=gaps == 0)


def _check_below(count: int, most: int) -> None:
    if most >= count:
        hint = "Omit num_regions to have it read from the labels."
        raise ScoreRangeError("regions", f"the id {most}", f"ids below num_regions = {count}", hint)
