"""Training data: mask split, folders, pasting, dead leaves, and batches that can be made again."""

import os
import pickle
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from csl_plugin.errors import DTypeError, FileError, OptionError, ShapeError
from csl_plugin.io import write_png
from csl_plugin.training import (
    Appearance,
    Cropping,
    DeadLeaves,
    LabeledFolder,
    Mixture,
    Part,
    Pasting,
    ProceduralObjects,
    Scene,
    SegmentBank,
    SegmentFolder,
    Textures,
    batches,
    class_regions,
    mask_split,
)
from csl_plugin.training.synthetic.objects import MARGIN, Cutout
from csl_plugin.training.synthetic.pasting import paste
from csl_plugin.training.synthetic.shapes import draw_shape

EIGHT = np.ones((3, 3), int)
SIZE = (48, 64)

label_maps = arrays.arrays(
    st.sampled_from([np.int16, np.int32, np.int64]),
    arrays.array_shapes(min_dims=2, max_dims=2, max_side=14),
    elements=st.integers(-1, 4),
)


def generator(seed=0):
    return np.random.default_rng(seed)


def assert_are_regions(regions, min_area=1, structure=EIGHT):
    """Contiguous ids from 0, each connected and large enough."""
    ids = np.unique(regions[regions >= 0])
    assert regions.dtype == np.int32
    assert regions.min() >= -1
    np.testing.assert_array_equal(ids, np.arange(len(ids)))
    for region in ids:
        assert ndimage.label(regions == region, structure)[1] == 1
        assert (regions == region).sum() >= min_area


@given(label_maps, st.integers(0, 6), st.sampled_from([4, 8]), st.sets(st.integers(0, 4), max_size=2))
@settings(max_examples=150, deadline=None)
def test_mask_split_is_what_scipy_finds(labels, min_area, connectivity, ignore):
    structure = EIGHT if connectivity == 8 else None
    regions = mask_split(labels, ignore=ignore, min_area=min_area, connectivity=connectivity)
    assert_are_regions(regions, min_area, structure)
    expected = []
    for value in set(np.unique(labels).tolist()) - ignore - {-1}:
        parts, count = ndimage.label(labels == value, structure)
        expected += [parts == part for part in range(1, count + 1) if (parts == part).sum() >= min_area]
    found = [regions == region for region in range(regions.max() + 1)]
    assert {mask.tobytes() for mask in found} == {mask.tobytes() for mask in expected}
    assert len(found) == len(expected)
    first = [int(mask.argmax()) for mask in found]
    assert first == sorted(first)


@given(label_maps, st.integers(0, 6))
@settings(max_examples=80, deadline=None)
def test_class_regions_are_the_labels(labels, min_area):
    regions = class_regions(labels, ignore=(2,), min_area=min_area)
    kept = [v for v in range(5) if v != 2 and (labels == v).sum() >= max(min_area, 1)]
    assert regions.max() == len(kept) - 1
    for region, value in enumerate(kept):
        np.testing.assert_array_equal(regions == region, labels == value)


def test_mask_split_takes_any_integers_and_tensors():
    labels = np.array([[7, 7, 10**12], [-5, 7, 10**12]])
    np.testing.assert_array_equal(mask_split(labels, min_area=1), [[0, 0, 1], [-1, 0, 1]])
    small = torch.tensor([[3, 3], [3, 255]], dtype=torch.uint8)
    np.testing.assert_array_equal(mask_split(small, ignore=[255], min_area=1), [[0, 0], [0, -1]])
    assert mask_split(np.full((4, 4), -1)).max() == -1


def test_mask_split_refuses():
    labels = np.zeros((4, 4), int)
    with pytest.raises(DTypeError, match="integers"):
        mask_split(labels.astype(float))
    with pytest.raises(ShapeError, match="without batch"):
        mask_split(labels[None])
    with pytest.raises(OptionError, match="connectivity"):
        mask_split(labels, connectivity=6)
    with pytest.raises(OptionError, match="min_area"):
        mask_split(labels, min_area=-1)


