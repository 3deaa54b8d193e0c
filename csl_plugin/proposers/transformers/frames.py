"""How a network's input is made of images of any size: resized, and padded below and to the right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch.nn.functional as F
from torch import Tensor

from csl_plugin.proposers.transformers.preprocessing import scaled

_STRIDE = 32


class Frame(Protocol):
    """The input of a network: the image in its upper left part, zeros in the rest."""

    def resized(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [0, 1] at the size that they have in the input."""
        ...

    def canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """The (H, W) of the input for resized images of `size`."""
        ...


@dataclass(frozen=True)
class AnySize:
    """A multiple of 32 of any aspect ratio; larger images are shrunk.

    Args:
        longest_side: In pixels.
    """

    longest_side: int

    def resized(self, images: Tensor) -> Tensor:
        """Unchanged, or with the longest side that is allowed."""
        return scaled(images, min(1.0, self.longest_side / max(images.shape[2:])))

    def canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """The next multiples of 32."""
        return -(-size[0] // _STRIDE) * _STRIDE, -(-size[1] // _STRIDE) * _STRIDE


@dataclass(frozen=True)
class PaddedSquare:
    """A square, with the longer side of the image resized to its side and the other padded.

    Args:
        side: In pixels.
    """

    side: int

    def resized(self, images: Tensor) -> Tensor:
        """With the longer side of the square's."""
        return scaled(images, self.side / max(images.shape[2:]))

    def canvas(self, size: tuple[int, int]) -> tuple[int, int]:  # noqa: ARG002  # the same for all
        """The square."""
        return self.side, self.side


@dataclass(frozen=True)
class StretchedSquare:
    """A square to which images are stretched, whatever their aspect ratio.

    Args:
        side: In pixels.
    """

    side: int

    def resized(self, images: Tensor) -> Tensor:
        """The square."""
        size = (self.side, self.side)
        return F.interpolate(images, size, mode="bilinear", align_corners=False, antialias=True)

    def canvas(self, size: tuple[int, int]) -> tuple[int, int]:
        """The square."""
        return size


def side_of(size: Any) -> int:
    """The side of a square as configurations state it: a number, or two equal ones.

    Example:
        >>> side_of(1024), side_of([64, 64])
        (1024, 64)
    """
    if isinstance(size, (list, tuple)):
        if len(set(size)) != 1:
            raise ValueError(f"an image_size of {size}, which is no square")
        size = size[0]
    return int(size)
