"""The rows of docs/results/scheme1.md: both schemes on frames of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from benchmarks.effect.networks.distillation import Student
from benchmarks.effect.page.measured import Measured
from benchmarks.effect.page.pooled import state_of
from csl_plugin import RegionMap, RegionProposals, fuse, load_proposer
from csl_plugin.datasets import Dataset
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.fusion import Rule
from csl_plugin.io import image_batch, read_label_png
from csl_plugin.metrics import PooledAnomaly, SemanticMetric
from csl_plugin.proposers import NetworkProposals, NetworkRegions, Proposer
from examples.ood_scores import ood_scores
from examples.train_segmenter import CLASSES, Segmenter, seen

TEACHER = "teacher"
TINY = "scheme 2: teacher, csl-tiny's regions"
DEFAULT = "scheme 2: teacher, default proposer (two partitions)"
OTHER_REGIONS, OTHER_EQ2 = "scheme 2: teacher, distilled network's regions", "scheme 2: teacher, its eq. 2"
UNFUSED = "distilled network, unfused"
OWN_REGIONS, OWN_EQ2 = "scheme 1: distilled, its own regions", "scheme 1: distilled, its own eq. 2"
RAW, RAW_REGIONS = "raw logits of the distilled network", "the same, its own regions"
ROWS = (TEACHER, TINY, DEFAULT, OTHER_REGIONS, OTHER_EQ2, UNFUSED, OWN_REGIONS, OWN_EQ2)

SCORE = "sml"
_ALL = ("msp", "entropy", "max_logit", "energy", "sml")
_OF_DISTRIBUTION = ("msp", "entropy", "sml")
_OF_LOGITS = ("max_logit", "energy", "sml")
ROWS_OF_SCORE = dict.fromkeys(ROWS, (SCORE,))
ROWS_OF_CLASSES = {
    **{row: _OF_DISTRIBUTION if row in (UNFUSED, OWN_REGIONS, OWN_EQ2) else _ALL for row in ROWS},
    RAW: _OF_LOGITS,
    RAW_REGIONS: _OF_LOGITS,
}
"""The scores of each row, where a score or the distribution of the classes was distilled."""

Regions = RegionMap | RegionProposals


@dataclass(frozen=True)
class Comparison:
    """A teacher and the network distilled from it.

    Attributes:
        teacher: Gives logits at the images' size.
        stored: Its statistics.
        student: The distilled network.
        score: The distilled score; None where the distribution was distilled.
    """

    teacher: Segmenter
    stored: Path
    student: Student
    score: str | None = None


def measure(dataset: Dataset, comparison: Comparison, part: slice, draws: int) -> Measured:
    """Anomaly metrics of all rows, by score."""
    measured = Measured(dict.fromkeys(_ALL, PooledAnomaly), draws)
    for frame in tqdm(dataset.frames[part], desc=dataset.output_name, unit="frame", disable=None):
        label = dataset.read_label(frame)
        for row, scores in _scores(image_batch(dataset.read_image(frame)), comparison).items():
            for name, values in scores.items():
                measured.add(name, row, state_of(values.numpy(), label))
    return measured


def measure_classes(
    dataset: Dataset, labels: Path, comparison: Comparison, part: slice, draws: int
) -> Measured:
    """Metrics of the seen classes, as "classes", by row."""
    fresh = partial(SemanticMetric, len(CLASSES))
    measured = Measured({"classes": fresh}, draws)
    for frame in tqdm(dataset.frames[part], desc="classes", unit="frame", disable=None):
        label = seen(read_label_png(labels / f"{frame.name}.png"))
        for row, fused in _fused(image_batch(dataset.read_image(frame)), comparison).items():
            metric = fresh()
            metric.update(fused.argmax(0), label)
            measured.add("classes", row, metric.state())
    return measured


@torch.inference_mode()
def _scores(image: Tensor, comparison: Comparison) -> dict[str, dict[str, Tensor]]:
    network = comparison.student.network
    computed = ood_scores(comparison.stored)
    wanted = computed if comparison.score is None else {comparison.score: computed[comparison.score]}
    logits = comparison.teacher(image)[0]
    base = {name: score(logits) for name, score in wanted.items()}
    found = {TEACHER: base}
    for row, regions in _regions(image, network).items():
        found[row] = {name: fuse(score, regions, rule=_rule(row)) for name, score in base.items()}
    own = Segmenter(network)(image)[0]
    if comparison.score is not None:
        found[UNFUSED] = {comparison.score: own.sigmoid()[0]}
        for row, segment in _end_to_end(network, None).items():
            found[row] = {comparison.score: segment(image)[0, 0]}
        return found
    of_logits, of_distribution = (
        ood_scores(comparison.student.logits),
        ood_scores(comparison.student.log_probabilities),
    )
    found[UNFUSED] = {name: of_distribution[name](own.log_softmax(0)) for name in _OF_DISTRIBUTION}

    def chosen(distribution: Tensor) -> Tensor:
        return torch.stack([of_distribution[name](distribution[0].log()) for name in _OF_DISTRIBUTION])[None]

    for row, segment in _end_to_end(network, chosen).items():
        found[row] = dict(zip(_OF_DISTRIBUTION, segment(image)[0], strict=True))
    own_regions = NetworkRegions(network)(image)
    found[RAW] = {name: of_logits[name](own) for name in _OF_LOGITS}
    found[RAW_REGIONS] = {
        name: fuse(score, own_regions, rule="product") for name, score in found[RAW].items()
    }
    return found


@torch.inference_mode()
def _fused(image: Tensor, comparison: Comparison) -> dict[str, Tensor]:
    """The distribution (C, H, W) of each row."""
    network = comparison.student.network
    base = comparison.teacher(image)[0].softmax(0)
    found = {TEACHER: base}
    found |= {row: fuse(base, regions, rule=_rule(row)) for row, regions in _regions(image, network).items()}
    found[UNFUSED] = Segmenter(network)(image)[0]
    return found | {row: segment(image)[0] for row, segment in _end_to_end(network, None).items()}


def _rule(row: str) -> Rule:
    """The paper's eq. 3; the default proposer has the default rule."""
    return "adaptive" if row == DEFAULT else "product"


def _regions(image: Tensor, network: Any) -> dict[str, Regions]:
    return {
        TINY: _proposer("csl-tiny")(image),
        DEFAULT: _proposer(None)(image),
        OTHER_REGIONS: NetworkRegions(network)(image),
        OTHER_EQ2: NetworkProposals(network)(image),
    }


@lru_cache
def _proposer(source: str | None) -> Proposer:
    return load_proposer(source)


def _end_to_end(network: Any, score: Callable[[Tensor], Tensor] | None) -> dict[str, EndToEnd]:
    proposers = {OWN_REGIONS: NetworkRegions(network), OWN_EQ2: None}
    return {
        row: EndToEnd(network, score=score, proposer=proposer, rule=_rule(row))
        for row, proposer in proposers.items()
    }
