"""Images as they come: every form gives the regions of the batch of floats, and what is none is refused."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from csl_plugin import RegionMap, RegionProposals, load_proposer
from csl_plugin.errors import CSLError, DTypeError, FileError, ScoreRangeError, ShapeError
from csl_plugin.io import image_batch, read_image, write_png, write_region_map
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import (
    NetworkProposals,
    NetworkRegions,
    RegionMapFolder,
    Scales,
    Superpixels,
    Together,
)
from csl_plugin.proposers.images import is_batch, read_images

H, W = 24, 40
PIXELS = np.random.default_rng(0).integers(0, 256, (H // 8, W // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
BATCH = image_batch(PIXELS)
FLOATS = np.ascontiguousarray(BATCH[0].permute(1, 2, 0).numpy())
EXIF = 0x0112


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    small = {"num_queries": 4, "embedding_width": 8, "query_width": 8, "num_heads": 1, "num_layers": 1}
    return CSLNetwork(NetworkConfig(**small, boundary=True)).eval()


@pytest.fixture
def file(tmp_path):
    write_png(tmp_path / "a.png", PIXELS)
    return tmp_path / "a.png"


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        if isinstance(one, RegionMap):
            assert one.labels.equal(other.labels)
        else:
            assert isinstance(one, RegionProposals)
            assert one.scores.equal(other.scores)
            assert one.validity.equal(other.validity)


FORMS = {
    "picture": lambda: Image.fromarray(PIXELS),
    "(H, W, 3) uint8": lambda: PIXELS,
    "(3, H, W) uint8": lambda: PIXELS.transpose(2, 0, 1),
    "(B, H, W, 3) uint8": lambda: PIXELS[None],
    "(B, 3, H, W) uint8": lambda: PIXELS.transpose(2, 0, 1)[None],
    "(H, W, 3) float": lambda: FLOATS,
    "(3, H, W) float": lambda: FLOATS.transpose(2, 0, 1),
    "(B, H, W, 3) float": lambda: FLOATS[None],
    "(B, 3, H, W) float": lambda: FLOATS.transpose(2, 0, 1)[None],
}


@pytest.mark.parametrize("form", [*FORMS, "path", "text"])
def test_every_form_gives_the_batch_of_floats_to_the_bit(form, file):
    given = {"path": file, "text": str(file)}[form] if form in ("path", "text") else FORMS[form]()
    tensors = [torch.from_numpy(given.copy())] if isinstance(given, np.ndarray) else []
    for value in (given, *tensors):
        read = read_images(value)
        assert read.dtype == torch.float32
        assert read.is_contiguous()
        assert read.equal(BATCH)


@pytest.mark.parametrize("kind", ["superpixels", "scales", "proposals", "regions", "together", "default"])
def test_every_proposer_takes_them(kind, network, file):
    proposer = {
        "superpixels": Superpixels,
        "scales": lambda: Scales(Superpixels(), (80, 20)),
        "proposals": lambda: NetworkProposals(network),
        "regions": lambda: NetworkRegions(network),
        "together": lambda: Together((NetworkRegions(network), Superpixels())),
        "default": load_proposer,
    }[kind]()
    expected = proposer(BATCH)
    for value in (file, Image.fromarray(PIXELS), PIXELS, torch.from_numpy(PIXELS)):
        same(proposer(value), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_a_batch_of_floats_stays_the_tensor_that_it_is(dtype):
    images = BATCH.to(dtype).expand(2, -1, -1, -1).to(memory_format=torch.channels_last)
    read = read_images(images)
    assert read.data_ptr() == images.data_ptr()
    assert (read.dtype, read.stride()) == (dtype, images.stride())
    assert not read_images(images.clone().requires_grad_()).requires_grad


def test_a_batch_of_floats_that_is_three_pixels_wide_is_one():
    images = torch.rand(2, 3, 5, 3)
    assert is_batch(images)
    assert read_images(images).equal(images)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((3, 5, 3), np.uint8),
        np.zeros((3, 5, 3), np.float32),
        torch.zeros(3, 5, 3),
        np.zeros((2, 3, 5, 3), np.uint8),
        np.zeros((2, 3, 5, 3), np.float32),
    ],
)
def test_shapes_with_two_readings_are_refused_with_the_way_out(images):
    with pytest.raises(
        ShapeError, match=r"channels may be the axis . or .*floating-point tensor \(B, 3, H, W"
    ):
        read_images(images)


# Pictures


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_picture_is_turned_as_its_file_is(orientation, suffix, tmp_path):
    exif = Image.Exif()
    exif[EXIF] = orientation
    path = tmp_path / f"turned{suffix}"
    Image.fromarray(PIXELS).save(path, exif=exif)
    with Image.open(path) as picture:
        shown = read_images(picture)
        assert shown.shape[2:] == ((W, H) if orientation > 4 else (H, W))
        # Decoders of JPEG differ in rounding; a turn that is missed differs by the contrast of the blocks.
        difference = (shown - image_batch(read_image(path))).abs().mean()
        assert difference <= (0.02 if suffix == ".jpg" else 0)
        picture.load()
        assert read_images(picture.convert("RGB")).equal(shown)  # it keeps what turns it


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_gray_palettes_and_alpha_are_read_as_from_a_file(mode, tmp_path):
    picture = Image.fromarray(PIXELS).convert(mode)
    picture.save(tmp_path / "a.png")
    assert read_images(picture).equal(read_images(tmp_path / "a.png"))


def test_alpha_is_dropped_and_not_blended():
    picture = Image.fromarray(np.dstack([PIXELS, np.zeros((H, W), np.uint8)]))
    assert read_images(picture).equal(BATCH)


@pytest.mark.parametrize("mode", ["F", "I", "I;16", "LAB"])
def test_pictures_without_bytes_of_color_are_refused(mode):
    picture = Image.new(mode, (W, H))
    with pytest.raises(DTypeError, match=re.escape(f'a picture of mode "{mode}"') + ".*Pass the path"):
        load_proposer("superpixels")(picture)


# What is refused, once


@pytest.mark.parametrize(
    ("images", "kind", "said"),
    [
        (np.zeros((H, W), np.uint8), ShapeError, r"shape \(24, 40\).*three equal channels"),
        (np.zeros((1, H, W), np.uint8), ShapeError, "three equal channels"),
        (np.zeros((H, W, 4), np.uint8), ShapeError, r"Drop alpha: image\[\.\.\., :3\]"),
        (np.zeros((4, H, W), np.uint8), ShapeError, r"Drop alpha: image\[\.\.\., :3, :, :\]"),
        (np.zeros((H, W, 5), np.uint8), ShapeError, "Pass an RGB image"),
        (np.zeros((0, W, 3), np.uint8), ShapeError, "no image"),
        (np.zeros((1, 1, 3, H, W), np.uint8), ShapeError, "Pass an RGB image"),
        (PIXELS.astype(np.int64), DTypeError, "numpy array of int64.*as uint8"),
        (PIXELS > 99, DTypeError, "as uint8"),
        (PIXELS.astype(np.float32), ScoreRangeError, "Divide by 255"),
        ((FLOATS - 0.485) / 0.229, ScoreRangeError, r"Undo the normalization, images \* std \+ mean"),
        (FLOATS * 0.1 + 0.95, ScoreRangeError, "Clip"),
        (FLOATS * np.nan, ScoreRangeError, "not finite"),
        ([PIXELS], DTypeError, "a list of 1.*numpy.stack"),
        (None, DTypeError, "NoneType, expected a path, a picture of Pillow, an array"),
        (b"a.png", DTypeError, "expected a path"),
        ("missing.png", FileError, "missing.png: got"),
        (np.ma.masked_equal(PIXELS, 0), DTypeError, "masked array"),
    ],
)  # fmt: skip
def test_what_is_no_image_gets_one_error_with_the_way_out(network, images, kind, said):
    for proposer in (Superpixels(), NetworkProposals(network), Together((Superpixels(),))):
        with pytest.raises(kind, match=said):
            proposer(images)


@pytest.mark.parametrize(
    "follow",
    [
        (np.zeros((H, W, 4), np.uint8), lambda image: image[..., :3]),
        (np.zeros((4, H, W), np.uint8), lambda image: image[..., :3, :, :]),
        (np.zeros((H, W), np.uint8), lambda image: np.stack([image] * 3)),
        (np.zeros((H, W, 1), np.uint8), lambda image: np.stack([image.squeeze()] * 3)),
        (PIXELS.astype(np.float32), lambda image: image / 255),
        (FLOATS * 0.1 + 0.95, lambda image: image.clip(0, 1)),
        (PIXELS.astype(np.int64), lambda image: image.astype(np.uint8)),
    ],
)
def test_what_a_hint_says_is_taken(follow):
    image, change = follow
    with pytest.raises(CSLError):
        read_images(image)
    assert read_images(change(image)).shape == (1, 3, H, W)


# Callables of a user, and folders


def test_a_users_callable_gets_the_batch_of_floats(network):
    seen = []

    def mine(images):
        seen.append(images)
        return RegionMap(torch.zeros(len(images), *images.shape[2:], dtype=torch.int32))

    Together((mine, NetworkRegions(network)))(Image.fromarray(PIXELS))
    assert seen[0].equal(BATCH)
    Together((mine,))(BATCH)
    assert seen[1] is BATCH


def test_a_folder_of_maps_takes_them_beside_a_name(tmp_path):
    write_region_map(tmp_path / "a.png", np.zeros((H, W), np.int32))
    folder = RegionMapFolder(tmp_path)
    for images in (PIXELS, Image.fromarray(PIXELS), BATCH):
        assert folder(images, names=["a"])[0].size == (H, W)


def test_pillow_is_not_imported_for_an_array(monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "PIL"]:
        monkeypatch.delitem(sys.modules, name)
    assert read_images(PIXELS).equal(BATCH)
    assert "PIL.Image" not in sys.modules


@pytest.mark.parametrize("fault", ["truncated", "closed", "exif"])
def test_a_picture_that_pillow_cannot_read_is_named(tmp_path, fault):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(tmp_path / "a.png")
    if fault == "truncated":
        (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:3000])
    picture = Image.open(tmp_path / "a.png")
    if fault == "closed":
        picture.close()
    if fault == "exif":
        picture.info["exif"] = b"no TIFF file"
    with pytest.raises(FileError, match="images: got a picture that Pillow cannot read"):
        read_images(picture)
    picture.close()
