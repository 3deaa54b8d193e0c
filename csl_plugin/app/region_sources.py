"""Where the regions come from: the proposers worth trying, each at the same number of steps of fineness."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from csl_plugin.proposers import Proposer, load_proposer
from csl_plugin.proposers.combine import Scales
from csl_plugin.proposers.hierarchy.scales import HierarchicalRegions, Scale, scale_name
from csl_plugin.proposers.on_files import propose_regions
from csl_plugin.regions import RegionMap
from csl_plugin.viz.colors import Picture


@dataclass(frozen=True)
class RegionSource:
    """A proposer, the scale of its coarse partition, and the scales of the fine one, from coarse to fine."""

    proposer: str
    coarse: Scale
    fine: tuple[float, ...]

    def name(self, fineness: int) -> str:
        """What `load_proposer` is called with for the same regions, at a step of fineness from 1 on."""
        return f"{self.proposer}:{scale_name(self.coarse)},{scale_name(self.fine[fineness - 1])}"


_OF_NETWORK = (40.0, 15.0, 5.0, 2.5, 1.0)

SOURCES = {
    "csl-tiny": RegionSource("csl-tiny", "auto", _OF_NETWORK),
    "csl-tiny-strict": RegionSource("csl-tiny-strict", "auto", _OF_NETWORK),
    "csl-tiny-open": RegionSource("csl-tiny-open", "auto", _OF_NETWORK),
    "superpixels": RegionSource("superpixels", 150.0, (80.0, 40.0, 20.0, 10.0, 5.0)),
}
"""The sources by the names of their proposers."""

STEPS = len(_OF_NETWORK)
"""Steps of fineness, 1 to this."""


@dataclass(frozen=True, eq=False)
class Hierarchy:
    """The partitions of one image at all steps of fineness, cut from one tree."""

    maps: tuple[RegionMap, ...]

    def partitions(self, fineness: int) -> tuple[RegionMap, RegionMap]:
        """The coarse partition, and the fine one at a step from 1 on."""
        return self.maps[0], self.maps[fineness]


def all_partitions(source: RegionSource, image: Picture) -> Hierarchy:
    """The partitions of an image, (h, w, 3) uint8 RGB: one pass for all steps of fineness."""
    proposer = Scales(_loaded(source.proposer), (source.coarse, *source.fine))
    return Hierarchy(propose_regions(proposer, image, ""))


@cache
def _loaded(name: str) -> HierarchicalRegions:
    found: Proposer = load_proposer(name)
    assert isinstance(found, HierarchicalRegions)  # noqa: S101 - the built-in ones are
    return found
