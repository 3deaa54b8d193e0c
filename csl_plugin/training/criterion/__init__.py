"""Losses, matching of queries to regions, and targets."""

from csl_plugin.training.criterion.losses import (
    WEIGHTS,
    boundary_loss,
    distillation_loss,
    finer_boundary_loss,
    losses,
)
from csl_plugin.training.criterion.matching import match
from csl_plugin.training.criterion.targets import RegionTargets, boundary_targets, region_targets

__all__ = [
    "WEIGHTS",
    "RegionTargets",
    "boundary_loss",
    "boundary_targets",
    "distillation_loss",
    "finer_boundary_loss",
    "losses",
    "match",
    "region_targets",
]
