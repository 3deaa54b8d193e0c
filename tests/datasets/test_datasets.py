"""Readers of the data sets: every published layout in miniature, values read back, and what is missing."""

import json
import shutil
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from csl_plugin.datasets import DATASETS, IdTable, open_dataset
from csl_plugin.datasets.coco_stuff import (
    cityscapes_named_classes,
    class_names,
    raw_values,
    unseen_classes,
    zegformer_order,
)
from csl_plugin.datasets.tables import read_table
from csl_plugin.errors import CSLError, DTypeError, FileError, OptionError, ShapeError
from csl_plugin.io import png_size, read_label_png
from tests.helpers import trees
from tests.helpers.data import CLASS_TABLES
from tests.helpers.miniature import CHANNELS, chunk, image, png, write


def names(dataset):
    return [frame.name for frame in dataset.frames]


def first_labels(dataset):
    return dataset.read_label(dataset.frames[0])


def refused(name, path, *parts, error=FileError, **options):
    """One error of four parts that says all of `parts`."""
    with pytest.raises(error) as raised:
        open_dataset(name, path, **options)
    for part in parts:
        assert part in str(raised.value), (part, str(raised.value))
    assert raised.value.hint.endswith(".")
    return raised.value


# --- label PNGs -----------------------------------------------------------------------------------------

KINDS = [(0, bits) for bits in (1, 2, 4, 8, 16)] + [(3, bits) for bits in (1, 2, 4, 8)]
KINDS += [(color, bits) for color in (2, 4, 6) for bits in (8, 16)]
GAMMA = chunk(b"gAMA", (1000).to_bytes(4, "big"))
TRANSPARENT = chunk(b"tRNS", bytes(range(0, 256, 64)))


@pytest.mark.parametrize(("color", "bits"), KINDS)
def test_every_kind_of_png_gives_what_is_stored(tmp_path, color, bits):
    random = np.random.default_rng(bits + color)
    shape = (11, 13) if CHANNELS[color] == 1 else (11, 13, CHANNELS[color])
    samples = random.integers(0, 1 << bits, shape)
    file = write(tmp_path / "a.png", png(samples, bits, color, extra=GAMMA))
    labels = read_label_png(file)
    assert labels.dtype == (np.uint16 if bits == 16 else np.uint8)
    assert labels.flags.c_contiguous
    np.testing.assert_array_equal(labels, samples if samples.ndim == 2 else samples[..., 0])
    assert png_size(file) == (11, 13)


@given(st.integers(1, 40), st.integers(1, 9), st.integers(0, 2**32), st.permutations(range(5)))
def test_palette_indices_of_any_size_and_filter(tmp_path_factory, width, height, seed, filters):
    samples = np.random.default_rng(seed).integers(0, 16, (height, width))
    file = tmp_path_factory.mktemp("png") / "a.png"
    file.write_bytes(png(samples, 4, 3, filters=filters))
    np.testing.assert_array_equal(read_label_png(file), samples)


def test_gray_labels_agree_with_opencv(tmp_path):
    samples = np.random.default_rng(4).integers(0, 256, (64, 97)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "a.png"), samples)
    np.testing.assert_array_equal(read_label_png(tmp_path / "a.png"), samples)


def test_transparency_and_gamma_change_nothing(tmp_path):
    samples = np.arange(12).reshape(3, 4)
    plain = png(samples)
    at = plain.index(b"IDAT") - 4
    file = write(tmp_path / "a.png", plain[:at] + TRANSPARENT + plain[at:])
    np.testing.assert_array_equal(read_label_png(file), samples)


def test_a_palette_written_elsewhere(tmp_path):
    pillow = pytest.importorskip("PIL.Image", reason="pillow makes the file")
    samples = np.random.default_rng(0).integers(0, 21, (50, 60)).astype(np.uint8)
    picture = pillow.fromarray(samples)
    picture.putpalette(list(range(255, -1, -1)) * 3)
    picture.save(tmp_path / "a.png", optimize=True)
    np.testing.assert_array_equal(read_label_png(tmp_path / "a.png"), samples)


