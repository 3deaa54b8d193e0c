"""A module with a proposer, and the call of that proposer."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

from csl_plugin.arrays import shown
from csl_plugin.errors import DeviceError
from csl_plugin.fusion import Rule
from csl_plugin.proposers.base import Partition, Proposer, as_partitions
from csl_plugin.proposers.names import source_of

_MISPLACED = re.compile("same device|[Ii]nput type|weight type|device type|expected device")
"""How torch words it where tensors of one call lie on several devices."""


class WithProposer(nn.Module):
    """A module whose proposer is no part of it, also where that is a module.

    So parameters, state_dict, dtype and training flag of the module are those of what it trains and saves,
    and none of its methods changes what regions an image has.
    """

    proposer: Proposer
    rule: Rule

    def extra_repr(self) -> str:
        """The proposer and the rule, as a caller writes them."""
        source = source_of(self.proposer)
        return f"proposer={shown(self.proposer) if source is None else repr(source)}, rule={self.rule!r}"

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "proposer":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)


def propose(proposer: Proposer, images: Tensor) -> tuple[Partition, ...]:
    """The partitions of a batch of images.

    Raises:
        DeviceError: The proposer is a module on another device, and fails.
    """
    try:
        return as_partitions(proposer(images))
    except RuntimeError as error:
        devices = {each.device for each in proposer.parameters()} if isinstance(proposer, nn.Module) else {}
        if not devices or images.device in devices or not _MISPLACED.search(str(error)):
            raise
        got = f"a {type(proposer).__name__} on {', '.join(sorted(map(str, devices)))}"
        hint = f"Move it by itself, proposer.to('{images.device}'): .to() of the module around it does not."
        raise DeviceError("proposer", got, f"one on {images.device}, as the images", hint) from error
