"""Regions: proposals, maps, and the steps from one to the other."""

from csl_plugin.regions.assignment import hard_assignment, soft_assignment
from csl_plugin.regions.components import split_components
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap

__all__ = ["RegionMap", "RegionProposals", "hard_assignment", "soft_assignment", "split_components"]