WHOLE = png(np.arange(64).reshape(8, 8))
HEADER_END = 33
DAMAGED = {
    "nothing": b"",
    "jpeg": cv2.imencode(".jpg", image(1))[1].tobytes(),
    "half": WHOLE[: len(WHOLE) // 2],
    "no end": WHOLE[:-12],
    "wrong header checksum": WHOLE[:20] + b"\1" + WHOLE[21:],
    "wrong pixel checksum": WHOLE[:-20] + bytes([WHOLE[-20] ^ 1]) + WHOLE[-19:],
    "no pixels": WHOLE[:HEADER_END] + chunk(b"IEND"),
    "too few pixels": WHOLE[:HEADER_END] + chunk(b"IDAT", zlib.compress(b"\0" * 20)) + chunk(b"IEND"),
    "no zlib": WHOLE[:HEADER_END] + chunk(b"IDAT", b"no zlib stream") + chunk(b"IEND"),
    "huge": WHOLE[:8]
    + chunk(b"IHDR", (10**5).to_bytes(4, "big") * 2 + b"\x08\x03\0\0\0")
    + WHOLE[HEADER_END:],
    "unknown color type": WHOLE[:8]
    + chunk(b"IHDR", b"\0\0\0\x08" * 2 + b"\x08\x05\0\0\0")
    + WHOLE[HEADER_END:],
    "chunk beyond the end": WHOLE[:HEADER_END] + (2**31 - 1).to_bytes(4, "big") + b"IDAT" + WHOLE[41:],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_damaged_labels_are_one_error(tmp_path, kind, capfd):
    file = write(tmp_path / "a.png", DAMAGED[kind])
    with pytest.raises(FileError) as raised:
        read_label_png(file)
    assert str(file) in str(raised.value)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=4))
def test_changed_bytes_give_labels_or_one_error(tmp_path_factory, changes):
    data = bytearray(WHOLE)
    for place, value in changes:
        data[place] = value
    file = tmp_path_factory.mktemp("png") / "a.png"
    file.write_bytes(data)
    try:
        labels = read_label_png(file)
    except FileError:
        return
    np.testing.assert_array_equal(labels, np.arange(64).reshape(8, 8))


def test_a_label_value_that_is_not_known(tmp_path):
    with pytest.raises(FileError, match=r"label value 7.*0, 1, 255"):
        IdTable({0: 0, 1: 1, 255: 255}).decode(tmp_path / "a.png", np.array([[9, 0, 7]], np.uint8))
    wide = np.array([[300, 65535]], np.uint16)
    assert IdTable({300: 4}, rest=255).decode(tmp_path, wide).tolist() == [[4, 255]]


# --- anomaly data sets ----------------------------------------------------------------------------------


def test_anomaly_track(tmp_path):
    trees.anomaly_track(tmp_path / "dataset_AnomalyTrack")
    dataset = open_dataset("smiyc-anomaly-track", tmp_path)
    assert names(dataset) == [f"validation{index:04d}" for index in range(10)]
    assert (dataset.task, dataset.subset, dataset.output_name) == (
        "anomaly",
        "validation",
        "AnomalyTrack-all",
    )
    assert (dataset.components, dataset.num_published, dataset.classes) == ("anomaly", 10, ())
    np.testing.assert_array_equal(first_labels(dataset), trees.ANOMALY)
    picture = dataset.read_image(dataset.frames[0])
    assert (picture.shape, picture.dtype) == ((*trees.SIZE, 3), np.uint8)
    assert np.abs(picture.astype(int) - image(len("validation0000"))).max() < 12

    test = open_dataset("smiyc-anomaly-track", tmp_path / "dataset_AnomalyTrack", subset="test")
    assert names(test) == ["cow0000", "cow0001", "cow0002"]
    assert [frame.label for frame in test.frames] == [None] * 3
    with pytest.raises(FileError, match="without labels"):
        first_labels(test)
    assert len(open_dataset("smiyc-anomaly-track", tmp_path, subset="all").frames) == 13


def test_anomaly_track_with_the_test_labels(tmp_path):
    trees.anomaly_track(tmp_path, labels_of_test=True)
    assert first_labels(open_dataset("smiyc-anomaly-track", tmp_path, subset="test")).max() == 255


def test_obstacle_track_subsets(tmp_path):
    trees.obstacle_track(tmp_path)
    expected = {
        "validation": ["validation_1", "validation_2"],
        "test": ["curvy-street_1", "darkasphalt2_7", "darkasphalt_1"],
        "night": ["driveway_3"],
        "snowstorm": ["snowstorm1_00", "snowstorm2_1"],
    }
    for subset, frames in expected.items():
        assert names(open_dataset("smiyc-obstacle-track", tmp_path, subset=subset)) == frames
    assert len(open_dataset("smiyc-obstacle-track", tmp_path, subset="all").frames) == 11
    dataset = open_dataset("smiyc-obstacle-track", tmp_path)
    assert (dataset.components, dataset.output_name) == ("obstacle", "ObstacleTrack-all")
    np.testing.assert_array_equal(dataset.read_image(dataset.frames[0]), image(len("validation_1")))


