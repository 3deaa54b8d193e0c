"""What labels leave undefined: null in JSON, "not defined" in text, and a warning with the label values."""

import json
import math
import re

import cv2
import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.evaluation import run_benchmark
from csl_plugin.evaluation.result import with_names
from csl_plugin.io import write_png, write_scores
from csl_plugin.metrics import COMPONENT_METRICS, ComponentMetric, ComponentSettings, SmiycAnomaly

SIZE = 40, 56
FIGURE = re.compile(r"\d+\.\d\d(?!\d)")
"""A value in a table of per cent."""


@pytest.fixture
def place(tmp_path):
    """A folder of two images and their scores; `label` writes the labels."""
    rng = np.random.default_rng(0)
    for stem in "ab":
        write_png(tmp_path / "images" / f"{stem}.png", rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8))
        write_scores(tmp_path / "scores" / f"{stem}.npy", rng.random(SIZE).astype(np.float32))
    return tmp_path


def label(place, *values):
    for stem in "ab":
        labels = np.full(SIZE, values[0], np.uint8)
        for row, value in enumerate(values[1:]):
            labels[5 * row : 5 * row + 5] = value
        write_png(place / "labels" / f"{stem}.png", labels)


def benchmark(place, *options, name="folder"):
    words = ["--data", str(place), "--scores", str(place / "scores"), "--out", str(place / "out")]
    return main(["benchmark", name, *words, "--proposer", "superpixels", "--draws", "5", *options])


def numbers(value):
    """All figures of a JSON result."""
    if isinstance(value, dict):
        return [number for inner in value.values() for number in numbers(inner)]
    if isinstance(value, list):
        return [number for inner in value for number in numbers(inner)]
    return [value] if isinstance(value, float) else []


@pytest.mark.parametrize(("values", "held"), [((0,), "0"), ((1,), "1"), ((1, 255), "1, 255"), ((0, 7), "0")])
def test_a_benchmark_without_anomalous_or_normal_pixels(place, capsys, values, held):
    (place / "classes.json").write_text('{"anomaly": [1], "void": [255]}')
    label(place, *values)
    assert benchmark(place, "--json") == 0
    streams = capsys.readouterr()
    facts = json.loads(streams.out)
    assert numbers(facts["figures"]) == []
    assert (facts["curves"], facts["frames"]) == ({}, [])
    (warning,) = facts["warnings"]
    assert warning.startswith(
        "Not defined: AP, AUROC, FPR95, because no pixel is anomalous, or none is normal"
    )
    assert f"The labels hold {held}" in warning
    assert f"warning: {warning}" in streams.err
    assert benchmark(place) == 0
    printed = capsys.readouterr().out
    assert "AP is not defined" in printed
    assert not FIGURE.search(printed)
    for name in ("result.md", "report.html"):
        text = (place / "out" / name).read_text().split("Settings")[0]
        assert "not defined" in text
        assert warning in text
        assert not FIGURE.search(text.split("<body>")[-1])
    stored = json.loads((place / "out" / "result.json").read_text())
    assert stored["figures"] == facts["figures"]


@pytest.mark.parametrize(
    ("values", "table", "words"),
    [
        ((255,), None, ("labels of 255", "Every pixel is void")),
        ((255,), '{"names": ["road", "car"]}', ("labels of 255", "Every pixel is void")),
    ],
)
def test_labels_over_which_nothing_is_defined_are_refused(place, capsys, values, table, words):
    if table:
        (place / "classes.json").write_text(table)
        for stem in "ab":
            write_scores(place / "scores" / f"{stem}.npy", np.full((2, *SIZE), 0.5, np.float32))
    label(place, *values)
    assert benchmark(place, "--json") == 2
    streams = capsys.readouterr()
    for word in words:
        assert word in json.loads(streams.out)["error"]
    assert not (place / "out" / "result.json").exists()


@pytest.mark.parametrize(
    ("table", "way"),
    [
        (None, 'write {"anomaly": [255]} to classes.json'),
        ('{"names": ["road", "car"]}', 'write "ids": {"0": 0, "255": 1} to classes.json'),
    ],
)
def test_masks_of_0_and_255_are_refused_before_anything_is_written(place, capsys, table, way):
    label(place, 0, 255)
    if table:
        (place / "classes.json").write_text(table)
    assert benchmark(place, "--json") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "labels of 0 and 255" in error
    assert way in error
    assert not (place / "out").exists()


