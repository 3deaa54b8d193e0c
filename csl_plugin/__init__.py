"""Structure-constrained fusion for any segmentation model (CSL, AAAI 2024).

A per-pixel score decides every pixel alone and comes out noisy. `fuse` combines it with the mean score of the
pixel's region; `load_proposer` gives the regions of an image; `CSLWrapper` does both behind a model.

Example:
    >>> import torch
    >>> from csl_plugin import fuse, load_proposer
    >>> image = torch.rand(1, 3, 48, 64)                 # RGB in [0, 1]
    >>> scores = torch.rand(1, 1, 48, 64)                # any per-pixel scores >= 0
    >>> fuse(scores, load_proposer()(image)).shape
    torch.Size([1, 1, 48, 64])
"""

from csl_plugin._version import __version__ as __version__
from csl_plugin.calibration import Calibration
from csl_plugin.errors import CSLError
from csl_plugin.fusion import fuse, fuse_labels
from csl_plugin.ops.rules import Trust
from csl_plugin.proposers import load_proposer
from csl_plugin.regions.assignment import hard_assignment, soft_assignment
from csl_plugin.regions.components import split_components
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap
from csl_plugin.wrapper import CSLWrapper

__all__ = [
    "CSLError",
    "CSLWrapper",
    "Calibration",
    "RegionMap",
    "RegionProposals",
    "Trust",
    "fuse",
    "fuse_labels",
    "hard_assignment",
    "load_proposer",
    "soft_assignment",
    "split_components",
]


def __dir__() -> list[str]:
    return sorted(__all__)
