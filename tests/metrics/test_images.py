"""AUROC and average precision of images: scikit-learn's values, states that add up, and what is refused."""

import math
import tracemalloc

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from csl_plugin.errors import FileError, OptionError, ScoreRangeError
from csl_plugin.metrics import IMAGE_METRICS as NAMES
from csl_plugin.metrics import ImageAnomaly, PooledAnomaly, bootstrap_difference


def images(seed=0, count=30):
    draw = np.random.default_rng(seed)
    for _ in range(count):
        labels = np.where(draw.random((5, 7)) < 0.01, 1, 0).astype(np.uint8)
        labels[0] = 255
        scores = (draw.integers(0, 50, (5, 7)) / 8 + labels.clip(max=1)).astype(np.float32)
        yield scores, labels


def measured(frames):
    metric = ImageAnomaly()
    for frame in frames:
        metric.update(*frame)
    return metric


def test_the_values_of_scikit_learn_over_the_largest_scores():
    found = list(images())
    truth = [int((labels == 1).any()) for _, labels in found]
    largest = [scores[1:].max() for scores, _ in found]  # the first row is void
    values = measured(found).compute()
    assert values.image_auroc == pytest.approx(roc_auc_score(truth, largest), abs=1e-12)
    assert values.image_ap == pytest.approx(average_precision_score(truth, largest), abs=1e-12)
    assert (values.num_anomalous, values.num_normal) == (sum(truth), 30 - sum(truth))


def test_the_score_that_a_model_gives_the_image():
    metric = ImageAnomaly()
    metric.update(np.zeros((1, 2)), np.array([[0, 1]]), 0.9)
    metric.update(np.ones((1, 2)), np.array([[0, 0]]), 0.1)
    assert metric.compute().image_auroc == 1.0
    with pytest.raises(ScoreRangeError, match="image_score"):
        metric.update(np.ones((1, 2)), np.array([[0, 0]]), "x")


def test_states_add_up_in_any_order():
    parts = [measured([frame]) for frame in images()]
    one, other = ImageAnomaly(), ImageAnomaly()
    for part in parts:
        one.merge(part)
    for part in reversed(parts):
        other.add_state(part.state())
    assert one.compute() == other.compute() == measured(images()).compute()


def test_images_of_one_kind_and_without_labels():
    metric = ImageAnomaly()
    metric.update(np.zeros((1, 2)), np.full((1, 2), 255))
    metric.update(np.zeros((1, 2)), np.ones((1, 2), int))
    values = metric.compute()
    assert math.isnan(values.image_auroc)
    assert math.isnan(values.image_ap)
    assert (values.num_anomalous, values.num_normal, values.num_frames) == (1, 0, 2)


def test_what_no_metric_held_is_refused():
    state = measured(images()).state()
    for change in ({"score": np.full(30, np.nan)}, {"anomalous": np.full(30, 2)}, {"frames": None}):
        with pytest.raises(FileError):
            ImageAnomaly().add_state({**state, **change})
    with pytest.raises(OptionError):
        ImageAnomaly().merge(PooledAnomaly())
    with pytest.raises(ScoreRangeError, match="nan"):
        ImageAnomaly().update(np.full((1, 1), np.nan), np.zeros((1, 1), int))


def test_bootstrap_agrees_with_drawing_the_images_themselves():
    before, after = list(images(1)), list(images(2))
    after = [(scores, labels) for (scores, _), (_, labels) in zip(after, before, strict=True)]
    sides = before, after
    states = [[measured([frame]).state() for frame in frames] for frames in sides]
    intervals = bootstrap_difference(ImageAnomaly(), *states, draws=40, seed=3, level=0.8)
    changes = []
    for row in np.random.default_rng(3).multinomial(30, [1 / 30] * 30, size=40):
        values = [
            measured([f for f, n in zip(s, row, strict=True) for _ in range(n)]).compute() for s in sides
        ]
        changes.append([getattr(values[1], name) - getattr(values[0], name) for name in NAMES])
    low, high = np.quantile(changes, [0.1, 0.9], axis=0)
    for index, name in enumerate(NAMES):
        assert intervals[name].low == pytest.approx(low[index], abs=1e-9)
        assert intervals[name].high == pytest.approx(high[index], abs=1e-9)


def test_bootstrap_of_many_images_takes_no_memory_of_their_square():
    draw, count = np.random.default_rng(0), 2000
    frames = [(draw.random((1, 2)), np.array([[0, index % 2]])) for index in range(count)]
    states = [measured([frame]).state() for frame in frames]
    tracemalloc.start()
    bootstrap_difference(ImageAnomaly(), states, states, draws=4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * count**2 // 4
