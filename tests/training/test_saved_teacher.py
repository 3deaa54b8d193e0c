"""Scheme 1 from files: maps are cropped with labels, and train as the live teacher does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from csl_plugin.errors import FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.io import read_image, write_png, write_scores
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.training import (
    Batch,
    Cropping,
    DeadLeaves,
    LabeledFolder,
    Mixture,
    Part,
    Pasting,
    ProceduralObjects,
    SavedTeacher,
    SegmentFolder,
    Textures,
    TrainingSettings,
    batches,
    take_gradient,
    train,
)
from csl_plugin.training.data.augmentation import Window

SIZE = (48, 64)
SETTINGS = TrainingSettings(steps=2, batch_size=2, crop=(64, 64), bfloat16=False, save_every=1)
TINY = NetworkConfig(
    num_queries=4, embedding_width=16, query_width=16, num_layers=1, feedforward_width=16, num_classes=2
)


def live(images):
    """Two classes by brightness, at half the resolution."""
    bright = F.avg_pool2d(images.mean(1, keepdim=True), 2)
    return torch.cat([bright, 1 - bright], 1)


@pytest.fixture
def street(tmp_path):
    """Three pictures with labels, and the teacher's distributions for them."""
    draw = np.random.default_rng(0)
    for stem in ("a", "b", "c"):
        picture = draw.integers(0, 256, (*SIZE, 3)).astype(np.uint8)
        labels = np.zeros(SIZE, np.uint8)
        labels[10:30, 5:40], labels[:3] = 1, 9
        write_png(tmp_path / "images" / f"{stem}.png", picture)
        write_png(tmp_path / "labels" / f"{stem}.png", labels)
        pixels = torch.from_numpy(read_image(tmp_path / "images" / f"{stem}.png")).permute(2, 0, 1)
        write_scores(tmp_path / "maps" / f"{stem}.npz", live(pixels[None].float() / 255)[0].numpy())
    return tmp_path


def folder_of(street, teacher, **cropping):
    plain = {"smallest": 1.0, "largest": 1.0, "aspect": 1.0, "flip": 0.0}
    chances = Cropping(**{**plain, **cropping})
    images, labels = street / "images", street / "labels"
    return LabeledFolder(images, labels, ignore=[9], cropping=chances, teacher=teacher)


def fresh():
    torch.manual_seed(0)
    return CSLNetwork(TINY)


def test_saved_maps_train_as_the_live_teacher_does(street, tmp_path):
    teacher = SavedTeacher(street / "maps")
    mixture = Mixture([Part(folder_of(street, teacher))], SIZE, appearance=None, teacher_classes=2)
    (batch,) = batches(mixture, 4, stop=1)
    assert batch.teacher_scores.shape == (4, 2, 12, 16)
    assert batch.teacher_mask.all()
    grown = []
    for source in ("saved", live):
        network = fresh()
        values = take_gradient(network, batch, SETTINGS, 0, source)
        grown.append((values, network.distribution.weight.grad))
    assert grown[0][0] == pytest.approx(grown[1][0], rel=1e-5)
    torch.testing.assert_close(grown[0][1], grown[1][1], rtol=1e-4, atol=1e-6)
    assert grown[0][0]["distillation"] > 0

    def from_start(start):
        return batches(mixture, 2, start=start, stop=2)

    one = train(fresh(), from_start, SETTINGS, tmp_path / "saved", teacher="saved")
    other = train(fresh(), from_start, SETTINGS, tmp_path / "live", teacher=live)
    logs = [(tmp_path / run / "log.jsonl").read_text().splitlines() for run in ("saved", "live")]
    for first, second in zip(*logs, strict=True):
        assert json.loads(first) == pytest.approx(json.loads(second), rel=1e-4)
    assert one.keys() == other.keys()


@given(
    top=st.integers(0, 20),
    left=st.integers(0, 20),
    height=st.integers(1, 28),
    width=st.integers(1, 44),
    flipped=st.booleans(),
    shape=st.sampled_from([(12, 16), (48, 64), (7, 9), (96, 128)]),
)
def test_maps_are_cut_where_labels_are(top, left, height, width, flipped, shape):
    """A crop of coordinates holds the coordinates of its pixels, up to a cell at the border."""
    window = Window(top, left, height, width, flipped)
    rows, columns = ((np.arange(n) + 0.5) / n * side for n, side in zip(shape, SIZE, strict=True))
    maps = np.stack(np.meshgrid(rows, columns, indexing="ij")).astype(np.float32)
    cut = window.cut_scores(maps, SIZE, (8, 16))
    places = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]), indexing="ij")
    labels = [window.cut_labels(place, (8, 16)) for place in places]
    for axis, (found, label) in enumerate(zip(cut, labels, strict=True)):
        cell = SIZE[axis] / shape[axis]
        assert np.abs(found - (label + 0.5)).max() <= max(cell, window.height / 8, window.width / 16) + 0.5
    constant = window.cut_scores(np.full((1, *shape), 0.3, np.float32), SIZE, (8, 16))
    np.testing.assert_allclose(constant, 0.3, rtol=1e-6)


