"""A drawn street as the teacher sees it, its regions, and the fused score."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from csl_plugin import RegionMap, RegionProposals, fuse, load_proposer
from csl_plugin.adapters import preset
from csl_plugin.demo import Street, draw_street, load_teacher
from csl_plugin.io import image_batch
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import NetworkProposals
from csl_plugin.proposers.bundled import bundled_folder
from csl_plugin.viz.colors import Picture


@dataclass(frozen=True, eq=False)
class Scene:
    """A street, and what is computed from it.

    Attributes:
        street: The image, its classes and the unseen thing.
        logits: Of the teacher, (1, C, H, W).
    """

    street: Street
    logits: Tensor

    def score(self) -> Any:
        """The entropy of the teacher's classes, (H, W) in [0, 1]."""
        return preset("entropy", item="out").read({"out": self.logits})[0, 0].numpy()

    def raw_score(self) -> Any:
        """Minus the largest logit, (H, W): higher where the teacher is less sure, on no fixed scale."""
        return -self.logits.amax(1)[0].numpy()


@cache
def scene(seed: int, *, unseen: bool = True) -> Scene:
    """A street of 384 x 640 pixels with the teacher's logits."""
    street = draw_street(seed, unseen=unseen)
    return Scene(street, logits_of(street.image))


def logits_of(image: Picture) -> Tensor:
    """The teacher's logits of an image, (1, C, H, W)."""
    with torch.inference_mode():
        logits: Tensor = load_teacher()(image_batch(image))["out"]
    return logits.clone()


def partitions(image: Picture, proposer: str | None = None) -> tuple[RegionMap, ...]:
    """The partitions of an image by a proposer, the default one by default."""
    several: Any = load_proposer(proposer)(image_batch(image))
    return tuple(several)


@cache
def network() -> CSLNetwork:
    """The bundled network of the default proposer."""
    return CSLNetwork.from_pretrained(bundled_folder("csl-tiny")).eval()


def proposals(image: Picture) -> RegionProposals:
    """R and V of the bundled network."""
    (found,) = NetworkProposals(network())(image_batch(image))
    return found


def fused(score: Any, regions: Any, rule: Any = "adaptive") -> np.ndarray[Any, Any]:
    """The score fused with regions, (H, W) float32."""
    return np.asarray(fuse(np.asarray(score, np.float32), regions, rule=rule))