@pytest.fixture(scope="module")
def lost_and_found(tmp_path_factory):
    root = tmp_path_factory.mktemp("laf") / "dataset_LostAndFound"
    return root, trees.lost_and_found(root)


def test_lost_and_found_no_known(lost_and_found):
    root, every = lost_and_found
    dataset = open_dataset("lostandfound-noknown", root.parent)
    prefixes = tuple(read_table("lost_and_found")["known_prefixes"])
    invalid = {every[index] for index in read_table("lost_and_found")["test_invalid"]}
    kept = [name for name in every if name not in invalid and not name.startswith(prefixes)]
    assert len(every) == 1203
    assert len(kept) == 1043 == dataset.num_published
    assert names(dataset) == kept
    assert len(open_dataset("lostandfound-noknown", root, subset="testValid").frames) == 1186
    assert (dataset.components, dataset.output_name) == ("obstacle", "LostAndFound-test")
    assert first_labels(dataset)[0].tolist() == [255, 0, 1, 1, 255, 1]


def test_lost_and_found_needs_all_frames(tmp_path):
    trees.lost_and_found(tmp_path, known=2, total=20)
    refused("lostandfound-noknown", tmp_path, "20 frames", "1203", "sgehrig/lostAndFoundDataset")
    refused("lostandfound-noknown", tmp_path, "no leftImg8bit/train", subset="trainValid")


def test_lost_and_found_train_ids(lost_and_found, tmp_path):
    root, _ = lost_and_found
    refused("lostandfound-noknown", root, "no labels of", labels="labelTrainIds")
    refused("lostandfound-noknown", root, "labels", error=OptionError, labels="color")
    tree = tmp_path / "laf"
    shutil.copytree(root, tree, copy_function=shutil.copyfile)
    for file in tree.glob("gtCoarse/*/*/*_labelIds.png"):
        file.rename(file.with_name(file.name.replace("labelIds", "labelTrainIds")))
    dataset = open_dataset("lostandfound-noknown", tree, labels="labelTrainIds")
    assert first_labels(dataset)[0].tolist() == [255, 0, 1, 255, 255, 255]


def test_road_anomaly_of_its_authors(tmp_path):
    trees.road_anomaly_authors(tmp_path / "RoadAnomaly")
    dataset = open_dataset("road-anomaly", tmp_path)
    assert names(dataset) == ["animals01", "zebra_crossing"]
    assert first_labels(dataset).tolist() == [[0, 0, 1, 1, 0, 0]] * 4
    assert dataset.components is None


@pytest.mark.parametrize(
    ("folders", "ending"),
    [
        (("original", "labels"), ""),
        (("images", "labels_masks"), ""),
        (("images", "labels_masks"), "_labels_semantic"),
    ],
)
@pytest.mark.parametrize(
    ("stored", "options", "expected"),
    [
        ([0, 1, 1], {}, [0, 1, 1]),
        ([0, 0, 2], {}, [0, 0, 1]),
        ([0, 1, 2], {}, [0, 0, 1]),
        ([0, 1, 2], {"anomaly_from": 1}, [0, 1, 1]),
    ],
)
def test_road_anomaly_copies(tmp_path, folders, ending, stored, options, expected):
    for name in ("b", "a"):
        write(tmp_path / folders[0] / f"{name}.jpg", image(2))
        write(tmp_path / folders[1] / f"{name}{ending}.png", np.array([stored], np.uint8))
    dataset = open_dataset("road-anomaly", tmp_path, **options)
    assert names(dataset) == ["a", "b"]
    assert first_labels(dataset).tolist() == [expected]


def test_road_anomaly_that_is_ambiguous(tmp_path):
    write(tmp_path / "original/a.jpg", image(2))
    write(tmp_path / "labels/a.png", np.array([[0, 1, 1]], np.uint8))
    write(tmp_path / "original/b.jpg", image(2))
    write(tmp_path / "labels/b.png", np.array([[0, 2, 2]], np.uint8))
    refused("road-anomaly", tmp_path, "a.png", "b.png", "anomaly_from")
    assert first_labels(open_dataset("road-anomaly", tmp_path, anomaly_from=1)).tolist() == [[0, 1, 1]]
    trees.road_anomaly_authors(tmp_path)
    refused("road-anomaly", tmp_path, "one copy", "frame_list.json", "original/")


