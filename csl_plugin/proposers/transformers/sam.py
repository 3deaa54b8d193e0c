"""Regions from networks with point prompts: SAM, SAM-HQ, SAM2, EdgeTAM, SAM3's tracker."""

from __future__ import annotations

import inspect
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin._autocast import without_autocast
from csl_plugin._options import checked_integer
from csl_plugin.errors import OptionError
from csl_plugin.models.hub.safetensors_io import weights_digest
from csl_plugin.proposers.images import Images, read_images
from csl_plugin.proposers.names import loading_call
from csl_plugin.proposers.placement import FollowsImages
from csl_plugin.proposers.transformers.families import MODEL_TYPES, PointFamily, family_of
from csl_plugin.proposers.transformers.mask2former import as_output_error
from csl_plugin.proposers.transformers.preprocessing import Normalization, cropped, padded
from csl_plugin.regions.proposals import RegionProposals

_POINTS_AT_ONCE = 64
_SAME = 0.7  # two masks of a higher intersection over union are duplicates, as in segment-anything
_COMPARED = 128  # samples per side at which masks are compared
_CANDIDATES = 4  # times `num_regions`: how many masks are compared with one another


class PromptedPointProposals(FollowsImages):
    """Region scores and validities of SAM or a successor of it, prompted by a grid of points.

    Every point gives three masks. R is the sigmoid of their logits. V is the predicted quality of the mask
    (its intersection over union, clipped to [0, 1]), times the probability that there is an object where the
    network states one: SAM2, EdgeTAM and SAM3 do. Of nearly equal masks the best is kept, and of those the
    best `num_regions`. If the images of a batch have different numbers of regions, they are padded with
    regions of validity 0.

    The input of SAM and SAM-HQ is resized by its longest side and padded, and the padding is cropped from the
    masks. That of the others is stretched to a square, as in their training.

    Args:
        model: `SamModel`, `SamHQModel`, `Sam2Model`, `EdgeTamModel` or `Sam3TrackerModel` from transformers,
            in evaluation mode.
        points_per_side: Rows and columns of the grid of points; at least 1.
        num_regions: The most regions of an image; at least 1.
        normalization: Mean and standard deviation of the colors; by default ImageNet's, and 1/2 for SAM3.

    Raises:
        OptionError: Another kind of model, a model in training mode, or a number below 1.

    Example:
        >>> import torch                                                # doctest: +SKIP
        >>> from transformers import AutoModelForMaskGeneration         # doctest: +SKIP
        >>> name = "facebook/sam-vit-base"                              # doctest: +SKIP
        >>> model = AutoModelForMaskGeneration.from_pretrained(name)    # doctest: +SKIP
        >>> PromptedPointProposals(model)(torch.rand(1, 3, 512, 1024))  # doctest: +SKIP
        (RegionProposals(batch_size=1, num_regions=200, resolution=(128, 256)),)

    Source:
        Kirillov et al. 2023; Ke et al. 2023; Ravi et al. 2024; Zhou et al. 2025; Carion et al. 2025.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        points_per_side: int = 16,
        num_regions: int = 200,
        normalization: Normalization | None = None,
    ) -> None:
        self._family = _point_family(model)
        self.model = model
        self.normalization = normalization or self._family.normalization
        hint = "Omit it for the default."
        self._points_per_side = checked_integer("points_per_side", points_per_side, 1, None, hint)
        self._num_regions = checked_integer("num_regions", num_regions, 1, None, hint)
        self._frame = self._family.frame_of(model.config)

    def __call__(self, images: Images) -> tuple[RegionProposals]:
        """The proposals of a batch of images, on the images' device.

        Args:
            images: RGB (B, 3, H, W) in [0, 1], or whatever else `Proposer` names.

        Raises:
            CSLError: The images cannot be read as such: see `Proposer`.
            OutputError: The model fails.
        """
        tensor = read_images(images)
        here = self.near(tensor)
        device = next(here.model.parameters()).device
        with torch.inference_mode(), without_autocast(device), as_output_error(self._family.model_type):
            found = [here._propose(image[None]) for image in tensor]
            most = max(len(validity) for _, validity in found)
            scores = [F.pad(masks, (0, 0, 0, 0, 0, most - len(masks))) for masks, _ in found]
            validity = [F.pad(values, (0, most - len(values))) for _, values in found]
        stacked = torch.stack(scores).to(tensor.device), torch.stack(validity).to(tensor.device)
        return (RegionProposals(*stacked),)

    def _propose(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """R (N, h, w) and V (N,) of one image (1, 3, H, W), the best first."""
        model: Any = self.model
        parameter = next(model.parameters())
        pixels = self._frame.resized(image.to(parameter.device, torch.float32))
        size = (pixels.shape[2], pixels.shape[3])
        canvas = self._frame.canvas(size)
        pixels = padded(self.normalization(pixels), canvas)
        embeddings = model.get_image_embeddings(pixels.to(parameter.dtype))
        prompts = {"image_embeddings": embeddings}
        if self._family.intermediate:
            prompts["image_embeddings"], prompts["intermediate_embeddings"] = embeddings
        masks, validity = [], []
        for points in torch.split(self._grid(size).to(pixels.device), _POINTS_AT_ONCE):
            output = model(input_points=points[None, :, None], **prompts, multimask_output=True)
            quality = output.iou_scores.float().clamp(0, 1)
            if (certainty := output.get("object_score_logits")) is not None:
                quality = quality * certainty.float().sigmoid()
            masks.append(cropped(output.pred_masks[0].float(), canvas, size).flatten(0, 1))
            validity.append(quality[0].flatten())
        return self._best(torch.cat(masks), torch.cat(validity))

    def _grid(self, size: tuple[int, int]) -> Tensor:
        """Points (P, 2) as (x, y) in pixels of an image (H, W)."""
        steps = torch.arange(self._points_per_side, dtype=torch.float32, device="cpu")
        centers = (steps + 0.5) / self._points_per_side
        y, x = torch.meshgrid(centers * size[0], centers * size[1], indexing="ij")
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
        for index, duplicates in enumerate(same.cpu()):
            if not dropped[index] and len(chosen) < self._num_regions:
                chosen.append(index)
                dropped |= duplicates
        kept = order[chosen]
        return logits[kept].sigmoid(), validity[kept]

    @cached_property
    def _digest(self) -> str:
        return weights_digest(self.model.state_dict())[:12]

    def made_of(self) -> str:
        """What decides the proposals: the kind of the model, its weights' digest, the options."""
        options = f"points_per_side={self._points_per_side}, num_regions={self._num_regions}"
        if self.normalization != self._family.normalization:
            options += f", normalization={self.normalization}"
        return f"{self._family.model_type} {self._digest}, {options}"

    def __repr__(self) -> str:
        return loading_call(self) or f"PromptedPointProposals({self.made_of()})"


def _point_family(model: torch.nn.Module) -> PointFamily:
    family = family_of(model)
    if not isinstance(family, PointFamily):
        known = [kind for kind, each in MODEL_TYPES.items() if isinstance(each, PointFamily)]
        hint = "Pass it to proposer_from_model, which knows both kinds."
        raise OptionError("model", f"a {family.title}", "one of " + ", ".join(known), hint)
    if "inference_session" in inspect.signature(model.forward).parameters:  # it takes a whole video
        hint = f"Load the same files with transformers.{family.model}, or with load_proposer."
        raise OptionError("model", f"a {type(model).__name__}", f"a {family.model}", hint)
    return family
