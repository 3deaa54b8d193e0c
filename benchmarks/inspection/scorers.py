"""The models whose maps are fused: a memory of patches, and anomalib's PatchCore and PaDiM where it is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor

from benchmarks.inspection.patches import PatchMemory
from csl_plugin.adapters import ImageInput
from csl_plugin.adapters.presets.preset import IMAGENET

Score: TypeAlias = Callable[[Tensor], Tensor]
"""From pictures (B, 3, H, W) in [0, 1] to anomaly maps (B, 1, H, W) >= 0."""

OWN, PATCHCORE, PADIM = "patch memory", "anomalib's PatchCore", "anomalib's PaDiM"
_PADIM_FEATURES = 40


def scorers(seed: int, train: Sequence[Tensor]) -> dict[str, Score]:
    """The models, fitted to pictures (3, H, W) without defects; their backbones have random weights."""
    memory = PatchMemory(seed)
    memory.fit(train)
    found: dict[str, Score] = {OWN: memory}
    if importlib.util.find_spec("anomalib"):
        pictures = torch.stack(list(train))
        found[PATCHCORE] = _fitted(_patchcore(seed), pictures, lambda model: model.subsample_embedding(0.1))
        found[PADIM] = _fitted(_padim(seed), pictures, lambda model: model.fit())
    return found


def _patchcore(seed: int) -> Any:
    from anomalib.models.image.patchcore.torch_model import PatchcoreModel

    torch.manual_seed(seed)
    return PatchcoreModel(layers=["layer2"], backbone="resnet18", pre_trained=False)


def _padim(seed: int) -> Any:
    from anomalib.models.image.padim.torch_model import PadimModel

    torch.manual_seed(seed)
    layers = ["layer1", "layer2"]
    return PadimModel("resnet18", layers, pre_trained=False, n_features=_PADIM_FEATURES)


def _fitted(model: Any, pictures: Tensor, fit: Callable[[Any], None]) -> Score:
    model.train()
    model(_normalized(pictures, IMAGENET))
    fit(model)
    model.eval()
    return lambda given: model(_normalized(given, IMAGENET)).anomaly_map


def _normalized(pictures: Tensor, known: ImageInput) -> Tensor:
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (known.mean, known.std))
    return (pictures - mean) / std
