"""Textures: crops of photographs, and procedural noise, stripes, checks and gradients."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError, ShapeError
from csl_plugin.training.data.scene import Picture

Field = NDArray[np.float32]

_TRIES = 6


class Textures:
    """Random textures of any size.

    Args:
        pictures: Photographs (H, W, 3) uint8 RGB to crop textures from; () for procedural textures alone.
        allowed: For each picture the pixels (H, W) bool that a crop may contain, None for all of them.
        share: Share of photograph crops among the textures, where there are photographs.

    Raises:
        DTypeError: A picture is not uint8.
        ShapeError: A picture is not (H, W, 3), or its `allowed` has another size.

    Example:
        >>> import numpy as np
        >>> Textures().draw(np.random.default_rng(0), 20, 30).shape
        (20, 30, 3)
    """

    def __init__(
        self,
        pictures: Sequence[Picture] = (),
        allowed: Sequence[NDArray[np.bool_] | None] | None = None,
        share: float = 0.6,
    ) -> None:
        for picture in pictures:
            if picture.dtype != np.uint8:
                hint = "Convert it with (picture * 255).round().astype('uint8')."
                raise DTypeError("pictures", describe(picture), "uint8", hint)
            if picture.ndim != 3 or picture.shape[2] != 3 or 0 in picture.shape:
                hint = "Repeat a gray picture three times; drop an alpha channel."
                raise ShapeError("pictures", describe(picture), "(H, W, 3)", hint)
        masks = list(allowed) if allowed is not None else [None] * len(pictures)
        sizes = [picture.shape[:2] for picture in pictures]
        if [size if mask is None else mask.shape for mask, size in zip(masks, sizes, strict=False)] != sizes:
            hint = "Pass one mask of the picture's size, or None, for each picture."
            raise ShapeError("allowed", f"{len(masks)} masks of other sizes", "the pictures' sizes", hint)
        self._pictures, self._allowed, self._share = tuple(pictures), masks, share

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Picture:
        """A texture (height, width, 3) uint8 RGB."""
        if self._pictures and rng.random() < self._share:
            crop = self._crop(rng, height, width)
            if crop is not None:
                return crop
        kind = _KINDS[int(np.searchsorted(_SHARES, rng.random()))]
        return _painted(rng, kind(rng, height, width))

    def _crop(self, rng: np.random.Generator, height: int, width: int) -> Picture | None:
        cv2 = opencv()
        for _ in range(_TRIES):
            index = int(rng.integers(len(self._pictures)))
            picture, allowed = self._pictures[index], self._allowed[index]
            scale = np.exp(rng.uniform(np.log(0.5), np.log(2.5)))
            scale = max(scale, height / picture.shape[0], width / picture.shape[1])
            rows = int(np.clip(height / scale, 1, picture.shape[0]))
            columns = int(np.clip(width / scale, 1, picture.shape[1]))
            top = int(rng.integers(picture.shape[0] - rows + 1))
            left = int(rng.integers(picture.shape[1] - columns + 1))
            window = np.s_[top : top + rows, left : left + columns]
            if allowed is not None and not allowed[window].all():
                continue
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            crop = cv2.resize(picture[window], (width, height), interpolation=way)
            flips = rng.random(2) < 0.5
            return np.ascontiguousarray(crop[:: -1 if flips[0] else 1, :: -1 if flips[1] else 1])
        return None


def _painted(rng: np.random.Generator, field: Field) -> Picture:
    """A field in [0, 1] mapped to two to five colors, most of them dull and similar, as in nature."""
    cv2 = opencv()
    count = int(rng.integers(2, 6))
    spread, vivid = np.exp(rng.uniform(np.log([6.0, 3.0]), np.log([75.0, 50.0])))
    colors = rng.uniform(15.0, 240.0) + vivid * rng.standard_normal(3)
    colors = colors + spread * rng.standard_normal((count, 1)) + 0.5 * vivid * rng.standard_normal((count, 3))
    ends = np.clip(colors, 0, 255).astype(np.uint8)[None]
    table = np.asarray(cv2.resize(ends, (256, 1)), np.uint8)[0]
    levels = np.asarray(cv2.convertScaleAbs(field, alpha=255.0), np.uint8)
    return np.asarray(table.take(levels, axis=0))


def _grid(rng: np.random.Generator, height: int, width: int) -> tuple[Field, Field]:
    """Coordinates along and across a random direction, in pixels."""
    angle = rng.uniform(0.0, 2 * np.pi)
    across, down = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * across + sine * down, cosine * down - sine * across


def _noise(rng: np.random.Generator, height: int, width: int) -> Field:
    """Noise with a random spectrum: octaves from a random largest cell, with decreasing weights."""
    cv2 = opencv()
    cell = float(np.exp(rng.uniform(np.log(3.0), np.log(96.0))))
    share, stretch = rng.uniform(0.25, 0.85), float(np.exp(rng.uniform(-0.7, 0.7)))
    field: Field = np.zeros((height, width), np.float32)
    weight, total = 1.0, 0.0
    for _ in range(5):
        rows = min(int(height / (cell * stretch)) + 2, height)
        columns = min(int(width / (cell / stretch)) + 2, width)
        octave = cv2.resize(rng.random((rows, columns), np.float32), (width, height))
        field = np.asarray(cv2.scaleAdd(octave, weight, field), np.float32)
        total, weight, cell = total + weight, weight * share, cell / 2
        if cell < 1.5:
            break
    return _unit(field * np.float32(1.8 / total) - np.float32(0.4))


def _grain(rng: np.random.Generator, height: int, width: int) -> Field:
    return _unit(rng.random() + rng.uniform(0.02, 0.25) * rng.random((height, width), np.float32))


def _gradient(rng: np.random.Generator, height: int, width: int) -> Field:
    along, across = _grid(rng, height, width)
    if rng.random() < 0.4:
        along = np.hypot(along - along.flat[rng.integers(along.size)], across - across.mean())
    low, high = float(along.min()), float(along.max())
    return _unit((along - low) / max(high - low, 1.0))


def _stripes(rng: np.random.Generator, height: int, width: int) -> Field:
    along, across = _grid(rng, height, width)
    period = float(np.exp(rng.uniform(np.log(3.5), np.log(40.0))))
    if rng.random() < 0.5:
        along = along + rng.uniform(0.2, 1.2) * period * np.sin(across * (rng.uniform(0.3, 1.5) / period))
    return _unit(np.sin(along * (2 * np.pi / period)) * rng.uniform(0.3, 3.0) + 0.5)


def _checks(rng: np.random.Generator, height: int, width: int) -> Field:
    along, across = _grid(rng, height, width)
    first, second = (2 * np.pi / np.exp(rng.uniform(np.log(5.0), np.log(40.0), 2))).tolist()
    wave = np.sin(along * first) * np.sin(across * second) - rng.uniform(-0.3, 0.3)
    return _unit(wave * rng.uniform(0.5, 4.0) + 0.5)


def _unit(field: Field) -> Field:
    return np.clip(field, np.float32(0), np.float32(1))


_KINDS = (_noise, _grain, _gradient, _stripes, _checks)
_SHARES = np.cumsum([0.48, 0.15, 0.22, 0.09])
