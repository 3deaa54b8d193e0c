"""Metrics: numbers from arrays, streaming over frames and mergeable across processes.

All metrics share five verbs. `update` takes one frame; `state` gives plain arrays that hold all of it,
`add_state` and `merge` add what another metric held; `compute` gives the figures. The record of a frame is
the state of a fresh metric updated once, and a data set's figures come from the sum of its records, in any
order and from any process.
"""

from csl_plugin.metrics.anomaly_values import AnomalyFigures, PrecisionRecall
from csl_plugin.metrics.bootstrap import Interval, bootstrap_difference
from csl_plugin.metrics.components import (
    ANOMALY_TRACK,
    COMPONENT_SETTINGS,
    OBSTACLE_TRACK,
    ComponentFigures,
    ComponentMetric,
    ComponentSettings,
)
from csl_plugin.metrics.metric import Metric, State
from csl_plugin.metrics.per_image import PerImageAnomaly
from csl_plugin.metrics.pooled import PooledAnomaly
from csl_plugin.metrics.region_quality import RegionQuality, RegionQualityFigures
from csl_plugin.metrics.region_vote import RegionVoteMetric
from csl_plugin.metrics.semantic import SemanticFigures, SemanticMetric
from csl_plugin.metrics.smiyc import SmiycAnomaly

__all__ = [
    "ANOMALY_TRACK",
    "COMPONENT_SETTINGS",
    "OBSTACLE_TRACK",
    "AnomalyFigures",
    "ComponentFigures",
    "ComponentMetric",
    "ComponentSettings",
    "Interval",
    "Metric",
    "PerImageAnomaly",
    "PooledAnomaly",
    "PrecisionRecall",
    "RegionQuality",
    "RegionQualityFigures",
    "RegionVoteMetric",
    "SemanticFigures",
    "SemanticMetric",
    "SmiycAnomaly",
    "State",
    "bootstrap_difference",
]
