"""Where regions come from: anything that turns images into region proposals or a region map."""

from csl_plugin.proposers.load import BUILT_IN, DEFAULT, Proposer, load_proposer
from csl_plugin.proposers.masks import regions_from_masks
from csl_plugin.proposers.transformers.from_model import proposer_from_model

__all__ = ["BUILT_IN", "DEFAULT", "Proposer", "load_proposer", "proposer_from_model", "regions_from_masks"]
