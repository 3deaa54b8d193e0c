"""Made pictures of parts: textures without defects to train on, and some with a defect and its mask."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from csl_plugin.io import write_png

Picture = NDArray[np.uint8]
SIZE = 256
GOOD = "good"


@dataclass(frozen=True)
class Sample:
    """A picture, (H, W, 3) uint8 RGB, and where its defect is, (H, W) bool."""

    picture: Picture
    defect: NDArray[np.bool_]


def grain(draw: np.random.Generator) -> NDArray[np.float32]:
    """Leather: noise at two scales in one color."""
    fine = cv2.GaussianBlur(draw.standard_normal((SIZE, SIZE)).astype(np.float32), (0, 0), 1.2)
    coarse = cv2.GaussianBlur(draw.standard_normal((SIZE, SIZE)).astype(np.float32), (0, 0), 5)
    height = 0.5 * fine / fine.std() + 0.5 * coarse / coarse.std()
    return np.array([0.45, 0.30, 0.20], np.float32) + 0.045 * height[..., None]


def weave(draw: np.random.Generator) -> NDArray[np.float32]:
    """Cloth: two crossing waves of threads with some play."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    play = cv2.GaussianBlur(
        draw.standard_normal((2, SIZE * SIZE)).astype(np.float32).reshape(2 * SIZE, SIZE), (0, 0), 12
    )
    shift = 20 * play.reshape(2, SIZE, SIZE)
    waves = np.sin(2 * np.pi * (rows + shift[0]) / 9) * np.sin(2 * np.pi * (columns + shift[1]) / 9)
    noise = draw.normal(0, 0.02, (SIZE, SIZE, 1)).astype(np.float32)
    return np.array([0.55, 0.55, 0.50], np.float32) + 0.10 * waves[..., None] + noise


def part(draw: np.random.Generator) -> NDArray[np.float32]:
    """A ring of metal on a dark ground, seen from above."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    middle = SIZE / 2 + draw.uniform(-6, 6, 2)
    radius = np.hypot(rows - middle[0], columns - middle[1])
    angle = np.arctan2(rows - middle[0], columns - middle[1]) + draw.uniform(0, 2 * np.pi)
    ring = (1 / (1 + np.exp(radius - 105)) - 1 / (1 + np.exp(radius - 48)))[..., None]
    shine = (0.55 + 0.12 * np.cos(2 * angle))[..., None] * np.array([1.0, 0.98, 0.92])
    noise = draw.normal(0, 0.02, (SIZE, SIZE, 3))
    return (0.10 + ring * (shine - 0.10) + noise).astype(np.float32)


KINDS: dict[str, Callable[[np.random.Generator], NDArray[np.float32]]] = {
    "grain": grain,
    "weave": weave,
    "part": part,
}


def stain(draw: np.random.Generator) -> NDArray[np.float32]:
    """A spill with a ragged edge, some 1 to 6 % of the picture."""
    ragged = cv2.GaussianBlur(draw.standard_normal((SIZE, SIZE)).astype(np.float32), (0, 0), 7)
    distance = _distance(draw)
    return _soft(draw.uniform(18, 40) - distance + 9 * ragged / ragged.std() * 0.5)


def scratch(draw: np.random.Generator) -> NDArray[np.float32]:
    """A bent line, 2 to 4 pixels wide."""
    points = _place(draw)[None] + np.cumsum(
        np.cumsum(draw.normal(0, 1.2, (40, 2)), 0) * 0.08 + draw.normal(0, 1.5, 2), 0
    )
    drawn = np.zeros((SIZE, SIZE), np.uint8)
    line = points[:, ::-1].round().astype(np.int32)
    cv2.polylines(drawn, [line], False, 255, int(draw.integers(2, 5)), cv2.LINE_AA)
    return drawn.astype(np.float32) / 255


def hole(draw: np.random.Generator) -> NDArray[np.float32]:
    """A hole with a clear edge, 10 to 20 pixels in radius."""
    return _soft(draw.uniform(10, 20) - _distance(draw))


def speck(draw: np.random.Generator) -> NDArray[np.float32]:
    """A grain of dirt, 2 to 4 pixels in radius."""
    return _soft(draw.uniform(2, 4) - _distance(draw))


DEFECTS: dict[str, Callable[[np.random.Generator], NDArray[np.float32]]] = {
    "stain": stain,
    "scratch": scratch,
    "hole": hole,
    "speck": speck,
}


def normal(kind: str, draw: np.random.Generator) -> Sample:
    """A picture without a defect."""
    return Sample(_bytes(KINDS[kind](draw)), np.zeros((SIZE, SIZE), bool))


def defective(kind: str, defect: str, draw: np.random.Generator) -> Sample:
    """A picture with one defect, a little darker or lighter than the part."""
    ground, cover = KINDS[kind](draw), DEFECTS[defect](draw)
    while (cover > 0.5).sum() < 8:  # drawn outside of the picture
        cover = DEFECTS[defect](draw)
    tint = draw.normal(0, 0.05, 3) + draw.choice([-1, 1]) * draw.uniform(0.10, 0.22)
    texture = cv2.GaussianBlur(ground, (0, 0), 2) if defect in ("stain", "hole") else ground
    picture = ground + cover[..., None] * (texture - ground + tint.astype(np.float32))
    return Sample(_bytes(picture), cover > 0.5)


def write_layout(folder: Path, kind: str, seed: int, *, train: int, good: int, each: int) -> None:
    """Write one category in the layout of MVTec AD.

    Args:
        folder: Of the category.
        kind: Its texture.
        seed: Of the random numbers.
        train: Pictures to train on.
        good: Pictures without a defect to test on.
        each: Pictures of each kind of defect.
    """
    draw = np.random.default_rng(seed)
    for place, count in (("train", train), ("test", good)):
        for index in range(count):
            write_png(folder / place / GOOD / f"{index:03d}.png", normal(kind, draw).picture)
    for defect in DEFECTS:
        for index in range(each):
            sample = defective(kind, defect, draw)
            write_png(folder / "test" / defect / f"{index:03d}.png", sample.picture)
            mask = sample.defect.astype(np.uint8) * 255
            write_png(folder / "ground_truth" / defect / f"{index:03d}_mask.png", mask)


def _place(draw: np.random.Generator) -> NDArray[np.float64]:
    """A place that is on the ring, if there is one."""
    angle, radius = draw.uniform(0, 2 * np.pi), draw.uniform(62, 92)
    return SIZE / 2 + radius * np.array([np.sin(angle), np.cos(angle)])


def _distance(draw: np.random.Generator) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    place = _place(draw)
    stretch = np.exp(draw.uniform(-0.3, 0.3))
    return np.hypot((rows - place[0]) * stretch, (columns - place[1]) / stretch).astype(np.float32)


def _soft(inside: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(inside + 0.5, 0, 1).astype(np.float32)


def _bytes(picture: NDArray[np.float32]) -> Picture:
    return (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
