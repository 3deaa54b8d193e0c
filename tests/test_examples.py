"""The example scripts, run as a user runs them."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from csl_plugin.datasets import open_dataset
from tests.helpers import trees

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def run_example(monkeypatch, capsys):
    """Run a script in this process, as `python examples/NAME.py` does: its folder first on the path."""
    monkeypatch.syspath_prepend(str(EXAMPLES))

    def run(name, **options):
        arguments = [part for option, value in options.items() for part in (f"--{option}", str(value))]
        monkeypatch.setattr(sys, "argv", [str(EXAMPLES / f"{name}.py"), *arguments])
        with pytest.raises(SystemExit) as done:
            runpy.run_path(sys.argv[0], run_name="__main__")
        return done.value.code, capsys.readouterr()

    return run


def street_with_object(draw):
    """A gray scene with one colored box, logits that are unsure about the box, and its label."""
    image = draw.normal(120, 4, (48, 64, 3))
    top, left = draw.integers(8, 28), draw.integers(8, 40)
    image[top : top + 12, left : left + 16] = (40, 90, 230)
    label = np.zeros((48, 64), np.uint8)
    label[top : top + 12, left : left + 16] = 1
    label[:2] = 255
    logits = draw.normal(0, 1.5, (3, 12, 16))
    logits[0] += np.where(label[2::4, 2::4] == 1, 1.0, 4.0)
    return image.clip(0, 255).astype(np.uint8), label, logits.astype(np.float16)


def write_streets(folder, split, values):
    """Images, labels that take `values` for normal, anomaly and void, logits and their statistics."""
    draw = np.random.default_rng(0)
    for stem in ("one", "two", "three"):
        image, label, logits = street_with_object(draw)
        for kind, picture in (("images", image), ("labels", np.choose(np.minimum(label, 2), values))):
            path = folder / "data" / kind / split / f"{stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), picture.astype(np.uint8))
        (folder / "logits").mkdir(exist_ok=True)
        np.savez(folder / "logits" / f"{stem}.npz", logits=logits)
    statistics = {"max_logit_mean": [4.5, 2.0, 2.0], "max_logit_var": [1.0, 1.0, 1.0]}
    (folder / "statistics.json").write_text(json.dumps(statistics))


@pytest.mark.parametrize(
    ("name", "split", "values"), [("pasted_objects", "", [0, 1, 255]), ("camvid_unseen", "val", [3, 9, 11])]
)
def test_logits_become_scores_figures_and_a_report(tmp_path, run_example, name, split, values):
    write_streets(tmp_path, split, values)
    folders = {"data": tmp_path / "data", "logits": tmp_path / "logits", "out": tmp_path / "out"}
    code, printed = run_example(name, **folders, statistics=tmp_path / "statistics.json")
    assert code == 0
    for score in ("energy", "sml"):
        figures = json.loads((tmp_path / "out" / score / "result.json").read_text())["figures"]["pooled"]
        assert figures["csl"]["ap"] > figures["base"]["ap"]
        assert (tmp_path / "out" / score / "report.html").stat().st_size > 10_000
        assert score in printed.out


PUBLISHED = {
    "smiyc_anomaly_track": (trees.anomaly_track, "smiyc-anomaly-track"),
    "smiyc_obstacle_track": (trees.obstacle_track, "smiyc-obstacle-track"),
    "mvtec_ad": (trees.mvtec, "mvtec-ad"),
    "road_anomaly": (trees.road_anomaly_authors, "road-anomaly"),
    "coco_stuff_zero_shot": (trees.coco_stuff, "coco-stuff"),
    "pascal_voc_zero_shot": (trees.pascal_voc, "pascal-voc"),
    "synscapes_to_cityscapes": (trees.cityscapes, "cityscapes"),
    "cityscapes_to_coco_stuff_regions": (trees.coco_stuff, "coco-stuff"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_script_of_a_published_data_set(tmp_path, run_example, name):
    plant, benchmark = PUBLISHED[name]
    plant(tmp_path / "data")
    options = {"data": tmp_path / "data", "out": tmp_path / "out"}
    if not name.endswith("regions"):
        write_scores(open_dataset(benchmark, tmp_path / "data"), tmp_path / "scores")
        options["scores"] = tmp_path / "scores"
    code, printed = run_example(name, **options)
    assert code == 0, printed.err
    assert "regions" in printed.out if name.endswith("regions") else "+CSL" in printed.out
    assert (tmp_path / "out" / "report.html").is_file()


def write_scores(dataset, folder):
    draw = np.random.default_rng(1)
    folder.mkdir()
    for frame in dataset.frames:
        size = dataset.read_image(frame).shape[:2]
        classes = (len(dataset.classes),) if dataset.classes else ()
        np.save(folder / f"{frame.name}.npy", draw.random((*classes, *size), dtype=np.float32))


def test_a_script_without_its_data_says_where_to_get_it(tmp_path, run_example):
    code, printed = run_example("lostandfound_noknown", data=tmp_path, scores=tmp_path)
    assert code == 1
    assert "wwwlehre.dhbw-stuttgart.de" in printed.err


def test_every_script_says_how_to_run_it():
    for script in EXAMPLES.glob("*.py"):
        text = script.read_text()
        assert f"python examples/{script.name}" in text or "__main__" not in text