@pytest.mark.parametrize(
    "content", ["[]", "{", '["../../a.jpg"]', '["/etc/a.jpg"]', '"a.jpg"', "[1]", '[".."]']
)
def test_road_anomaly_with_a_bad_list(tmp_path, content):
    trees.road_anomaly_authors(tmp_path)
    write(tmp_path / "frame_list.json", content)
    refused("road-anomaly", tmp_path, "frame_list.json", "expected a")


def test_road_anomaly_without_an_image(tmp_path):
    trees.road_anomaly_authors(tmp_path)
    (tmp_path / "frames/animals01.jpg").unlink()
    refused("road-anomaly", tmp_path, "no frames/animals01.jpg", "1 of 2", "epfl.ch")
    write(tmp_path / "frames/animals01.jpg", image(1))
    (tmp_path / "frames/zebra_crossing.labels/labels_semantic.png").unlink()
    refused("road-anomaly", tmp_path, "no labels of zebra_crossing", "1 of 2")


def test_fishyscapes_lost_and_found(tmp_path, lost_and_found):
    images, every = lost_and_found
    root = tmp_path / "fishyscapes_lostandfound"
    for number, name in enumerate(every[:3]):
        write(root / f"{number:04d}_{name}_labels.png", trees.ANOMALY)
    dataset = open_dataset("fishyscapes-lostandfound", tmp_path, images=images)
    assert names(dataset) == [f"{number:04d}_{name}" for number, name in enumerate(every[:3])]
    np.testing.assert_array_equal(first_labels(dataset), trees.ANOMALY)
    np.testing.assert_array_equal(dataset.read_image(dataset.frames[2]), image(3))
    refused("fishyscapes-lostandfound", tmp_path, "Pass images=", error=OptionError)
    write(root / "0007_04_Maurener_Weg_8_000099_000030_labels.png", trees.ANOMALY)
    refused("fishyscapes-lostandfound", tmp_path, "04_Maurener_Weg_8_000099_000030", "1 of 4", images=images)
    refused("fishyscapes-lostandfound", tmp_path, "no leftImg8bit", images=tmp_path)


def test_fishyscapes_lost_and_found_copies(tmp_path, lost_and_found):
    images, every = lost_and_found
    write(tmp_path / f"rab/labels/val/{every[5]}_fishy-labels.png", trees.ANOMALY)
    dataset = open_dataset("fishyscapes-lostandfound", tmp_path / "rab", images=images)
    assert names(dataset) == [every[5]]
    write(tmp_path / "flat/original/a.png", image(3))
    write(tmp_path / "flat/labels/a.png", np.array([[0, 1, 2, 255]], np.uint8))
    dataset = open_dataset("fishyscapes-lostandfound", tmp_path / "flat")
    assert first_labels(dataset).tolist() == [[0, 1, 255, 255]]
    refused(
        "fishyscapes-lostandfound", tmp_path, "_labels.png", "fishyscapes_lostandfound.zip", images=images
    )


