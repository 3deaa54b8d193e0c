"""Where regions come from: superpixels, networks, masks and files.

A proposer is a callable from RGB images (B, 3, H, W) in [0, 1] to their regions. `load_proposer` gives one by
name; the classes here are for more control. They are imported at first use, because torch, scipy, OpenCV and
huggingface_hub take longer to import than the rest of the package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from csl_plugin.proposers.names import BUILT_IN, DEFAULT

if TYPE_CHECKING:
    from csl_plugin.proposers.base import ImageProposer, Proposer
    from csl_plugin.proposers.combine import Scales, Together
    from csl_plugin.proposers.csl_network import NetworkProposals, NetworkRegions
    from csl_plugin.proposers.folder import RegionMapFolder
    from csl_plugin.proposers.images import Images
    from csl_plugin.proposers.load import load_proposer
    from csl_plugin.proposers.masks import regions_from_masks
    from csl_plugin.proposers.superpixels import Superpixels
    from csl_plugin.proposers.transformers.from_model import proposer_from_model

__all__ = [
    "BUILT_IN",
    "DEFAULT",
    "ImageProposer",
    "Images",
    "NetworkProposals",
    "NetworkRegions",
    "Proposer",
    "RegionMapFolder",
    "Scales",
    "Superpixels",
    "Together",
    "load_proposer",
    "proposer_from_model",
    "regions_from_masks",
]

_IMPORTED_AT_FIRST_USE = {
    "ImageProposer": "base",
    "Images": "images",
    "NetworkProposals": "csl_network",
    "NetworkRegions": "csl_network",
    "Proposer": "base",
    "RegionMapFolder": "folder",
    "Scales": "combine",
    "Superpixels": "superpixels",
    "Together": "combine",
    "load_proposer": "load",
    "proposer_from_model": "transformers.from_model",
    "regions_from_masks": "masks",
}


def __getattr__(name: str) -> Any:
    if name not in _IMPORTED_AT_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_IMPORTED_AT_FIRST_USE[name]}")
    value = globals()[name] = getattr(module, name)
    return value


def __dir__() -> list[str]:
    return __all__
