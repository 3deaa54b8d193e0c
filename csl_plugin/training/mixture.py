"""A mixture of sources; a sample is a pure function of (seed, step, index)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from csl_plugin.errors import OptionError
from csl_plugin.training.data.augmentation import Appearance
from csl_plugin.training.data.mask_split import mask_split
from csl_plugin.training.data.saved_teacher import output_size
from csl_plugin.training.data.scene import Labels, Sample, Scene, Source
from csl_plugin.training.synthetic.pasting import Pasting

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Part:
    """One source of a mixture.

    Attributes:
        source: Where scenes come from.
        share: Its share of the samples, relative to those of the other parts.
        pasting: Pastes objects into its scenes; None for no objects.
    """

    source: Source
    share: float = 1.0
    pasting: Pasting | None = None


@dataclass(frozen=True)
class Mixture:
    """Training samples from several sources.

    Sources alternate, so that any consecutive indices of a step contain them close to their shares.

    Attributes:
        parts: The sources.
        crop: (h, w) of the samples.
        seed: Of all random draws. A sample depends on (seed, step, index) alone, so an interrupted training
            continues exactly.
        to_regions: From labels to regions: `mask_split`, or `class_regions` to train without mask split.
        appearance: Random changes of color and quality, the same for all sources; None for none.
        teacher_classes: C of the saved teacher that some sources have, 0 for none. Samples of other sources
            get a mask that is False everywhere.

    Raises:
        OptionError: No part, a negative share, no share above 0, or a crop without pixels.

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
    to_regions: Callable[[Labels], Labels] = mask_split
    appearance: Appearance | None = field(default_factory=Appearance)
    teacher_classes: int = 0

    def __post_init__(self) -> None:
        shares = [part.share for part in self.parts]
        if not shares or min(shares) < 0 or sum(shares) <= 0:
            hint = "Pass at least one Part with a share above 0."
            raise OptionError("parts", f"shares {shares}", "shares of at least 0, not all 0", hint)
        if min(self.crop) < 1:
            raise OptionError("crop", str(self.crop), "at least one pixel", "Use (192, 256).")

    def scene(self, step: int, index: int) -> Scene:
        """The scene of a sample: the image is uint8, the labels are regions."""
        rng = np.random.default_rng([self.seed, step, index])
        part = self.parts[self._choose(step, index)]
        scene = part.source.draw(rng, self.crop)
        if part.pasting is not None:
            scene = part.pasting(rng, scene)
        image = scene.image if self.appearance is None else self.appearance(rng, scene.image)
        scene = replace(scene, image=image, labels=self.to_regions(scene.labels))
        if self.teacher_classes and scene.teacher_scores is None:
            scores = np.zeros((self.teacher_classes, *output_size(self.crop)), np.float32)
            scene = replace(scene, teacher_scores=scores, teacher_mask=np.zeros(self.crop, bool))
        return scene

    def sample(self, step: int, index: int) -> Sample:
        """Sample `index` of the batch of `step`."""
        scene = self.scene(step, index)
        image = torch.from_numpy(scene.image).permute(2, 0, 1).contiguous().float().div_(255)
        return Sample(image, torch.from_numpy(scene.labels), torch.from_numpy(scene.classes))

    def _choose(self, step: int, index: int) -> int:
        """Which part a sample comes from: a low-discrepancy sequence over the indices of a step."""
        start = np.random.default_rng([self.seed, step]).random()
        ends = np.cumsum([part.share for part in self.parts])
        place = (start + index * _GOLDEN) % 1.0 * ends[-1]
        return min(int(np.searchsorted(ends, place, side="right")), len(self.parts) - 1)