def test_fishyscapes_static(tmp_path):
    city = trees.cityscapes(tmp_path / "city")
    root = tmp_path / "fs_val_v3"
    stem = "0003_frankfurt_000000_000294"
    difference = np.zeros((*trees.SIZE, 3), np.int16)
    difference[0, 0], difference[1, 1], difference[2, 2] = -255, 255, -20
    root.mkdir()
    np.savez_compressed(root / f"{stem}_rgb.npz", rgb=difference)
    write(root / f"{stem}_labels.png", trees.ANOMALY)
    dataset = open_dataset("fishyscapes-static", tmp_path, images=city)
    assert names(dataset) == [stem]
    picture = dataset.read_image(dataset.frames[0])
    expected = np.clip(image(200).astype(int) + difference, 0, 255)
    np.testing.assert_array_equal(picture, expected)
    assert picture.dtype == np.uint8
    np.testing.assert_array_equal(first_labels(dataset), trees.ANOMALY)
    refused("fishyscapes-static", tmp_path, "images=", error=OptionError)

    for wild in (np.iinfo(np.int64).max, np.inf):
        np.savez(root / f"{stem}_rgb.npz", rgb=np.full(difference.shape, wild))
        assert (dataset.read_image(dataset.frames[0]) == 255).all()
    np.savez(root / f"{stem}_rgb.npz", rgb=np.full(difference.shape, np.nan))
    with pytest.raises(FileError, match="nan"):
        dataset.read_image(dataset.frames[0])
    np.savez(root / f"{stem}_rgb.npz", rgb=difference.astype(np.uint8))
    with pytest.raises(DTypeError, match="signed"):
        dataset.read_image(dataset.frames[0])
    np.savez(root / f"{stem}_rgb.npz", rgb=difference[:2])
    with pytest.raises(ShapeError):
        dataset.read_image(dataset.frames[0])
    np.savez(root / f"{stem}_rgb.npz", rgb=np.array([{}], object))
    with pytest.raises(DTypeError, match="never read"):
        dataset.read_image(dataset.frames[0])
    np.savez(root / "0004_ulm_000000_000001_rgb.npz", rgb=difference)
    write(root / "0004_ulm_000000_000001_labels.png", trees.ANOMALY)
    refused("fishyscapes-static", tmp_path, "ulm_000000_000001", "1 of 2", images=city)
    refused("fishyscapes-static", city, "_rgb.npz", "fs_val_v3.zip", images=city)


# --- semantic data sets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("space", ["raw", "contiguous", "zegformer"])
def test_coco_stuff_label_spaces(tmp_path, space):
    trees.coco_stuff(tmp_path, space)
    dataset = open_dataset("coco-stuff", tmp_path)
    assert names(dataset) == ["000000000139", "000000000285"]
    assert first_labels(dataset)[0].tolist() == [0, 11, 19, 170, 255, 255]
    assert [dataset.classes[index] for index in (0, 11, 19, 170)] == ["person", "stop sign", "cow", "wood"]
    assert len(dataset.classes) == 171
    assert len(dataset.unseen) == 15
    assert 19 in dataset.unseen


def test_coco_stuff_space_said_by_hand(tmp_path):
    trees.coco_stuff(tmp_path)
    label = np.array([[11, 170, 255]], np.uint8)
    for file in tmp_path.glob("annotations/val2017/*.png"):
        write(file, label)
    with pytest.raises(FileError, match="labels="):
        first_labels(open_dataset("coco-stuff", tmp_path))
    assert first_labels(open_dataset("coco-stuff", tmp_path, labels="contiguous")).tolist() == [
        [11, 170, 255]
    ]
    assert first_labels(open_dataset("coco-stuff", tmp_path, labels="zegformer")).tolist() == [[11, 160, 255]]


def test_coco_stuff_tables():
    assert len(raw_values()) == len(class_names()) == len(set(class_names())) == 171
    assert sorted(zegformer_order()) == list(range(171))
    assert " ".join(class_names()[index] for index in unseen_classes()) == (
        "cow giraffe suitcase frisbee skateboard carrot scissors cardboard clouds grass playingfield river "
        "road tree wall-concrete"
    )
    assert len(cityscapes_named_classes()) == 15


def test_tables_are_the_reference():
    reference = json.loads(CLASS_TABLES.read_text())
    coco = reference["coco_stuff_171"]
    assert list(class_names()) == coco["names"]
    assert list(raw_values()) == coco["raw_png_value_of_index"]
    assert list(unseen_classes()) == coco["zs3_unseen_index"]
    order = {str(index): place for place, index in enumerate(zegformer_order())}
    assert order == coco["zegformer_index_of_index"]
    assert set(cityscapes_named_classes()) == set(reference["table7_id_classes"]["index"])
    assert read_table("cityscapes")["label_ids"] == reference["cityscapes"]["id_of_train_id"]
    assert read_table("pascal_voc")["names"] == reference["voc20"]["names"]


