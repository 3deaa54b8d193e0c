"""Recipes: every value is checked where it stands, before a file is opened; old ones load."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy import ndimage

from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.io import write_png, write_scores
from csl_plugin.models import NetworkConfig
from csl_plugin.training import Cropping, Mixture, Recipe, TrainingSettings
from csl_plugin.training.data.scene import Scene
from tests.helpers.mutated_json import mutated

STREETS = {"labels_of": "classes", "images": "images", "labels": "labels", "ignore": [3], "unseen": [2]}
RECIPE = {
    "network": {"num_queries": 2, "num_classes": 2, "points": True},
    "settings": {"steps": 2, "batch_size": 1, "crop": [32, 32], "seed": 3, "learning_rate": 0.001},
    "cropping": {"smallest": 0.8, "largest": 1.2, "aspect": 1.1, "flip": 0.5},
    "sources": {
        "streets": STREETS,
        "photos": {"labels_of": "segments", "images": "images", "labels": "labels"},
    },
    "textures": ["photos", "images"],
    "objects": {"procedural": 1.0, "photos": 0.5},
    "parts": [
        {"source": "streets", "share": 2, "paste": [0, 2], "lengths": [8, 20]},
        {"source": "photos"},
        {"source": "dead-leaves", "share": 1},
    ],
    "split": True,
    "teacher": {"maps": "maps", "source": "streets", "logits": True},
    "validation": {"source": STREETS, "every": 2, "frames": "0::2", "scores": "scores", "anomaly": [1]},
    "backbone": "imagenet",
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    labels = np.zeros((48, 64), np.uint8)
    labels[10:36, 10:36] = 1
    for stem in ("a", "b"):
        write_png(folder / "images" / f"{stem}.png", np.zeros((48, 64, 3), np.uint8))
        write_png(folder / "labels" / f"{stem}.png", labels)
        write_scores(folder / "maps" / f"{stem}.npy", np.zeros((2, 12, 16), np.float32))
        write_scores(folder / "scores" / f"{stem}.npy", np.zeros((12, 16), np.float32))
    return folder


def changed(place: str, value: object) -> dict:
    """The recipe with the value at a place such as "parts.0.share"; None removes it."""
    document = json.loads(json.dumps(RECIPE))
    *way, last = place.split(".")
    holder = document
    for step in way:
        holder = holder[int(step) if isinstance(holder, list) else step]
    if value is None:
        del holder[last]
    else:
        holder[int(last) if isinstance(holder, list) else last] = value
    return document


def test_a_mutated_recipe_is_read_or_refused(data, tmp_path):
    path = tmp_path / "recipe.json"
    mixtures, errors = [], []
    for text in mutated(RECIPE, 300, seed=5):
        path.write_bytes(text)
        try:
            recipe = Recipe.read(path)
        except CSLError as error:
            errors.append(error)
            continue
        try:
            mixtures.append((recipe.mixture(data), recipe.validation(data)))
        except CSLError as error:  # it names what is not there
            errors.append(error)
    assert len(mixtures) > 15
    assert all(isinstance(mixture, Mixture) for mixture, _ in mixtures)
    assert len(errors) > 150
    assert max(len(str(error)) for error in errors) < 6000  # a name of 5000 letters may be in a path


WRONG = [
    ("settings", {}, "settings: got no steps"),
    ("settings.speed", 1, "settings: got 'speed'"),
    ("settings.crop", [32], "settings.crop: got a list of 1, expected a list of 2"),
    ("settings.crop.1", 33, r"settings.crop: got \(32, 33\), expected multiples of 32"),
    ("settings.crop", [16384, 16384], "settings.crop: got"),
    ("settings.seed", -1, "settings.seed: got -1"),
    ("settings.seed", 2**42, "settings.seed: got"),
    ("settings.bfloat16", 1, "settings.bfloat16: got 1, expected true or false"),
    ("settings.steps", 2.5, "settings.steps: got 2.5"),
    ("settings.average", 1, r"settings.average: got 1, expected a number in \[0, 1\)"),
    ("network.num_queries", 0, "network.num_queries: got 0"),
    ("network.points", "yes", "network.points: got 'yes'"),
    ("network.query_width", 90, "network.query_width: got 90"),
    ("colour", 1, "got 'colour'"),
    ("part", [], "got 'part'.*Did you mean 'parts'"),
    ("parts", [], "parts: got a list of 0"),
    ("parts.0", 3, r"parts\[0\]: got 3, expected an object with source"),
    ("parts.0.source", None, r"parts\[0\]: got no source"),
    ("parts.0.source", "nowhere", r"parts\[0\].source: got 'nowhere', expected 'streets' or 'photos' or"),
    ("parts.0.source", "procedural", r"parts\[0\].source: got 'procedural'"),
    ("parts.1.shares", 1, r"parts\[1\]: got 'shares'.*Did you mean 'share'"),
    ("parts.1.share", -1, r"parts\[1\].share: got -1"),
    ("parts.0.paste", [2, 0], r"parts\[0\].paste: got \[2, 0\]"),
    ("parts.0.paste", [0, 10**9], r"parts\[0\].paste\[1\]: got"),
    ("parts.0.paste", 4, r"parts\[0\].paste: got 4"),
    ("parts.0.lengths", [20, 8], r"parts\[0\].lengths: got \[20.0, 8.0\]"),
    ("parts.0.lengths", [0, 8], r"parts\[0\].lengths\[0\]: got 0"),
    ("parts.1.lengths", [8, 20], r"parts\[1\].lengths: got \[8.0, 20.0\], expected a part with objects"),
    ("parts", [{"source": "streets", "share": 0}], "parts: got no share above 0"),
    ("objects", {}, r"parts\[0\].paste: got no objects"),
    ("objects", {"streets": 1.0}, "objects.streets: got 'streets', expected 'photos' or 'procedural'"),
    ("objects.procedural", "much", "objects.procedural: got 'much'"),
    ("sources.streets.labels_of", "boxes", "sources.streets.labels_of: got 'boxes'"),
    ("sources.streets.labels_of", None, "sources.streets: got no labels_of"),
    ("sources.streets.ignore", [65536], r"sources.streets.ignore\[0\]: got 65536"),
    ("sources.streets.ignore", 3, "sources.streets.ignore: got 3"),
    ("sources.photos.unseen", [1], r"sources.photos.unseen: got \[1\], expected a source of classes"),
    ("sources.dead-leaves", STREETS, "sources: got 'dead-leaves'"),
    ("cropping.tallest", 2, "cropping: got 'tallest'"),
    ("cropping.smallest", 2, "cropping.smallest, largest: got smallest 2"),
    ("cropping.flip", 1.5, "cropping.flip: got 1.5"),
    ("textures", "photos", "textures: got 'photos'"),
    ("textures.0", 3, r"textures\[0\]: got 3"),
    ("split", "no", "split: got 'no'"),
    ("teacher.maps", None, "teacher: got no maps"),
    ("teacher.source", None, "teacher.source: got null, expected 'streets' or 'photos'"),
    ("teacher.softmax", True, "teacher: got 'softmax'"),
    ("validation", [], "validation: got a list of 0"),
    ("validation.source", None, "validation: got no source"),
    ("validation.every", 0, "validation.every: got 0"),
    ("validation.frames", "0::2::", "validation.frames: got '0::2::'"),
    ("validation.frames", "::0", "validation.frames: got '::0'"),
    ("validation.frames", 2, "validation.frames: got 2"),
    ("validation.anomaly", None, "validation.anomaly: got scores 'scores' and anomaly"),
    ("validation.scores", None, "validation.anomaly: got scores None"),
    ("validation.source.labels_of", "segments", "validation.source.unseen"),
    ("backbone", 5, "backbone: got 5"),
]


@pytest.mark.parametrize(("place", "value", "said"), WRONG)
def test_an_invalid_value_is_named_with_its_place(tmp_path, place, value, said):
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(changed(place, value)))
    with pytest.raises(FileError, match=rf"recipe\.json(, |: ){said}"):
        Recipe.read(path)


@pytest.mark.parametrize("file", ["recipe.json", "finer.json"])
@pytest.mark.parametrize("name", ["csl-tiny", "csl-tiny-open", "csl-tiny-strict"])
def test_the_recipes_that_ship_are_read(name, file):
    path = Path(str(resources.files("csl_plugin"))) / "weights" / name / file
    recipe = Recipe.read(path)
    assert recipe.document == json.loads(path.read_text())
    assert Recipe(recipe.network, recipe.settings, recipe.document) == recipe


def test_a_document_that_is_no_file_is_checked_too():
    with pytest.raises(OptionError, match=r"parts\[0\].source: got 'x'"):
        Recipe(NetworkConfig(), TrainingSettings(steps=1), {"parts": [{"source": "x"}]})


@pytest.mark.parametrize(
    "values",
    [{"steps": True}, {"steps": 10**12}, {"clip": float("nan")}, {"crop": 32}, {"seed": "1"}, {"seed": -1}],
)
def test_settings_of_another_type_are_refused(values):
    with pytest.raises(OptionError, match=next(iter(values))):
        TrainingSettings(**{"steps": 3, **values})
    with pytest.raises(OptionError, match="settings." + next(iter(values))):
        TrainingSettings.from_json({"steps": 3, **values})


def test_numbers_of_numpy_are_numbers():
    settings = TrainingSettings(steps=np.int64(3), learning_rate=np.float32(0.5), crop=[32, 64])
    assert json.loads(json.dumps(settings.to_json()))["learning_rate"] == 0.5
    assert settings.crop == (32, 64)
    with pytest.raises(OptionError, match="flip"):
        Cropping(flip=float("nan"))


@pytest.fixture
def partly_labeled(tmp_path):
    """Black photographs with a white disc; beside it, red and not labeled (0), a square."""
    disc = np.zeros((96, 128), np.uint8)
    cv2.circle(disc, (40, 48), 20, 5, -1)
    image = np.where(disc[..., None] > 0, np.uint8(255), np.zeros(3, np.uint8))
    image[30:60, 80:110] = (255, 0, 0)
    write_png(tmp_path / "images" / "a.png", image)
    write_png(tmp_path / "labels" / "a.png", disc)
    return tmp_path


def partly_labeled_recipe(**part):
    document = {
        "sources": {"things": {"labels_of": "segments", "ignore": [0]}},
        "objects": {"things": 1.0},
        "parts": [part],
    }
    return Recipe(NetworkConfig(), TrainingSettings(steps=1, crop=(64, 96)), document)


def test_pixels_that_are_not_labeled_are_no_region(partly_labeled):
    mixture = replace(partly_labeled_recipe(source="things").mixture(partly_labeled), appearance=None)
    for index in range(6):
        scene = mixture.scene(0, index)
        assert scene.labels.max() <= 0
        off = ndimage.binary_dilation(scene.labels < 0, iterations=3)
        assert (scene.image[~off] > 200).all(), "only the disc is a region"
        red = (scene.image[..., 0] > 100) & (scene.image[..., 1] < 50)
        assert (scene.labels[red] == -1).all()


def test_pixels_that_are_not_labeled_are_never_pasted(partly_labeled):
    recipe = partly_labeled_recipe(source="dead-leaves", paste=[1, 1], lengths=[10, 16])
    pasting = recipe.mixture(partly_labeled).parts[0].pasting
    gray = np.full((64, 96, 3), 90, np.uint8)
    lengths = []
    for seed in range(30):
        scene = replace(pasting, match=0.0, shadow=0.0, feather=0.0)(
            np.random.default_rng(seed),
            Scene(gray, np.zeros((64, 96), np.int32), np.zeros((64, 96), np.int32)),
        )
        pasted = scene.labels == 1
        rows, columns = np.nonzero(pasted)
        assert (scene.image[pasted] >= 90).all(), "the disc, not its dark surroundings"
        assert (scene.image[pasted].std(axis=1) == 0).all(), "nor the red square"
        if len(rows) and rows.min() > 0 and rows.max() < 63 and columns.min() > 0 and columns.max() < 95:
            lengths.append(max(np.ptp(rows), np.ptp(columns)) + 1)
    assert len(lengths) > 10
    assert min(lengths) >= 8
    assert max(lengths) <= 20
