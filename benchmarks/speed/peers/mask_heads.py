"""Post-processing of mask-classification models: the baselines of equation 2.

Mask2Former's panoptic inference and EntitySeg's hard assignment are written here from their published
descriptions; transformers' functions are called as they are.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from benchmarks.speed.peers.equations import Size, upsampled

_CLASSES = 19


def panoptic_inference(
    logits: Tensor, validity: Tensor, size: Size, object_score: float = 0.8, overlap: float = 0.8
) -> Tensor:
    """Mask2Former's: masks at full size, arg max among the confident ones, mostly covered ones dropped."""
    masks = upsampled(logits, size).sigmoid()
    kept = torch.nonzero(validity > object_score).flatten()
    masks, kept_validity = masks[kept], validity[kept]
    segments = torch.full(size, -1, dtype=torch.int32)
    if not len(kept):
        return segments
    winners = (masks * kept_validity[:, None, None]).argmax(0)
    for k in range(len(kept)):
        own, full = winners == k, masks[k] >= 0.5
        visible = own & full
        whole = int(full.sum())
        if whole and int(own.sum()) and int(visible.sum()) and int(own.sum()) / whole >= overlap:
            segments[visible] = int(kept[k])
    return segments


def hard_assignment(logits: Tensor, validity: Tensor, size: Size, threshold: float = 0.5) -> Tensor:
    """EntitySeg's: binary masks at full size, painted in ascending score."""
    masks = upsampled(logits.sigmoid(), size) > threshold
    segments = torch.full(size, -1, dtype=torch.int32)
    for n in reversed(torch.argsort(validity, descending=True, stable=True).tolist()):
        segments[masks[n]] = n
    return segments


def transformers_processor() -> Any:
    """Transformers' post-processing of Mask2Former; a variant that works without torchvision.

    Raises:
        ImportError: No version of it can be imported here.
    """
    try:
        from transformers.models.mask2former.image_processing_pil_mask2former import (
            Mask2FormerImageProcessorPil as Processor,
        )
    except ImportError:
        from transformers.models.mask2former.image_processing_mask2former import (
            Mask2FormerImageProcessor as Processor,
        )
    return Processor()


def network_outputs(logits: Tensor, validity: Tensor) -> Any:
    """Outputs as transformers' functions take them: the probability of a query's class is its validity."""
    classes = torch.arange(len(validity)) % _CLASSES
    scores = torch.full((len(validity), _CLASSES + 1), 1e-6)
    scores[torch.arange(len(validity)), classes] = validity
    scores[:, -1] = 1 - validity
    return SimpleNamespace(
        class_queries_logits=scores.clamp(min=1e-6).log()[None], masks_queries_logits=logits[None]
    )
