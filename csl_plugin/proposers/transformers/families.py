"""The kinds of segmentation models of transformers that are proposers, in one table."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from csl_plugin.errors import OptionError
from csl_plugin.models.validity import class_validity_logits, object_validity_logits
from csl_plugin.proposers.transformers.frames import AnySize, Frame, PaddedSquare, StretchedSquare, side_of
from csl_plugin.proposers.transformers.preprocessing import Normalization

Validity: TypeAlias = Literal["object", "class"]
Call: TypeAlias = Literal["images", "images and mask", "images and task", "videos"]

_IMAGENET = Normalization()
_HALVES = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class Classes:
    """How the class logits of a query say whether it is a region.

    Attributes:
        validity: The logits of V from class logits (B, N, K), for each choice of V.
        least: The fewest of these logits.
    """

    validity: Mapping[Validity, Callable[[Tensor], Tensor]]
    least: int


WITH_NONE = Classes({"object": object_validity_logits, "class": class_validity_logits}, 2)
"""A softmax whose last class is "no object"."""

SIGMOIDS = Classes(dict.fromkeys(("object", "class"), lambda logits: logits.amax(-1)), 1)
"""A sigmoid for each class, and no class "no object": the largest one is the score of the query."""


@dataclass(frozen=True)
class Family:
    """A kind of model.

    Attributes:
        model_type: Its `config.model_type`.
        title: Its name.
        model: The class of transformers whose output has masks.
        frame: Its input.
        side: The side of its square by its configuration; None where it takes any size.
        normalization: What it is published with, where its files do not say it.
    """

    model_type: str
    title: str
    model: str
    frame: Callable[[int], Frame] = AnySize
    side: Callable[[Any], int] | None = None
    normalization: Normalization = _IMAGENET

    def frame_of(self, config: Any, longest_side: int = 0) -> Frame:
        """The input of a model, with `longest_side` as the longest side where it takes any size."""
        return self.frame(longest_side if self.side is None else self.side(config))


@dataclass(frozen=True)
class QueryFamily(Family):
    """A kind of model that predicts a mask and classes for each query.

    Attributes:
        classes: How its class logits are read.
        call: What it is called with.
    """

    classes: Classes = WITH_NONE
    call: Call = "images"


@dataclass(frozen=True)
class PointFamily(Family):
    """A kind of model that predicts three masks for each point.

    Attributes:
        intermediate: Whether it also takes the intermediate embeddings of the image.
    """

    intermediate: bool = False


def _image(config: Any) -> int:
    return side_of(config.image_size)


def _windows(config: Any) -> int:
    """The side of its positions, or the next one that its windows divide, as RF-DETR's own."""
    backbone = config.backbone_config
    side, step = side_of(backbone.image_size), side_of(backbone.patch_size) * int(backbone.num_windows)
    if not 0 < step <= side:
        raise ValueError(f"windows of {step} pixels together in an image of {side}")
    return math.ceil(side / step) * step


def _prompts(config: Any) -> int:
    return side_of(config.prompt_encoder_config.image_size)


_DETR = QueryFamily("detr", "DETR with masks", "DetrForSegmentation", call="images and mask")
_SAM = PointFamily("sam", "SAM", "SamModel", PaddedSquare, _prompts)
_SAM2 = PointFamily("sam2", "SAM2", "Sam2Model", StretchedSquare, _prompts)
_EDGETAM = PointFamily("edgetam", "EdgeTAM", "EdgeTamModel", StretchedSquare, _prompts)
_SAM3 = PointFamily("sam3_tracker", "SAM3 tracker", "Sam3TrackerModel", StretchedSquare, _prompts, _HALVES)

_FAMILIES: tuple[QueryFamily | PointFamily, ...] = (
    QueryFamily("mask2former", "Mask2Former", "Mask2FormerForUniversalSegmentation"),
    QueryFamily("maskformer", "MaskFormer", "MaskFormerForInstanceSegmentation"),
    QueryFamily("oneformer", "OneFormer", "OneFormerForUniversalSegmentation", call="images and task"),
    QueryFamily("eomt", "EoMT", "EomtForUniversalSegmentation", PaddedSquare, _image),
    QueryFamily(
        "eomt_dinov3", "EoMT with DINOv3", "EomtDinov3ForUniversalSegmentation", PaddedSquare, _image
    ),
    QueryFamily(
        "videomt", "VidEoMT", "VideomtForUniversalSegmentation", StretchedSquare, _image, call="videos"
    ),
    _DETR,
    replace(
        _DETR,
        model_type="conditional_detr",
        title="Conditional DETR with masks",
        model="ConditionalDetrForSegmentation",
        classes=SIGMOIDS,
    ),
    QueryFamily(
        "rf_detr",
        "RF-DETR with masks",
        "RfDetrForInstanceSegmentation",
        StretchedSquare,
        _windows,
        classes=SIGMOIDS,
    ),
    _SAM,
    replace(_SAM, model_type="sam_hq", title="SAM-HQ", model="SamHQModel", intermediate=True),
    _SAM2,
    replace(_SAM2, model_type="sam2_video", title="SAM2, its video model"),
    _EDGETAM,
    replace(_EDGETAM, model_type="edgetam_video", title="EdgeTAM, its video model"),
    _SAM3,
    replace(_SAM3, model_type="sam3_tracker_video", title="SAM3 tracker, its video model"),
    replace(_SAM3, model_type="sam3_video", title="SAM3, its video model with a detector"),
)

MODEL_TYPES: Mapping[str, QueryFamily | PointFamily] = MappingProxyType(
    {family.model_type: family for family in _FAMILIES}
)
"""The values of `config.model_type` in transformers that proposers read, with what is known of each."""


def family_of(model: torch.nn.Module) -> QueryFamily | PointFamily:
    """What is known of a model by its configuration.

    Raises:
        OptionError: Another kind of model, or one in training mode.
    """
    kind = getattr(getattr(model, "config", None), "model_type", None)
    family = MODEL_TYPES.get(kind) if isinstance(kind, str) else None
    if family is None:
        got = f"a {type(model).__name__} of model type {kind!r}"
        hint = "Load it with a class of transformers that has a segmentation head."
        raise OptionError("model", got, "one of " + ", ".join(MODEL_TYPES), hint)
    if model.training:
        hint = "Call model.eval() first."
        raise OptionError("model", "a model in training mode", "one in evaluation mode", hint)
    return family