def test_pascal_voc(tmp_path):
    top = trees.pascal_voc(tmp_path)
    dataset = open_dataset("pascal-voc", tmp_path)
    assert names(dataset) == ["2007_000033", "2008_000002"]
    assert first_labels(dataset)[0].tolist() == [255, 0, 14, 15, 19, 255]
    assert (
        " ".join(dataset.classes[index] for index in dataset.unseen)
        == "pottedplant sheep sofa train tvmonitor"
    )
    assert names(open_dataset("pascal-voc", top, subset="train")) == ["2007_000032"]
    augmented = open_dataset("pascal-voc", top, subset="trainaug")
    assert names(augmented) == ["2007_000032", "2010_000001"]
    assert augmented.read_label(augmented.frames[1])[0].tolist() == [2, 2, 255, 255, 255, 4]
    write(top / "ImageSets/Segmentation/val.txt", "2007_000033\n../../secret\n")
    refused("pascal-voc", tmp_path, "val.txt", "'../../secret'")
    write(top / "ImageSets/Segmentation/val.txt", "2009_000001\n")
    refused("pascal-voc", tmp_path, "no image of 2009_000001", "robots.ox.ac.uk")
    (top / "ImageSets/Segmentation/aug.txt").unlink()
    refused("pascal-voc", tmp_path, "aug.txt", subset="trainaug")


def test_mvtec_ad(tmp_path):
    trees.mvtec(tmp_path / "mvtec_anomaly_detection/bottle")
    trees.mvtec(tmp_path / "mvtec_anomaly_detection/zipper")
    dataset = open_dataset("mvtec-ad", tmp_path, subset="bottle")
    assert names(dataset) == ["bent_lead_000", "crack_000", "crack_001", "good_000", "good_001"]
    assert (dataset.subset, dataset.task, dataset.num_published) == ("bottle", "anomaly", 83)
    assert first_labels(dataset)[0].tolist() == [0, 0, 1, 1, 0, 0]
    good = dataset.frames[3]
    assert good.label is None
    assert good.is_labeled
    assert not dataset.read_label(good).any()
    assert dataset.read_label(good).shape == dataset.read_image(good).shape[:2]
    assert open_dataset("mvtec-ad", tmp_path / "mvtec_anomaly_detection/bottle") == dataset
    refused("mvtec-ad", tmp_path, "2 categories: bottle, zipper", "--split")
    refused("mvtec-ad", tmp_path, "no folder tile beside bottle, zipper", "www.mvtec.com", subset="tile")
    refused("mvtec-ad", tmp_path / "mvtec_anomaly_detection/bottle", "no folder zipper", subset="zipper")
    refused("mvtec-ad", tmp_path, "the name of a folder", subset="../bottle", error=OptionError)
    root = tmp_path / "mvtec_anomaly_detection/zipper"
    (root / "ground_truth/crack/001_mask.png").unlink()
    refused("mvtec-ad", root, "no mask of crack/001, 1 of 2 pictures")
    trees.mvtec(root)
    write(root / "test/crack_0/00.png", image(1))
    write(root / "ground_truth/crack_0/00_mask.png", np.zeros((4, 6), np.uint8))
    write(root / "test/crack/0_00.png", image(1))
    write(root / "ground_truth/crack/0_00_mask.png", np.zeros((4, 6), np.uint8))
    refused("mvtec-ad", root, "both of which are crack_0_00")


def test_a_category_of_ones_own_in_the_layout_of_mvtec_ad(tmp_path):
    dataset = open_dataset("mvtec-ad", trees.mvtec(tmp_path / "gear"))
    assert open_dataset("mvtec-ad", tmp_path, subset="gear") == dataset
    assert (dataset.subset, dataset.num_published) == ("gear", None)
    for folder in (tmp_path / "gear/test").iterdir():
        for file in folder.iterdir():
            file.unlink()
    refused("mvtec-ad", tmp_path / "gear", "no image in the folders of test/")


def test_masks_of_a_category_without_a_picture_are_named(tmp_path):
    root = trees.mvtec(tmp_path / "gear")
    assert open_dataset("mvtec-ad", root).notes == ()
    (root / "test/crack/001.png").unlink()
    (root / "test/bent_lead").rename(tmp_path / "elsewhere")
    mask = root / "ground_truth/crack/000_mask.png"
    mask.rename(mask.with_suffix(".PNG"))
    dataset = open_dataset("mvtec-ad", root)
    assert names(dataset) == ["crack_000", "good_000", "good_001"]
    assert dataset.notes == ("Masks without a picture: 2, such as bent_lead/000_mask.png.",)


