"""Structure-constrained fusion: `fuse`, `fuse_labels`, and the rules."""

from csl_plugin.fusion._fuse import fuse, fuse_labels
from csl_plugin.fusion.region_argument import Regions
from csl_plugin.fusion.rules import Rule

__all__ = ["Regions", "Rule", "fuse", "fuse_labels"]
