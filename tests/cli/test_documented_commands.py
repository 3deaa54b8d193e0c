"""Every command line of docs/guide/commands.md runs, in order, on photographs with made scores."""

import re
import shlex
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from csl_plugin.cli import main
from csl_plugin.io import write_png, write_scores

PAGE = Path(__file__).parents[2] / "docs/guide/commands.md"
SIZE = 48, 64
PICTURES = {"astronaut": skimage.data.astronaut, "cat": skimage.data.chelsea, "coffee": skimage.data.coffee}
LAUNCHER = {"RANK": "0", "WORLD_SIZE": "2"}  # of `--shard auto`


def documented():
    lines = re.findall(r"^    (csl-plugin .*|echo .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return [re.sub(r"\[.*?\]\s*", "", line) if line.startswith("csl-plugin eval") else line for line in lines]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The current folder, with everything that the page names in capitals."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    normal = rng.random(SIZE, np.float32) / 2
    for number, (stem, photograph) in enumerate(PICTURES.items()):
        image = cv2.resize(photograph(), SIZE[::-1], interpolation=cv2.INTER_AREA)
        truth = np.zeros(SIZE, np.uint8)
        truth[10 : 30 + number, 8:40] = 1
        scores = normal + np.float32(0.4) * truth
        for folder in ("IMAGES", "NORMAL/images", "mine/images"):
            write_png(f"{folder}/{stem}.png", image if folder != "NORMAL/images" else image[::-1].copy())
        for folder, values in {
            "SCORES": scores,
            "FUSED": scores,
            "NORMAL/scores": normal,
            "NORMAL_SCORES": normal,
        }.items():
            write_scores(f"{folder}/{stem}.npy", values)
        for folder, value in {"LABELS": 1, "MASKS": 255, "mine/labels": 255}.items():
            write_png(f"{folder}/{stem}.png", truth * np.uint8(value))
        write_png(f"NORMAL/valid/{stem}.png", np.full(SIZE, 255, np.uint8))
    write_png("hood.png", np.pad(np.ones((40, 64), np.uint8), ((0, 8), (0, 0))))
    write_png("photo.png", image)
    write_scores("maxlogit.npy", scores)
    return tmp_path


def run(line):
    if line.startswith("echo"):
        text, _, file = shlex.split(line, comments=True)[1:]
        Path(file).write_text(text, encoding="utf-8")
        return 0
    words = shlex.split(line, comments=True)[1:]
    code = main(words)
    for file in Path().glob("OUT/coco*.json"):
        shutil.copy(file, ".")
    return code


@pytest.mark.slow
def test_every_line_of_the_page_runs(place, monkeypatch, capsys):
    lines = [line for line in documented() if "demo" not in line]
    assert len(lines) > 20
    joined = ""
    for line in lines:
        if " OUT " in f"{line} " and "--shard" not in joined:  # else it goes on with the parts
            shutil.rmtree("OUT", ignore_errors=True)
        joined = line
        with monkeypatch.context() as patch:
            for name, value in LAUNCHER.items() if "auto" in line else ():
                patch.setenv(name, value)
            assert run(line) == 0, f"{line}\n{capsys.readouterr().err}"
