"""From an image file to its region map, by whatever proposer was named."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from csl_plugin.region_map import RegionMap

PROPOSER_HELP = (
    "where the regions come from: `superpixels`, `superpixels:SCALE` for coarser or finer ones, or a folder "
    "of region maps, .png or .npz, one per image stem (default: the best built-in)"
)


def region_folder(proposer: Any) -> Path | None:
    """The folder that a proposer reads region maps from, if it is of that kind."""
    from csl_plugin.proposers.folder import RegionMapFolder

    return proposer.path if isinstance(proposer, RegionMapFolder) else None


def proposer_identity(proposer: Any) -> str:
    """The proposer as a run's settings name it: with its parameters, the same from every working folder."""
    folder = region_folder(proposer)
    return str(folder.resolve()) if folder else repr(proposer)


def propose_regions(proposer: Any, image: NDArray[np.uint8], stem: str) -> RegionMap:
    """The region map of one image, at its size.

    Args:
        proposer: What `load_proposer` gave.
        image: (H, W, 3) uint8 RGB.
        stem: The image's stem, by which a folder of region maps finds its own.
    """
    import torch

    from csl_plugin import RegionProposals, soft_assignment
    from csl_plugin.files import image_batch

    named = {"names": [stem]} if region_folder(proposer) else {}
    with torch.inference_mode():
        regions = proposer(image_batch(image), **named)
        if isinstance(regions, RegionProposals):
            regions = soft_assignment(regions, image.shape[:2])
    return regions  # type: ignore[no-any-return]