def test_mvtec_ad_2_and_visa(tmp_path):
    trees.mvtec(tmp_path / "mvtec_ad_2/can", "test_public", "test_public/ground_truth")
    dataset = open_dataset("mvtec-ad-2", tmp_path, subset="can")
    assert len(dataset.frames) == 5
    assert first_labels(dataset)[0].tolist() == [0, 0, 1, 1, 0, 0]
    trees.mvtec(tmp_path / "1cls/pcb1", mask="{}.png", suffix=".JPG")
    dataset = open_dataset("visa", tmp_path, subset="pcb1")
    assert len(dataset.frames) == 5
    assert first_labels(dataset)[0].tolist() == [0, 0, 1, 1, 0, 0]


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_cityscapes(tmp_path, kind):
    trees.cityscapes(tmp_path, kind=kind)
    dataset = open_dataset("cityscapes", tmp_path)
    assert names(dataset) == ["frankfurt_000000_000294", "munster_000001_000019"]
    np.testing.assert_array_equal(first_labels(dataset), trees.STREET_IDS)
    assert (len(dataset.classes), dataset.unseen, dataset.components) == (19, (), None)
    other = "labelTrainIds" if kind == "labelIds" else "labelIds"
    refused("cityscapes", tmp_path, f"_gtFine_{other}.png", labels=other)
    refused("cityscapes", tmp_path, "no leftImg8bit/train", "registration", subset="train")


def test_cityscapes_test_has_no_labels(tmp_path):
    trees.cityscapes(tmp_path, "test")
    assert [frame.label for frame in open_dataset("cityscapes", tmp_path, subset="test").frames] == [
        None,
        None,
    ]


def test_synscapes(tmp_path):
    trees.synscapes(tmp_path / "Synscapes")
    dataset = open_dataset("synscapes", tmp_path)
    assert names(dataset) == ["1", "2", "10"]
    np.testing.assert_array_equal(first_labels(dataset), trees.STREET_IDS)
    large = open_dataset("synscapes", tmp_path, resolution="rgb-2k")
    assert large.read_image(large.frames[0]).shape == (8, 10, 3)
    expected = cv2.resize(trees.STREET_IDS.astype(np.uint8), (10, 8), interpolation=cv2.INTER_NEAREST_EXACT)
    np.testing.assert_array_equal(first_labels(large), expected)
    shutil.rmtree(tmp_path / "Synscapes/img/rgb")
    assert open_dataset("synscapes", tmp_path).read_image(large.frames[0]).shape == (8, 10, 3)
    (tmp_path / "Synscapes/img/class/10.png").unlink()
    refused("synscapes", tmp_path, "no labels of 10", "synscapes.on.liu.se")


def test_folder_of_anomalies_and_of_classes(tmp_path):
    write(tmp_path / "images/b.jpg", image(3))
    write(tmp_path / "images/a.png", image(3))
    for name in "ab":
        write(tmp_path / f"labels/{name}.png", np.array([[0, 1, 255]], np.uint8))
    dataset = open_dataset("folder", tmp_path)
    assert (dataset.task, names(dataset), dataset.subset) == ("anomaly", ["a", "b"], "all")
    assert first_labels(dataset).tolist() == [[0, 1, 255]]
    table = {"names": ["road", "car"], "ids": {"1": 0, "0": 1, "4000": 1}, "unseen": [1], "void": [3]}
    write(tmp_path / "classes.json", json.dumps(table))
    dataset = open_dataset("folder", tmp_path)
    assert (dataset.task, dataset.classes, dataset.unseen) == ("semantic", ("road", "car"), (1,))
    assert first_labels(dataset).tolist() == [[1, 0, 255]]
    write(tmp_path / "labels/a.png", np.array([[3, 1, 4000]], np.uint16))
    assert first_labels(dataset).tolist() == [[255, 0, 1]]
    write(tmp_path / "labels/a.png", np.array([[2]], np.uint8))
    with pytest.raises(FileError, match="label value 2"):
        first_labels(dataset)
    (tmp_path / "labels/b.png").unlink()
    refused("folder", tmp_path, "no labels of b", "1 of 2")


def test_folder_with_subsets_and_a_table_elsewhere(tmp_path):
    write(tmp_path / "data/images/val/a.png", image(3))
    write(tmp_path / "data/labels/val/a.png", np.array([[0, 1, 255]], np.uint8))
    table = write(tmp_path / "table.json", json.dumps({"names": ["a", "b"]}))
    dataset = open_dataset("folder", tmp_path / "data", subset="val", classes=table)
    assert (dataset.subset, dataset.classes) == ("val", ("a", "b"))
    assert first_labels(dataset).tolist() == [[0, 1, 255]]
    refused("folder", tmp_path / "data", "no images/test, no labels/test", subset="test")
    refused("folder", tmp_path / "data", "subset", error=OptionError, subset="../val")


