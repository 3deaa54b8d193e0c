"""Structure-constrained fusion for any segmentation model (CSL, AAAI 2024)."""

from csl_plugin.errors import CSLError
from csl_plugin.regions import RegionMap, RegionProposals

__version__ = "0.1.0"

__all__ = ["CSLError", "RegionMap", "RegionProposals"]
