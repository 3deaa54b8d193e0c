"""Where the network of a proposer computes: where it is, or on the device of the images."""

from __future__ import annotations

import copy
from threading import Lock
from typing import Any, Self

import torch
from torch import Tensor, nn

_MAKING = Lock()


class FollowsImages:
    """A proposer of a network.

    The network computes where it is, and images are carried to it. After `follow_images` it computes on the
    device of the images: each device has a copy, which the first call there makes.
    """

    loaded_as: str | None = None
    """The source that `load_proposer` made it from, without scales, if that says all."""

    _copies: dict[torch.device, Self] | None = None

    @property
    def source(self) -> str | None:
        """What `load_proposer` takes to give this proposer; None if that is not known."""
        return self.loaded_as

    def follow_images(self) -> Self:
        """Compute on the device of the images from now on; returns itself.

        Call it again after a change of the network: copies do not follow one.

        Example:
            >>> import torch
            >>> from csl_plugin.models import CSLNetwork, NetworkConfig
            >>> from csl_plugin.proposers import NetworkProposals
            >>> proposer = NetworkProposals(CSLNetwork(NetworkConfig(num_queries=8)).eval())
            >>> proposer.near(torch.zeros(1, device="meta")) is proposer
            True
            >>> there = proposer.follow_images().near(torch.zeros(1, device="meta"))
            >>> next(there.network.parameters()).device, next(proposer.network.parameters()).device
            (device(type='meta'), device(type='cpu'))
        """
        self._copies = {}
        return self

    def near(self, images: Tensor) -> Self:
        """The proposer for images on this device: itself, or its copy there."""
        device = images.device
        if self._copies is None or device in _devices(self):
            return self
        with _MAKING:  # one copy, whatever thread comes first
            if device not in self._copies:
                self._copies[device] = self._on(device)
            return self._copies[device]

    def _on(self, device: torch.device) -> Self:
        there = copy.copy(self)
        with torch.inference_mode(False):  # parameters made within it could not be moved again
            for name, network in _networks(self).items():
                setattr(there, name, copy.deepcopy(network).to(device))
        return there

    def __getstate__(self) -> dict[str, Any]:
        # A copy, or what another process gets, makes its own on the devices that it meets.
        return {**vars(self), "_copies": None if self._copies is None else {}}


def _networks(proposer: object) -> dict[str, nn.Module]:
    return {name: value for name, value in vars(proposer).items() if isinstance(value, nn.Module)}


def _devices(proposer: object) -> set[torch.device]:
    return {next(network.parameters()).device for network in _networks(proposer).values()}