@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """Pictures whose red channel is 20 x their class; class 3 is unseen, 4 is void."""
    folder = tmp_path_factory.mktemp("street")
    for name, seed in (("a", 1), ("b", 2), ("c", 3)):
        cells = generator(seed).integers(0, 5, (6, 8))
        labels = np.kron(cells, np.ones((12, 12), int)).astype(np.uint8)
        image = np.stack([labels * 20] * 3, axis=2)
        write_png(folder / "images" / f"{name}.png", image)
        write_png(folder / "labels" / f"{name}.png", labels)
    return folder


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Two pictures with discs and a cross on them; one has two annotators, one is 16-bit."""
    folder = tmp_path_factory.mktemp("photographs")
    for name, count in (("x_1", 2), ("y", 1)):
        labels = np.zeros((80, 100), np.uint16)
        cv2.circle(labels, (30, 30), 14, 300, -1)
        cv2.circle(labels, (70, 45), 17, 301, -1)
        labels[60:63, 5:95] = 302  # too long to be an object
        image = np.stack([(labels % 255 * 7 % 255).astype(np.uint8)] * 3, axis=2)
        write_png(folder / "images" / f"{name}.png", image)
        for annotator in range(count):
            write_png(folder / "labels" / f"{name}_{annotator}.png", labels)
    return folder


def labeled(folder, **options):
    return LabeledFolder(folder / "images", folder / "labels", ignore=(4,), unseen=(3,), **options)


def test_unseen_and_ignored_classes_are_removed(street):
    source = labeled(street, cropping=Cropping(0.5, 2.0, 1.3))
    for seed in range(30):
        scene = source.draw(generator(seed), (32, 40))
        assert scene.image.shape == (32, 40, 3)
        assert set(np.unique(scene.classes)) <= {-1, 0, 1, 2}
        np.testing.assert_array_equal(scene.labels, scene.classes)
    assert (source.labels(0) == -1).sum() == (np.isin(source.image(0)[..., 0], (60, 80))).sum()


def test_labels_stay_on_their_pixels(street):
    """Where a label is far from an edge, the picture shows its class whatever the crop."""
    source, compared = labeled(street, cropping=Cropping(0.6, 2.5, 1.3)), 0
    for seed in range(20):
        scene = source.draw(generator(seed), (40, 40))
        inner = ndimage.minimum_filter(scene.classes, 5) == ndimage.maximum_filter(scene.classes, 5)
        inner &= scene.classes >= 0
        np.testing.assert_allclose(scene.image[inner][:, 0], 20 * scene.classes[inner], atol=1)
        compared += inner.sum()
    assert compared > 5000


def test_one_annotator_is_drawn(photographs):
    source = SegmentFolder(photographs / "images", photographs / "labels")
    assert [source.annotations(index) for index in range(len(source))] == [2, 1]
    scene = source.draw(generator(), SIZE)
    assert set(np.unique(scene.labels)) <= {0, 300, 301, 302}
    assert (scene.classes == -1).all()


def test_memory_changes_nothing_but_memory(street, photographs):
    sources = [labeled(street), labeled(street, memory=0)]
    sources += [SegmentFolder(photographs / "images", photographs / "labels", memory=m) for m in (0, 1 << 20)]
    for kept, read in (sources[:2], sources[2:]):
        for seed in range(8):
            first, second = kept.draw(generator(seed), SIZE), read.draw(generator(seed), SIZE)
            np.testing.assert_array_equal(first.image, second.image)
            np.testing.assert_array_equal(first.labels, second.labels)


def test_folders_refuse(street, photographs, tmp_path):
    with pytest.raises(FileError, match="no labels for 3 of the images, the first 'a'"):
        LabeledFolder(street / "images", photographs / "labels")
    with pytest.raises(FileError, match="no labels for 2 of the images"):
        SegmentFolder(photographs / "images", street / "labels")
    with pytest.raises(OptionError, match="ignore"):
        SegmentFolder(photographs / "images", photographs / "labels", ignore=[-1])
    write_png(tmp_path / "images" / "a.png", np.zeros((6, 8, 3), np.uint8))
    write_png(tmp_path / "labels" / "a.png", np.zeros((6, 9), np.uint8))
    with pytest.raises(FileError, match="its image's size"):
        LabeledFolder(tmp_path / "images", tmp_path / "labels")


@given(st.integers(0, 10**6), st.integers(8, 90))
@settings(max_examples=60, deadline=None)
def test_shapes_have_their_extent(seed, extent):
    coverage = draw_shape(generator(seed), float(extent), margin=3)
    assert abs(max(coverage.shape) - (extent + 1 + 6)) <= 1
    assert (coverage > 127).any()
    rim = coverage.copy()
    rim[2:-2, 2:-2] = 0
    assert rim.max() < 64, "soft edges end in the margin"


def test_textures_differ_and_keep_off_what_is_not_allowed():
    rng = generator()
    forbidden = np.zeros((40, 60, 3), np.uint8)
    forbidden[:, 30:] = (255, 0, 0)
    allowed = np.arange(60)[None, :].repeat(40, axis=0) < 30
    textures = Textures([forbidden], [allowed], share=1.0)
    drawn = [textures.draw(rng, 12, 9) for _ in range(60)]
    assert all(texture.shape == (12, 9, 3) and texture.dtype == np.uint8 for texture in drawn)
    assert any((texture == 0).all() for texture in drawn), "crops of what is allowed"
    assert not any((texture == (255, 0, 0)).all(axis=2).any() for texture in drawn)
    procedural = [Textures().draw(rng, 30, 30).astype(float) for _ in range(20)]
    assert np.std([texture.mean() for texture in procedural]) > 10
    assert min(Textures().draw(rng, *size).size for size in ((1, 1), (1, 50), (50, 1))) == 3


def test_textures_refuse():
    with pytest.raises(DTypeError):
        Textures([np.zeros((4, 4, 3))])
    with pytest.raises(ShapeError, match="gray"):
        Textures([np.zeros((4, 4), np.uint8)])
    with pytest.raises(ShapeError, match="allowed"):
        Textures([np.zeros((4, 4, 3), np.uint8)], [np.ones((4, 5), bool)])
    with pytest.raises(ShapeError, match="allowed"):
        Textures([np.zeros((4, 4, 3), np.uint8)], [])


def test_segment_bank_takes_objects_only(photographs):
    bank = SegmentBank(SegmentFolder(photographs / "images", photographs / "labels"))
    assert len(bank) == 6, "two discs by each of three annotations, neither the ground nor the bar"
    for seed in range(20):
        cutout = bank.draw(generator(seed), 25.0)
        assert cutout.image.shape[:2] == cutout.coverage.shape
        rows, columns = np.nonzero(cutout.coverage > 127)
        assert 20 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 31
        assert max(cutout.coverage.shape) < 25 * 1.5 + 1 + 2 * MARGIN
    grown = bank.draw(generator(), 500.0).coverage
    assert max(grown.shape) < 500, "a segment grows to at most twice its size"
    with pytest.raises(FileError, match="no fitting segment"):
        SegmentBank(SegmentFolder(photographs / "images", photographs / "labels"), least=5000)


def plain_scene(size=SIZE, ignored=False):
    labels = np.zeros(size, np.int32)
    labels[:, size[1] // 2 :] = 1
    if ignored:
        labels[size[0] // 2 :] = -1
    return Scene(np.full((*size, 3), 90, np.uint8), labels, labels)


@given(st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_what_is_pasted_is_one_region(seed):
    """One object on a scene: its label is one component at most per connected part of its shape."""
    pasting = Pasting([(ProceduralObjects(Textures()), 1.0)], fewest=1, most=1, feather=0.5, largest=0.4)
    before = plain_scene(ignored=True)
    after = pasting(generator(seed), before)
    pasted = after.labels == 2
    np.testing.assert_array_equal(after.labels[~pasted], before.labels[~pasted])
    np.testing.assert_array_equal(after.classes, np.where(pasted, -1, before.classes))
    assert (before.labels[SIZE[0] // 2 :] == -1).all(), "the scene given stays as it is"
    regions = mask_split(after.labels, min_area=1)
    assert_are_regions(regions)
    assert len(np.unique(regions[pasted])) == ndimage.label(pasted, EIGHT)[1]
    far = ndimage.distance_transform_edt(~pasted) > extent_of_change(pasting)
    np.testing.assert_array_equal(after.image[far], before.image[far])


def extent_of_change(pasting):
    """A shadow falls at most this far from its object."""
    return pasting.largest * max(SIZE) * 1.5 + 20


def test_a_pasted_disc_cuts_what_lies_under():
    scene = plain_scene()
    disc = np.zeros((17, 90), np.uint8)
    disc[4:13] = 255
    image, labels = scene.image.copy(), scene.labels.copy()
    place, covered = paste(image, Cutout(np.full((17, 90, 3), 200, np.uint8), disc), (24, 32))
    labels[place][covered] = 2
    assert (image[labels == 2] == 200).all()
    assert (image[labels != 2] == 90).all()
    assert mask_split(labels).max() + 1 == 5, "two halves above, two below, and the bar"


def test_paste_outside_changes_nothing():
    image = plain_scene().image
    cutout = Cutout(np.zeros((9, 9, 3), np.uint8), np.full((9, 9), 255, np.uint8))
    for center in ((-50, 5), (5, 500), (-4 - 5, 10)):
        place, covered = paste(image, cutout, center, fade=1.0, match=0.5)
        assert covered.size == image[place].size == 0
    assert (image == 90).all()


def test_fade_and_match():
    image = plain_scene().image
    square = np.zeros((24, 24), np.uint8)
    square[6:-6, 6:-6] = 255
    cutout = Cutout(np.full((24, 24, 3), 250, np.uint8), square)
    paste(image, cutout, (24, 32), fade=1.5, match=0.5)
    assert image[24, 32, 0] == 170, "half way to the surroundings"
    row = image[24, 32:50, 0].astype(int)
    assert (np.diff(row) <= 0).all(), "it fades outwards"
    assert len(np.unique(row)) > 4


def test_options_of_pasting_and_cropping_are_checked():
    objects = ProceduralObjects(Textures())
    for options in (
        {"objects": []},
        {"objects": [(objects, 0.0)]},
        {"fewest": 3, "most": 2},
        {"smallest": 0},
    ):
        with pytest.raises(OptionError):
            Pasting(**{"objects": [(objects, 1.0)], **options})
    with pytest.raises(OptionError):
        Cropping(2.0, 1.0)
    with pytest.raises(OptionError, match="parts"):
        Mixture([])
    for options in ({"size": 0}, {"workers": -1}, {"workers": "2"}, {"workers": 10**6}):
        with pytest.raises(OptionError, match=next(iter(options))):
            batches(mixture(), **{"size": 1, "stop": 1, **options})


def test_dead_leaves_are_regions_of_many_sizes():
    source = DeadLeaves(Textures())
    areas = []
    for seed in range(12):
        scene = source.draw(generator(seed), (96, 128))
        regions = mask_split(scene.labels)
        assert_are_regions(regions, 24)
        areas += np.bincount(regions[regions >= 0]).tolist()
    assert len(areas) > 100
    assert min(areas) < 60 < 2000 < max(areas)


@given(st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_appearance_keeps_type_and_place(seed):
    image = plain_scene().image
    image[:, 32:] = (200, 30, 60)
    changed = Appearance(blur=0, noise=0)(generator(seed), image)
    assert changed.shape == image.shape
    assert changed.dtype == np.uint8
    assert np.abs(changed[:, :24].mean((0, 1)) - changed[:, 40:].mean((0, 1))).max() > 20


def test_appearance_off_is_the_picture():
    image = generator().integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    np.testing.assert_array_equal(Appearance(0, 0, 0, 0, 0, 0, 0)(generator(), image), image)


def mixture(*folders, seed=5, **options):
    objects = [(ProceduralObjects(Textures()), 1.0)]
    parts = [Part(DeadLeaves(Textures(), most=14), 1.0)]
    parts += [Part(labeled(folder), 2.0, Pasting(objects, most=4)) for folder in folders]
    return Mixture(parts, crop=SIZE, seed=seed, **options)


def test_samples_are_as_declared(street):
    chances = mixture(street)
    for index in range(12):
        image, regions, classes = chances.sample(step=3, index=index)
        assert image.shape == (3, *SIZE)
        assert image.dtype == torch.float32
        assert 0 <= float(image.min()) <= float(image.max()) <= 1
        assert regions.dtype == classes.dtype == torch.int32
        assert_are_regions(regions.numpy(), 24)
        assert set(classes.unique().tolist()) <= {-1, 0, 1, 2}
        again = mixture(street).sample(step=3, index=index)
        assert all(torch.equal(*pair) for pair in zip(again, (image, regions, classes), strict=True))
    other = mixture(street, seed=6).sample(3, 0)
    assert not torch.equal(other.image, chances.sample(3, 0).image)
    assert not torch.equal(chances.sample(4, 0).image, chances.sample(3, 0).image)


def test_a_mixture_can_be_sent_to_another_process(street):
    chances = mixture(street)
    copy = pickle.loads(pickle.dumps(chances))  # noqa: S301 - its own bytes
    assert torch.equal(copy.sample(2, 1).image, chances.sample(2, 1).image)


def test_shares_are_kept_in_every_step(street):
    chances = mixture(street)
    for step in range(20):
        from_folder = [chances._choose(step, index) for index in range(9)]
        assert 5 <= sum(from_folder) <= 7


def test_a_mixture_without_mask_split(street):
    whole = Mixture([Part(labeled(street))], crop=SIZE, to_regions=class_regions)
    split = Mixture([Part(labeled(street))], crop=SIZE)
    assert int(whole.sample(0, 0).regions.max()) < int(split.sample(0, 0).regions.max())
    assert int(whole.sample(0, 0).regions.max()) <= 2


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_batches_go_on_from_any_step_with_any_workers(street):
    chances = mixture(street)
    whole = list(batches(chances, 3, stop=6))
    assert whole[0].images.shape == (3, 3, *SIZE)
    assert whole[0].images.is_contiguous()
    assert whole[0].images.dtype == torch.float32
    for resumed in (batches(chances, 3, start=4, stop=6), batches(chances, 3, start=4, stop=6, workers=2)):
        later = list(resumed)
        assert len(later) == 2
        for got, expected in zip(later, whole[4:], strict=True):
            assert all(torch.equal(*pair) for pair in zip(got[:3], expected[:3], strict=True))
    halves = [next(batches(chances, size, stop=1, first=first)) for size, first in ((1, 0), (2, 1))]
    assert torch.equal(torch.cat([half.images for half in halves]), whole[0].images)
    assert torch.equal(whole[0].regions[2], chances.sample(0, 2).regions)
    assert torch.equal(whole[0].images[2], chances.sample(0, 2).image)


def test_an_endless_run_needs_no_end_of_data(street):
    assert len(list(islice(batches(mixture(street), 1, stop=10**9), 2))) == 2


def test_real_data():
    """CamVid's pedestrians and bicyclists (9, 10) never reach training; BSDS500 gives objects."""
    if "CSL_DATA" not in os.environ:
        pytest.skip("CSL_DATA names no folder with camvid and bsds500")
    camvid, bsds = (Path(os.environ["CSL_DATA"]) / name for name in ("camvid", "bsds500"))
    street = LabeledFolder(
        camvid / "images" / "train", camvid / "labels" / "train", ignore=[11], unseen=[9, 10], memory=0
    )
    people = np.isin(cv2.imread(str(sorted((camvid / "labels" / "train").iterdir())[40]), -1), (9, 10, 11))
    np.testing.assert_array_equal(street.labels(40) == -1, people)
    segments = SegmentFolder(bsds / "images" / "val", bsds / "labels" / "val", memory=0)
    assert len(segments) == 100
    chances = Mixture([Part(street), Part(segments)])
    classes = [chances.sample(0, index).classes for index in range(6)]
    assert {-1} < set(torch.cat(classes).unique().tolist()) <= set(range(-1, 9))
