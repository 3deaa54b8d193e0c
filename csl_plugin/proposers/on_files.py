"""Proposers in a job over files: the regions of one image, and the proposer's name in the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin.errors import OptionError
from csl_plugin.io.images import image_batch
from csl_plugin.proposers.base import as_partitions
from csl_plugin.proposers.folder import RegionMapFolder
from csl_plugin.regions.assignment import soft_assignment
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap


def region_folder(proposer: Any) -> Path | None:
    """The folder of a proposer that reads region maps; None for other proposers."""
    return proposer.path if isinstance(proposer, RegionMapFolder) else None


def proposer_identity(proposer: Any) -> str:
    """The proposer as the settings of a job record it: its parameters, independent of the working folder."""
    folder = region_folder(proposer)
    return str(folder.resolve()) if folder else repr(proposer)


def one_partition(regions: tuple[RegionMap, ...]) -> RegionMap:
    """The partition of a proposer that gives one.

    Raises:
        OptionError: There are several.
    """
    if len(regions) > 1:
        hint = "Name one, such as csl-tiny or superpixels:40."
        raise OptionError("proposer", f"{len(regions)} partitions", "one", hint)
    return regions[0]


def propose_regions(proposer: Any, image: NDArray[np.uint8], stem: str) -> tuple[RegionMap, ...]:
    """The partitions of one image, at its size.

    Args:
        proposer: A proposer, such as `load_proposer` returns.
        image: (H, W, 3) uint8 RGB.
        stem: The image's stem, by which a folder of region maps finds the map.
    """
    named = {"names": [stem]} if region_folder(proposer) else {}
    with torch.inference_mode():
        found = as_partitions(proposer(image_batch(image), **named))
        size = (image.shape[0], image.shape[1])
        return tuple(
            soft_assignment(regions, size) if isinstance(regions, RegionProposals) else regions
            for regions in found
        )
