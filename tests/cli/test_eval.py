"""`csl-plugin eval` on real files: its values, its words, and its errors."""

import json
import math

import cv2
import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.io import write_png, write_region_map, write_scores
from csl_plugin.metrics import (
    COMPONENT_SETTINGS,
    ComponentMetric,
    PerImageAnomaly,
    PooledAnomaly,
    RegionOverlap,
    RegionVoteMetric,
    Reliability,
    SemanticMetric,
    SmiycAnomaly,
)

SIZE = 90, 120


def make_frame(seed):
    rng = np.random.default_rng(seed)
    labels = np.zeros(SIZE, np.uint8)
    labels[20:50, 30 + seed : 70 + seed] = 1
    labels[60:66, 80:86] = 1
    labels[:8] = 255
    scores = 0.5 + 0.2 * (labels == 1) + 0.1 * rng.standard_normal(SIZE)
    return np.clip(scores, 0, 1).astype(np.float16), labels


@pytest.fixture
def place(tmp_path):
    """Scores in several formats and the labels of six frames, more than are read ahead."""
    pytest.importorskip("h5py")
    suffixes = (".npy", ".npz", ".hdf5", ".png", ".npy", ".npy")
    for seed, suffix in enumerate(suffixes):
        scores, labels = make_frame(seed)
        if suffix == ".png":
            write_scores(tmp_path / "scores" / f"{seed}{suffix}", scores.astype(np.float32))
        else:
            write_scores(tmp_path / "scores" / f"{seed}{suffix}", scores[None] if seed == 4 else scores)
        write_png(tmp_path / "labels" / f"{seed}.png", labels)
    return tmp_path


def frames_of(place):
    from csl_plugin.io import read_scores

    paths = sorted((place / "scores").iterdir(), key=lambda path: path.stem)
    return [(read_scores(path).reshape(SIZE), make_frame(int(path.stem))[1]) for path in paths]


def measured(metric, frames):
    for frame in frames:
        metric.update(*frame)
    return metric.compute()


def anomaly(place, *options):
    return main(["eval", "anomaly", str(place / "scores"), str(place / "labels"), *options])


@pytest.mark.parametrize(
    ("options", "metric"),
    [
        ((), SmiycAnomaly()),
        (("--protocol", "pooled"), PooledAnomaly()),
        (("--protocol", "pooled", "--fpr-rule", "linear"), PooledAnomaly(fpr_rule="linear")),
        (("--protocol", "per-image", "--fpr-rule", "nearest"), PerImageAnomaly(fpr_rule="nearest")),
    ],
)
def test_anomaly_values(place, capsys, options, metric):
    assert anomaly(place, "--json", *options) == 0
    printed = json.loads(capsys.readouterr().out)
    values = measured(metric, frames_of(place))
    for name in ("ap", "auroc", "fpr95"):
        assert printed[name] == pytest.approx(getattr(values, name), abs=1e-12)
    assert printed["num_frames"] == 6
    assert printed["protocol"] == (options[1] if options else "smiyc")
    assert anomaly(place, *options) == 0
    text = capsys.readouterr().out
    assert f"{100 * values.ap:.2f} %" in text


