"""What official tools read: float16 maps that keep the order, and files in their exact layout."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from csl_plugin.datasets.cityscapes import label_ids
from csl_plugin.evaluation.formats import (
    anomaly_path,
    from_float16,
    read_classes,
    to_float16,
    write_anomaly,
    write_classes,
    write_predictions,
)
from csl_plugin.evaluation.records import file_stem
from csl_plugin.io import read_run_lengths, read_scores
from csl_plugin.io.images import read_gray_png

RNG = np.random.default_rng
PIXELS = 200_000


def logits_of(spread, center, shift, seed=0):
    """Labels, and log-odds of which the anomalous ones are `shift` higher."""
    rng = RNG(seed)
    labels = rng.random(PIXELS) < 0.02
    return labels, rng.normal(center, spread, PIXELS) + shift * labels


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


PEAKY = {
    "ordinary": (2, -3, 3),
    "saturated close to 1": (1.5, 9, 2),
    "tiny, as after the product": (2.5, -14, 4),
    "squeezed into a narrow band near 1": (0.2, 8, 0.3),
    "squeezed into a narrow band near 0": (0.2, -10, 0.3),
    "both ends": (7, 0, 6),
}


@pytest.mark.parametrize(("spread", "center", "shift"), PEAKY.values(), ids=PEAKY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_float16_costs_under_a_thousandth_of_ap(spread, center, shift, dtype):
    labels, logits = logits_of(spread, center, shift)
    scores = sigmoid(logits).astype(dtype)
    stored = to_float16(scores[None], "probability")[0]
    before = average_precision_score(labels, scores)
    assert abs(average_precision_score(labels, stored.astype(np.float64)) - before) < 1e-3


def test_a_plain_cast_would_cost_more():
    labels, logits = logits_of(1.5, 9, 2)
    scores = sigmoid(logits)
    before = average_precision_score(labels, scores)
    assert abs(average_precision_score(labels, scores.astype(np.float16).astype(np.float64)) - before) > 0.05


@pytest.mark.parametrize("scale", [1e-6, 1.0, 3e4])
def test_unbounded_scores_too(scale):
    labels, logits = logits_of(1, 0, 2)
    scores = np.exp(logits) * scale
    stored = to_float16(scores[None], "unbounded")[0]
    before = average_precision_score(labels, scores)
    assert abs(average_precision_score(labels, stored.astype(np.float64)) - before) < 1e-3


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30))
def test_the_map_keeps_the_order_and_stays_finite(values):
    values = np.sort(np.array(values))
    stored = to_float16(values[None], "probability")[0]
    assert np.isfinite(stored).all()
    assert (np.diff(stored.astype(np.float64)) >= 0).all()
    assert np.isfinite(np.float16(stored.max() - stored.min()) * np.float16(1.01))  # what bin edges need


@given(hnp.arrays(np.float64, (3, 4), elements=st.floats(1e-8, 1 - 1e-8)))
def test_the_map_is_undone(values):
    again = from_float16(to_float16(values, "probability"), "probability").astype(np.float64)
    assert np.allclose(again, values, rtol=3e-3, atol=1e-6)


def test_smiyc_tree(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = anomaly_path(tmp_path, "My method/2", "AnomalyTrack-all", "validation0000", fishyscapes=False)
    assert path == tmp_path / "scores" / "My method%2F2" / "AnomalyTrack-all" / "validation0000.hdf5"
    stored = to_float16(RNG(0).random((5, 7)), "probability")
    write_anomaly(path, stored, fishyscapes=False)
    with h5py.File(path) as file:
        assert list(file) == ["value"]
        dataset = file["value"]
        assert (dataset.dtype, dataset.shape, dataset.compression, dataset.compression_opts) == (
            np.float16,
            (5, 7),
            "gzip",
            9,
        )
        assert not dict(dataset.attrs)
        assert (dataset[...] == stored).all()


def test_without_h5py_it_is_npy(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    path = anomaly_path(tmp_path, "m", "AnomalyTrack-all", "a", fishyscapes=False)
    assert path.name == "a.npy"
    write_anomaly(path, np.zeros((2, 3), np.float16), fishyscapes=False)
    assert read_scores(path).dtype == np.float16


def test_fishyscapes_npy(tmp_path):
    path = anomaly_path(tmp_path, "m", "FS", "0001_04_Maurener_Weg_8_000000_000030", fishyscapes=True)
    stored = to_float16(RNG(0).random((5, 7)), "probability")
    write_anomaly(path, stored, fishyscapes=True)
    assert path.name == "0001_04_Maurener_Weg_8_000000_000030_anomaly.npy"
    assert (read_scores(path) == stored).all()
    assert read_scores(path).dtype == np.float32


def test_cityscapes_pngs_hold_label_ids(tmp_path):
    classes = np.array([[0, 18, 10], [255, 13, 5]], np.uint8)
    write_classes(tmp_path / "a.png", classes, label_ids())
    assert read_gray_png(tmp_path / "a.png").tolist() == [[7, 33, 23], [0, 26, 17]]
    assert (read_classes(tmp_path / "a.png", label_ids()) == classes).all()


def test_other_pngs_hold_class_indices(tmp_path):
    classes = np.array([[0, 170], [255, 3]], np.uint8)
    write_classes(tmp_path / "a.png", classes)
    assert (read_classes(tmp_path / "a.png") == classes).all()


def test_detectron2_predictions(tmp_path):
    classes = np.array([[0, 0, 2], [255, 2, 2]], np.uint8)
    frames = [("a.jpg", classes), ('b "quoted".jpg', np.full((2, 2), 1, np.uint8))]
    write_predictions(tmp_path / "p.json", iter(frames), [1, 2, 28])
    entries = json.loads((tmp_path / "p.json").read_text())
    assert [(entry["file_name"], entry["category_id"]) for entry in entries] == [
        ("a.jpg", 1),
        ("a.jpg", 28),
        ('b "quoted".jpg', 2),
    ]
    size, lengths = read_run_lengths(entries[1]["segmentation"])
    inside = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size, order="F")
    assert (inside == (classes == 2)).all()


def test_no_prediction_at_all_is_still_json(tmp_path):
    write_predictions(tmp_path / "p.json", [], [])
    assert json.loads((tmp_path / "p.json").read_text()) == []


@given(st.text(min_size=1, max_size=40))
def test_a_frame_name_is_one_file_name(name):
    stem = file_stem(name)
    assert "/" not in stem
    assert "\0" not in stem
    assert not stem.startswith(".")
