"""Maps that cover the whole image at a size of the model's own, such as a square one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from csl_plugin.datasets import Frame
from csl_plugin.evaluation.frames.score_source import Image, ScoreSource


@dataclass(frozen=True)
class AnySize:
    """A source of anomaly maps of any size and aspect ratio, which are brought to that of the image.

    Models of industrial inspection see every picture stretched to one size.

    Args:
        source: Gives the maps.
    """

    source: ScoreSource

    def load(self, frame: Frame) -> Tensor | None:
        """As the source has it."""
        return self.source.load(frame)

    def scores(self, image: Image, loaded: Tensor | None) -> Tensor:
        """The map at the image's size, by bilinear interpolation.

        One of several classes, or one whose height and width are exchanged, is left for others to refuse.
        """
        scores, size = self.source.scores(image, loaded), (image.shape[0], image.shape[1])
        own = (scores.shape[-2], scores.shape[-1])
        one_map = scores.ndim == 2 or (scores.ndim == 3 and scores.shape[0] == 1)
        if own in (size, size[::-1]) or not one_map or 0 in own:
            return scores
        wide = scores.to(torch.float64 if scores.dtype == torch.float64 else torch.float32)
        return functional.interpolate(wide.reshape(1, 1, *own), size, mode="bilinear", align_corners=False)[0]

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """As the source has it."""
        return self.source.files(frame)

    def identity(self) -> dict[str, str]:
        """As the source has it."""
        return self.source.identity()
