"""Random calls of `fuse` and `fuse_labels`: equal to the equations as `ops.reference` writes them out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from csl_plugin import fuse, fuse_labels
from csl_plugin.ops import reference
from tests.attack.mutation import Rng

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8)
_TOLERANCE = {torch.float16: 2e-3, torch.bfloat16: 2e-2, torch.float32: 3e-6, torch.float64: 1e-9}


def attack(rng: Rng, folder: Path) -> str | None:
    """One call of random arguments."""
    batch, classes, height, width = (int(rng.integers(1, most)) for most in (4, 5, 12, 14))
    dtype = _DTYPES[int(rng.integers(len(_DTYPES)))]
    partitions = [_labels(rng, batch, height, width) for _ in range(rng.integers(1, 4))]
    scores = _scores(rng, (batch, classes, height, width), partitions[0], dtype)
    valid = torch.from_numpy(rng.random((batch, height, width)) < 0.8) if rng.random() < 0.4 else None
    split, rule = bool(rng.random() < 0.5), str(rng.choice(["adaptive", "product", "geometric", "mean"]))
    label_dtype = (torch.int64, torch.int32, torch.int16, torch.int8)[int(rng.integers(4))]
    given = [labels.to(label_dtype) for labels in partitions]
    regions = given[0] if len(given) == 1 and rng.random() < 0.5 else given
    options = {"rule": rule, "split": split, "valid": valid}
    described = f"{tuple(scores.shape)} {dtype} K={len(given)} {rule} split={split} valid={valid is not None}"
    if rng.random() < 0.5:
        found = torch.from_numpy(_as_arrays(scores, regions, options)) if dtype != torch.bfloat16 else None
        found = fuse(scores, regions, **options) if found is None else found
    else:
        out = scores.clone()
        found = fuse(out, regions, out=out, **options)
    unit = 255.0 if dtype == torch.uint8 else 1.0
    expected = torch.stack(
        [
            _expected(scores[b].double() / unit, [one[b] for one in partitions], rule, split, _at(valid, b))
            for b in range(batch)
        ]
    )
    if not _close(found, expected, unit):
        return f"fuse differs from the reference: {described}"
    if classes > 1:
        winners = fuse_labels(scores, regions, **options)
        best, chosen = expected.amax(1), expected.gather(1, winners[:, None])[:, 0]
        exact = _TOLERANCE.get(torch.float64 if dtype == torch.float64 else torch.float32)
        if not torch.allclose(chosen, best, rtol=2 * (exact or 0), atol=1e-30):
            return f"fuse_labels differs from the arg max of the reference: {described}"
    return None


def _as_arrays(scores: Tensor, regions: Tensor | Sequence[Tensor], options: dict[str, object]) -> np.ndarray:
    arrays = regions.numpy() if isinstance(regions, Tensor) else [each.numpy() for each in regions]
    valid = options["valid"]
    valid = valid.numpy() if isinstance(valid, Tensor) else None
    return fuse(scores.numpy(), arrays, **{**options, "valid": valid})


def _labels(rng: Rng, batch: int, height: int, width: int) -> Tensor:
    side, most = int(rng.choice([1, 2, 5])), int(rng.choice([1, 3, 40]))
    coarse = rng.integers(-1, most, (batch, height // side + 1, width // side + 1))
    return torch.from_numpy(coarse.repeat(side, 1).repeat(side, 2)[:, :height, :width].copy())


def _scores(rng: Rng, shape: tuple[int, ...], labels: Tensor, dtype: torch.dtype) -> Tensor:
    unit = rng.random(shape) ** float(rng.choice([1, 4]))
    unit[rng.random(shape) < 0.1] = 0.0
    kind = rng.integers(4)
    if kind == 0:
        unit[:, 0] = rng.random(64)[labels.numpy()]
    elif kind == 1:
        unit[:, -1] = rng.random()
    scores = torch.from_numpy(unit)
    return (scores * 255).round().to(dtype) if dtype == torch.uint8 else scores.to(dtype)


def _expected(
    unit: Tensor, partitions: Sequence[Tensor], rule: str, split: bool, valid: Tensor | None
) -> Tensor:
    if valid is not None:
        partitions = [torch.where(valid, labels, -1) for labels in partitions]
    if split:
        partitions = [reference.components(labels, 8) for labels in partitions]
    if rule == "adaptive":
        return reference.adaptive(unit, partitions)
    mean = reference.average_means(unit, partitions)
    return {"mean": mean, "product": mean * unit, "geometric": (mean * unit).sqrt()}[rule]


def _at(valid: Tensor | None, b: int) -> Tensor | None:
    return None if valid is None else valid[b]


def _close(found: Tensor, expected: Tensor, unit: float) -> bool:
    if found.dtype == torch.uint8:
        return bool((found.double() - expected * unit).abs().max() <= 0.501)
    rtol = _TOLERANCE[found.dtype]
    return torch.allclose(found.double(), expected, rtol=rtol, atol=rtol / 100)
