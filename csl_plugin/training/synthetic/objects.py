"""Objects to paste: procedural shapes with textures, and segments of annotated photographs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.errors import FileError
from csl_plugin.training.data.folders import SegmentFolder
from csl_plugin.training.data.mask_split import mask_split
from csl_plugin.training.data.scene import Picture
from csl_plugin.training.synthetic.shapes import draw_shape
from csl_plugin.training.synthetic.textures import Textures

MARGIN = 4
"""Pixels around a cut-out into which its edge may fade."""

_MOST_GROWTH = 2.0
_LEAST_SHADED = 20.0  # pixels; on smaller objects, parts and shading look like texture


@dataclass(frozen=True)
class Cutout:
    """An object at the size at which it is pasted.

    Attributes:
        image: (h, w, 3) uint8 RGB, defined in the margin too.
        coverage: (h, w) uint8: how much of each pixel the object covers, 255 for all of it.
    """

    image: Picture
    coverage: NDArray[np.uint8]


class Objects(Protocol):
    """Where objects come from."""

    def draw(self, rng: np.random.Generator, extent: float) -> Cutout:
        """An object whose longer side is about `extent` pixels."""
        ...


class ProceduralObjects:
    """Random shapes with random textures; some have several parts, which are still one object.

    Args:
        textures: Textures of the objects.
        parts: Share of objects with several parts, and so with inner edges.

    Example:
        >>> import numpy as np
        >>> cutout = ProceduralObjects(Textures()).draw(np.random.default_rng(0), 30.0)
        >>> cutout.image.shape[:2] == cutout.coverage.shape
        True
    """

    def __init__(self, textures: Textures, parts: float = 0.35) -> None:
        self._textures, self._parts = textures, parts

    def draw(self, rng: np.random.Generator, extent: float) -> Cutout:
        """A shape with a texture; its longer side is about `extent` pixels."""
        coverage = draw_shape(rng, extent, MARGIN)
        height, width = coverage.shape
        image = self._textures.draw(rng, height, width)
        if rng.random() < self._parts and extent > _LEAST_SHADED:
            for _ in range(int(rng.integers(1, 4))):
                image = self._with_part(rng, image)
        if rng.random() < 0.4 and extent > _LEAST_SHADED:
            image = _shaded(rng, image)
        return Cutout(image, coverage)

    def _with_part(self, rng: np.random.Generator, image: Picture) -> Picture:
        """The texture with another one, or with another brightness, on a part of it."""
        height, width = image.shape[:2]
        shape = draw_shape(rng, rng.uniform(0.25, 0.9) * max(height, width))
        shape = shape[:height, :width]
        top = int(rng.integers(height - shape.shape[0] + 1))
        left = int(rng.integers(width - shape.shape[1] + 1))
        place = np.s_[top : top + shape.shape[0], left : left + shape.shape[1]]
        under = image[place]
        if rng.random() < 0.3:
            gain = rng.choice([rng.uniform(0.5, 0.8), rng.uniform(1.25, 1.8)])
            over = np.clip(under * np.float32(gain), 0, 255).astype(np.uint8)
        else:
            over = self._textures.draw(rng, *shape.shape)
        image = image.copy()
        image[place] = np.where(shape[..., None] > 127, over, under)
        return image


class SegmentBank:
    """Cut-outs of the segments in a folder that look like objects: compact, off the border, of medium size.

    Args:
        folder: Photographs with segments.
        least: Smallest area in pixels.
        most: Largest area, relative to the photograph.
        solidity: Smallest share of its convex hull that a segment fills.
        elongation: Largest aspect ratio of its bounding box.

    Raises:
        FileError: No segment of the folder is within these limits.
    """

    def __init__(
        self,
        folder: SegmentFolder,
        *,
        least: int = 400,
        most: float = 0.25,
        solidity: float = 0.5,
        elongation: float = 5.0,
    ) -> None:
        from scipy import ndimage

        self._cutouts: list[Cutout] = []
        for photograph in range(len(folder)):
            image = folder.image(photograph)
            for annotation in range(folder.annotations(photograph)):
                regions = mask_split(folder.labels(photograph, annotation), min_area=least)
                boxes = ndimage.find_objects(regions + 1)
                areas = np.bincount(regions.ravel() + 1, minlength=len(boxes) + 1)[1:]
                for region, (box, area) in enumerate(zip(boxes, areas, strict=True)):
                    if area > most * regions.size or _touches(box, regions.shape):
                        continue
                    sides = [side.stop - side.start for side in box]
                    mask = (regions[box] == region).astype(np.uint8)
                    if max(sides) > elongation * min(sides) or area < solidity * _hull_area(mask):
                        continue
                    self._cutouts.append(_cut(image, mask, box))
        if not self._cutouts:
            hint = "Relax the limits, or pass a folder of photographs with objects in them."
            raise FileError("folder", "no fitting segment", "segments of objects", hint)

    def __len__(self) -> int:
        return len(self._cutouts)

    def draw(self, rng: np.random.Generator, extent: float) -> Cutout:
        """A segment, scaled, rotated and flipped; it is enlarged to at most twice its size."""
        cv2 = opencv()
        cutout = self._cutouts[int(rng.integers(len(self._cutouts)))]
        height, width = (side - 2 * MARGIN for side in cutout.coverage.shape)
        scale = min(extent / max(height, width), _MOST_GROWTH)
        angle = rng.uniform(-30.0, 30.0) if rng.random() < 0.5 else 0.0
        mirror = -1.0 if rng.random() < 0.5 else 1.0
        stretch = np.exp(rng.uniform(-0.15, 0.15))
        image, coverage = cutout.image, cutout.coverage
        shrunk = min(1.0, 1.5 * scale)
        if shrunk < 0.75:  # average first: the rotation below reads only four pixels
            size = [max(1, round(side * shrunk)) for side in coverage.shape[::-1]]
            image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
            coverage = np.asarray(cv2.resize(coverage, size, interpolation=cv2.INTER_AREA), np.uint8)
        else:
            shrunk = 1.0
        cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        rotation = (
            (scale / shrunk) * np.array([[cosine, -sine], [sine, cosine]]) * (mirror * stretch, 1 / stretch)
        )
        box = np.abs(rotation) @ (np.array([width, height]) * shrunk)
        columns, rows = (np.ceil(box).astype(int) + 2 * MARGIN).tolist()
        old = (np.array(coverage.shape[::-1]) - 1) / 2
        shift = (np.array([columns, rows]) - 1) / 2 - rotation @ old
        matrix = np.hstack([rotation, shift[:, None]])
        image = np.asarray(
            cv2.warpAffine(image, matrix, (columns, rows), borderMode=cv2.BORDER_REPLICATE), np.uint8
        )
        return Cutout(image, np.asarray(cv2.warpAffine(coverage, matrix, (columns, rows)), np.uint8))


def _shaded(rng: np.random.Generator, image: Picture) -> Picture:
    """Light from one side, as on a solid object."""
    down = np.linspace(-1, 1, image.shape[0], dtype=np.float32)[:, None, None]
    across = np.linspace(-1, 1, image.shape[1], dtype=np.float32)[None, :, None]
    slope = rng.uniform(-0.35, 0.35, 2).astype(np.float32)
    light = 1 + slope[0] * down + slope[1] * across
    if rng.random() < 0.5:
        light = light - np.float32(rng.uniform(0.1, 0.3)) * (down**2 + across**2)
    return np.asarray(np.clip(image * light, 0, 255), np.uint8)


def _touches(box: tuple[slice, slice], shape: tuple[int, ...]) -> bool:
    return any(
        side.start < MARGIN or side.stop > length - MARGIN for side, length in zip(box, shape, strict=True)
    )


def _hull_area(mask: NDArray[np.uint8]) -> float:
    """Area of the convex hull of a mask, in whole pixels."""
    cv2 = opencv()
    rows, first = np.arange(len(mask)), mask.argmax(axis=1)
    last = mask.shape[1] - mask[:, ::-1].argmax(axis=1)
    some = mask.any(axis=1)
    corners = [
        np.stack([column[some], rows[some] + edge], axis=1) for column in (first, last) for edge in (0, 1)
    ]
    return float(cv2.contourArea(cv2.convexHull(np.concatenate(corners).astype(np.int32))))


def _cut(image: Picture, mask: NDArray[np.uint8], box: tuple[slice, slice]) -> Cutout:
    """The segment with a margin of its surroundings, into which its edge fades; a view of the image."""
    rows, columns = (slice(side.start - MARGIN, side.stop + MARGIN) for side in box)
    return Cutout(image[rows, columns], np.pad(mask * np.uint8(255), MARGIN))
