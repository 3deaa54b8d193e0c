"""Miniature data sets in the exact published layouts: names and values are official, images tiny."""

import json
from pathlib import Path

import numpy as np

from tests.helpers.miniature import image, png, write

SIZE = (4, 6)
ANOMALY = np.array([[0, 0, 1, 1, 255, 0]] * 4, np.uint8)
STREET = np.array([[0, 7, 8, 11, 33, 29]] * 4, np.uint8)  # Cityscapes label ids
STREET_IDS = np.array([[255, 0, 1, 2, 18, 255]] * 4)
LAF_SCENES = ("01_Hanns_Klemm_Str_45", "04_Maurener_Weg_8", "10_Schlossberg_9", "15_Rechbergstr_Deckenpfronn")


def anomaly_track(root, test=3, labels_of_test=False):
    for index in range(10):
        labeled_frame(root, f"validation{index:04d}", "jpg")
    for index in range(test):
        labeled_frame(root, f"cow{index:04d}", "jpg", label=labels_of_test)
    write(root / "LICENSE.txt", "terms")
    write(root / "labels_masks/validation0000_labels_semantic_color.png", image(9))
    return root


def obstacle_track(root):
    for name in ("validation_1", "validation_2", "validation_19", "validation_21", "validation_29_a"):
        labeled_frame(root, name, "webp")
    for name in (
        "curvy-street_1",
        "darkasphalt_1",
        "darkasphalt2_7",
        "driveway_3",
        "snowstorm1_00",
        "snowstorm2_1",
    ):
        labeled_frame(root, name, "webp", label=False)
    return root


def labeled_frame(root, name, suffix, label=True):
    write(root / f"images/{name}.{suffix}", image(len(name)))
    if label:
        write(root / f"labels_masks/{name}_labels_semantic.png", ANOMALY)


def lost_and_found(root, known=143, total=1203, labels=True):
    """`known` of the test frames show children or bicycles, at places no other rule leaves out."""
    picture = (Path(write(root / "one.png", image(3))).read_bytes(), np.array([[0, 1, 2, 200, 201, 31]] * 4))
    label, trained = png(picture[1], color=0), png(np.array([[255, 1, 2, 2, 0, 0]] * 4), color=0)
    names = [f"{LAF_SCENES[1]}_000000_{number:06d}" for number in range(total - known)]
    others = [f"{LAF_SCENES[0]}_000006", f"{LAF_SCENES[0]}_000007", f"{LAF_SCENES[2]}_000004"]
    excluded = (others + [f"{LAF_SCENES[3]}_000002"] * known)[:known]
    names += [f"{prefix}_{number:06d}" for number, prefix in enumerate(excluded)]
    for name in names:
        scene = name.rsplit("_", 2)[0]
        write(root / f"leftImg8bit/test/{scene}/{name}_leftImg8bit.png", picture[0])
        if labels:
            write(root / f"gtCoarse/test/{scene}/{name}_gtCoarse_labelIds.png", label)
    write(root / f"gtCoarse/test/{scene}/{name}_gtCoarse_labelTrainIds.png", trained)
    return sorted(names)


def road_anomaly_authors(root, names=("animals01", "zebra_crossing")):
    for name in names:
        write(root / f"frames/{name}.jpg", image(5))
        write(
            root / f"frames/{name}.labels/labels_semantic.png", np.array([[0, 1, 2, 3, 0, 0]] * 4, np.uint8)
        )
        write(
            root / f"frames/{name}.labels/labels_instance.png", np.array([[0, 0, 1, 2, 0, 0]] * 4, np.uint8)
        )
    write(root / "frame_list.json", json.dumps([f"{name}.jpg" for name in reversed(names)]))
    return root


def mvtec(root, test="test", truth="ground_truth", mask="{}_mask.png", suffix=".png"):
    """A category of MVTec AD; with other arguments one of MVTec AD 2 or of VisA."""
    write(root / "train/good/000.png", image(3))
    write(root / test / "good" / f"000{suffix}", image(4))
    write(root / test / "good" / f"001{suffix}", image(5))
    for defect, numbers in (("crack", (0, 1)), ("bent_lead", (0,))):
        for number in numbers:
            write(root / test / defect / f"{number:03d}{suffix}", image(6 + number))
            write(root / truth / defect / mask.format(f"{number:03d}"), np.uint8(255) * (ANOMALY == 1))
    write(root / "license.txt", "terms")
    return root


def cityscapes(root, split="val", kind="labelIds"):
    for city, frame in (("munster", "000001_000019"), ("frankfurt", "000000_000294")):
        stem = f"{city}/{city}_{frame}"
        write(root / f"leftImg8bit/{split}/{stem}_leftImg8bit.png", image(200))
        stored = STREET if kind == "labelIds" else STREET_IDS.astype(np.uint8)
        write(root / f"gtFine/{split}/{stem}_gtFine_{kind}.png", stored)
        write(root / f"gtFine/{split}/{stem}_gtFine_color.png", image(1))
    return root


def synscapes(root, folders=("rgb", "rgb-2k")):
    for number in ("1", "2", "10"):
        for folder in folders:
            write(root / f"img/{folder}/{number}.png", image(8, SIZE if folder == "rgb" else (8, 10)))
        write(root / f"img/class/{number}.png", STREET)
        write(root / f"meta/{number}.json", "{}")
    return root


def pascal_voc(root):
    label = png(np.array([[0, 1, 15, 16, 20, 255]] * 4))
    top = root / "VOCdevkit/VOC2012"
    for name in ("2007_000032", "2007_000033", "2008_000002"):
        write(top / f"JPEGImages/{name}.jpg", image(60))
        write(top / f"SegmentationClass/{name}.png", label)
    write(top / "JPEGImages/2010_000001.jpg", image(61))
    write(top / "SegmentationClassAug/2010_000001.png", png(np.array([[3, 3, 0, 0, 255, 5]] * 4), color=0))
    lists = top / "ImageSets/Segmentation"
    write(lists / "train.txt", "2007_000032\n")
    write(lists / "val.txt", "2008_000002\n2007_000033\n")
    write(lists / "aug.txt", "2010_000001\n2007_000033\n")
    return top


def coco_stuff(root, space="raw"):
    """Person, stop sign, cow (unseen) and wood in one of the three label spaces, and void."""
    values = {"raw": [0, 12, 20, 181], "contiguous": [0, 11, 19, 170], "zegformer": [0, 11, 156, 155]}[space]
    label = np.array([[*values, 255, 255]] * 4, np.uint8)
    for name in ("000000000139", "000000000285"):
        write(root / f"images/val2017/{name}.jpg", image(90))
        place = {
            "raw": f"annotations/val2017/{name}.png",
            "contiguous": f"annotations/val2017/{name}_labelTrainIds.png",
            "zegformer": f"annotations_detectron2/val2017_all/{name}.png",
        }[space]
        write(root / place, label)
    return root
