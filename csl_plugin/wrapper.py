"""An unchanged model whose answers are structure-constrained: scheme 2 of the paper as one module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from csl_plugin.adapters import Adapter, recognise
from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError
from csl_plugin.fusion import Rule, fuse
from csl_plugin.proposers import Proposer, load_proposer
from csl_plugin.region_map import RegionMap
from csl_plugin.region_proposals import RegionProposals


class CSLWrapper(nn.Module):
    """A segmentation model with structure-constrained fusion behind it: same call, same type of output.

    The model runs as it is, with no hook and no change to its weights, state_dict or training flag. Its
    distribution D is read from the output, fused with the regions of the input image (eq. 3) and put back in
    the place it came from, at the resolution it came in. What is put back is the fused distribution, also
    where the model gave logits: its arg max is the prediction, and no softmax belongs after it.

    Args:
        model: The model, an `nn.Module` or any callable.
        proposer: A callable from RGB images (B, 3, H, W) in [0, 1] to `RegionProposals` or a `RegionMap`;
            None for `load_proposer()`.
        adapter: How to read and write the output. None recognises logits in a mapping under "out" or
            "logits", for a model that takes RGB in [0, 1]; every other output must be declared with an
            `OutputAdapter` (or any object of the `Adapter` protocol).
        rule: As for `fuse`.
        split: As for `fuse`.

    Raises:
        DTypeError: `model` or `proposer` is not callable, or `adapter` lacks a method of the protocol.
        OutputError: When called: the output, or the images among the arguments, could not be told apart.

    Example:
        >>> import torch
        >>> from csl_plugin import CSLWrapper
        >>> from csl_plugin.adapters import OutputAdapter
        >>> model = torch.nn.Conv2d(3, 5, 3, padding=1)
        >>> segment = CSLWrapper(model, adapter=OutputAdapter("logits"))
        >>> segment(torch.rand(1, 3, 24, 32)).shape
        torch.Size([1, 5, 24, 32])
        >>> segment.eject() is model
        True

    Source:
        Paper, "Proposed Method", scheme 2.
    """

    def __init__(
        self,
        model: nn.Module | Callable[..., Any],
        proposer: Proposer | None = None,
        adapter: Adapter | None = None,
        *,
        rule: Rule = "product",
        split: bool = True,
    ) -> None:
        super().__init__()
        for argument, value in (("model", model), ("proposer", proposer)):
            if not callable(value) and (value is not None or argument == "model"):
                raise DTypeError(
                    argument, describe(value), "a callable", "Pass the model itself, or load_proposer(...)."
                )
        if adapter is not None and not all(hasattr(adapter, name) for name in ("images", "read", "write")):
            raise DTypeError(
                "adapter",
                describe(adapter),
                "an object with images, read and write",
                "Use csl_plugin.adapters.OutputAdapter.",
            )
        self.model = model
        self.proposer = load_proposer() if proposer is None else proposer
        self.adapter = adapter
        self.rule: Rule = rule
        self.split = split
        self.training = getattr(model, "training", False)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the model with these arguments and return its output with the fused distribution in it."""
        output = self.model(*args, **kwargs)
        adapter = recognise(output) if self.adapter is None else self.adapter
        distribution = adapter.read(output)
        with torch.no_grad():
            regions = self.proposer(adapter.images(args, kwargs))
        fused = fuse(distribution, _at_size(regions, distribution), rule=self.rule, split=self.split)
        return adapter.write(output, fused)

    def eject(self) -> nn.Module | Callable[..., Any]:
        """The model, untouched."""
        return self.model


def _at_size(regions: RegionProposals | RegionMap, distribution: Tensor) -> RegionProposals | RegionMap:
    """Regions that fit the distribution: a map is sampled at its pixel centres, proposals fit any size."""
    if isinstance(regions, RegionMap):
        height, width = distribution.shape[-2:]
        return regions.resize((height, width))
    return regions
