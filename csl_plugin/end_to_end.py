"""One network for scores and regions: its distribution, fused with its regions; scheme 1 of the paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin.errors import OptionError, ShapeError
from csl_plugin.fusion import Rule, fuse
from csl_plugin.models import CSLNetwork
from csl_plugin.ops import to_probabilities
from csl_plugin.proposers import NetworkProposals, NetworkRegions, Proposer
from csl_plugin.proposers.base import Partition
from csl_plugin.proposers.held import WithProposer, propose
from csl_plugin.proposers.load import as_proposer
from csl_plugin.regions.assignment import soft_assignment
from csl_plugin.regions.components import split_components
from csl_plugin.regions.proposals import RegionProposals

__all__ = ["EndToEnd", "Score"]

Score: TypeAlias = Callable[[Tensor], Tensor]
"""From a distribution (B, C, H, W) in [0, 1] to scores (B, K, H, W) >= 0, higher is more anomalous."""


class EndToEnd(WithProposer):
    """A network distilled from a teacher, then eq. 2 and fusion: no teacher at inference.

    Args:
        network: Trained with `csl_plugin.training.train(..., teacher=...)`.
        score: For out-of-distribution segmentation, the scores of the distribution to fuse, each by itself.
            By default the distribution itself is fused: for classes, or for a network of one class, distilled
            from an anomaly score.
        proposer: Where regions come from, a proposer or its name for `load_proposer`; by default the
            network's own region scores by eq. 2. They come from the same forward pass as the distribution,
            and so do those of `NetworkRegions(network)` with the same network, which have sharper boundaries
            and take longer. It is no part of the module; the network is.
        rule: As for `csl_plugin.fuse`; the paper's eq. 3 is "product".
        split: As for `csl_plugin.fuse`.

    Raises:
        OptionError: The network has no per-pixel distribution.

    Note:
        The distillation compares probabilities, and a softmax loses the level of its logits. Scores of
        probabilities (1 - maximum, entropy, log maximum standardized by class) remain meaningful. The maximal
        logit and the energy (log of the sum of exponentials) do not: of normalized logits the first orders
        pixels as the probability does, and the second is constant. For those, distil the teacher's score
        itself, mapped onto [0, 1], into a network of one class, as the paper does.

    Example:
        >>> import torch
        >>> from csl_plugin.end_to_end import EndToEnd
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> network = CSLNetwork(NetworkConfig(num_queries=8, num_classes=5)).eval()
        >>> anomaly = EndToEnd(network, score=lambda distribution: 1 - distribution.amax(1, keepdim=True))
        >>> with torch.inference_mode():
        ...     EndToEnd(network)(torch.rand(1, 3, 50, 70)).shape
        ...     anomaly(torch.rand(1, 3, 50, 70)).shape
        torch.Size([1, 5, 50, 70])
        torch.Size([1, 1, 50, 70])

    Source:
        Paper, "Proposed Method", scheme 1; "Structure-Constrained Rectification" (C = 1 for OOD).
    """

    def __init__(
        self,
        network: CSLNetwork,
        *,
        score: Score | None = None,
        proposer: Proposer | str | None = None,
        rule: Rule = "adaptive",
        split: bool = True,
    ) -> None:
        super().__init__()
        if not network.config.num_classes:
            hint = "Train one with num_classes and a teacher."
            raise OptionError("network", "a network without classes", "one with a distribution", hint)
        self.network, self.score = network, score
        self.proposer = NetworkProposals(network) if proposer is None else as_proposer(proposer)
        self.rule: Rule = rule
        self.split = split

    def forward(self, images: Tensor) -> Tensor:
        """The fused distribution (B, C, H, W), or the fused scores, of RGB images (B, 3, H, W) in [0, 1].

        Raises:
            ShapeError: The score returned another shape than (B, K, H, W).
        """
        output, proposer = self.network(images), self.proposer
        if isinstance(proposer, (NetworkProposals, NetworkRegions)) and proposer.network is self.network:
            regions: tuple[Partition, ...] = proposer.of_output(images, output)
        else:
            regions = propose(proposer, images)
        size = (images.shape[2], images.shape[3])
        logits, rule, split = output.distribution.float(), self.rule, self.split
        if self.score is None:
            fused: Tensor = fuse(logits, regions, rule=rule, split=split, size=size, logits=True)
            return fused
        maps = [
            soft_assignment(part, size) if isinstance(part, RegionProposals) else part for part in regions
        ]
        maps = [split_components(part) for part in maps] if split else maps
        scores = torch.split(self._scores(self.score, logits, size), 1, dim=1)
        return torch.cat([fuse(one, maps, rule=rule, split=False) for one in scores], 1)

    @staticmethod
    def _scores(score: Score, logits: Tensor, size: tuple[int, int]) -> Tensor:
        upsampled = F.interpolate(logits, size, mode="bilinear", align_corners=False)
        scores = score(to_probabilities(upsampled, 1))
        if scores.ndim != 4 or (len(scores), *scores.shape[2:]) != (len(logits), *size):
            got, expected = f"shape {tuple(scores.shape)}", f"({len(logits)}, K, {size[0]}, {size[1]})"
            raise ShapeError("score", got, expected, "Keep the class axis, as in amax(1, keepdim=True).")
        return scores
