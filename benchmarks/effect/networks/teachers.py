"""Segmenters whose logits are fused: stored in files, or of a network that the example trained."""

from __future__ import annotations

import hashlib
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from benchmarks.effect.networks.distillation import load_teacher


class Teacher(Protocol):
    """Gives the logits of an image, and says what decides them."""

    @property
    def statistics(self) -> Path:
        """The file that `examples.ood_scores` reads."""
        ...

    def __call__(self, image: Tensor, name: str) -> Tensor:
        """Logits (C, h, w), at any resolution, of an image (1, 3, H, W) and its frame's name."""
        ...

    def identity(self, name: str) -> str:
        """Changes when the logits or the statistics of a frame do."""
        ...


class StoredLogits:
    """Logits from FOLDER/<name>.npz.

    Args:
        folder: Of the files.
        statistics: Of the maximal logit on training images.
    """

    def __init__(self, folder: Path, statistics: Path) -> None:
        self.folder, self.statistics = folder, statistics

    def __call__(self, image: Tensor, name: str) -> Tensor:
        """The stored logits; the image is not used."""
        del image
        return torch.from_numpy(np.load(self._path(name), allow_pickle=False)["logits"]).float()

    def identity(self, name: str) -> str:
        """The digests of both files."""
        return f"{digest(self._path(name))} {digest(self.statistics)}"

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


class TrainedLogits:
    """Logits of the segmenter of `examples/train_segmenter.py`, computed for each image.

    Args:
        folder: The example's output folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.statistics = folder, folder / "statistics.json"

    def __call__(self, image: Tensor, name: str) -> Tensor:
        """The network's logits; the name is not used."""
        del name
        with torch.inference_mode():
            found: Tensor = self._model.network(image).distribution[0]
        return found

    def identity(self, name: str) -> str:
        """The digests of the weights and of the statistics."""
        del name
        weights = self.folder / "network" / "model.safetensors"
        return f"{digest(weights)} {digest(self.statistics)}"

    @cached_property
    def _model(self) -> torch.nn.Module:
        return load_teacher(self.folder)


@lru_cache(maxsize=4096)
def digest(path: Path) -> str:
    """The start of a file's sha256, read once in a process."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
