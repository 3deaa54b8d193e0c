"""Dead leaves: pictures of shapes that occlude one another."""

from __future__ import annotations

import numpy as np

from csl_plugin.training.data.scene import Scene
from csl_plugin.training.synthetic.objects import ProceduralObjects
from csl_plugin.training.synthetic.pasting import paste
from csl_plugin.training.synthetic.textures import Textures


class DeadLeaves:
    """Pictures of overlapping shapes ("leaves"), each with its own texture; few are large, many are small.

    Up to five leaves of about the picture's size lie below the others. The background has a procedural
    texture, because the edges in a photograph would belong to no region.

    Args:
        textures: Textures of the leaves.
        fewest: Smallest number of leaves.
        most: Largest number of leaves.
        smallest: Minimum of the length of a leaf's longer side, in pixels.
        largest: Maximum of that length, relative to the picture's longer side.
        exponent: Lengths follow a power law, density ~ length^-exponent. With 3, the law of natural images,
            all sizes cover the same area; with less, large leaves cover more.

    Example:
        >>> import numpy as np
        >>> scene = DeadLeaves(Textures()).draw(np.random.default_rng(0), (48, 64))
        >>> scene.image.shape, scene.labels.shape
        ((48, 64, 3), (48, 64))

    Source:
        Lee, Mumford, Huang: Occlusion models for natural images, IJCV 2001; as a source of training images,
        Baradad et al., Learning to see by looking at noise, NeurIPS 2021.
    """

    def __init__(
        self,
        textures: Textures,
        *,
        fewest: int = 10,
        most: int = 40,
        smallest: float = 14.0,
        largest: float = 0.8,
        exponent: float = 1.5,
    ) -> None:
        self._background, self._objects = Textures(), ProceduralObjects(textures, parts=0.2)
        self._fewest, self._most = fewest, most
        self._smallest, self._largest, self._exponent = smallest, largest, exponent

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
        """A picture of `size` (h, w); label 0 is the background, each leaf has its own; classes are -1."""
        image, labels = self._background.draw(rng, *size), np.zeros(size, np.int32)
        fade = rng.uniform(0.0, 1.0)
        for number, extent in enumerate(self._extents(rng, max(size)), start=1):
            center = int(rng.integers(size[0])), int(rng.integers(size[1]))
            place, covered = paste(image, self._objects.draw(rng, extent), center, min(fade, extent / 12))
            labels[place][covered] = number
        return Scene(image, labels, np.full(size, -1, np.int32))

    def _extents(self, rng: np.random.Generator, side: int) -> list[float]:
        """Lengths by the power law; in 3 of 4 pictures large leaves come first, below the small ones."""
        count = int(rng.integers(self._fewest, self._most + 1))
        low, high = self._smallest, max(self._largest * side, self._smallest + 1)
        power = 1 - self._exponent
        share = rng.random(count)
        lengths = (low**power + share * (high**power - low**power)) ** (1 / power)
        if rng.random() < 0.75:
            lengths = np.sort(lengths)[::-1]
        below = side * rng.uniform(0.5, 1.2, int(rng.integers(6)))
        return [float(length) for length in np.concatenate([below, lengths])]
