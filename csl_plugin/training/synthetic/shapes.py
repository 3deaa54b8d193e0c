"""Procedural shapes: random outlines, from pebbles to poles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv

Outline = NDArray[np.float64]
Coverage = NDArray[np.uint8]

_CIRCLE = np.linspace(0, 2 * np.pi, 64, endpoint=False)
_ORDERS = np.arange(1, 9)

_STEPS = 16  # subpixel steps of OpenCV's polygon filling, as a power of two: shift 4


def draw_shape(rng: np.random.Generator, extent: float, margin: int = 0) -> Coverage:
    """A random shape.

    Ellipses, rectangles, polygons, stars, Fourier blobs, superformula curves, thin bars and bent rods,
    rings, and shapes composed of several of them.

    Args:
        rng: Random generator.
        extent: Longer side of the shape in pixels.
        margin: Empty pixels around it.

    Returns:
        (h, w) uint8 coverage, 255 inside, with soft edges.

    Example:
        >>> import numpy as np
        >>> max(draw_shape(np.random.default_rng(0), 40.0).shape)
        41
    """
    return _filled(_outlines(rng), extent, margin)


def _outlines(rng: np.random.Generator) -> list[Outline]:
    """Closed outlines in the order they are painted, each filled by the even-odd rule."""
    if rng.random() < 0.2:
        return _composed(rng)
    outline = _single(rng)
    if rng.random() < 0.05:  # a ring
        return [np.concatenate([outline, outline[:1], outline[:1] * 0.6, outline[::-1] * 0.6])]
    return [outline]


def _single(rng: np.random.Generator) -> Outline:
    kind = _KINDS[int(np.searchsorted(_SHARES, rng.random()))]
    outline = kind(rng)
    if kind is not _rod:
        outline = outline * (np.exp(rng.uniform(-0.6, 0.6)), 1.0)
    return _rotated(outline, rng.uniform(0, 2 * np.pi) if rng.random() < 0.7 else 0.0)


def _composed(rng: np.random.Generator) -> list[Outline]:
    """Two to four parts, each centered on the outline of an earlier one."""
    parts = [_single(rng)]
    for _ in range(int(rng.integers(1, 4))):
        onto = parts[int(rng.integers(len(parts)))]
        part = _single(rng) * rng.uniform(0.25, 0.9)
        parts.append(part + 0.85 * onto[int(rng.integers(len(onto)))])
    return parts


def _polar(radius: NDArray[np.float64], angle: NDArray[np.float64]) -> Outline:
    radius = radius / radius.max()
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)


def _ellipse(rng: np.random.Generator) -> Outline:
    return np.stack([np.cos(_CIRCLE), rng.uniform(0.4, 1.0) * np.sin(_CIRCLE)], axis=1)


def _rectangle(rng: np.random.Generator) -> Outline:
    side = rng.uniform(0.35, 1.0)
    box = np.array([[-1.0, -side], [1.0, -side], [1.0, side], [-1.0, side]])
    box[:2] += (rng.uniform(-0.4, 0.4) * (rng.random() < 0.3), 0.0)
    if rng.random() < 0.5:
        return box
    power = rng.uniform(2.5, 8.0)  # a superellipse: a rectangle with round corners
    across, down = _signed(np.cos(_CIRCLE), 2 / power), _signed(np.sin(_CIRCLE), 2 / power)
    return np.stack([across, side * down], axis=1)


def _signed(value: NDArray[np.float64], power: float) -> NDArray[np.float64]:
    return np.asarray(np.sign(value) * np.abs(value) ** power)


def _polygon(rng: np.random.Generator) -> Outline:
    count = int(rng.integers(3, 10))
    angle = np.sort(rng.uniform(0, 2 * np.pi, count)) if rng.random() < 0.5 else np.linspace(0, 6.2, count)
    return _polar(rng.uniform(rng.uniform(0.3, 1.0), 1.0, count), angle)


def _blob(rng: np.random.Generator) -> Outline:
    size = rng.uniform(0.2, 0.9) * rng.standard_normal(8) / _ORDERS ** rng.uniform(0.8, 1.8)
    waves = np.cos(_ORDERS[:, None] * _CIRCLE + rng.uniform(0, 2 * np.pi, 8)[:, None])
    return _polar(np.exp(np.clip(size @ waves, -1.6, 1.6)), _CIRCLE)


def _superformula(rng: np.random.Generator) -> Outline:
    """Gielis' curve: r = (|cos(m t / 4)|^b + |sin(m t / 4)|^c)^(-1 / a)."""
    quarter = int(rng.integers(2, 8)) * _CIRCLE / 4
    first, second, third = np.exp(rng.uniform([-0.4, -0.7, -0.7], [1.8, 1.8, 1.8]))
    radius = (np.abs(np.cos(quarter)) ** second + np.abs(np.sin(quarter)) ** third) ** (-1 / first)
    return _polar(np.clip(radius, 0, 4 * np.median(radius)), _CIRCLE)


def _rod(rng: np.random.Generator) -> Outline:
    """A bar, straight or bent, four to twenty times as long as it is thick."""
    along = np.linspace(-1, 1, 16)
    bend = rng.uniform(-0.5, 0.5) * along**2 + rng.uniform(-0.25, 0.25) * along**3
    bend = bend * (rng.random() < 0.6)
    thick = rng.uniform(0.05, 0.25) * (1 + rng.uniform(-0.6, 0.6) * along)
    upper, lower = np.stack([along, bend + thick], axis=1), np.stack([along, bend - thick], axis=1)
    return np.concatenate([upper, lower[::-1]])


def _rotated(outline: Outline, angle: float) -> Outline:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.asarray(outline @ np.array([[cosine, -sine], [sine, cosine]]))


def _filled(outlines: list[Outline], extent: float, margin: int) -> Coverage:
    cv2 = opencv()
    points = np.concatenate(outlines)
    low, high = points.min(axis=0), points.max(axis=0)
    scale = extent / float((high - low).max())
    width, height = (np.ceil((high - low) * scale).astype(int) + 1 + 2 * margin).tolist()
    canvas = np.zeros((height, width), np.uint8)
    for outline in outlines:
        fixed = np.rint(((outline - low) * scale + margin) * _STEPS).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 255, lineType=cv2.LINE_AA, shift=4)
    return canvas


_KINDS = (_ellipse, _rectangle, _polygon, _blob, _superformula, _rod)
_SHARES = np.cumsum([0.15, 0.15, 0.2, 0.28, 0.1])
