"""Pasting objects into scenes: each becomes one region that occludes what was there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.errors import OptionError
from csl_plugin.training.data.scene import Picture, Scene
from csl_plugin.training.synthetic.objects import Cutout, Objects

Box = tuple[slice, slice]


@dataclass(frozen=True)
class Pasting:
    """Pastes random objects into a scene.

    The pixels of an object get one new label, class -1, and False in the teacher's mask. Pixels that it
    covers by less than half keep their label, so ignored pixels around it stay ignored.

    Attributes:
        objects: Sources of objects, each with its share.
        fewest: Smallest number of objects.
        most: Largest number of objects; numbers are uniform.
        smallest: Minimum of the length of an object's longer side, in pixels.
        largest: Maximum of that length, relative to the scene's longer side. Lengths are log-uniform.
        longest: Maximum of that length in pixels; the lower of both limits counts.
        feather: Largest sigma of the Gaussian that softens an edge, in pixels.
        match: Probability that an object's colors are shifted toward those of its surroundings.
        shadow: Probability of a soft shadow.

    Example:
        >>> import numpy as np
        >>> from csl_plugin.training import ProceduralObjects, Textures
        >>> pasting = Pasting([(ProceduralObjects(Textures()), 1.0)], fewest=1, most=1)
        >>> plain = np.zeros((64, 64), np.int32)
        >>> scene = pasting(np.random.default_rng(0), Scene(np.zeros((64, 64, 3), np.uint8), plain, plain))
        >>> np.unique(scene.labels).tolist()
        [0, 1]

    Raises:
        OptionError: No share is above 0 or one is negative, or the limits are in the wrong order.
    """

    objects: Sequence[tuple[Objects, float]]
    fewest: int = 0
    most: int = 8
    smallest: float = 12.0
    largest: float = 0.6
    feather: float = 2.0
    match: float = 0.4
    shadow: float = 0.2
    longest: float = math.inf

    def __post_init__(self) -> None:
        shares = [share for _, share in self.objects]
        if not shares or min(shares) < 0 or sum(shares) <= 0:
            hint = "Pass (objects, share) pairs; omit pasting where no object is to be pasted."
            raise OptionError("objects", f"shares {shares}", "shares of at least 0, not all 0", hint)
        if not (0 <= self.fewest <= self.most and self.smallest > 0 and self.largest > 0):
            got = f"fewest {self.fewest}, most {self.most}, smallest {self.smallest}, largest {self.largest}"
            hint = "Use limits in order and lengths above 0."
            raise OptionError("fewest, most, smallest, largest", got, "0 <= fewest <= most", hint)

    def __call__(self, rng: np.random.Generator, scene: Scene) -> Scene:
        """The scene with random objects; the one given is not modified."""
        image, labels, classes = scene.image.copy(), scene.labels.copy(), scene.classes.copy()
        teacher_mask = None if scene.teacher_mask is None else scene.teacher_mask.copy()
        ends = np.cumsum([share for _, share in self.objects])
        limit = min(self.largest * max(labels.shape), self.longest)
        span = np.log(self.smallest), np.log(max(limit, self.smallest))
        label = int(labels.max()) + 1
        for number in range(int(rng.integers(self.fewest, self.most + 1))):
            objects = self.objects[int(np.searchsorted(ends, rng.random() * ends[-1], side="right"))][0]
            extent = float(np.exp(rng.uniform(*span)))
            cutout = objects.draw(rng, extent)
            center = int(rng.integers(labels.shape[0])), int(rng.integers(labels.shape[1]))
            fade = min(rng.uniform(0.0, self.feather), extent / 12)
            match = rng.uniform(0.1, 0.7) if rng.random() < self.match else 0.0
            if rng.random() < self.shadow:
                cast_shadow(rng, image, cutout, center)
            place, covered = paste(image, cutout, center, fade, match)
            labels[place][covered] = label + number
            classes[place][covered] = -1
            if teacher_mask is not None:
                teacher_mask[place][covered] = False
        return Scene(image, labels, classes, scene.teacher_scores, teacher_mask)


def paste(
    image: Picture, cutout: Cutout, center: tuple[int, int], fade: float = 0.0, match: float = 0.0
) -> tuple[Box, NDArray[np.bool_]]:
    """Paint an object into a picture, in place.

    Args:
        image: (H, W, 3) uint8, painted on.
        cutout: The object.
        center: Row and column of the center of its box, which may lie partly outside the picture.
        fade: Sigma of the Gaussian that softens its edge, in pixels.
        match: How far its mean color moves toward that of its surroundings, 0 to 1.

    Returns:
        The box of the picture that it lies in, and the pixels of that box that it covers by half or more.
    """
    cv2 = opencv()
    box, part = _intersection(image.shape, cutout.coverage.shape, center)
    coverage = cutout.coverage
    if fade > 0.2:
        coverage = np.asarray(cv2.GaussianBlur(coverage, (0, 0), fade), np.uint8)
    coverage, over, under = coverage[part], cutout.image[part], image[box]
    covered = coverage > 127
    weight = coverage[..., None] * np.float32(1 / 255)
    if match > 0 and covered.any():
        difference = np.subtract(cv2.mean(under), cv2.mean(over, covered.view(np.uint8)))[:3]
        over = over + (match * difference).astype(np.float32)
        over = np.clip(over, 0, 255)
    mixed = under + weight * (over - under.astype(np.float32))
    image[box] = np.rint(mixed).astype(np.uint8)
    return box, covered


def cast_shadow(rng: np.random.Generator, image: Picture, cutout: Cutout, center: tuple[int, int]) -> None:
    """Darken a picture, in place, under the soft shadow of an object that is pasted next."""
    cv2 = opencv()
    extent = max(cutout.coverage.shape)
    soft = float(rng.uniform(0.03, 0.12) * extent) + 0.5
    padded = np.pad(cutout.coverage, int(2 * soft))
    shade = cv2.boxFilter(padded, -1, (2 * int(soft) + 1,) * 2)
    shade = cv2.boxFilter(shade, -1, (2 * int(soft) + 1,) * 2)
    moved = (rng.uniform([0.0, -0.15], [0.2, 0.15]) * extent).astype(int) + center
    box, part = _intersection(image.shape, shade.shape, (int(moved[0]), int(moved[1])))
    light = 1 - shade[part][..., None] * np.float32(rng.uniform(0.2, 0.6) / 255)
    image[box] = (image[box] * light).astype(np.uint8)


def _intersection(shape: tuple[int, ...], size: tuple[int, ...], center: tuple[int, int]) -> tuple[Box, Box]:
    """Intersection of a picture and a box of `size` around a point, in both their coordinates."""
    inside, own = [], []
    for length, side, middle in zip(shape[:2], size, center, strict=True):
        start = middle - side // 2
        first, last = max(start, 0), min(start + side, length)
        inside.append(slice(first, max(last, first)))
        own.append(slice(first - start, max(last, first) - start))
    return (inside[0], inside[1]), (own[0], own[1])
