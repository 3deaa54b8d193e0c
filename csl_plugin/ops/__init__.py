"""The engine: one signature per operation, and the only place that decides which path serves a call.

`reference` holds the equations letter by letter. On the CPU `squares` assigns, and `runs` and `on_runs`
split, average and fuse. `traced` is whole-tensor torch for calls that are compiled, exported or
differentiated, `kernels` Triton for CUDA, `streamed` plane-by-plane torch for every other device, for
float64 and where Triton is not installed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from types import ModuleType

import torch
from torch import Tensor

from csl_plugin.ops import dense as traced
from csl_plugin.ops import planewise as streamed
from csl_plugin.ops.cpu import assign as squares
from csl_plugin.ops.cpu import fuse as on_runs
from csl_plugin.ops.cpu import overlay as several
from csl_plugin.ops.cpu import runs
from csl_plugin.ops.cpu.bands import AsStored, Upsampled
from csl_plugin.ops.cpu.memory import empty, empty_like
from csl_plugin.ops.dtypes import Rule, Sigmoid, to_probabilities, to_stored
from csl_plugin.ops.partition import Partition
from csl_plugin.ops.rules import Trust

__all__ = [
    "Partition",
    "Rule",
    "Sigmoid",
    "apply",
    "assign",
    "components",
    "fuse",
    "fuse_labels",
    "hard_assign",
    "labels",
    "means",
    "partition",
    "to_probabilities",
    "upsample",
]

# Asked without importing it.
_HAS_TRITON = importlib.util.find_spec("triton") is not None


def assign(values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid) -> Tensor:
    """Equation 2: (B, N, h, w) and (B, N) to labels (B, H, W) int32; -1 everywhere where N = 0."""
    if values.shape[1] == 0:
        return torch.full((values.shape[0], *size), -1, dtype=torch.int32, device=values.device)
    with torch.no_grad():
        if torch.compiler.is_compiling() or values.is_meta:
            return traced.assign(values, validity, size, sigmoid)
        if values.device.type != "cpu":
            labels: Tensor = _on_device(values).assign(values, validity, size, sigmoid)
            return labels
        assigned = empty((values.shape[0], *size), torch.int32)
        for image, trust, out in zip(values.detach(), validity.detach(), assigned, strict=True):
            squares.assign(image, trust, sigmoid, out.numpy())
        return assigned


def hard_assign(
    values: Tensor, validity: Tensor, size: tuple[int, int], sigmoid: Sigmoid, threshold: float
) -> Tensor:
    """The baseline's labels (B, H, W) int32, -1 where no mask covers the pixel."""
    with torch.no_grad():
        return streamed.hard_assign(values, validity, size, sigmoid, threshold)


def components(labels: Tensor, connectivity: int) -> tuple[Tensor, int]:
    """Connected components of each map of (B, H, W), int32, and the largest count of one image."""
    split = _components(labels, connectivity)
    return split.labels.to(labels.device), split.count


def partition(labels: Tensor, count: int, *, split: bool) -> Partition:
    """What the operations below work with, from labels (B, H, W) below `count`.

    With `split` every region is split into its 8-connected components. Where `count` exceeds the number of
    pixels, ids are made consecutive: as many means as regions, not as the largest id says.
    """
    on_cpu = labels.device.type == "cpu" and not torch.compiler.is_compiling()
    if split:
        parts = _components(labels, 8)
        return parts if on_cpu else Partition(parts.count, parts.labels.to(labels.device))
    sparse = count > labels.shape[1] * labels.shape[2]
    if not on_cpu:
        return _dense(labels) if sparse else Partition(count, labels)
    found = [runs.find_runs(image.numpy()) for image in labels.detach()]
    if sparse:
        compact = [runs.compacted(image) for image in found]
        return Partition(max(most for _, most in compact), runs=tuple(image for image, _ in compact))
    return Partition(count, labels, tuple(found))


def upsample(distribution: Tensor, size: tuple[int, int], *, logits: bool) -> Tensor:
    """D or its logits (B, C, h, w) as D at another size, (B, C, H, W)."""
    if size == tuple(distribution.shape[2:]):
        return to_probabilities(distribution, 1) if logits else distribution
    return Upsampled(distribution, size, logits).materialized()


def fuse(
    distribution: Tensor, partitions: Sequence[Partition], rule: Rule | Trust, out: Tensor | None = None
) -> Tensor:
    """The fused maps of one or several partitions, or written into `out`, which may be the distribution."""
    if len(partitions) == 1 and not isinstance(rule, Trust):
        return apply(distribution, partitions[0], means(distribution, partitions[0]), rule, out)
    if _has_runs(distribution, partitions):
        out = empty_like(distribution.detach()) if out is None else out
        several.fuse_on_runs(AsStored(distribution.detach()), partitions, rule, out)
        return out
    if not isinstance(rule, Trust):
        return apply(distribution, *several.average(distribution, partitions), rule, out)
    fused = to_stored(several.trusted(distribution, partitions, rule), distribution.dtype)
    return fused if out is None else out.copy_(fused)


