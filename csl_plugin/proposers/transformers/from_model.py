"""A loaded segmentation model as a proposer."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import torch

from csl_plugin.errors import OptionError
from csl_plugin.proposers.transformers.families import PointFamily, family_of
from csl_plugin.proposers.transformers.mask2former import MaskClassificationProposals
from csl_plugin.proposers.transformers.preprocessing import Normalization
from csl_plugin.proposers.transformers.sam import PromptedPointProposals

if TYPE_CHECKING:
    from csl_plugin.proposers.base import ImageProposer


def proposer_from_model(
    model: torch.nn.Module, *, normalization: Normalization | None = None, **options: Any
) -> ImageProposer:
    """A loaded segmentation model of transformers as a proposer.

    Args:
        model: A Mask2Former, MaskFormer, OneFormer, EoMT, VidEoMT, DETR, Conditional DETR or RF-DETR with its
            segmentation head, or a SAM, SAM-HQ, SAM2, EdgeTAM or SAM3 tracker; in evaluation mode. It is not
            modified. docs/guide/adapters.md has a row for each.
        normalization: Mean and standard deviation of the colors; by default those that the model was
            published with: ImageNet's, and 1/2 for SAM3.
        options: Of `MaskClassificationProposals` (validity, longest_side, task) or of
            `PromptedPointProposals` (points_per_side, num_regions).

    Returns:
        A callable from RGB images, (B, 3, H, W) in [0, 1] or as `Proposer` names them, to a tuple of one
        `RegionProposals`.

    Raises:
        OptionError: Another kind of model, a model in training mode, or an unknown option.

    Example:
        >>> from csl_plugin.proposers import proposer_from_model
        >>> from transformers import SamModel                                    # doctest: +SKIP
        >>> model = SamModel.from_pretrained("facebook/sam-vit-base").eval()     # doctest: +SKIP
        >>> proposer = proposer_from_model(model, points_per_side=32)            # doctest: +SKIP
    """
    prompted = isinstance(family_of(model), PointFamily)
    maker = PromptedPointProposals if prompted else MaskClassificationProposals
    known = inspect.signature(maker).parameters.keys() - {"model", "normalization"}
    if unknown := sorted(options.keys() - known):
        got, hint = ", ".join(unknown), f"See {maker.__name__}."
        raise OptionError("options", got, ", ".join(sorted(known)), hint)
    return maker(model, normalization=normalization, **options)
