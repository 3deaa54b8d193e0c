"""What a proposer is, what it takes and what it gives."""

from __future__ import annotations

from typing import Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from csl_plugin.proposers.images import Images
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap

Partition: TypeAlias = "RegionProposals | RegionMap"
"""One partition of each image of a batch; proposals become one by soft assignment."""


@runtime_checkable
class Proposer(Protocol):
    """A callable from RGB images (B, 3, H, W), float in [0, 1], to the regions of those images.

    Any function of that signature is one. It returns a tuple of partitions, from coarse to fine, or one
    partition by itself; the proposers of this package always return a tuple. Proposals may have any
    resolution, a map has the images'.

    A proposer of this package takes images as they come, too: a path or a URL; a picture of Pillow, which is
    turned as its EXIF orientation says; an array or a tensor of one image or of a batch, (H, W, 3),
    (3, H, W), (B, H, W, 3) or (B, 3, H, W), uint8 in [0, 255] or floating point in [0, 1]. All of them give
    the same regions as the batch of floats (`csl_plugin.proposers.images`, docs/guide/images.md). A callable
    of yours is always called with that batch.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionMap
        >>> def halves(images):
        ...     right = torch.arange(images.shape[3]) >= images.shape[3] // 2
        ...     return RegionMap(right.int().expand(len(images), *images.shape[2:]))
        >>> isinstance(halves, Proposer)
        True
        >>> import numpy as np
        >>> from csl_plugin import load_proposer
        >>> load_proposer("superpixels")(np.zeros((24, 32, 3), np.uint8))  # or the path of an image
        (RegionMap(batch_size=1, size=(24, 32), num_regions=1),)

    Raises:
        CSLError: Where one of this package cannot read the images: FileError for a file, DTypeError for
            another element type, ShapeError for another shape or one with two readings, ScoreRangeError for
            values outside [0, 1], DeviceError for a tensor without values.
    """

    def __call__(self, images: Tensor) -> Partition | tuple[Partition, ...]:
        """Propose the regions of a batch of images, on the images' device."""
        ...


class ImageProposer(Proposer, Protocol):
    """A proposer that takes images as they come, as those of this package do."""

    def __call__(self, images: Images) -> Partition | tuple[Partition, ...]:
        """Propose the regions of an image or of a batch of images; those of a tensor on its device."""
        ...


def as_partitions(proposed: Partition | tuple[Partition, ...] | list[Partition]) -> tuple[Partition, ...]:
    """What a proposer returned, as a tuple of partitions."""
    return tuple(proposed) if isinstance(proposed, (tuple, list)) else (proposed,)
