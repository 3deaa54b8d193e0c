"""Data sets of other packages: opened and measured by name, as this package's own."""

from __future__ import annotations

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.datasets import DATASETS, dataset_info, dataset_names, open_dataset
from csl_plugin.errors import DTypeError, FileError, MissingExtraError, OptionError
from csl_plugin.evaluation import benchmark_names, run_benchmark
from csl_plugin.io import write_png, write_scores

MODULE = """
from csl_plugin.datasets import ANOMALY_IDS, Dataset, DatasetInfo, Frame


def open_roads(path, subset, *, count=None):
    images = sorted((path / "images").glob("*.png"))[:count]
    frames = tuple(Frame(image.stem, image, path / "labels" / image.name) for image in images)
    return Dataset("another name", "anomaly", subset, frames, ANOMALY_IDS, "Roads")


INFO = DatasetInfo(
    "Roads of ours (2026)", "here", "CC0", "images/ and labels/", ("val", "all"), "val", "", open_roads,
    options={"count": "a number"},
)
NO_INFO = {"title": "Roads"}
"""


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A package that registers a data set, one that is none, and one that cannot be imported."""
    info = tmp_path / "site" / "roads-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: roads\nVersion: 1.0\n")
    points = ["roads = roads_of_ours:INFO", "none = roads_of_ours:NO_INFO", "gone = roads_of_nobody:INFO"]
    own = "cityscapes = roads_of_ours:INFO"
    (info / "entry_points.txt").write_text("\n".join(["[csl_plugin.datasets]", *points, own, ""]))
    (tmp_path / "site" / "roads_of_ours.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(__import__("sys").modules, "roads_of_ours", raising=False)
    draw = np.random.default_rng(0)
    for stem in "ab":
        labels = np.zeros((24, 32), np.uint8)
        labels[6:14, 8:20] = 1
        write_png(
            tmp_path / "data/images" / f"{stem}.png", draw.integers(0, 256, (24, 32, 3)).astype(np.uint8)
        )
        write_png(tmp_path / "data/labels" / f"{stem}.png", labels)
        write_scores(
            tmp_path / "scores" / f"{stem}.npy", (labels + draw.random((24, 32))).astype(np.float32) / 2
        )
    return tmp_path


def test_a_registered_data_set_is_opened_by_its_name(installed):
    dataset = open_dataset("roads", installed / "data")
    assert (dataset.name, dataset.subset) == ("roads", "val")
    assert [frame.name for frame in dataset.frames] == ["a", "b"]
    assert len(open_dataset("roads", installed / "data", subset="all", count=1).frames) == 1
    with pytest.raises(OptionError, match="expected val, all"):
        open_dataset("roads", installed / "data", subset="test")
    with pytest.raises(OptionError, match="roads has no such option"):
        open_dataset("roads", installed / "data", other=1)


def test_it_is_among_the_benchmarks_and_is_measured(installed, capsys):
    assert dataset_names() == (*DATASETS, "gone", "none", "roads")
    assert "roads" in benchmark_names()
    with pytest.raises(OptionError, match=r"coco-stuff-regions.*roads|roads.*coco-stuff-regions"):
        run_benchmark("road", installed / "data", installed / "out", scores=installed / "scores")
    words = ["benchmark", "roads", "--data", str(installed / "data"), "--scores", str(installed / "scores")]
    assert main([*words, "--out", str(installed / "out"), "--draws", "5", "--proposer", "superpixels"]) == 0
    capsys.readouterr()
    assert "Roads of ours" in (installed / "out/result.md").read_text(encoding="utf-8")


def test_a_name_of_this_package_stays_its_own(installed):
    assert dataset_info("cityscapes") is DATASETS["cityscapes"]
    with pytest.raises(FileError):
        open_dataset("cityscapes", installed / "data")


def test_what_is_no_data_set_is_refused(installed):
    with pytest.raises(DTypeError, match=r"roads_of_ours:NO_INFO.*expected a DatasetInfo"):
        open_dataset("none", installed / "data")
    with pytest.raises(MissingExtraError, match="cannot be loaded"):
        open_dataset("gone", installed / "data")
    with pytest.raises(OptionError, match=r"smiyc-anomaly-track.*roads"):
        open_dataset("nothing", installed / "data")
