"""The example scripts, run as a user runs them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def street_with_object(draw):
    """A grey scene with one coloured box, logits that are unsure about the box, and its label."""
    image = draw.normal(120, 4, (48, 64, 3))
    top, left = draw.integers(8, 28), draw.integers(8, 40)
    image[top : top + 12, left : left + 16] = (40, 90, 230)
    label = np.zeros((48, 64), np.uint8)
    label[top : top + 12, left : left + 16] = 1
    label[:2] = 255
    logits = draw.normal(0, 1.5, (3, 12, 16))
    logits[0] += np.where(label[2::4, 2::4] == 1, 1.0, 4.0)
    return image.clip(0, 255).astype(np.uint8), label, logits.astype(np.float16)


@pytest.fixture
def benchmark(tmp_path):
    draw = np.random.default_rng(0)
    for folder in ("images", "labels", "logits"):
        (tmp_path / folder).mkdir()
    for stem in ("one", "two", "three"):
        image, label, logits = street_with_object(draw)
        cv2.imwrite(str(tmp_path / "images" / f"{stem}.png"), image)
        cv2.imwrite(str(tmp_path / "labels" / f"{stem}.png"), label)
        np.savez(tmp_path / "logits" / f"{stem}.npz", logits=logits)
    statistics = {"max_logit_mean": [4.5, 2.0, 2.0], "max_logit_var": [1.0, 1.0, 1.0]}
    (tmp_path / "statistics.json").write_text(json.dumps(statistics))
    return tmp_path


def run_pasted_objects(images, labels, logits, statistics, out):
    options = {"images": images, "labels": labels, "logits": logits, "statistics": statistics, "out": out}
    command = [sys.executable, str(EXAMPLES / "pasted_objects.py")]
    command += [part for name, path in options.items() for part in (f"--{name}", str(path))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = re.findall(r"^(\w+) +(base|\+CSL) +([\d.]+) +([\d.]+) +([\d.]+)$", done.stdout, re.MULTILINE)
    return {(name, kind): tuple(map(float, figures)) for name, kind, *figures in rows}


def test_pasted_objects_fuses_and_evaluates(benchmark):
    figures = run_pasted_objects(
        *(benchmark / name for name in ("images", "labels", "logits", "statistics.json", "out"))
    )
    assert set(figures) == {(score, kind) for score in ("energy", "sml") for kind in ("base", "+CSL")}
    for score in ("energy", "sml"):
        assert figures[score, "+CSL"][1] > figures[score, "base"][1]
    assert len(list((benchmark / "out" / "fused" / "sml" / "overlays").glob("*.png"))) == 3
