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

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from csl_plugin._version import __version__ as __version__

if TYPE_CHECKING:
    from csl_plugin.calibration import Calibration
    from csl_plugin.errors import CSLError
    from csl_plugin.fusion import fuse, fuse_labels
    from csl_plugin.objects import Objects, Threshold, find_objects
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
    "Objects",
    "RegionMap",
    "RegionProposals",
    "Threshold",
    "find_objects",
    "fuse",
    "fuse_labels",
    "hard_assignment",
    "load_proposer",
    "soft_assignment",
    "split_components",
]

_PLACES = {
    "CSLError": "errors",
    "CSLWrapper": "wrapper",
    "Calibration": "calibration",
    "Objects": "objects",
    "RegionMap": "regions",
    "RegionProposals": "regions",
    "Threshold": "objects",
    "find_objects": "objects",
    "fuse": "fusion",
    "fuse_labels": "fusion",
    "hard_assignment": "regions",
    "load_proposer": "proposers",
    "soft_assignment": "regions",
    "split_components": "regions",
}


def __getattr__(name: str) -> Any:
    # Importing torch takes seconds; the command line must answer --help and Ctrl-C before that.
    if name in _PLACES:
        value = getattr(importlib.import_module(f"csl_plugin.{_PLACES[name]}"), name)
        globals()[name] = value
        return value
    if not name.startswith("_") and importlib.util.find_spec(f"csl_plugin.{name}") is not None:
        return importlib.import_module(f"csl_plugin.{name}")
    raise AttributeError(f"module 'csl_plugin' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
