"""Metrics over the frames of a data set, mergeable across processes.

All metrics have five methods. `update` adds one frame; `state` returns the complete state as plain arrays;
`add_state` and `merge` add another metric; `compute` returns the values. The record of a frame is the state
of a fresh metric after one update. The values of a data set come from the sum of its records, in any order
and from any process.
"""

from csl_plugin.metrics.anomaly_values import ANOMALY_METRICS, AnomalyValues, FprRule, PrecisionRecall
from csl_plugin.metrics.bootstrap import Interval, bootstrap_difference
from csl_plugin.metrics.components import (
    ANOMALY_TRACK,
    COMPONENT_METRICS,
    COMPONENT_SETTINGS,
    OBSTACLE_TRACK,
    ComponentMetric,
    ComponentSettings,
    ComponentValues,
    ObjectCounts,
    ObjectMetric,
)
from csl_plugin.metrics.images import IMAGE_METRICS, ImageAnomaly, ImageValues
from csl_plugin.metrics.instance_ap import InstanceAP, InstanceValues
from csl_plugin.metrics.metric import Metric, State
from csl_plugin.metrics.per_image import PerImageAnomaly
from csl_plugin.metrics.pooled import PooledAnomaly
from csl_plugin.metrics.region_overlap import REGION_OVERLAP_METRICS, RegionOverlap, RegionOverlapValues
from csl_plugin.metrics.region_quality import RegionQuality, RegionQualityValues
from csl_plugin.metrics.region_vote import RegionVoteMetric, majority_vote
from csl_plugin.metrics.reliability import Reliability, ReliabilityValues
from csl_plugin.metrics.semantic import SEMANTIC_METRICS, SemanticMetric, SemanticValues
from csl_plugin.metrics.smiyc import SmiycAnomaly

__all__ = [
    "ANOMALY_METRICS",
    "ANOMALY_TRACK",
    "COMPONENT_METRICS",
    "COMPONENT_SETTINGS",
    "IMAGE_METRICS",
    "OBSTACLE_TRACK",
    "REGION_OVERLAP_METRICS",
    "SEMANTIC_METRICS",
    "AnomalyValues",
    "ComponentMetric",
    "ComponentSettings",
    "ComponentValues",
    "FprRule",
    "ImageAnomaly",
    "ImageValues",
    "InstanceAP",
    "InstanceValues",
    "Interval",
    "Metric",
    "ObjectCounts",
    "ObjectMetric",
    "PerImageAnomaly",
    "PooledAnomaly",
    "PrecisionRecall",
    "RegionOverlap",
    "RegionOverlapValues",
    "RegionQuality",
    "RegionQualityValues",
    "RegionVoteMetric",
    "Reliability",
    "ReliabilityValues",
    "SemanticMetric",
    "SemanticValues",
    "SmiycAnomaly",
    "State",
    "bootstrap_difference",
    "majority_vote",
]
