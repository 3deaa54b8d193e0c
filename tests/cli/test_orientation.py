"""Commands on photographs that a camera stored turned."""

import cv2
import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.errors import ShapeError
from csl_plugin.io import read_region_map, write_png, write_region_map
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.training import LabeledFolder, SavedTeacher, Validation
from csl_plugin.training.validation import AnomalyScores
from tests.helpers.turned_jpeg import turned_jpeg

TINY = NetworkConfig(
    num_queries=4, embedding_width=16, query_width=16, num_heads=2, num_layers=1, feedforward_width=16
)
SHOWN = cv2.resize(np.random.default_rng(2).integers(0, 256, (6, 9, 3)).astype(np.uint8), (90, 60))
STORED = cv2.rotate(SHOWN, cv2.ROTATE_90_COUNTERCLOCKWISE)


@pytest.fixture
def folder(tmp_path):
    for name in ("images", "scores", "labels", "maps"):
        (tmp_path / name).mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(turned_jpeg(STORED))
    return tmp_path


def fill(folder, *, turned):
    """Scores, labels and a region map of the left half of the picture as shown, or as stored."""
    half = np.zeros((60, 90))
    half[:, :45] = 1
    half = np.rot90(half) if turned else half
    np.save(folder / "scores" / "a.npy", (0.1 + half / 2).astype(np.float32))
    write_png(folder / "labels" / "a.png", half.astype(np.uint8))
    write_region_map(folder / "maps" / "a.png", half.astype(np.int32))


def test_what_fits_the_picture_as_shown_is_fused(folder, capsys):
    fill(folder, turned=False)
    places = [str(folder / name) for name in ("images", "scores", "out")]
    assert main(["fuse", *places, "--proposer", str(folder / "maps")]) == 0
    assert np.load(folder / "out" / "a.npy").shape == (60, 90)
    assert main(["propose", places[0], str(folder / "regions"), "--proposer", "superpixels:20"]) == 0
    assert read_region_map(folder / "regions" / "a.png").shape == (60, 90)
    LabeledFolder(folder / "images", folder / "labels")
    capsys.readouterr()


def test_scores_of_the_stored_pixels_are_named(folder, capsys):
    fill(folder, turned=True)
    places = [str(folder / name) for name in ("images", "scores", "out")]
    assert main(["fuse", *places, "--proposer", "superpixels:20"]) == 1
    said = capsys.readouterr().err
    assert "its EXIF orientation is 6" in said
    assert "numpy.rot90(a, -1, axes=(-2, -1))" in said


def test_maps_of_the_stored_pixels_are_named(folder, capsys):
    fill(folder, turned=False)
    write_region_map(folder / "maps" / "a.png", np.zeros((90, 60), np.int32))
    places = [str(folder / name) for name in ("images", "scores", "out")]
    assert main(["fuse", *places, "--proposer", str(folder / "maps")]) == 1
    assert "EXIF orientation" in capsys.readouterr().err


def test_predictions_of_the_stored_pixels_are_named(folder, capsys):
    fill(folder, turned=False)
    np.save(folder / "scores" / "a.npy", np.zeros((90, 60), np.float32))
    assert main(["eval", "anomaly", str(folder / "scores"), str(folder / "labels")]) == 2
    assert "EXIF orientation" in capsys.readouterr().err


def test_training_data_of_the_stored_pixels_are_named(folder):
    fill(folder, turned=False)
    source = LabeledFolder(folder / "images", folder / "labels", ignore=[7])
    np.save(folder / "scores" / "a.npy", np.full((1, 45, 30), 0.5, np.float32))
    teacher = SavedTeacher(folder / "scores")
    taught = LabeledFolder(folder / "images", folder / "labels", teacher=teacher)
    with pytest.raises(ShapeError, match="its EXIF orientation is 6"):
        taught.draw(np.random.default_rng(0), (32, 32))
    scores = AnomalyScores(folder / "scores", (1,))
    with pytest.raises(ShapeError, match="its EXIF orientation is 6"):
        Validation(source, images=range(1), scores=scores).measure(CSLNetwork(TINY).eval())
    fill(folder, turned=True)
    with pytest.raises(ShapeError, match="its EXIF orientation is 6"):
        LabeledFolder(folder / "images", folder / "labels")


@pytest.mark.parametrize(
    ("what", "shape"), [("scores", (90, 60)), ("scores", (45, 30)), ("labels", (90, 60))]
)
def test_a_benchmark_on_the_stored_pixels_fails_by_name(folder, capsys, what, shape):
    fill(folder, turned=False)
    if what == "scores":  # of any resolution: they would be stretched
        np.save(folder / "scores" / "a.npy", np.zeros(shape, np.float32))
    else:
        write_png(folder / "labels" / "a.png", np.zeros(shape, np.uint8))
    command = ["benchmark", "folder", "--data", str(folder), "--scores", str(folder / "scores")]
    assert main([*command, "--out", str(folder / "out"), "--proposer", "superpixels:20"]) == 1
    assert "its EXIF orientation is 6" in capsys.readouterr().err
