"""Regions from networks that are asked by points: SAM and SAM2."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.arrays import Array
from csl_plugin.errors import OptionError
from csl_plugin.proposers.base import read_images
from csl_plugin.proposers.transformers.mask2former import check_model
from csl_plugin.proposers.transformers.preprocessing import Normalization, cropped, padded, scaled
from csl_plugin.regions.proposals import RegionProposals

MODEL_TYPES = ("sam", "sam2", "sam2_video")
"""Of `config.model_type` in transformers, those this proposer reads."""

_POINTS_AT_ONCE = 64
_SAME = 0.7  # intersection over union of two masks from which they count as one, as segment-anything's boxes
_COMPARED = 128  # samples per side that masks are compared at
_CANDIDATES = 4  # times the regions wanted, compared with one another


class PromptedPointProposals:
    """Region scores and validities of SAM or SAM2, asked at a grid of points.

    Every point gives three masks. R is the sigmoid of their logits, V the quality that the network predicts
    (its intersection over union, cut to [0, 1]), with SAM2 times the probability that there is an object. Of
    masks that are nearly the same the best stays, and of those the best `num_regions`; where the images of a
    batch keep different numbers, regions of validity 0 fill up.

    SAM sees the image at its longest side and padding beside it, which is cropped from the masks; SAM2 sees
    it squeezed into a square, as it was trained.

    Args:
        model: `SamModel` or `Sam2Model` from transformers, in evaluation mode.
        points_per_side: The grid has its square of points, centered in their cells; at least 1.
        num_regions: Most regions of an image; at least 1.
        normalization: Of the colors; ImageNet's if left out.

    Raises:
        OptionError: Another kind of model, a model in training mode, or a number below 1.

    Example:
        >>> import torch                                                # doctest: +SKIP
        >>> from transformers import AutoModelForMaskGeneration         # doctest: +SKIP
        >>> name = "facebook/sam-vit-base"                              # doctest: +SKIP
        >>> model = AutoModelForMaskGeneration.from_pretrained(name)    # doctest: +SKIP
        >>> PromptedPointProposals(model)(torch.rand(1, 3, 512, 1024))  # doctest: +SKIP
        RegionProposals(batch_size=1, num_regions=200, resolution=(128, 256))

    Source:
        Kirillov et al. 2023; Ravi et al. 2024.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        points_per_side: int = 16,
        num_regions: int = 200,
        normalization: Normalization | None = None,
    ) -> None:
        config: Any = getattr(model, "config", None)
        self._kind = check_model(model, MODEL_TYPES)
        for name, value in (("points_per_side", points_per_side), ("num_regions", num_regions)):
            if not isinstance(value, int) or value < 1:
                raise OptionError(name, repr(value), "an integer >= 1", "Leave it out for the default.")
        self.model = model
        self.normalization = normalization or Normalization()
        self._points_per_side, self._num_regions = points_per_side, num_regions
        self._side = int(config.prompt_encoder_config.image_size)

    def __call__(self, images: Array) -> RegionProposals:
        """The proposals of a batch of images, on the images' device.

        Args:
            images: RGB, (B, 3, H, W), floating point in [0, 1]; H and W may differ from call to call.

        Raises:
            DTypeError: Not a floating-point tensor or array.
            ShapeError: Not (B, 3, H, W), or an axis is empty.
            ScoreRangeError: A value is outside [0, 1] or not finite.
        """
        tensor = read_images(images)
        with torch.inference_mode():
            found = [self._propose(image[None]) for image in tensor]
            most = max(len(validity) for _, validity in found)
            scores = [F.pad(masks, (0, 0, 0, 0, 0, most - len(masks))) for masks, _ in found]
            validity = [F.pad(values, (0, most - len(values))) for _, values in found]
        return RegionProposals(torch.stack(scores).to(tensor.device), torch.stack(validity).to(tensor.device))

    def _propose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """R (N, h, w) and V (N,) of one image (1, 3, H, W), the best first."""
        model: Any = self.model
        parameter = next(model.parameters())
        side = (self._side, self._side)
        pixels = image.to(parameter.device, torch.float32)
        if self._kind == "sam":
            pixels = scaled(pixels, self._side / max(pixels.shape[2:]))
        else:
            pixels = F.interpolate(pixels, side, mode="bilinear", align_corners=False, antialias=True)
        size = (pixels.shape[2], pixels.shape[3])
        pixels = padded(self.normalization(pixels), side)
        embeddings = model.get_image_embeddings(pixels.to(parameter.dtype))
        masks, validity = [], []
        for points in torch.split(self._grid(size).to(pixels.device), _POINTS_AT_ONCE):
            prompts = {"input_points": points[None, :, None], "image_embeddings": embeddings}
            output = model(**prompts, multimask_output=True)
            quality = output.iou_scores.float().clamp(0, 1)
            if self._kind != "sam":
                quality = quality * output.object_score_logits.float().sigmoid()
            masks.append(cropped(output.pred_masks[0].float(), side, size).flatten(0, 1))
            validity.append(quality[0].flatten())
        return self._best(torch.cat(masks), torch.cat(validity))

    def _grid(self, size: tuple[int, int]) -> Tensor:
        """Points (P, 2) as (x, y) in pixels of an image (H, W)."""
        places = (torch.arange(self._points_per_side) + 0.5) / self._points_per_side
        y, x = torch.meshgrid(places * size[0], places * size[1], indexing="ij")
        return torch.stack([x.flatten(), y.flatten()], dim=1)

    def _best(self, logits: Tensor, validity: Tensor) -> tuple[Tensor, Tensor]:
        order = validity.argsort(descending=True, stable=True)[: _CANDIDATES * self._num_regions]
        inside = logits[order] > 0
        step = max(1, max(inside.shape[1:]) // _COMPARED)
        samples = inside[:, ::step, ::step].flatten(1).float()
        common = samples @ samples.T
        areas = common.diagonal()
        same = common > _SAME * (areas[:, None] + areas - common)
        chosen: list[int] = []
        dropped = ~inside.flatten(1).any(1).cpu()
        for index, twins in enumerate(same.cpu()):
            if not dropped[index] and len(chosen) < self._num_regions:
                chosen.append(index)
                dropped |= twins
        kept = order[chosen]
        return logits[kept].sigmoid(), validity[kept]

    @cached_property
    def _digest(self) -> str:
        from csl_plugin.models.hub.safetensors_io import weights_digest

        return weights_digest(self.model.state_dict())[:12]

    def __repr__(self) -> str:
        options = f"points_per_side={self._points_per_side}, num_regions={self._num_regions}"
        if self.normalization != Normalization():
            options += f", normalization={self.normalization}"
        return f"PromptedPointProposals({self._kind} {self._digest}, {options})"
