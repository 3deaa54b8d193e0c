"""Maps of class indices that are passed as scores are named; scores are not."""

import json

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.cli.fused.class_maps import looks_like_classes
from csl_plugin.io import write_png, write_scores

SIZE = 36, 48
CLASSES = np.kron(np.array([[0, 7, 11], [2, 11, 18]]), np.ones((18, 16), int))
SMOOTH = np.linspace(0, 30, SIZE[0] * SIZE[1]).reshape(SIZE)
NOISE = np.random.default_rng(0).random(SIZE)


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        (CLASSES.astype(np.float32), np.float32, True),
        (CLASSES[None].astype(np.float16), np.float16, True),
        (CLASSES / np.float32(255), np.uint8, True),
        (np.where(CLASSES == 7, 255, CLASSES) / np.float32(255), np.uint8, True),
        (CLASSES / np.float32(65535), np.uint16, True),
        (NOISE.astype(np.float32), np.float32, False),
        ((CLASSES > 7).astype(np.float32), np.float32, False),  # a mask of 0 and 1 is a score of 0 and 1
        ((CLASSES > 7).astype(np.float32), np.uint8, False),
        (np.stack([CLASSES, CLASSES]).astype(np.float32), np.float32, False),  # channels are classes already
        (np.rint(SMOOTH) / np.float32(255), np.uint8, False),  # low scores
        (np.rint(30 * NOISE) / np.float32(255), np.uint8, False),
        (np.rint(1000 * NOISE).astype(np.float32), np.float32, False),
        (np.where(CLASSES == 7, np.nan, CLASSES).astype(np.float32), np.float32, False),
        (-CLASSES.astype(np.float32), np.float32, False),
    ],
)
def test_what_values_say(values, dtype, expected):
    assert looks_like_classes(values, np.dtype(dtype)) is expected


@pytest.mark.parametrize("command", [["fuse"], ["objects", "--threshold", "0.5"]])
def test_class_maps_are_named_and_counted(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    for stem, scores in {"a": CLASSES, "b": NOISE}.items():
        write_png(f"images/{stem}.png", np.zeros((*SIZE, 3), np.uint8))
        write_scores(f"scores/{stem}.npy", scores.astype(np.float32))
    name, *options = command
    assert main([name, "images", "scores", "out", "--proposer", "superpixels", "--json", *options]) == 0
    streams = capsys.readouterr()
    assert "warning: 1 of 2 score maps hold a few whole numbers, as class indices do" in streams.err
    assert json.loads(streams.out)["scores_like_classes"] == 1