def test_folder_with_some_classes_as_anomalies(tmp_path):
    write(tmp_path / "images/a.png", image(4))
    write(tmp_path / "labels/a.png", np.array([[0, 9, 10, 11]], np.uint8))
    write(tmp_path / "classes.json", json.dumps({"anomaly": [9, 10], "void": [11]}))
    dataset = open_dataset("folder", tmp_path)
    assert (dataset.task, dataset.classes) == ("anomaly", ())
    assert first_labels(dataset).tolist() == [[0, 1, 1, 255]]


@pytest.mark.parametrize(
    "table",
    [
        "{",
        '{"anomaly": []}',
        '{"anomaly": [1], "void": [1]}',
        '{"anomaly": [-1]}',
        '{"anomaly": 3}',
        '{"anomaly": [1], "names": ["a"]}',
        "[]",
        "{}",
        '{"names": []}',
        '{"names": [1]}',
        '{"names": ["a"], "ids": {"0": 1}}',
        '{"names": ["a"], "ids": {"-1": 0}}',
        '{"names": ["a"], "ids": {"70000": 0}}',
        '{"names": ["a"], "ids": [0]}',
        '{"names": ["a"], "ids": {"' + "9" * 5000 + '": 0}}',
        '{"names": ["a"], "ids": {"0": true}}',
        '{"names": ["a"], "unseen": [1]}',
        '{"names": ["a", "b"], "unseen": [1, 1]}',
        '{"names": ["a"], "unseen": "a"}',
        '{"names": ["a"], "void": 3}',
        '{"names": ["a"], "void": ["3"]}',
        '{"names": ["a"], "classes": 3}',
    ],
)
def test_folder_with_a_table_that_makes_no_sense(tmp_path, table):
    write(tmp_path / "images/a.png", image(3))
    write(tmp_path / "labels/a.png", np.zeros((2, 2), np.uint8))
    write(tmp_path / "classes.json", table)
    refused("folder", tmp_path, "classes.json")


# --- all of them ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DATASETS)
def test_nothing_there_is_one_error(tmp_path, name):
    options = {"images": tmp_path} if "images" in DATASETS[name].options else {}
    for path in (tmp_path, tmp_path / "nowhere", write(tmp_path / "file", "text")):
        error = refused(name, path, str(path), **options)
        assert DATASETS[name].where in error.hint or "cityscapes" in error.hint.lower()


@pytest.mark.parametrize("name", DATASETS)
def test_a_name_that_no_folder_can_have_is_one_error(name):
    for path in ("a" * 300, "a/" * 3000, "a\0b", "\ud800"):
        with pytest.raises(FileError):
            open_dataset(name, path)


@pytest.mark.parametrize("name", DATASETS)
def test_wrong_subsets_and_options(tmp_path, name):
    info = DATASETS[name]
    assert info.default_subset in (None, *info.subsets)
    refused(name, tmp_path, "shape", error=OptionError, shape=3)
    if info.subsets:
        refused(name, tmp_path, *info.subsets, error=OptionError, subset="nosuch")


def test_an_unknown_name(tmp_path):
    with pytest.raises(OptionError, match="coco-stuff"):
        open_dataset("coco", tmp_path)


def test_labels_missing_are_counted(tmp_path):
    trees.anomaly_track(tmp_path)
    for index in (2, 3, 5, 7):
        (tmp_path / f"labels_masks/validation000{index}_labels_semantic.png").unlink()
    refused("smiyc-anomaly-track", tmp_path, "validation0002", "...", "4 of 10", "road-anomaly-benchmark")


def test_hidden_files_are_no_frames(tmp_path):
    trees.anomaly_track(tmp_path)
    write(tmp_path / "images/._validation0000.jpg", b"resource fork")
    assert len(open_dataset("smiyc-anomaly-track", tmp_path).frames) == 10


def test_an_unreadable_image_names_its_file(tmp_path):
    trees.anomaly_track(tmp_path)
    write(tmp_path / "images/validation0003.jpg", b"\xff\xd8\xff")
    dataset = open_dataset("smiyc-anomaly-track", tmp_path)
    with pytest.raises(CSLError, match="validation0003"):
        dataset.read_image(dataset.frames[3])
