"""How far the scores of a benchmark are probabilities, before and after fusion."""

from __future__ import annotations

from collections.abc import Mapping

from csl_plugin.evaluation.frames import FrameFusion
from csl_plugin.evaluation.result import ReliabilityCurve
from csl_plugin.metrics import PooledAnomaly, Reliability

_AT_ONCE = 1 << 20  # scores


def reliability_curves(
    metrics: Mapping[str, PooledAnomaly], fusion: FrameFusion
) -> dict[str, ReliabilityCurve]:
    """The curve of each side; none where the scores are no probabilities.

    The pooled metric holds every score, so no frame is read again.

    Args:
        metrics: Over all frames, by side.
        fusion: How they were made.
    """
    if fusion.scale != "probability":
        return {}
    return {side: _curve(side, metric, fusion) for side, metric in metrics.items()}


def _curve(side: str, metric: PooledAnomaly, fusion: FrameFusion) -> ReliabilityCurve:
    found = Reliability()
    for anomalous, parts in zip((True, False), metric.sides(), strict=True):
        for part in parts:
            for block in part.blocks(_AT_ONCE):
                found.add(fusion.probability(side, block.values), anomalous, block.counts)
    values = found.compute()
    return ReliabilityCurve(
        values.ece,
        tuple(values.score.tolist()),
        tuple(values.frequency.tolist()),
        tuple(values.pixels.tolist()),
    )