def test_the_hint_for_masks_of_0_and_255_is_right(place, capsys):
    label(place, 0, 255)
    assert benchmark(place) == 2
    capsys.readouterr()
    (place / "classes.json").write_text('{"anomaly": [255]}')
    assert benchmark(place, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["warnings"] == []
    assert len(numbers(facts["figures"])) > 8


def test_unseen_classes_that_do_not_occur(place, capsys):
    (place / "classes.json").write_text('{"names": ["road", "car", "cow"], "unseen": [2]}')
    label(place, 0, 1)
    for stem in "ab":
        scores = np.zeros((3, *SIZE), np.float32)
        scores[0], scores[1] = 0.7, 0.3
        write_scores(place / "scores" / f"{stem}.npy", scores)
    assert benchmark(place, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    (warning,) = facts["warnings"]
    assert warning.startswith("Not defined: mIoU(U), hIoU")
    assert "unseen classes: 2). The labels hold 0, 1." in warning
    assert facts["figures"]["semantic"]["csl"]["hiou"] is None


def make_track(tmp_path, labels):
    for number, values in enumerate(labels):
        image = np.random.default_rng(number).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
        name = f"validation{number:04}"
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{name}.jpg"), image)
        write_png(tmp_path / "labels_masks" / f"{name}_labels_semantic.png", values)
        write_scores(tmp_path / "scores" / f"{name}.npy", image[..., 0].astype(np.float32) / 255)


def test_components_without_an_anomalous_pixel(tmp_path, capsys):
    make_track(tmp_path, [np.zeros(SIZE, np.uint8)] * 2)
    assert benchmark(tmp_path, "--json", name="smiyc-anomaly-track") == 0
    assert numbers(json.loads(capsys.readouterr().out)["figures"]) == []
    assert not list((tmp_path / "out").rglob("*.components.npz"))


def test_components_below_the_least_size(tmp_path, capsys):
    labels = np.zeros(SIZE, np.uint8)
    labels[3:6, 3:6] = 1
    make_track(tmp_path, [labels] * 2)
    assert benchmark(tmp_path, "--json", name="smiyc-anomaly-track") == 0
    facts = json.loads(capsys.readouterr().out)
    assert numbers(facts["figures"]["components"]) == []
    assert len(numbers(facts["figures"]["smiyc"]["csl"])) == 3
    (warning,) = facts["warnings"]
    assert "sIoU gt, PPV, mean F1, because no labeled component has 100 pixels or more" in warning


def test_files_beside_the_frames_are_said(place, capsys):
    label(place, 0, 1)
    (place / "images" / "c.gif").touch()
    write_png(place / "labels" / "c.png", np.zeros(SIZE, np.uint8))
    assert benchmark(place, "--json") == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [
        "Files in images that were skipped: 1 .gif.",
        "Labels without an image: 1, such as c.png.",
    ]


def test_reports_hold_names_and_no_absolute_paths(place):
    label(place, 0, 1)
    from csl_plugin.io import write_region_map

    for stem in "ab":
        write_region_map(place / "maps" / f"{stem}.png", np.zeros(SIZE, np.int32))
    run_benchmark(
        "folder", place, place / "out", scores=place / "scores", proposer=str(place / "maps"), draws=5,
        classes=None,
    )  # fmt: skip
    for name in ("result.json", "result.md", "report.html"):
        assert str(place) not in (place / "out" / name).read_text()
    assert with_names({"a": ["/x/y", 1, None], "b": "relative/y"}) == {"a": ["y", 1, None], "b": "relative/y"}


def test_metrics_say_where_they_are_defined():
    metric, scores = SmiycAnomaly(), np.linspace(0, 1, 64).reshape(8, 8)
    metric.update(scores, np.zeros((8, 8), np.uint8))
    values = metric.compute()
    assert values.fpr95 == 0.0, "as the official tool"
    defined = values.where_defined()
    assert all(math.isnan(getattr(defined, name)) for name in ("ap", "auroc", "fpr95"))
    metric.update(scores, np.ones((8, 8), np.uint8))
    assert metric.compute().where_defined() == metric.compute()
    components = ComponentMetric(ComponentSettings(1, 1), 0.5)
    components.update(np.ones((8, 8)), np.zeros((8, 8), np.uint8))
    assert components.compute().mean_f1 == 0.0, "as the official tool"
    assert all(math.isnan(getattr(components.compute().where_defined(), name)) for name in COMPONENT_METRICS)