@given(shape=st.sampled_from([(12, 16), (48, 64), (30, 50), (5, 6), (100, 40)]), flipped=st.booleans())
def test_a_whole_picture_is_cut_as_torch_resizes(shape, flipped):
    maps = torch.rand(3, *shape, generator=torch.Generator().manual_seed(sum(shape)))
    expected = F.interpolate(maps[None], (12, 16), mode="bilinear", align_corners=False, antialias=True)[0]
    cut = Window(0, 0, *SIZE, flipped).cut_scores(maps.numpy(), SIZE, (12, 16))
    torch.testing.assert_close(torch.from_numpy(cut), expected.flip(-1) if flipped else expected)


def test_pixels_that_the_teacher_did_not_see_are_masked(street):
    teacher = SavedTeacher(street / "maps")
    pasting = Pasting([(ProceduralObjects(Textures()), 1.0)], fewest=2, most=4, smallest=20)
    parts = [Part(folder_of(street, teacher, smallest=0.7, largest=1.5, flip=0.5), 1.0, pasting)]
    parts.append(Part(DeadLeaves(Textures())))
    mixture = Mixture(parts, (64, 64), teacher_classes=2)
    shares = []
    for index in range(12):
        scene = mixture.scene(0, index)
        assert scene.teacher_scores.shape == (2, 16, 16)
        assert scene.teacher_mask.shape == (64, 64)
        shares.append(float(scene.teacher_mask.mean()))
        # What is pasted has no class, and the street has one wherever it is not ignored.
        pasted_or_void = scene.classes < 0
        assert not (scene.teacher_mask & pasted_or_void & (scene.labels >= 0)).any()
    assert 0.0 in shares  # dead leaves
    assert any(0.2 < share < 1.0 for share in shares)  # a street with objects


def test_masked_pixels_change_nothing():
    draw = torch.Generator().manual_seed(0)
    images, regions = torch.rand(2, 3, 32, 32, generator=draw), torch.zeros(2, 32, 32, dtype=torch.int32)
    known = torch.ones(2, 32, 32, dtype=torch.bool)
    known[0, :16], known[1] = False, False
    taught = torch.rand(2, 2, 8, 8, generator=draw)
    other = taught.clone()
    other[0, :, :4], other[1] = 0.5, 0.5
    values = []
    for scores in (taught, other, 1 - taught):
        batch = Batch(images, regions, regions, scores, known)
        values.append(take_gradient(fresh(), batch, SETTINGS, 0, "saved")["distillation"])
    assert values[0] == values[1] != values[2]
    nothing = Batch(images, regions, regions, taught, torch.zeros_like(known))
    assert take_gradient(fresh(), nothing, SETTINGS, 0, "saved")["distillation"] == 0
    with pytest.raises(OptionError, match="SavedTeacher"):
        take_gradient(fresh(), Batch(images, regions, regions), SETTINGS, 0, "saved")


def test_maps_that_fit_no_teacher_are_refused(street):
    (street / "maps/c.npz").unlink()
    with pytest.raises(FileError, match="no map of 1 of the images, the first 'c'"):
        folder_of(street, SavedTeacher(street / "maps"))
    write_scores(street / "maps/b.npz", np.zeros((3, 4, 4), np.float32))
    with pytest.raises(ShapeError, match="3 classes"):
        SavedTeacher(street / "maps").read("b")
    for wrong in (1.5, -0.1, np.nan):
        write_scores(street / "maps/b.npz", np.full((2, 4, 4), wrong, np.float32))
        with pytest.raises(ScoreRangeError, match=r"\[0, 1\]"):
            SavedTeacher(street / "maps").read("b")
    write_scores(street / "maps/a.npz", np.zeros((2, 4, 4), np.float32))
    write_scores(street / "maps/b.npz", np.full((2, 4, 4), np.inf, np.float32))
    with pytest.raises(ScoreRangeError, match="finite logits"):
        SavedTeacher(street / "maps", logits=True).read("b")
    (street / "empty").mkdir()
    with pytest.raises(FileError, match="no score maps"):
        SavedTeacher(street / "empty")


@pytest.mark.parametrize("count", [1, 4])
def test_logits_become_a_distribution(tmp_path, count):
    logits = np.random.default_rng(0).normal(0, 5, (count, 3, 4)).astype(np.float32)
    write_scores(tmp_path / "a.npy", logits[0] if count == 1 else logits)
    found = SavedTeacher(tmp_path, logits=True).read("a")
    assert found.shape == logits.shape
    tensor = torch.from_numpy(logits)
    expected = tensor.sigmoid() if count == 1 else tensor.softmax(0)
    torch.testing.assert_close(torch.from_numpy(found), expected)


def test_segment_folders_take_a_teacher_too(street):
    teacher = SavedTeacher(street / "maps")
    scene = SegmentFolder(street / "images", street / "labels", teacher=teacher).draw(
        np.random.default_rng(0), (32, 32)
    )
    assert scene.teacher_scores.shape == (2, 8, 8)
    assert scene.teacher_mask.all()
