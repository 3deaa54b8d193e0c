"""The rows of docs/results/anomaly.md: what can be done to a score map with the regions of its image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin import RegionMap, RegionProposals, fuse, hard_assignment, soft_assignment, split_components
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import DEFAULT, NetworkProposals, NetworkRegions, Superpixels
from csl_plugin.proposers.hierarchy.scales import AUTO, Scale

ScoreMap = NDArray[np.float32]
Method = Callable[[ScoreMap], ScoreMap]

EQ3, MEAN, TRUST = "eq. 3", "mean", "trust"
_RULES = {EQ3: "product", MEAN: "mean", TRUST: "trust"}
_SHIPPED = "csl-tiny"  # the network in the default proposer
_BLUR = 6.0
_BLURS = (3.0, 6.0, 12.0, 24.0)
_NETWORK_SCALES = (AUTO, 5, 10, 20)
_SUPERPIXEL_SCALES = (20, 40, 80, 150)


class Row(NamedTuple):
    """The regions, by their `load_proposer` name or in words, and the rule that fuses with them."""

    regions: str
    rule: str


BASE = Row("none", "base")
SINGLE_BLUR = Row("none", f"Gaussian blur, sigma {_BLUR:g}, times score")
SEVERAL_BLURS = Row("none", f"mean of Gaussian blurs, sigma {', '.join(f'{blur:g}' for blur in _BLURS)}")
SUPERPIXELS = ("superpixels:40", "superpixels:150")
TRUE_EQ3, TRUE_MEAN = Row("true regions", EQ3), Row("true regions", MEAN)


def default_source(network: str) -> str:
    """The name of the default proposer, with another bundled network in place of its own."""
    return DEFAULT.replace(_SHIPPED, network)


def own_regions(network: str) -> str:
    """The name of the regions that a bundled network gives by eq. 2 along its boundaries."""
    return f"{network}:{AUTO}"


def methods_of(image: Tensor, true: RegionMap, network: CSLNetwork, name: str) -> dict[Row, Method]:
    """The method of every row for one image; one tree gives the partitions of all scales.

    Args:
        image: (1, 3, H, W), RGB in [0, 1].
        true: The true regions.
        network: A network with a boundary head.
        name: Its name in the rows.
    """
    size = (image.shape[2], image.shape[3])
    cut = dict(_scales("superpixels", Superpixels(), _SUPERPIXEL_SCALES, image))
    cut |= dict(_scales(name, NetworkRegions(network), _NETWORK_SCALES, image))
    (proposals,) = NetworkProposals(network)(image)
    soft = soft_assignment(proposals, size)
    mixed = soft_mixture(proposals, size)
    eq2 = {
        f"{name}, eq. 2": soft,
        f"{name}, eq. 2, split": split_components(soft),
        f"{name}, hard assignment": hard_assignment(proposals, size),
    }
    default, of_network = default_source(name), default_source(name).partition("+")[0]
    two, four = "superpixels:40,150", f"superpixels:{','.join(map(str, _SUPERPIXEL_SCALES))}"
    singles = [*SUPERPIXELS, *(f"{name}:{scale}" for scale in _NETWORK_SCALES)]
    found: dict[Row, Method] = {
        BASE: lambda score: score,
        SINGLE_BLUR: lambda score: cv2.GaussianBlur(score, (0, 0), _BLUR) * score,
        SEVERAL_BLURS: several_blurs,
    }
    for source in (*SUPERPIXELS, own_regions(name), f"{name}:10"):
        found[Row(source, EQ3)] = _fused(cut[source], EQ3)
    for words, regions in eq2.items():
        found[Row(words, EQ3)] = _fused(regions, EQ3)
    found[Row(f"{name}, R x V", "soft mixture")] = mixed
    found[Row(f"{name}, R x V", "soft mixture times score")] = lambda score: mixed(score) * score
    for source in (*singles, two, four, of_network):
        found[Row(source, TRUST)] = _fused(_partitions(source, cut), TRUST)
    for rule in (MEAN, TRUST):
        found[Row(default, rule)] = _fused(_partitions(default, cut), rule)
    return found | {TRUE_EQ3: _fused(true, EQ3), TRUE_MEAN: _fused(true, MEAN)}


def several_blurs(score: ScoreMap) -> ScoreMap:
    """The mean of a map blurred at several scales: the baseline for several partitions."""
    blurred: ScoreMap = np.mean([cv2.GaussianBlur(score, (0, 0), sigma) for sigma in _BLURS], axis=0)
    return blurred


def soft_mixture(proposals: RegionProposals, size: tuple[int, int]) -> Method:
    """Region means by the whole posterior of eq. 2 instead of its arg max.

    With p[n] = r[n] v[n] / sum over m of r[m] v[m] at every pixel, region n has the mean of the scores
    weighted by p[n], and a pixel the mean of these weighted by its p. N x H x W is held in memory.
    """
    scores = F.interpolate(proposals.scores, size, mode="bilinear", align_corners=False)[0].flatten(1)
    joint = scores * proposals.validity[0][:, None]
    posterior = joint / joint.sum(0).clamp(min=torch.finfo(joint.dtype).tiny)

    def mixed(score: ScoreMap) -> ScoreMap:
        sums = posterior @ torch.from_numpy(score).flatten()
        means = sums / posterior.sum(1).clamp(min=torch.finfo(joint.dtype).tiny)
        found: ScoreMap = (means @ posterior).view(score.shape).numpy()
        return found

    return mixed


def _fused(regions: RegionMap | tuple[RegionMap, ...], rule: str) -> Method:
    return partial(_fuse, regions=regions, rule=_RULES[rule])


def _fuse(score: ScoreMap, regions: Any, rule: Any) -> ScoreMap:
    return fuse(score, regions, rule=rule, split=False)


def _scales(name: str, proposer: Any, scales: Sequence[Scale], image: Tensor) -> list[tuple[str, RegionMap]]:
    maps = proposer.at_scales(image, scales)
    return [(f"{name}:{scale}", regions) for scale, regions in zip(scales, maps, strict=True)]


def _partitions(source: str, cut: dict[str, RegionMap]) -> tuple[RegionMap, ...]:
    """The partitions of `load_proposer(source)`, from those that were cut before."""
    named = (part.partition(":") for part in source.split("+"))
    return tuple(cut[f"{kind}:{scale}"] for kind, _, scales in named for scale in scales.split(","))
