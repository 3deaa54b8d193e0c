"""What comes after the model: its distribution read, fused with the regions of each image, and written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from csl_plugin._tracing import is_exporting, outside_transforms
from csl_plugin.adapters import Adapter, ImageBatch
from csl_plugin.adapters.adapter import is_per_image, read_at
from csl_plugin.adapters.image_batch import reduced, window
from csl_plugin.errors import OutputError, ShapeError
from csl_plugin.fusion import Rule, fuse
from csl_plugin.proposers import Proposer
from csl_plugin.proposers.base import Partition
from csl_plugin.proposers.held import propose
from csl_plugin.regions.region_map import RegionMap


@dataclass(frozen=True)
class FusionStage:
    """The proposer, and the options of `fuse`."""

    proposer: Proposer
    rule: Rule
    split: bool
    check: bool

    def __call__(self, adapter: Adapter, output: Any, batch: ImageBatch) -> Any:
        """A model's output with the fused distribution in it; an image's does not depend on its neighbors."""
        if is_per_image(adapter) and isinstance(output, (list, tuple)):
            _check_count(len(output), batch)
            written = [
                adapter.write([one], self._fused_alone(adapter, [one], batch.alone(index)))[0]
                for index, one in enumerate(output)
            ]
            return type(output)(written)
        if is_per_image(adapter) and len(batch) == 1:
            return adapter.write(output, self._fused_alone(adapter, output, batch.alone(0)))
        images = as_one_tensor(batch)
        distribution = _read(adapter, output, (images.shape[-2], images.shape[-1]))
        _check_count(distribution.shape[0], batch)
        if batch.valid is None:
            fused = self._fused(distribution, images)
        elif _covers_images_alone(distribution, batch):
            pairs = ((distribution[index, None], batch.alone(index)) for index in range(len(batch)))
            fused = torch.cat([self._fused(scores, image) for scores, image in pairs])
        else:
            fused = self._fused_within(distribution, batch, batch.valid)
        return adapter.write(output, fused)

    def _fused_alone(self, adapter: Adapter, output: Any, image: Tensor) -> Tensor:
        distribution = _read(adapter, output, (image.shape[-2], image.shape[-1]))
        _check_count(distribution.shape[0], ImageBatch(image))
        return self._fused(distribution, image)

    def _fused(self, distribution: Tensor, images: Tensor) -> Tensor:
        return self._combined(distribution, self._regions(distribution, images), None)

    def _fused_within(self, distribution: Tensor, batch: ImageBatch, valid: Tensor) -> Tensor:
        """The fused maps of a padded batch, each image by itself; a padding pixel is a region of its own."""
        with outside_transforms():
            cells = reduced(valid, (distribution.shape[2], distribution.shape[3])).to(distribution.device)
            windows = [window(counts) for counts in cells]
            nowhere = RegionMap(torch.full_like(cells[:1], -1, dtype=torch.int32), 0)
        fused = []
        for index, inside in enumerate(windows):
            scores, counted = distribution[index, None], cells[index][inside]
            part = scores[(..., *inside)]
            regions = self._regions(part, batch.alone(index))
            whole = fuse(scores, nowhere, rule=self.rule, split=False, check=False)
            whole[(..., *inside)] = self._combined(part, regions, None if counted.all() else counted)
            fused.append(whole)
        return torch.cat(fused)

    def _combined(self, distribution: Tensor, regions: tuple[Partition, ...], valid: Tensor | None) -> Tensor:
        return fuse(distribution, regions, rule=self.rule, split=self.split, valid=valid, check=self.check)

    def _regions(self, distribution: Tensor, images: Tensor) -> tuple[Partition, ...]:
        """The regions of images without padding, at the size of their distribution and on its device."""
        size = (distribution.shape[2], distribution.shape[3])
        with torch.no_grad(), outside_transforms():
            proposed = propose(self.proposer, images.to(distribution.device))
            # A map is resized; proposals fit any size.
            return tuple(each.resize(size) if isinstance(each, RegionMap) else each for each in proposed)


def as_one_tensor(batch: ImageBatch) -> Tensor:
    """The images as (B, 3, H, W).

    Raises:
        ShapeError: They have several sizes.
    """
    if isinstance(batch.images, Tensor):
        return batch.images
    raise ShapeError(
        "model input",
        "images of shapes " + ", ".join(str(tuple(image.shape[1:])) for image in batch.images),
        "one size for all images of a model whose output is not a list with an object for each",
        "Pad them to one size and pass a pixel_mask, or pass them one at a time.",
    )


def _read(adapter: Adapter, output: Any, size: tuple[int, int]) -> Tensor:
    """D of images of a size.

    Raises:
        OutputError: It has the proportions of the images in the axes before its last two: (B, h, w, C).
    """
    distribution = read_at(adapter, output, size)
    if is_exporting() or distribution.ndim != 4:
        return distribution
    (high, wide), (first, height, width) = size, distribution.shape[1:]
    distortion = height * wide / (width * high) if width else 1.0
    if first * wide == height * high and not 0.5 <= distortion <= 2:
        raise OutputError(
            "model output",
            f"scores (B, C, h, w) of shape {tuple(distribution.shape)} for images of {size}",
            "the channels before height and width",
            "These have the channels last: permute(0, 3, 1, 2) them in the model, or in an adapter.",
        )
    return distribution


def _check_count(count: int, batch: ImageBatch) -> None:
    if count != len(batch):
        raise OutputError(
            "model output",
            f"scores of {count} images",
            f"of the {len(batch)} images of the call",
            "Pass one image at a time: this model does not return scores of each image of a batch.",
        )


def _covers_images_alone(distribution: Tensor, batch: ImageBatch) -> bool:
    """Whether the model removed the padding, and brought the scores to the images' size before it was added.

    Raises:
        ShapeError: It did so for some images of the batch only.
    """
    size = (distribution.shape[2], distribution.shape[3])
    images = as_one_tensor(batch)
    if batch.original_size is None or size == tuple(images.shape[2:]):
        return False
    fits = [size == original for original in batch.original_size]
    if any(fits) and not all(fits):
        raise ShapeError(
            "model output",
            f"scores of size {size} for images of sizes {list(batch.original_size)}",
            "one size for all images",
            "Pass them one at a time.",
        )
    return all(fits)
