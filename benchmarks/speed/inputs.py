"""Inputs: region proposals of synthetic scenes, white noise or a network, and distributions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

STRIDE = 4
QUERIES = 100
VALID = 25
_STUFF = 6
_BLUR = 0.7  # pixels of the transition of a mask's logits
_NOISE = 0.4
_PULL = 9.0  # of stuff to its height
_LIMIT = 9.0


@dataclass(frozen=True)
class Proposals:
    """One image's raw network outputs.

    Attributes:
        logits: (N, h, w), before the sigmoid.
        validity_logits: (N), before the sigmoid.
        size: (H, W) of the image.
    """

    logits: Tensor
    validity_logits: Tensor
    size: tuple[int, int]

    @property
    def validity(self) -> Tensor:
        """V, (N) in [0, 1]."""
        return self.validity_logits.sigmoid()

    def stored_as(self, dtype: torch.dtype) -> Proposals:
        """The same proposals with mask logits of another dtype."""
        return replace(self, logits=self.logits.to(dtype))

    def on(self, device: torch.device) -> Proposals:
        """The same proposals on another device."""
        return replace(self, logits=self.logits.to(device), validity_logits=self.validity_logits.to(device))

    def boundary_fraction(self) -> float:
        """The share of low-resolution squares whose four corners have different winners."""
        labels = (self.logits.float().sigmoid() * self.validity[:, None, None]).argmax(0)
        first = labels[:-1, :-1]
        agree = (first == labels[1:, :-1]) & (first == labels[:-1, 1:]) & (first == labels[1:, 1:])
        return 1 - float(agree.float().mean())


def scene(size: tuple[int, int], seed: int = 0, queries: int = QUERIES, valid: int = VALID) -> Proposals:
    """Stuff, things from 2 samples to a quarter of the height, and redundant queries as of real networks."""
    rng = np.random.default_rng(seed)
    height, width = max(size[0] // STRIDE, 1), max(size[1] // STRIDE, 1)
    masks = _visible(_layout(rng, height, width, valid))
    logits = [_mask_logits(rng, mask) for mask in masks]
    validity = list(rng.uniform(0.85, 0.99, len(masks)))
    while len(logits) < queries:
        kind, first, second = rng.integers(3), *rng.integers(len(masks), size=2)
        if kind == 0:  # the same region with a lower validity
            logits.append(np.clip(logits[first] + rng.normal(0, 1), -_LIMIT, _LIMIT))
            validity.append(rng.uniform(0.02, 0.4))
        elif kind == 1:  # two regions in one
            logits.append(_mask_logits(rng, masks[first] | masks[second]))
            validity.append(rng.uniform(0.01, 0.3))
        else:  # low scores everywhere
            logits.append(_field(rng, height, width) * 3 - 4)
            validity.append(rng.uniform(0.0, 0.1))
    order = rng.permutation(queries)
    stack: NDArray[np.float32] = np.stack(logits[:queries]).astype(np.float32)
    stack += rng.normal(0, _NOISE, stack.shape).astype(np.float32)
    permuted = torch.from_numpy(np.asarray(validity[:queries], np.float32)[order])
    return Proposals(torch.from_numpy(stack[order]), torch.logit(permuted, eps=1e-6), size)


def white_noise(size: tuple[int, int], seed: int = 0, queries: int = QUERIES) -> Proposals:
    """The worst case: no structure at all."""
    generator = torch.Generator().manual_seed(seed)
    shape = queries, max(size[0] // STRIDE, 1), max(size[1] // STRIDE, 1)
    logits = torch.randn(shape, generator=generator) * 3
    return Proposals(logits, torch.randn(queries, generator=generator) * 2, size)


def from_file(path: Path) -> Proposals:
    """Proposals of a network: `mask_logits` (N, h, w), and `validity_logits` or `validity` in [0, 1], (N).

    An .npz or .safetensors file; a batch axis of one is allowed. The image is four times as large, unless the
    file holds its `size`.
    """
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            held = {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}
    else:
        from safetensors.torch import load_file

        held = load_file(path)
    logits = held["mask_logits"].float()
    logits = logits[0] if logits.ndim == 4 else logits
    validity = (
        held["validity_logits"] if "validity_logits" in held else torch.logit(held["validity"], eps=1e-6)
    )
    size = held["size"].tolist() if "size" in held else [side * STRIDE for side in logits.shape[1:]]
    return Proposals(logits.contiguous(), validity.float().reshape(-1).contiguous(), (size[0], size[1]))


def distribution(labels: Tensor, classes: int, seed: int = 0) -> Tensor:
    """D (1, C, H, W) in (0, 1): a level for each region and class, with noise; for C = 1 an anomaly score."""
    generator = torch.Generator().manual_seed(seed)
    height, width = labels.shape
    regions = int(labels.max()) + 1
    flat = labels.reshape(-1).long()
    scores = torch.empty(1, classes, height, width)
    for c in range(classes):
        level = torch.randn(regions, generator=generator) * 2 - (2 if classes == 1 else 0)
        noise = torch.randn(height // STRIDE + 1, width // STRIDE + 1, generator=generator)
        grain = F.interpolate(noise[None, None], (height, width), mode="bilinear")[0, 0]
        scores[0, c] = level[flat].view(height, width) + grain
    return scores.sigmoid_() if classes == 1 else torch.softmax(scores, 1, out=scores)


def nested(labels: Tensor) -> list[Tensor]:
    """Three partitions (H, W) from coarse to fine: regions, and these cut along cells of 256 and of 64."""
    height, width = labels.shape
    maps = [labels.int()]
    for side in (256, 64):
        rows, columns = torch.arange(height) // side, torch.arange(width) // side
        cells = rows[:, None] * (width // side + 1) + columns
        both = labels.long() * (int(cells.max()) + 1) + cells
        maps.append(torch.unique(both, return_inverse=True)[1].int())
    return maps


def photograph(labels: Tensor, seed: int = 0) -> NDArray[np.uint8]:
    """An RGB image (H, W, 3) with an edge where two regions meet, for peers that use the image."""
    rng = np.random.default_rng(seed)
    colors = rng.integers(30, 220, (int(labels.max()) + 1, 3))
    image = colors[labels.numpy()] + rng.normal(0, 8, (*labels.shape, 3))
    pixels: NDArray[np.uint8] = np.clip(image, 0, 255).astype(np.uint8)
    return pixels


def _layout(rng: np.random.Generator, height: int, width: int, valid: int) -> list[NDArray[np.bool_]]:
    """Masks in painting order: stuff, each around a height of its own, then things."""
    y, x = np.mgrid[:height, :width].astype(np.float32)
    stuff = min(_STUFF, valid)
    fields = [
        _field(rng, height, width, octaves=3) - _PULL * abs(y / height - (k + 0.5) / stuff)
        for k in range(stuff)
    ]
    owner = np.argmax(fields, 0)
    masks = [owner == k for k in range(stuff)]
    for _ in range(valid - stuff):
        longest = np.exp(rng.uniform(np.log(2), np.log(max(height / 4, 3))))
        tall, wide = longest / 2, longest / 2 * rng.uniform(0.4, 1)
        center_y, center_x = rng.uniform(0.2, 1) * height, rng.uniform(0, 1) * width
        wobble = 1 + 0.4 * _field(rng, height, width, octaves=3)
        masks.append(((y - center_y) / tall) ** 2 + ((x - center_x) / wide) ** 2 <= wobble)
    return masks


def _visible(painted: list[NDArray[np.bool_]]) -> list[NDArray[np.bool_]]:
    covered = np.zeros_like(painted[0])
    seen = []
    for mask in reversed(painted):
        seen.append(mask & ~covered)
        covered |= mask
    return seen[::-1]


def _mask_logits(rng: np.random.Generator, mask: NDArray[np.bool_]) -> NDArray[np.floating[Any]]:
    """Logits with a sharp transition at the border of the mask."""
    from scipy.ndimage import distance_transform_edt

    if not mask.any():
        return np.full(mask.shape, -_LIMIT)
    if mask.all():
        return np.full(mask.shape, _LIMIT)
    signed = distance_transform_edt(mask) - distance_transform_edt(~mask)
    return np.clip(signed / _BLUR, -_LIMIT, _LIMIT) + rng.normal(0, 0.3)


def _field(rng: np.random.Generator, height: int, width: int, octaves: int = 1) -> NDArray[np.floating[Any]]:
    """A smooth random field of about unit size; each further octave is four times finer and lower."""
    field: NDArray[np.floating[Any]] = np.zeros((height, width))
    for octave in range(octaves):
        coarse = torch.from_numpy(rng.normal(0, 0.4**octave, (1, 1, 4 * 4**octave + 1, 8 * 4**octave + 1)))
        raised = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=True)
        field += raised[0, 0].numpy()
    return field
