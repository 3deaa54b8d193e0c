"""A miniature AnomalyTrack with scores, and benchmarks on it."""

import json
import os

import cv2
import numpy as np

from csl_plugin.evaluation import run_benchmark
from csl_plugin.io import write_png, write_scores

SIZE = (96, 128)
FRAMES = 6
TEACHER = """
import os, time
import numpy as np

def score(image):
    time.sleep(float(os.environ.get("DELAY", "0")))
    smooth = image[..., 0].astype(np.float32) / 255
    noise = np.random.default_rng(int(image.astype(np.int64).sum())).random(smooth.shape, dtype=np.float32)
    return 0.7 * smooth + 0.3 * noise
"""


def make_frame(seed, size=SIZE):
    """An image, its label and a noisy score in [0, 1] that is higher on the bright object."""
    rng = np.random.default_rng(seed)
    label = np.zeros(size, np.uint8)
    top, left = rng.integers(8, size[0] // 2), rng.integers(8, size[1] // 2)
    label[top : top + 36, left : left + 40] = 1
    label[:5] = 255
    image = np.full((*size, 3), 60, np.uint8) + rng.integers(0, 25, (*size, 3)).astype(np.uint8)
    image[label == 1, 0] += 120
    score = np.clip(0.3 + 0.25 * (label == 1) + rng.normal(0, 0.15, size), 0.01, 0.99).astype(np.float32)
    return image, label, score


def write_jpg(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def make_place(tmp_path):
    """AnomalyTrack's validation split, smaller, with score files."""
    for seed in range(FRAMES):
        image, label, score = make_frame(seed)
        name = f"validation{seed:04}"
        write_jpg(tmp_path / "data" / "images" / f"{name}.jpg", image)
        write_png(tmp_path / "data" / "labels_masks" / f"{name}_labels_semantic.png", label)
        write_scores(tmp_path / "scores" / f"{name}.npy", score)
    (tmp_path / "teachers.py").write_text(TEACHER)
    return tmp_path


def run(place, out="out", **options):
    options = {"scores": place / "scores", "draws": 20} | options
    return run_benchmark("smiyc-anomaly-track", place / "data", place / out, **options)


def command(place, out, *options, teacher=True):
    scores = ["--teacher", "teachers:score"] if teacher else ["--scores", str(place / "scores")]
    arguments = [
        "smiyc-anomaly-track",
        "--data",
        str(place / "data"),
        "--out",
        str(place / out),
        "--draws",
        "20",
    ]
    return ["-m", "csl_plugin", "benchmark", *arguments, *scores, *options]


def result_values(place, out="out"):
    found = json.loads((place / out / "result.json").read_text())
    names = "figures", "curves", "reliability", "objects", "frames", "num_measured"
    return {name: found[name] for name in names}


def environment():
    return {**os.environ, "GLOO_SOCKET_IFNAME": "lo"}
