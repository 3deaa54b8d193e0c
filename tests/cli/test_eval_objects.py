"""`csl-plugin eval objects` on COCO results as the package and other programs write them."""

import json

import numpy as np
import pytest

from csl_plugin import Objects, find_objects
from csl_plugin.cli import main
from csl_plugin.io import write_png
from csl_plugin.metrics import COMPONENT_SETTINGS, InstanceAP, ObjectMetric
from csl_plugin.objects.formats import write_coco

SIZE = 60, 90


def make_frame(seed):
    """A fused map and its labels: a large thing, a small one, void, and scores that miss and invent."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(SIZE, np.uint8)
    labels[10:35, 10 + seed : 40 + seed] = 1
    labels[45:53, 60:68] = 1
    labels[:5] = 255
    fused = 0.6 * (labels == 1) + 0.3 * rng.random(SIZE)
    if seed % 2:
        fused[45:53, 60:68] = 0
        fused[40:50, 20:29] = 0.9
    return fused, labels


@pytest.fixture
def place(tmp_path):
    """The results of four images, and their labels; the last image has no object."""
    found = {}
    for seed in range(4):
        fused, labels = make_frame(seed)
        found[f"street {seed}.jpg"] = find_objects(fused * (seed < 3), 0.5, min_area=4)[0]
        write_png(tmp_path / "labels" / f"street {seed}.png", labels)
    write_coco(tmp_path / "coco.json", found)
    return tmp_path


def objects_of(place):
    from csl_plugin.objects.formats import read_coco

    return list(read_coco(place / "coco.json").values())


def evaluated(place, *options):
    return main(["eval", "objects", str(place / "coco.json"), str(place / "labels"), *options])


@pytest.mark.parametrize("track", ["obstacle", "anomaly"])
def test_values_are_those_of_the_metrics(place, capsys, track):
    assert evaluated(place, "--components", track, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    settings = COMPONENT_SETTINGS[track]
    precision, components = InstanceAP(min_truth=settings.min_truth), ObjectMetric(settings)
    for seed, objects in enumerate(objects_of(place)):
        own = ObjectMetric(settings)
        own.update(objects, make_frame(seed)[1])
        counts = vars(own.compute().counts)
        assert printed["images"][seed] == {"name": f"street {seed}.jpg", **counts}
        precision.update(objects, make_frame(seed)[1])
        components.merge(own)
    values = components.compute()
    assert printed["ap"] == precision.compute().ap
    assert printed["ap50"] == precision.compute().ap50
    assert printed["by_overlap"] == precision.compute().by_overlap.tolist()
    for name in ("siou_gt", "ppv", "mean_f1"):
        assert printed[name] == getattr(values, name)
    counted = {name: printed[name] for name in ("found", "missed", "false")}
    assert counted == vars(values.counts)
    assert printed["false_per_frame"] == values.counts.false / 4
    assert printed["components"] == track
    assert printed["num_frames"] == 4
    assert values.counts.found > 0
    assert values.counts.missed > 0


def test_the_text_names_values_and_the_worst_images(place, capsys):
    assert evaluated(place) == 0
    printed = capsys.readouterr().out
    head = "objects: components obstacle, num_frames 4, found 5, missed 3, false 1, "
    head += "false_per_frame 0.25, num_objects 6, not_counted 0\n"
    assert printed.startswith(head)
    for name in ("ap ", "ap50", "siou_gt", "ppv", "mean_f1"):
        assert f"  {name}" in printed
    listed = printed.partition("most missed and false objects\n")[2].splitlines()
    assert listed == [
        "    street 1.jpg  1 found, 1 missed, 1 false",
        "    street 3.jpg  0 found, 2 missed, 0 false",
    ]


def test_results_of_another_program_with_overlapping_masks(place, capsys):
    (place / "labels" / "street 3.png").unlink()
    whole = [[0, SIZE[0] * SIZE[1]]] * 2
    names = [
        {"id": 9 - seed, "file_name": f"x/street {seed}.webp", "height": 60, "width": 90} for seed in range(3)
    ]
    results = [
        {"image_id": 7, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5, "segmentation": mask}
        for mask in ({"size": [60, 90], "counts": counts} for counts in whole)
    ]
    (place / "coco.json").write_text(json.dumps(results))
    (place / "coco-images.json").write_text(json.dumps({"images": names, "annotations": []}))
    assert evaluated(place, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [image["false"] for image in printed["images"]] == [0, 0, 1]  # the second has no pixel of its own
    assert (printed["num_objects"], printed["not_counted"]) == (2, 1)  # one is covered by the other
    assert printed["missed"] == 6


def test_one_label_file_measures_its_image(place, capsys):
    words = [str(place / "coco.json"), str(place / "labels" / "street 1.png")]
    assert main(["eval", "objects", *words, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [image["name"] for image in printed["images"]] == ["street 1.jpg"]
    write_coco(place / "coco.json", {"other.jpg": objects_of(place)[0]})
    assert main(["eval", "objects", *words, "--json"]) == 0
    assert [image["name"] for image in json.loads(capsys.readouterr().out)["images"]] == ["other.jpg"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda place: (place / "labels" / "street 2.png").unlink(), "no label for street 2.jpg"),
        (
            lambda place: (place / "labels" / "street 2.png").rename(place / "labels" / "b.png"),
            "no label for",
        ),
        (lambda place: write_png(place / "labels" / "b.png", np.ones(SIZE, np.uint8)), "no image for b.png"),
        (lambda place: (place / "coco-images.json").unlink(), "coco-images.json"),
        (lambda place: (place / "coco.json").write_text("[{}]"), "coco.json, [0]"),
        (
            lambda place: write_png(place / "labels" / "street 1.png", np.ones((90, 60), np.uint8)),
            "street 1.jpg with street 1.png: objects: got objects of an image (60, 90)",
        ),
        (
            lambda place: write_coco(
                place / "coco.json", dict.fromkeys(("a/x.jpg", "b/x.png"), objects_of(place)[0])
            ),
            "two images of the stem 'x'",
        ),
    ],
)
def test_files_that_do_not_fit_are_refused(place, capsys, change, words):
    change(place)
    assert evaluated(place, "--json") == 2
    assert words in json.loads(capsys.readouterr().out)["error"]


def relabel(place, labels):
    for path in (place / "labels").iterdir():
        write_png(path, labels)


@pytest.mark.parametrize("values", [(0, 255), (255,), (7,)])
def test_labels_without_a_meaning_are_refused(place, capsys, values):
    labels = np.zeros(SIZE, np.uint8)
    labels.flat[:] = np.resize(values, labels.size)
    relabel(place, labels)
    assert evaluated(place, "--json") == 2
    assert "expected 0 for normal and 1 for anomalous pixels" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize(
    ("side", "words"), [(0, "no pixel is anomalous (1)"), (3, "no labeled component has")]
)
def test_what_no_label_defines_is_null_and_false_objects_are_counted(place, capsys, side, words):
    labels = np.zeros(SIZE, np.uint8)
    labels[55 : 55 + side, 80 : 80 + side] = 1
    relabel(place, labels)
    assert evaluated(place, "--json") == 0
    streams = capsys.readouterr()
    printed = json.loads(streams.out)
    assert [printed[name] for name in ("ap", "ap50", "siou_gt", "ppv", "mean_f1")] == [None] * 5
    assert printed["by_overlap"] == [None] * 10
    assert words in printed["warnings"][0]
    assert f"warning: {words}" in streams.err
    assert printed["false"] > 0
    assert evaluated(place) == 0
    printed = capsys.readouterr().out
    assert printed.count("not defined") == 5
    assert "nan" not in printed


@pytest.mark.parametrize(
    ("least", "words"), [(1e9, "there is no object"), (0.5, "no object has 500 labeled")]
)
def test_no_object_is_a_normal_result(place, capsys, least, words):
    small = np.zeros((1, *SIZE), bool)
    small[0, 20:25, 20:25] = True
    objects = Objects.from_masks(small, np.ones(1)).take([0] if least < 1 else [])
    write_coco(place / "coco.json", {f"street {seed}.jpg": objects for seed in range(4)})
    assert evaluated(place, "--json", "--components", "anomaly") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["ap"], printed["siou_gt"], printed["ppv"], printed["mean_f1"]) == (0, 0, None, 0)
    assert words in printed["warnings"][0]
    assert printed["missed"] == 4


def test_labels_of_stored_pixels_are_named(tmp_path, capsys):
    found = Objects.from_masks(np.ones((1, 40, 60), bool), np.array([0.5]))
    write_coco(tmp_path / "coco.json", {"a.png": found})
    write_png(tmp_path / "labels" / "a.png", np.eye(60, 40, dtype=np.uint8))
    assert main(["eval", "objects", str(tmp_path / "coco.json"), str(tmp_path / "labels")]) == 2
    said = capsys.readouterr().err
    assert (
        "a.png with a.png: objects: got objects of an image (40, 60), expected the labels', (60, 40)" in said
    )
    assert "EXIF" in said