def test_the_metrics_of_inspection(place, capsys):
    arguments = ("--protocol", "inspection")
    assert anomaly(place, "--json", *arguments) == 0
    printed, frames = json.loads(capsys.readouterr().out), frames_of(place)
    overlap = measured(RegionOverlap(), frames)
    assert printed["aupro_30"] == overlap.aupro_30
    assert printed["aupro_05"] == overlap.aupro_05
    assert printed["ap"] == measured(PooledAnomaly(), frames).ap
    assert printed["image_auroc"] is None
    assert "every frame has an anomalous (1) pixel" in printed["warnings"][0]
    write_scores(place / "scores" / "9.npy", np.full(SIZE, 0.1, np.float16))
    write_png(place / "labels" / "9.png", np.zeros(SIZE, np.uint8))
    assert anomaly(place, "--json", *arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["image_auroc"] == printed["image_ap"] == 1.0
    assert printed["warnings"] == []
    for label in (place / "labels").iterdir():
        write_png(label, np.zeros(SIZE, np.uint8))
    assert anomaly(place, "--json", *arguments) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["aupro_30"] is printed["aupro_05"] is printed["ap"] is None
    assert "so AP, AUROC, FPR95 and AUPRO are not defined" in printed["warnings"][0]


@pytest.mark.parametrize("track", ["anomaly", "obstacle"])
@pytest.mark.parametrize("protocol", ["smiyc", "pooled"])
def test_component_values_at_the_official_threshold(place, capsys, track, protocol):
    assert anomaly(place, "--components", track, "--protocol", protocol, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    frames = frames_of(place)
    threshold = measured(SmiycAnomaly(), frames).best_f1_threshold
    values = measured(ComponentMetric(COMPONENT_SETTINGS[track], threshold), frames)
    assert printed["threshold"] == threshold
    for name in ("siou_gt", "ppv", "mean_f1"):
        assert printed[name] == pytest.approx(getattr(values, name), abs=1e-12, nan_ok=True)
    assert values.num_truth == (6 if track == "anomaly" else 12)


@pytest.mark.parametrize("protocol", ["smiyc", "pooled", "per-image"])
def test_calibration_error_and_reliability_curve(place, capsys, protocol):
    assert anomaly(place, "--json", "--protocol", protocol) == 0
    printed = json.loads(capsys.readouterr().out)
    values = measured(Reliability(), frames_of(place))
    assert printed["ece"] == values.ece > 0
    assert printed["warnings"] == []
    assert printed["reliability"]["pixels"] == values.pixels.tolist()
    for name in ("score", "frequency"):
        given = [math.nan if value is None else value for value in printed["reliability"][name]]
        np.testing.assert_array_equal(given, getattr(values, name))


def test_scores_that_are_no_probabilities_have_no_calibration_error(place, capsys):
    scores, _ = make_frame(0)
    scores[0], scores[-2:] = 7, [[3], [-1]]  # the first row is void
    write_scores(place / "scores" / "0.npy", scores)
    assert anomaly(place, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert (printed["ece"], printed["reliability"]) == (None, None)
    assert printed["warnings"] == [
        f"{2 * SIZE[1]} labeled pixels have scores outside 0 to 1, so ece is not defined, the error of "
        "probabilities"
    ]
    assert printed["ap"] is not None


def test_one_file_against_one_file(place, capsys):
    arguments = [str(place / "scores" / "0.npy"), str(place / "labels" / "1.png")]
    assert main(["eval", "anomaly", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_frames"] == 1


@pytest.mark.parametrize("protocol", ["smiyc", "pooled", "per-image"])
@pytest.mark.parametrize(("value", "missing"), [(0, "anomalous (1)"), (1, "normal (0)")])
def test_values_that_are_undefined_are_null_and_said(place, capsys, protocol, value, missing):
    for path in (place / "labels").iterdir():
        write_png(path, np.full(SIZE, value, np.uint8))
    assert anomaly(place, "--json", "--protocol", protocol) == 0
    streams = capsys.readouterr()
    printed = json.loads(streams.out)
    assert [printed[name] for name in ("ap", "auroc", "fpr95")] == [None] * 3
    assert f"warning: no pixel is {missing}" in streams.err
    assert f"the labels hold {value}" in streams.err
    assert anomaly(place, "--protocol", protocol) == 0
    printed = capsys.readouterr().out
    assert printed.count("not defined") == 3
    assert "nan" not in printed


def test_one_file_against_a_folder(place, capsys):
    values = []
    for words in (("scores/4.npy", "labels"), ("scores", "labels/4.png"), ("scores/4.npy", "labels/4.png")):
        assert main(["eval", "anomaly", *(str(place / word) for word in words), "--json"]) == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed["num_frames"] == 1
        values.append(printed["ap"])
    assert values[0] == values[1] == values[2]
    (place / "labels" / "4.png").unlink()
    assert main(["eval", "anomaly", str(place / "scores" / "4.npy"), str(place / "labels")]) == 2
    assert "no label for 4.npy" in capsys.readouterr().err


@pytest.mark.parametrize("protocol", ["smiyc", "pooled", "per-image"])
def test_no_component_without_an_anomalous_pixel(place, capsys, protocol):
    for path in (place / "labels").iterdir():
        write_png(path, np.zeros(SIZE, np.uint8))
    options = "--components", "obstacle", "--protocol", protocol
    assert anomaly(place, "--json", *options) == 0
    printed = json.loads(capsys.readouterr().out)
    names = "ap", "auroc", "fpr95", "siou_gt", "ppv", "mean_f1", "threshold"
    assert [printed[name] for name in names] == [None] * 7
    assert len(printed["warnings"]) == 1
    assert anomaly(place, *options) == 0
    streams = capsys.readouterr()
    assert streams.out.count("not defined") == 7
    assert [line.split()[0] for line in streams.out.splitlines() if "%" in line] == ["ece"]
    assert streams.err.startswith("warning: no pixel is anomalous (1)")


def test_components_below_the_least_size(place, capsys):
    for path in (place / "labels").iterdir():
        labels = np.zeros(SIZE, np.uint8)
        labels[3:6, 3:6] = 1
        write_png(path, labels)
    assert anomaly(place, "--json", "--components", "anomaly") == 0
    printed = json.loads(capsys.readouterr().out)
    assert [printed[name] for name in ("siou_gt", "ppv", "mean_f1")] == [None] * 3
    assert printed["ap"] is not None
    assert "no labeled component has 100 pixels or more" in printed["warnings"][0]


def test_no_predicted_component(place, capsys):
    labels = np.zeros(SIZE, np.uint8)
    labels[20:50, 30:70] = 1
    for path in (place / "labels").iterdir():
        write_png(path, labels)
        write_png(place / "scores" / path.name, (labels * 100).astype(np.uint8))
    for path in (place / "scores").glob("*.[hn]*"):
        path.unlink()
    assert anomaly(place, "--json", "--components", "anomaly") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["ppv"] is None
    assert printed["mean_f1"] == 0
    assert "no predicted component has 500 pixels or more" in printed["warnings"][0]


@pytest.mark.parametrize(("kept", "defined"), [(4, 2), (6, 0)])
def test_frames_that_are_not_in_the_means_are_counted(place, capsys, kept, defined):
    for index in range(kept):
        write_png(place / "labels" / f"{index}.png", np.full(SIZE, index % 2, np.uint8))
    assert anomaly(place, "--json", "--protocol", "per-image") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["num_defined"] == defined
    assert (printed["ap"] is None) == (defined == 0)
    assert f"{kept} of 6 frames lack anomalous (1) or normal (0) pixels" in printed["warnings"][0]


@pytest.mark.parametrize("task", ["semantic", "regions"])
def test_void_labels_are_refused(classes, capsys, task):
    place, _ = classes
    for path in (place / "labels").iterdir():
        write_png(path, np.full(cv2.imread(str(path)).shape[:2], 255, np.uint8))
    folder = place / ("predicted" if task == "semantic" else "regions")
    assert main(["eval", task, str(folder), str(place / "labels"), "--classes", "4", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert error.startswith(f"{place / 'labels'}: got labels of 255, expected class indices from 0")


def test_regions_that_hold_nothing_are_refused(classes, capsys):
    place, pairs = classes
    for path, (_, regions, _) in zip(sorted((place / "regions").iterdir()), pairs, strict=True):
        write_region_map(path, np.full(regions.shape, -1, np.int32))
    words = ["eval", "regions", str(place / "regions"), str(place / "labels"), "--classes", "4"]
    assert main([*words, "--unassigned", "exclude"]) == 2
    assert "--unassigned miss" in capsys.readouterr().err


def test_unseen_classes_that_do_not_occur_are_said(classes, capsys):
    place, pairs = classes
    words = ["eval", "semantic", str(place / "predicted"), str(place / "labels"), "--classes", "9"]
    assert main([*words, "--unseen", "7,8", "--json"]) == 0
    streams = capsys.readouterr()
    printed = json.loads(streams.out)
    assert [printed[name] for name in ("miou_unseen", "hiou")] == [None, None]
    found = sorted({int(value) for _, _, labels in pairs for value in np.unique(labels)})
    held = ", ".join(map(str, found))
    (warning,) = printed["warnings"]
    assert f"miou_unseen, hiou are not defined; the labels hold {held}, and --unseen is 7,8" in warning
    assert f"warning: {warning}" in streams.err
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["warnings"] == [], "no group was asked for"


@pytest.mark.parametrize("task", ["semantic", "regions"])
def test_masks_of_0_and_255_are_no_labels_of_two_classes(classes, capsys, task):
    place, _ = classes
    for path in (place / "labels").iterdir():
        write_png(path, np.where(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) == 1, 255, 0).astype(np.uint8))
    for path in (place / "predicted").iterdir():
        path.unlink()
        write_png(path.with_suffix(".png"), np.zeros((30, 40), np.uint8))
    folder = place / ("predicted" if task == "semantic" else "regions")
    assert main(["eval", task, str(folder), str(place / "labels"), "--classes", "2", "--json"]) == 2
    error = json.loads(capsys.readouterr().out)["error"]
    assert "got labels of 0 and 255, expected class indices 0 and 1" in error
    assert "divide the labels by 255" in error


def refused(place, capsys, *words, options=()):
    assert anomaly(place, *options) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    for word in words:
        assert word in streams.err
    assert anomaly(place, "--json", *options) == 2
    assert json.loads(capsys.readouterr().out)["exit_code"] == 2


def test_every_error_names_its_file(place, capsys):
    label, score = place / "labels" / "2.png", place / "scores" / "2.hdf5"
    kept = label.read_bytes(), score.read_bytes()
    label.unlink()
    refused(place, capsys, "no label for 2.hdf5", "labels")
    label.write_bytes(kept[0])
    score.unlink()
    refused(place, capsys, "no prediction for 2.png")
    write_scores(score, np.zeros((3, 4), np.float16))
    refused(place, capsys, "2.hdf5", "2.png", "(3, 4)", "(90, 120)")
    write_scores(score, np.zeros((2, *SIZE), np.float16))
    refused(place, capsys, "2.hdf5", "(2, 90, 120)")
    write_scores(score, np.full(SIZE, np.nan, np.float16))
    refused(place, capsys, "2.hdf5", "nan")
    score.write_bytes(b"no HDF5")
    refused(place, capsys, "2.hdf5", "cannot be read")
    score.write_bytes(kept[1])
    label.write_bytes(kept[0][:100])
    refused(place, capsys, "2.png")
    label.write_bytes(kept[0])
    refused(place, capsys, "--fpr-rule", options=("--fpr-rule", "linear"))
    for path in (place / "labels").iterdir():
        write_png(path, np.full(SIZE, 255, np.uint8))
    refused(place, capsys, "got labels of 255, expected 0 for normal and 1 for anomalous")
    for path in (place / "labels").iterdir():
        path.unlink()
    refused(place, capsys, "folder without .png")


@pytest.fixture
def classes(tmp_path):
    rng = np.random.default_rng(0)
    pairs = []
    for index in range(3):
        labels = rng.integers(0, 4, (30, 40)).astype(np.uint8)
        predicted = np.where(rng.random((30, 40)) < 0.7, labels, rng.integers(0, 4, (30, 40)))
        labels[0] = 255
        predicted[1] = -1 if index == 0 else 255
        (tmp_path / "predicted").mkdir(exist_ok=True)
        if index == 0:
            np.save(tmp_path / "predicted" / "0.npy", predicted)
        else:
            write_png(tmp_path / "predicted" / f"{index}.png", predicted.astype(np.uint8))
        write_png(tmp_path / "labels" / f"{index}.png", labels)
        regions = np.arange(30 * 40).reshape(30, 40) // 17 % 50 - 1
        write_region_map(tmp_path / "regions" / f"{index}.png", regions)
        pairs.append((predicted, regions, labels))
    return tmp_path, pairs


def check_semantic(printed, values):
    for name in ("miou", "miou_seen", "miou_unseen", "hiou", "macc", "pacc", "fwiou"):
        value = np.nan if printed[name] is None else printed[name]
        assert value == pytest.approx(getattr(values, name), abs=1e-12, nan_ok=True)
    np.testing.assert_allclose(np.array(printed["per_class"], float), values.per_class, atol=1e-12)
    assert printed["num_frames"] == 3


@pytest.mark.parametrize("unseen", ["", "3", "1, 3"])
def test_semantic_values(classes, capsys, unseen):
    place, pairs = classes
    arguments = [str(place / "predicted"), str(place / "labels"), "--classes", "4", "--unseen", unseen]
    assert main(["eval", "semantic", *arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    ids = [int(word) for word in unseen.split(",") if word]
    values = measured(SemanticMetric(4, unseen=ids), [(p, lab) for p, _, lab in pairs])
    check_semantic(printed, values)
    assert printed["unseen"] == ids
    assert main(["eval", "semantic", *arguments]) == 0
    assert f"{100 * values.miou:.2f} %" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "choices"),
    [
        ((), {}),
        (("--unassigned", "exclude"), {"unassigned": "exclude"}),
        (("--vote-per", "component", "--void-votes"), {"vote_per": "component", "void_votes": True}),
    ],
)
def test_region_values(classes, capsys, options, choices):
    place, pairs = classes
    arguments = [str(place / "regions"), str(place / "labels"), "--classes", "4", "--unseen", "2"]
    assert main(["eval", "regions", *arguments, "--json", *options]) == 0
    metric = RegionVoteMetric(4, unseen=[2], **choices)
    check_semantic(json.loads(capsys.readouterr().out), measured(metric, [(r, lab) for _, r, lab in pairs]))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--classes", "3"), ("the value 3", ".png")),
        (("--classes", "0"), ("--classes: got 0", "1 to 255")),
        (("--classes", "4", "--unseen", "one"), ("--unseen", "15,16,17")),
        (("--classes", "4", "--unseen", "9"), ("--unseen: got 9", "0 to 3")),
    ],
)
def test_semantic_errors(classes, capsys, options, words):
    place, _ = classes
    assert main(["eval", "semantic", str(place / "predicted"), str(place / "labels"), *options]) == 2
    error = capsys.readouterr().err
    for word in words:
        assert word in error


def test_class_maps_of_other_kinds_are_refused(classes, capsys):
    place, _ = classes
    for array in (np.zeros((30, 40), np.float32), np.zeros((4, 30, 40), np.uint8), np.array([{}], object)):
        np.save(place / "predicted" / "0.npy", array)
        arguments = [str(place / "predicted"), str(place / "labels"), "--classes", "4"]
        assert main(["eval", "semantic", *arguments]) == 2
        assert "0.npy" in capsys.readouterr().err


def test_a_task_is_needed(capsys):
    with pytest.raises(SystemExit):
        main(["eval"])
    assert "TASK" in capsys.readouterr().err
