"""A mixture of sources, whose samples are pure functions of (seed, step, index)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from csl_plugin.errors import OptionError
from csl_plugin.training.data.augmentation import Appearance
from csl_plugin.training.data.mask_split import mask_split
from csl_plugin.training.data.saved_teacher import cells
from csl_plugin.training.data.scene import Labels, Sample, Scene, Source
from csl_plugin.training.synthetic.pasting import Pasting

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Part:
    """One source of a mixture.

    Attributes:
        source: Where scenes come from.
        share: Its share of the samples, relative to the other parts'.
        pasting: What is pasted into its scenes, None for nothing.
    """

    source: Source
    share: float = 1.0
    pasting: Pasting | None = None


@dataclass(frozen=True)
class Mixture:
    """Training samples from several sources.

    The sources take turns so that every run of consecutive indices of a step has close to their shares.

    Attributes:
        parts: The sources.
        crop: (h, w) of the samples.
        seed: Where all chance starts. A sample depends on (seed, step, index) and on nothing else, so that
            training goes on after an interruption as if there had been none.
        split: From labels to regions: `mask_split`, or `class_regions` to train without it.
        appearance: Changes of color and quality, the same for all sources; None for none.
        taught_classes: C of the saved teacher that some sources have, 0 for none. Samples of the others are
            filled up with what counts nowhere.

    Raises:
        OptionError: No part, a share below 0, or none above it, or a crop without pixels.

    Example:
        >>> from csl_plugin.training import DeadLeaves, Textures
        >>> mixture = Mixture([Part(DeadLeaves(Textures()))], crop=(48, 64), seed=1)
        >>> sample = mixture.sample(step=0, index=0)
        >>> sample.image.shape, sample.regions.dtype
        (torch.Size([3, 48, 64]), torch.int32)
    """

    parts: Sequence[Part]
    crop: tuple[int, int] = (192, 256)
    seed: int = 0
    split: Callable[[Labels], Labels] = mask_split
    appearance: Appearance | None = field(default_factory=Appearance)
    taught_classes: int = 0

    def __post_init__(self) -> None:
        shares = [part.share for part in self.parts]
        if not shares or min(shares) < 0 or sum(shares) <= 0:
            hint = "Pass at least one Part with a share above 0."
            raise OptionError("parts", f"shares {shares}", "shares of at least 0, not all 0", hint)
        if min(self.crop) < 1:
            raise OptionError("crop", str(self.crop), "at least one pixel", "Use (192, 256).")

    def scene(self, step: int, index: int) -> Scene:
        """The picture of a sample as it is, uint8, its labels already regions."""
        rng = np.random.default_rng([self.seed, step, index])
        part = self.parts[self._turn(step, index)]
        scene = part.source.draw(rng, self.crop)
        if part.pasting is not None:
            scene = part.pasting(rng, scene)
        image = scene.image if self.appearance is None else self.appearance(rng, scene.image)
        scene = replace(scene, image=image, labels=self.split(scene.labels))
        if self.taught_classes and scene.taught is None:
            nothing = np.zeros((self.taught_classes, *cells(self.crop)), np.float32)
            scene = replace(scene, taught=nothing, known=np.zeros(self.crop, bool))
        return scene

    def sample(self, step: int, index: int) -> Sample:
        """Sample `index` of the batch of a step."""
        scene = self.scene(step, index)
        image = torch.from_numpy(scene.image).permute(2, 0, 1).contiguous().float().div_(255)
        return Sample(image, torch.from_numpy(scene.labels), torch.from_numpy(scene.classes))

    def _turn(self, step: int, index: int) -> int:
        start = np.random.default_rng([self.seed, step]).random()
        ends = np.cumsum([part.share for part in self.parts])
        place = (start + index * _GOLDEN) % 1.0 * ends[-1]
        return min(int(np.searchsorted(ends, place, side="right")), len(self.parts) - 1)
