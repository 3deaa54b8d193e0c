"""One network for both: its own distribution, fused with its own regions; scheme 1 of the paper."""

from __future__ import annotations

from torch import Tensor, nn

from csl_plugin.errors import OptionError
from csl_plugin.fusion import Rule, fuse
from csl_plugin.models import CSLNetwork
from csl_plugin.region_proposals import RegionProposals


class EndToEnd(nn.Module):
    """A network that was distilled from a teacher, and eqs. 2 and 3 behind it: no teacher at inference.

    Args:
        network: Trained with `csl_plugin.training.train(..., teacher=...)`.
        rule: As for `csl_plugin.fuse`.
        split: As for `csl_plugin.fuse`.

    Raises:
        OptionError: The network has no per-pixel distribution.

    Example:
        >>> import torch
        >>> from csl_plugin.end_to_end import EndToEnd
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> segment = EndToEnd(CSLNetwork(NetworkConfig(num_queries=8, num_classes=5))).eval()
        >>> with torch.inference_mode():
        ...     segment(torch.rand(1, 3, 50, 70)).shape
        torch.Size([1, 5, 50, 70])

    Source:
        Paper, "Proposed Method", scheme 1.
    """

    def __init__(self, network: CSLNetwork, *, rule: Rule = "product", split: bool = True) -> None:
        super().__init__()
        if not network.config.num_classes:
            mend = "Train one with num_classes and a teacher."
            raise OptionError("network", "a network without classes", "one with a distribution", mend)
        self.network, self.rule, self.split = network, rule, split

    def forward(self, images: Tensor) -> Tensor:
        """The fused distribution (B, C, H, W) of RGB images (B, 3, H, W) in [0, 1]."""
        output = self.network(images)
        last = output.regions[-1]
        regions = RegionProposals.from_logits(last.mask_logits.float(), last.validity_logits.float())
        fused: Tensor = fuse(
            output.distribution.float(),
            regions,
            rule=self.rule,
            split=self.split,
            size=(images.shape[2], images.shape[3]),
            interpolate="logits",
        )
        return fused
