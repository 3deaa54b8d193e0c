"""Proposers in a job over files: the regions of one image, and the files that they are read from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin.errors import OptionError
from csl_plugin.io.images import image_batch
from csl_plugin.proposers.base import as_partitions
from csl_plugin.proposers.combine import Scales, Together, call_by_name
from csl_plugin.proposers.folder import RegionMapFolder
from csl_plugin.regions.assignment import soft_assignment
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap


def region_folders(proposer: Any) -> list[RegionMapFolder]:
    """The proposers among `proposer` that read region maps."""
    if isinstance(proposer, Together):
        return [folder for each in proposer.proposers for folder in region_folders(each)]
    return [proposer] if isinstance(proposer, RegionMapFolder) else []


def region_places(proposer: Any) -> dict[str, list[str]]:
    """The full paths of these folders, as a job's settings name them; nothing if there is none."""
    places = [str(folder.path.resolve()) for folder in region_folders(proposer)]
    return {"regions": places} if places else {}


def region_files(proposer: Any, stem: str) -> list[Path]:
    """The region maps that a proposer reads for one image."""
    return [folder.files[stem] for folder in region_folders(proposer) if stem in folder.files]


def one_partition(regions: tuple[RegionMap, ...]) -> RegionMap:
    """The partition of a proposer that gives one.

    Raises:
        OptionError: There are several.
    """
    _check_one(len(regions))
    return regions[0]


def refuse_several(proposer: Any) -> None:
    """Refuse a proposer that is known to give several partitions, before it is called.

    Raises:
        OptionError: It gives several.
    """
    if isinstance(proposer, Scales):
        _check_one(len(proposer.scales))
    elif isinstance(proposer, Together):
        _check_one(len(proposer.proposers))


def _check_one(count: int) -> None:
    if count > 1:
        hint = "Name one, such as csl-tiny or superpixels:40."
        raise OptionError("proposer", f"{count} partitions", "one", hint)


def propose_regions(proposer: Any, image: NDArray[np.uint8], stem: str) -> tuple[RegionMap, ...]:
    """The partitions of one image, at its size.

    Args:
        proposer: A proposer, such as `load_proposer` returns.
        image: (H, W, 3) uint8 RGB.
        stem: The image's stem, by which a folder of region maps finds the map.
    """
    with torch.inference_mode():
        found = as_partitions(call_by_name(proposer, image_batch(image), [stem]))
        size = (image.shape[0], image.shape[1])
        return tuple(
            soft_assignment(regions, size) if isinstance(regions, RegionProposals) else regions
            for regions in found
        )