def fuse_labels(
    distribution: Tensor,
    partitions: Sequence[Partition],
    rule: Rule | Trust,
    size: tuple[int, int],
    *,
    logits: bool,
) -> Tensor:
    """Arg max over classes of the fused maps of one or several partitions, (B, H, W) int64."""
    if len(partitions) == 1 and not isinstance(rule, Trust):
        return labels(distribution, partitions[0], rule, size, logits=logits)
    if _has_runs(distribution, partitions):
        stored = size == tuple(distribution.shape[2:]) and not logits
        bands = AsStored(distribution) if stored else Upsampled(distribution, size, logits)
        return several.labels_on_runs(bands, partitions, rule)
    distribution = upsample(distribution, size, logits=logits)
    if isinstance(rule, Trust):
        return several.trusted(distribution, partitions, rule).argmax(1)
    return fuse(distribution, partitions, "mean" if rule == "mean" else "product").argmax(1)


def means(distribution: Tensor, regions: Partition) -> Tensor:
    """Region means of D, (B, C, K)."""
    if _is_traced(distribution):
        return traced.means(distribution, regions.labels, regions.count)
    if regions.runs is not None:
        return on_runs.means(AsStored(distribution.detach()), regions.runs, regions.count)
    table: Tensor = _on_device(distribution).means(distribution.detach(), regions.labels, regions.count)
    return table


def apply(
    distribution: Tensor, regions: Partition, table: Tensor, rule: Rule, out: Tensor | None = None
) -> Tensor:
    """The fused maps, (B, C, H, W) in the distribution's dtype and memory layout, or written into `out`."""
    if _is_traced(distribution):
        fused = to_stored(traced.apply(distribution, regions.labels, table, rule), distribution.dtype)
        return fused if out is None else out.copy_(fused)
    out = empty_like(distribution.detach()) if out is None else out
    if regions.runs is not None:
        on_runs.apply(AsStored(distribution.detach()), regions.runs, table, rule, out)
    else:
        _on_device(distribution).apply(distribution.detach(), regions.labels, table, rule, out)
    return out


def labels(
    distribution: Tensor, regions: Partition, rule: Rule, size: tuple[int, int], *, logits: bool
) -> Tensor:
    """Arg max over classes of the fused maps, (B, H, W) int64, from D or its logits at any resolution."""
    if regions.runs is not None and not _is_traced(distribution):
        stored = size == tuple(distribution.shape[2:]) and not logits
        bands = AsStored(distribution) if stored else Upsampled(distribution, size, logits)
        return on_runs.labels(bands, regions.runs, on_runs.means(bands, regions.runs, regions.count), rule)
    distribution = upsample(distribution, size, logits=logits)
    table = means(distribution, regions)
    if _is_traced(distribution):
        return traced.labels(distribution, regions.labels, table, rule)
    winners: Tensor = _on_device(distribution).labels(distribution.detach(), regions.labels, table, rule)
    return winners


def _is_traced(distribution: Tensor) -> bool:
    differentiated = distribution.requires_grad and torch.is_grad_enabled()
    return torch.compiler.is_compiling() or differentiated or distribution.is_meta


def _has_runs(distribution: Tensor, partitions: Sequence[Partition]) -> bool:
    return not _is_traced(distribution) and all(part.runs is not None for part in partitions)


def _on_device(values: Tensor) -> ModuleType:
    """What serves a tensor that does not lie on the CPU: Triton's kernels, else torch."""
    if values.device.type != "cuda" or values.dtype == torch.float64 or not _HAS_TRITON:
        return streamed
    # Imported here: it imports Triton.
    from csl_plugin.ops import triton as kernels

    return kernels


def _components(labels: Tensor, connectivity: int) -> Partition:
    path = _on_device(labels)
    if path is not streamed:
        found, counts = path.components(labels, connectivity)
        return Partition(int(counts.max()), found)  # the one number that is waited for
    images = labels.detach().cpu().numpy()
    split = [runs.components(runs.find_runs(image), connectivity) for image in images]
    return Partition(max(count for _, count in split), runs=tuple(image for image, _ in split))


def _dense(labels: Tensor) -> Partition:
    ids, positions = torch.unique(labels.long().clamp(min=-1), return_inverse=True)
    return Partition(len(ids), positions - int(ids[0] < 0))
