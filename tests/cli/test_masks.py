"""Masks of 0 and 255 where labels are read: refused by name before any work, or taken by --anomalous 255."""

import json

import numpy as np
import pytest

from csl_plugin import Threshold
from csl_plugin.cli import main
from csl_plugin.io import write_png, write_scores

SIZE = 36, 48
COMMANDS = {
    "anomaly": ("eval", "anomaly", "scores", "{}", "--components", "obstacle"),
    "objects": ("eval", "objects", "found/coco.json", "{}"),
    "f1": ("threshold", "fit", "images", "scores", "t.json", "--f1", "--labels", "{}"),
    "recall": ("threshold", "fit", "images", "scores", "t.json", "--recall", "0.9", "--labels", "{}"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Images, scores, objects, and labels of 0 and 1, of 0 and 255, and of 0, 2 and 255."""
    folder, rng = tmp_path_factory.mktemp("masks"), np.random.default_rng(0)
    for number, stem in enumerate("ab"):
        truth = np.zeros(SIZE, np.uint8)
        truth[8:26, 10 + number : 30] = 1
        write_png(folder / "images" / f"{stem}.png", rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8))
        scores = (rng.random(SIZE) / 2 + truth / 4).astype(np.float32)
        write_scores(folder / "scores" / f"{stem}.npy", scores)
        for name, anomalous in {"labels": 1, "masks": 255, "twos": 2}.items():
            write_png(folder / name / f"{stem}.png", truth * np.uint8(anomalous))
    words = [str(folder / name) for name in ("images", "scores", "found")]
    assert main(["objects", *words, "--threshold", "0.4", "--proposer", "superpixels"]) == 0
    return folder


def run(command, labels, *options):
    words = [word.format(labels) for word in COMMANDS[command]]
    proposer = ["--proposer", "superpixels"] if words[0] == "threshold" else []
    return main([*words, *proposer, *options, "--json"])


def values(capsys):
    facts = json.loads(capsys.readouterr().out)
    return {name: value for name, value in facts.items() if name not in ("skipped_files", "seconds")}


@pytest.mark.parametrize("command", COMMANDS)
def test_masks_are_refused_with_the_way_out(place, monkeypatch, capsys, command):
    monkeypatch.chdir(place)
    assert run(command, "masks") == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error.startswith(
        "masks: got labels of 0 and 255, expected 0 for normal and 1 for anomalous pixels"
    )
    assert error.endswith("pass --anomalous 255.")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("labels", "value"), [("masks", "255"), ("twos", "2")])
def test_another_value_gives_what_labels_of_0_and_1_give(place, monkeypatch, capsys, command, labels, value):
    monkeypatch.chdir(place)
    assert run(command, "labels") == 0
    expected = values(capsys)
    assert run(command, labels, "--anomalous", value) == 0
    assert values(capsys) == expected


@pytest.mark.parametrize("command", ["anomaly", "f1"])
@pytest.mark.parametrize("value", ["0", "-1", "65536"])
def test_values_that_no_label_has_are_refused(place, monkeypatch, capsys, command, value):
    monkeypatch.chdir(place)
    assert run(command, "masks", "--anomalous", value) == 2
    assert "--anomalous: got" in json.loads(capsys.readouterr().out)["error"]


def test_the_option_goes_with_labels_alone(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert main(["threshold", "fit", "images", "scores", "t.json", "--anomalous", "255"]) == 2
    assert "--anomalous: got no --labels" in capsys.readouterr().err


def test_labels_without_the_value_are_named(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    assert run("anomaly", "labels", "--anomalous", "7") == 0
    (warning,) = [text for text in json.loads(capsys.readouterr().out)["warnings"] if "anomalous" in text]
    assert "no pixel is anomalous (7)" in warning
    assert "the labels hold 0, 1" in warning


def test_in_python_a_mask_is_compared(place):
    maps = [np.load(place / "scores" / f"{stem}.npy") for stem in "ab"]
    masks = [np.kron(np.eye(3, 4), np.full((12, 12), 255)).astype(np.uint8) for _ in maps]
    assert 0 < Threshold.fit_f1(maps, [mask == 255 for mask in masks]).value < 1
