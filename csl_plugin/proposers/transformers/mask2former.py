"""Regions from mask classification: Mask2Former, MaskFormer, OneFormer, EoMT, VidEoMT, DETR and its kin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, get_args

import torch
from torch import Tensor

from csl_plugin._autocast import without_autocast
from csl_plugin._options import check_choice, checked_integer
from csl_plugin.errors import CSLError, OptionError, OutputError, reason_of
from csl_plugin.models.hub.safetensors_io import weights_digest
from csl_plugin.proposers.images import Images, read_images
from csl_plugin.proposers.names import loading_call
from csl_plugin.proposers.placement import FollowsImages
from csl_plugin.proposers.transformers.families import MODEL_TYPES, QueryFamily, Validity, family_of
from csl_plugin.proposers.transformers.preprocessing import Normalization, cropped, padded
from csl_plugin.regions.proposals import RegionProposals

_MASKS = ("masks_queries_logits", "pred_masks")
_CLASSES = ("class_queries_logits", "logits")
# "the task is panoptic" and so on, as CLIP's tokenizer encodes them for OneFormer.
_TASKS = {
    "panoptic": (49406, 518, 10549, 533, 1072, 24755, 49407),
    "instance": (49406, 518, 10549, 533, 34572, 49407),
    "semantic": (49406, 518, 10549, 533, 29119, 1550, 49407),
}


class MaskClassificationProposals(FollowsImages):
    """Region scores and validities of a network from transformers that predicts a mask and a class per query.

    R is the sigmoid of the mask logits, at the network's own resolution, for any aspect ratio of the image.
    V comes from the class logits, of which the last is "no object". With one class both kinds of V are its
    probability. The classes of RF-DETR and Conditional DETR are sigmoids, and none of them is "no object":
    there both kinds of V are the largest one.

    Images are normalized and padded to a multiple of 32; the padding is cropped from the masks. Some networks
    take squares only. For EoMT the longer side is resized to the square's, and the other padded; RF-DETR and
    VidEoMT see the image stretched to it, as in their training. VidEoMT sees every image as a video of its
    own, of one frame.

    Args:
        model: A model with its segmentation head, such as `Mask2FormerForUniversalSegmentation`,
            `EomtForUniversalSegmentation` or `RfDetrForInstanceSegmentation`, in evaluation mode.
        validity: What V is: "object", 1 - P(no object); or "class", the largest probability of a class, which
            is low where several classes are likely.
        normalization: Mean and standard deviation of the colors; by default ImageNet's.
        longest_side: The network's input is shrunk if a side is longer, in pixels; of networks that take any
            size.
        task: OneFormer's task: "panoptic", "instance" or "semantic"; ignored by the other models.

    Raises:
        OptionError: Another kind of model, a model in training mode, or an option of another value.

    Example:
        >>> import torch                                                    # doctest: +SKIP
        >>> from transformers import AutoModelForUniversalSegmentation      # doctest: +SKIP
        >>> name = "facebook/mask2former-swin-tiny-coco-panoptic"           # doctest: +SKIP
        >>> model = AutoModelForUniversalSegmentation.from_pretrained(name) # doctest: +SKIP
        >>> MaskClassificationProposals(model)(torch.rand(1, 3, 480, 640))  # doctest: +SKIP
        (RegionProposals(batch_size=1, num_regions=100, resolution=(120, 160)),)

    Source:
        Cheng et al. 2021 and 2022; Jain et al. 2023; Kerssies et al. 2025; Carion et al. 2020; Meng et al.
        2021; Robinson et al. 2025; Norouzi et al. 2026.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        validity: Validity = "object",
        normalization: Normalization | None = None,
        longest_side: int = 2048,
        task: str = "panoptic",
    ) -> None:
        self._family = _query_family(model)
        hint = '"object" accepts any class, "class" asks for one certain class.'
        check_choice("validity", validity, get_args(Validity), hint)
        check_choice("task", task, tuple(_TASKS), 'Use "panoptic" for objects and surfaces.')
        self.model = model
        self.validity: Validity = validity
        self.normalization = normalization or self._family.normalization
        hint = "2048 is Cityscapes' width."
        self._longest_side = checked_integer("longest_side", longest_side, 1, None, hint)
        self._frame = self._family.frame_of(model.config, self._longest_side)
        self._task = task

    def __call__(self, images: Images) -> tuple[RegionProposals]:
        """The proposals of a batch of images, on the images' device.

        Args:
            images: RGB (B, 3, H, W) in [0, 1], or whatever else `Proposer` names.

        Raises:
            CSLError: The images cannot be read as such: see `Proposer`.
            OutputError: The model fails, or its output has no masks with classes.
        """
        tensor = read_images(images)
        masks, validity = self.near(tensor)._predicted(tensor)
        return (RegionProposals.from_logits(masks.to(tensor.device), validity.to(tensor.device)),)

    def _predicted(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of masks (B, N, h, w) and of validity (B, N), on the network's device."""
        parameter = next(self.model.parameters())
        with torch.inference_mode(), without_autocast(parameter.device):
            resized = self._frame.resized(images.to(parameter.device, torch.float32))
            pixels = self.normalization(resized)
            size = (pixels.shape[2], pixels.shape[3])
            canvas = self._frame.canvas(size)
            with as_output_error(self._family.model_type):
                output = self.model(**self._arguments(padded(pixels, canvas).to(parameter.dtype), size))
            masks, classes = _named(output, _MASKS), _named(output, _CLASSES)
            read = self._family.classes
            if masks.ndim != 4 or classes.shape[:2] != masks.shape[:2] or classes.shape[2] < read.least:
                got = f"masks {tuple(masks.shape)} and classes {tuple(classes.shape)}"
                hint = "Pass the model as transformers builds it."
                raise OutputError("model", got, f"(B, N, h, w) and (B, N, at least {read.least})", hint)
            validity = read.validity[self.validity](classes.float())
            return cropped(masks.float(), canvas, size), validity

    def _arguments(self, pixels: Tensor, size: tuple[int, int]) -> dict[str, Any]:
        """The model's arguments for images (B, 3, H, W), of which the upper left `size` is no padding."""
        if self._family.call == "videos":
            return {"pixel_values_videos": pixels[:, None]}
        if self._family.call == "images and task":
            config: Any = self.model.config
            task = pixels.new_zeros(len(pixels), int(config.task_seq_len), dtype=torch.long)
            ids = torch.tensor(_TASKS[self._task][: task.shape[1]], device=task.device)
            task[:, : len(ids)] = ids
            return {"pixel_values": pixels, "task_inputs": task}
        if self._family.call == "images and mask":  # without the mask it attends to the padding
            inside = pixels.new_ones(len(pixels), 1, *size, dtype=torch.long)
            mask = padded(inside, (pixels.shape[2], pixels.shape[3]))
            return {"pixel_values": pixels, "pixel_mask": mask[:, 0]}
        return {"pixel_values": pixels}

    @cached_property
    def _digest(self) -> str:
        return weights_digest(self.model.state_dict())[:12]

    def made_of(self) -> str:
        """What decides the proposals: the kind of the model, its weights' digest, the options."""
        options = f"validity={self.validity!r}, longest_side={self._longest_side}"
        if self._family.call == "images and task":
            options += f", task={self._task!r}"
        if self.normalization != self._family.normalization:
            options += f", normalization={self.normalization}"
        return f"{self._family.model_type} {self._digest}, {options}"

    def __repr__(self) -> str:
        return loading_call(self) or f"MaskClassificationProposals({self.made_of()})"


def _query_family(model: torch.nn.Module) -> QueryFamily:
    family = family_of(model)
    if not isinstance(family, QueryFamily):
        known = [kind for kind, each in MODEL_TYPES.items() if isinstance(each, QueryFamily)]
        hint = "Pass it to proposer_from_model, which knows both kinds."
        raise OptionError("model", f"a {family.title}", "one of " + ", ".join(known), hint)
    return family


@contextmanager
def as_output_error(kind: str) -> Iterator[None]:
    """Name the model where it fails, for example because its configuration contradicts itself."""
    try:
        yield
    except (CSLError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # the type depends on the model
        reason = reason_of(error)
        hint = "Check that its configuration is the one that it was trained with."
        raise OutputError("model", f"a {kind} that fails ({reason})", "masks of the image", hint) from error


def _named(output: Any, names: tuple[str, ...]) -> Tensor:
    for name in names:
        value = getattr(output, name, None)
        if isinstance(value, Tensor):
            return value
    got, hint = f"a {type(output).__name__} without it", "Pass a model with a segmentation head."
    raise OutputError("model", got, " or ".join(names), hint)
