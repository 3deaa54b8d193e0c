"""What pictures and layers are read from, and what is refused."""

import numpy as np
import pytest
import torch

from csl_plugin import RegionMap, RegionProposals
from csl_plugin.errors import DTypeError, FileError, ScoreRangeError, ShapeError
from csl_plugin.io import write_png
from csl_plugin.viz.layers import Labels, Mask, Regions, Scores, read_layer, read_panel, read_picture

IMAGE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
UNIT = IMAGE.astype(np.float32) / np.float32(255)
CHANNELS_FIRST = np.ascontiguousarray(UNIT.transpose(2, 0, 1))


@pytest.mark.parametrize(
    "value",
    [
        IMAGE,
        UNIT,
        UNIT.astype(np.float64),
        CHANNELS_FIRST,
        CHANNELS_FIRST[None],
        torch.from_numpy(CHANNELS_FIRST),
        torch.from_numpy(CHANNELS_FIRST)[None].requires_grad_(),
        torch.from_numpy(IMAGE),
        torch.from_numpy(IMAGE.transpose(2, 0, 1).copy()),
        UNIT * np.float32(1.00001),  # rounding of a normalization that was undone
    ],
)
def test_every_form_of_an_image_is_the_same_picture(value):
    for read in (read_picture("image", value), read_panel("image", value)):
        assert read.dtype == np.uint8
        assert np.array_equal(read, IMAGE)


def test_half_precision_is_the_picture_within_a_step():
    read = read_picture("image", torch.from_numpy(CHANNELS_FIRST).bfloat16())
    assert np.abs(read.astype(int) - IMAGE).max() <= 1


def test_a_path_and_a_gray_array_are_pictures(tmp_path):
    write_png(tmp_path / "a.png", IMAGE)
    for path in (tmp_path / "a.png", str(tmp_path / "a.png")):
        assert np.array_equal(read_panel("image", path), IMAGE)
    gray = IMAGE[..., 0]
    assert np.array_equal(read_picture("image", gray), np.stack([gray] * 3, axis=2))


def test_pil_images_are_read_by_their_mode():
    fromarray = pytest.importorskip("PIL.Image").fromarray
    assert np.array_equal(read_panel("image", fromarray(IMAGE)), IMAGE)
    with_alpha = fromarray(IMAGE).convert("RGBA")
    assert np.array_equal(read_panel("image", with_alpha), IMAGE)
    gray = fromarray(IMAGE[..., 0])
    assert np.array_equal(read_picture("image", gray)[..., 2], IMAGE[..., 0])
    labels = read_layer("layer", gray)
    assert isinstance(labels, Labels)
    assert np.array_equal(labels.values, IMAGE[..., 0])
    mask = read_layer("layer", fromarray(IMAGE[..., 0] > 99))
    assert isinstance(mask, Mask)
    assert np.array_equal(mask.values, IMAGE[..., 0] > 99)
    assert isinstance(read_layer("layer", fromarray(UNIT[..., 0])), Scores)
    with pytest.raises(DTypeError, match="mode RGB"):
        read_layer("layer", fromarray(IMAGE))


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (np.zeros((6, 8)), Scores),
        (np.zeros((1, 6, 8), np.float16), Scores),
        (torch.zeros(1, 1, 6, 8, dtype=torch.bfloat16), Scores),
        (np.zeros((6, 8), bool), Mask),
        (torch.zeros(6, 8, dtype=torch.bool), Mask),
        (np.zeros((6, 8), np.uint16), Labels),
        (torch.full((1, 6, 8), -1), Labels),
        (RegionMap(np.zeros((1, 6, 8), np.int32)), Regions),
    ],
)
def test_a_layer_is_what_its_type_says(value, kind):
    for read in (read_layer("layer", value), read_panel("layer", value)):
        assert type(read) is kind
        assert read.values.shape == (6, 8)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (UNIT * 255, ScoreRangeError, "normalization"),
        (UNIT - 0.5, ScoreRangeError, r"\[0, 1\]"),
        (np.full_like(UNIT, np.nan), ScoreRangeError, "nan"),
        (IMAGE.astype(int), DTypeError, "uint8"),
        (IMAGE[None].repeat(2, 0), ShapeError, "one image"),
        (IMAGE[:0], ShapeError, "H, W, 3"),
        (np.zeros((6, 8, 4), np.uint8), ShapeError, "three channels"),
        (None, DTypeError, "NoneType"),
        ([[1, 2]], DTypeError, "list"),
    ],
)
def test_a_picture_is_refused_by_name(value, error, words):
    with pytest.raises(error, match=words) as caught:
        read_picture("photo", value)
    assert caught.value.argument == "photo"


PROPOSALS = RegionProposals(torch.rand(1, 2, 3, 4), torch.rand(1, 2))


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        (np.zeros((19, 6, 8)), ShapeError, "arg max"),
        (np.zeros((2, 1, 6, 8)), ShapeError, "one image"),
        (np.zeros(8), ShapeError, "H, W"),
        (np.zeros((0, 8)), ShapeError, "H, W"),
        (RegionMap(np.zeros((2, 6, 8), int)), ShapeError, "one image"),
        (PROPOSALS, DTypeError, "soft_assignment"),
        ((RegionMap(np.zeros((1, 6, 8), int)),), DTypeError, r"regions\[0\]"),
        (np.zeros((6, 8), complex), DTypeError, "complex"),
        (None, DTypeError, "NoneType"),
    ],
)
def test_a_layer_is_refused_by_name(value, error, words):
    with pytest.raises(error, match=words) as caught:
        read_layer("layer", value)
    assert caught.value.argument == "layer"


def test_a_path_that_is_no_image_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no image")
    with pytest.raises(FileError):
        read_panel("panels['Image']", tmp_path / "a.png")


def test_a_photograph_of_pillow_is_turned_as_its_camera_was(tmp_path):
    image_module = pytest.importorskip("PIL.Image")
    turned = image_module.fromarray(IMAGE)
    turned.getexif()[0x0112] = 6  # the camera stood on its side
    turned.save(tmp_path / "a.png", exif=turned.getexif())
    opened = image_module.open(tmp_path / "a.png")
    assert read_picture("image", opened).shape == (8, 6, 3)
    assert np.array_equal(read_picture("image", opened), read_picture("image", tmp_path / "a.png"))
