"""Found objects and calibration error of a benchmark: those of the maps that `fuse` takes and gives."""

import numpy as np
import pytest
import torch

from csl_plugin import Calibration, fuse
from csl_plugin.evaluation.undefined import NO_PROBABILITIES
from csl_plugin.io import image_batch, read_image, read_scores, write_scores
from csl_plugin.metrics import (
    COMPONENT_SETTINGS,
    ComponentMetric,
    ObjectCounts,
    PooledAnomaly,
    Reliability,
    SmiycAnomaly,
)
from csl_plugin.proposers import load_proposer
from tests.helpers.tracks import FRAMES, make_frame, make_place, run


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


def rewrite(place, change):
    """Other scores of the same frames."""
    for seed in range(FRAMES):
        write_scores(place / "scores" / f"validation{seed:04}.npy", change(make_frame(seed)[2]))


def expected(place, scores_of, **options):
    """The calibration of each side, from maps on the scale of D."""
    found = {"base": Reliability(), "csl": Reliability()}
    proposer = load_proposer()
    for seed in range(FRAMES):
        image, label, score = make_frame(seed)
        image = read_image(place / "data" / "images" / f"validation{seed:04}.jpg")
        given = scores_of(score).astype(np.float64)
        fused = fuse(given, proposer(image_batch(image)), **options)
        base = torch.as_tensor(given).sigmoid().numpy() if options.get("logits") else given
        for side, prediction in (("base", base), ("csl", np.clip(fused, 0, 1))):
            found[side].update(prediction, label)
    return {side: metric.compute() for side, metric in found.items()}


def check(result, values):
    assert set(result.reliability) == {"base", "csl"}
    for side, wanted in values.items():
        curve = result.reliability[side]
        # Fused maps are stored in half precision, so pixels at the edge of a bin may be in the next one.
        tolerance = 1e-9 if side == "base" else 1e-3
        assert curve.ece == pytest.approx(wanted.ece, abs=tolerance)
        np.testing.assert_allclose(curve.pixels, wanted.pixels, atol=0 if side == "base" else 60)
        assert sum(curve.pixels) == wanted.pixels.sum()
    assert NO_PROBABILITIES not in result.warnings


@pytest.mark.parametrize("rule", ["adaptive", "product"])
def test_probabilities_are_those_of_the_maps(place, rule):
    check(run(place, rule=rule), expected(place, lambda score: score, rule=rule))


def test_logits_are_measured_as_probabilities(place):
    rewrite(place, lambda score: 6 * score - 3)
    check(run(place, kind="logits"), expected(place, lambda score: 6 * score - 3, logits=True))


def test_calibrated_scores_are_measured_after_the_calibration(place):
    calibration = Calibration.sigmoid(-2.0, -0.5)  # low scores are anomalous
    calibration.save(place / "calibration.json")
    rewrite(place, lambda score: -5 * score)
    result = run(place, calibration=place / "calibration.json")
    check(result, expected(place, lambda score: calibration((-5 * score).astype(np.float64))))


def test_raw_scores_have_no_calibration_error_and_it_is_said(place):
    rewrite(place, lambda score: 5 * score)
    result = run(place, kind="raw")
    assert result.reliability == {}
    assert NO_PROBABILITIES in result.warnings
    assert NO_PROBABILITIES in (place / "out" / "report.html").read_text()


def test_objects_are_counted_at_the_threshold_of_each_side(place):
    result = run(place)
    scores = {"base": [make_frame(seed)[2] for seed in range(FRAMES)]}
    scores["csl"] = [read_scores(file) for file in sorted((place / "out" / "scores").rglob("validation*.*"))]
    assert set(result.objects) == set(scores)
    for side, maps in scores.items():
        frames = [(each, make_frame(seed)[1]) for seed, each in enumerate(maps)]
        pixels = SmiycAnomaly()
        for frame in frames:
            pixels.update(*frame)
        components = ComponentMetric(COMPONENT_SETTINGS["anomaly"], pixels.compute().best_f1_threshold)
        for frame in frames:
            components.update(*frame)
        values = components.compute()
        assert result.objects[side] == ObjectCounts(values.tp[5], values.fn[5], values.fp[5])
        assert values.num_truth == FRAMES


def test_the_pooled_metric_gives_its_scores(tmp_path):
    metric, frames = PooledAnomaly(memory=1 << 20, folder=tmp_path), []
    for seed, dtype in enumerate((np.float32, np.float16, np.float64, np.float16)):
        _, label, score = make_frame(seed, (400, 500))
        frames.append((score.astype(dtype), label))
        metric.update(*frames[-1])
    for kind, parts in zip((1, 0), metric.sides(), strict=True):
        wanted = np.sort(
            np.concatenate([scores[label == kind].astype(np.float64) for scores, label in frames])
        )
        found = [
            np.repeat(block.values.astype(np.float64), 1 if block.counts is None else block.counts)
            for part in parts
            for block in part.blocks(1000)
        ]
        np.testing.assert_array_equal(np.sort(np.concatenate(found)), wanted)
