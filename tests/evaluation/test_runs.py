"""Whole benchmarks on miniature data sets: values, crashes, several processes, full disks."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from csl_plugin import Calibration, fuse, fuse_labels
from csl_plugin.cli import main
from csl_plugin.datasets import DATASETS, open_dataset
from csl_plugin.datasets.cityscapes import label_ids
from csl_plugin.errors import FileError, OptionError
from csl_plugin.evaluation import FramesFailedError, run_benchmark
from csl_plugin.evaluation.formats import to_float16
from csl_plugin.io import image_batch, read_image, read_scores, write_png, write_scores
from csl_plugin.io.images import read_gray_png
from csl_plugin.metrics import (
    COMPONENT_SETTINGS,
    ComponentMetric,
    ImageAnomaly,
    PooledAnomaly,
    RegionOverlap,
    SemanticMetric,
    SmiycAnomaly,
)
from csl_plugin.proposers import load_proposer
from tests.helpers import trees
from tests.helpers.tracks import FRAMES, SIZE, command, make_frame, make_place, result_values, run, write_jpg


@pytest.fixture
def place(tmp_path):
    """AnomalyTrack's validation split, smaller, with score files."""
    return make_place(tmp_path)


def test_values_are_those_of_the_metrics(place):
    result = run(place)
    expected = {side: {"smiyc": SmiycAnomaly(), "pooled": PooledAnomaly()} for side in ("base", "csl")}
    maps = {}
    proposer = load_proposer()
    for seed in range(FRAMES):
        name = f"validation{seed:04}"
        _, label, score = make_frame(seed)
        regions = proposer(image_batch(read_image(place / "data" / "images" / f"{name}.jpg")))
        fused = fuse(score.astype(np.float64), regions)
        maps[name] = {"base": score, "csl": to_float16(fused, "probability")}, label
        for side, prediction in maps[name][0].items():
            for metric in expected[side].values():
                metric.update(prediction, label)
    assert [found.protocol for found in result.protocols] == ["smiyc", "pooled", "components"]
    for one in result.protocols[:2]:
        for side, found in (("base", one.base), ("csl", one.csl)):
            wanted = expected[side][one.protocol].compute()
            assert (found["ap"], found["auroc"], found["fpr95"]) == (wanted.ap, wanted.auroc, wanted.fpr95)
        low, high = one.intervals["ap"]
        assert low <= high
    for side in ("base", "csl"):
        threshold = expected[side]["smiyc"].compute().best_f1_threshold
        components = ComponentMetric(COMPONENT_SETTINGS["anomaly"], threshold)
        for by_side, label in maps.values():
            components.update(by_side[side], label)
        wanted = components.compute()
        assert getattr(result.protocols[2], side)["mean_f1"] == wanted.mean_f1
        assert getattr(result.protocols[2], side)["siou_gt"] == wanted.siou_gt
    assert result.protocols[0].csl["ap"] > result.protocols[0].base["ap"]


def test_what_is_measured_is_what_is_written(place):
    result = run(place, method="My method")
    metric = SmiycAnomaly()
    folder = place / "out" / "scores" / "My method" / "AnomalyTrack-all"
    for seed in range(FRAMES):
        (file,) = folder.glob(f"validation{seed:04}.*")
        stored = read_scores(file)
        assert stored.dtype == np.float16
        metric.update(stored, make_frame(seed)[1])
    assert metric.compute().ap == result.protocols[0].csl["ap"]
    assert result.outputs == {"SegmentMeIfYouCan score maps": "scores/My method/AnomalyTrack-all"}


def test_product_and_its_root_have_the_same_result_values(place):
    assert run(place, rule="geometric", out="root").protocols == run(place, rule="product").protocols


@pytest.mark.parametrize("rule", ["trust", "default", None])
def test_a_rule_of_earlier_versions_is_refused_before_anything_is_written(place, rule):
    with pytest.raises(OptionError, match=r'rule: got .*, expected "adaptive", "product"'):
        run(place, rule=rule)
    assert not (place / "out").exists()


def test_the_rule_that_was_used_is_named(place):
    assert run(place).settings["rule"] == "adaptive"
    assert run(place, rule="product", out="other").settings["rule"] == "product"


def test_a_second_run_has_nothing_to_do(place, monkeypatch):
    run(place)
    before = {path: path.stat().st_mtime_ns for path in (place / "out" / "records").iterdir()}
    result = (place / "out" / "result.json").read_bytes()
    monkeypatch.setattr("csl_plugin.evaluation.frames.passes.propose_regions", None)
    run(place)
    assert before == {path: path.stat().st_mtime_ns for path in (place / "out" / "records").iterdir()}
    assert (place / "out" / "result.json").read_bytes() == result


def test_what_changed_or_went_is_made_again(place):
    run(place)
    first = result_values(place)
    record = place / "out" / "records" / "validation0001.npz"
    record.write_bytes(record.read_bytes()[:100])
    (place / "out" / "records" / "validation0002.npz").unlink()
    next((place / "out" / "scores").rglob("validation0003.*")).unlink()
    run(place)
    assert result_values(place) == first
    write_scores(place / "scores" / "validation0004.npy", make_frame(40)[2])
    run(place)
    assert result_values(place) != first
    run(place, out="fresh")
    assert result_values(place) == result_values(place, "fresh")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rule": "mean"}, "rule"),
        ({"kind": "raw"}, "kind"),
        ({"proposer": "superpixels:40"}, "proposer"),
        ({"method": "other"}, "method"),
        ({"scores": "others"}, "scores"),
        ({"subset": "all"}, "split"),
    ],
)
def test_other_settings_are_not_mixed(place, change, word):
    run(place, method=None if word != "scores" else "m")
    shutil.copytree(place / "scores", place / "others", copy_function=shutil.copyfile)
    if word == "scores":
        change = {"scores": place / "others", "method": "m"}
    with pytest.raises(OptionError, match=word) as caught:
        run(place, **change)
    assert "--overwrite" in str(caught.value)
    if word == "rule":
        run(place, **change, overwrite=True)
        run(place, **change)


def test_a_benchmark_goes_on_where_it_was_moved_to(place, tmp_path):
    run(place)
    first = (place / "out" / "records" / "validation0000.npz").stat().st_mtime_ns
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("data", "scores", "out"):
        (place / name).rename(moved / name)
    run(moved)
    assert (moved / "out" / "records" / "validation0000.npz").stat().st_mtime_ns == first
    places = json.loads((moved / "out" / "csl-plugin.json").read_text())["places"]
    assert places == {"data": str(moved / "data"), "scores": str(moved / "scores")}


def test_a_benchmark_goes_on_with_more_frames_and_not_with_fewer(place):
    hidden = [
        next((place / "data" / folder).glob("validation0005*")) for folder in ("images", "labels_masks")
    ]
    for file in hidden:
        file.rename(place / file.name)
    assert run(place).num_frames == FRAMES - 1
    first = (place / "out" / "records" / "validation0000.npz").stat().st_mtime_ns
    for file in hidden:
        (place / file.name).rename(file)
    assert run(place).num_frames == FRAMES
    assert (place / "out" / "records" / "validation0000.npz").stat().st_mtime_ns == first
    run(place, out="fresh")
    assert result_values(place) == result_values(place, out="fresh")
    for file in hidden:
        file.unlink()
    with pytest.raises(OptionError, match="frames 5"):
        run(place)


def test_an_edited_result_is_made_again_with_a_warning(place, capsys):
    run(place)
    before = (place / "out" / "result.json").read_bytes()
    (place / "out" / "result.json").write_text("{}")
    capsys.readouterr()
    run(place)
    assert (place / "out" / "result.json").read_bytes() == before
    assert "result.json was changed since it was written" in capsys.readouterr().err


def test_a_record_of_another_run_is_made_again(place, capsys):
    run(place)
    first = result_values(place)
    run(place, out="other", rule="mean")
    shutil.copy(place / "other" / "records" / "validation0000.npz", place / "out" / "records")
    run(place)
    assert "warning" in (told := capsys.readouterr().err)
    assert "validation0000.npz" in told
    assert result_values(place) == first


def test_a_bad_frame_fails_the_run_and_keeps_the_others(place, capsys):
    good = (place / "scores" / "validation0003.npy").read_bytes()
    (place / "scores" / "validation0003.npy").write_bytes(good[:999])
    with pytest.raises(FramesFailedError, match="1 of 6 frames"):
        run(place)
    assert "validation0003" in capsys.readouterr().err
    assert len(list((place / "out" / "records").glob("validation*.npz"))) == FRAMES - 1
    assert not (place / "out" / "result.json").exists()
    assert main(command(place, "out", teacher=False)[2:]) == 1
    (place / "scores" / "validation0003.npy").write_bytes(good)
    run(place)
    run(place, out="fresh")
    assert result_values(place) == result_values(place, "fresh")


def test_missing_scores_are_told_before_anything_is_done(place):
    (place / "scores" / "validation0002.npy").unlink()
    with pytest.raises(FileError, match="1 of 6 frames, such as validation0002"):
        run(place)
    assert not (place / "out").exists()


def test_negative_scores_need_a_calibration(place, capsys):
    for file in (place / "scores").iterdir():
        write_scores(file, 10 - 20 * read_scores(file))  # high where all is normal
    with pytest.raises(FramesFailedError):
        run(place)
    assert "--calibration" in capsys.readouterr().err
    Calibration.sigmoid(0, -4).save(place / "turned.json")
    result = run(place, out="calibrated", calibration=place / "turned.json")
    assert result.protocols[0].base["ap"] > 0.5  # the calibration says which way round
    with pytest.raises(OptionError, match="--kind"):
        run(place, out="both", calibration=place / "turned.json", kind="logits")


def test_half_precision_files_are_measured_as_they_are(place):
    metric = SmiycAnomaly()
    for seed, file in enumerate(sorted((place / "scores").iterdir())):
        score = make_frame(seed)[2].astype(np.float16)
        write_scores(file, score)
        metric.update(score, make_frame(seed)[1])
    assert run(place).protocols[0].base["ap"] == metric.compute().ap


def test_logits_are_measured_and_fused_as_logits(place):
    for file in (place / "scores").iterdir():
        score = read_scores(file).astype(np.float64)
        write_scores(file, (20 + np.log(score / (1 - score))).astype(np.float32))  # sigmoids near 1
    logits, wrong = run(place, kind="logits"), run(place, kind="raw", out="raw")
    assert logits.protocols[1].csl["ap"] > logits.protocols[1].base["ap"] - 0.05
    assert logits.protocols[1].base == wrong.protocols[1].base


def test_several_processes_need_a_meeting_place(place, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(OptionError, match="torchrun"):
        run(place)


def test_small_scores_are_upsampled(place):
    for seed, file in enumerate(sorted((place / "scores").iterdir())):
        small = cv2.resize(make_frame(seed)[2], (SIZE[1] // 4, SIZE[0] // 4), interpolation=cv2.INTER_AREA)
        write_scores(file, small[None])
    assert run(place).protocols[0].base["ap"] > 0.8


@pytest.mark.parametrize(
    "options",
    [{"scores": None}, {"teacher": "teachers:score"}, {"scores": None, "teacher": "nothing"}],
)
def test_one_source_of_scores(place, options):
    with pytest.raises(OptionError, match="--teacher"):
        run(place, **options)


def test_unlabeled_frames_are_fused_for_submission(place):
    for file in (place / "data" / "labels_masks").iterdir():
        file.unlink()
    for file in (place / "data" / "images").iterdir():
        file.rename(file.with_name(file.name.replace("validation", "street")))
    for file in (place / "scores").iterdir():
        file.rename(file.with_name(file.name.replace("validation", "street")))
    result = run(place, subset="test", method="ObsNet")
    assert (result.num_frames, result.num_measured, result.protocols) == (FRAMES, 0, ())
    assert {row.table for row in result.published_rows} == {1, 4}
    assert len(list((place / "out" / "scores").rglob("street*"))) == FRAMES
    assert "not public" in (place / "out" / "report.html").read_text()


def official_read(outputs, method_name, dset_name, fid):
    """A map as road-anomaly-benchmark reads it before its metrics: path, variable, squeeze."""
    h5py = pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    path = f"{outputs}/anomaly_p/{method_name}/{dset_name}/{fid}.hdf5"
    with h5py.File(path, "r") as handle:
        variable = handle["value"]
        values = variable[:] if len(variable.shape) > 0 else variable
    return np.squeeze(values)


def test_the_package_for_submission_is_read_as_the_official_tool_does(place):
    """One command writes all frames, labeled or not; its folder takes the place of outputs/anomaly_p."""
    pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    (place / "data" / "labels_masks" / "validation0000_labels_semantic.png").unlink()
    for file in [*(place / "data" / "images").iterdir(), *(place / "scores").iterdir()]:
        file.rename(file.with_name(file.name.replace("validation0000", "road0000")))
    result = run(place, subset="all", method="MyMethod")
    assert (result.num_frames, result.num_measured) == (FRAMES, FRAMES - 1)
    outputs = place / "outputs"
    outputs.mkdir()
    (place / "out" / "scores").rename(outputs / "anomaly_p")
    fids = [image.stem for image in (place / "data" / "images").iterdir()]
    files = {path.relative_to(outputs / "anomaly_p") for path in outputs.rglob("*") if path.is_file()}
    assert files == {Path(f"MyMethod/AnomalyTrack-all/{fid}.hdf5") for fid in fids}
    metric = SmiycAnomaly()
    for fid in fids:
        anomaly_p = official_read(outputs, "MyMethod", "AnomalyTrack-all", fid)
        image = read_image(place / "data" / "images" / f"{fid}.jpg")
        assert anomaly_p.dtype == np.float16
        assert anomaly_p.shape == image.shape[:2]
        assert np.isfinite(anomaly_p).all()
        if fid != "road0000":
            metric.update(anomaly_p, make_frame(int(fid.removeprefix("validation")))[1])
    assert metric.compute().ap == result.protocols[0].csl["ap"]


SEMANTIC = {"names": ["road", "tree", "cow"], "unseen": [2]}


@pytest.fixture
def classes(tmp_path):
    """A folder with three classes, logits at a quarter of the size."""
    for seed in range(4):
        image, label, _ = make_frame(seed)
        label = np.where(label == 1, 2, label)
        label[60:, 90:] = 1
        image[label == 1, 1] += 100
        rng = np.random.default_rng(seed)
        logits = np.stack([(label == index) * 1.5 for index in range(3)]) + rng.normal(0, 1, (3, *SIZE))
        write_png(tmp_path / "data" / "images" / f"{seed}.png", image)
        write_png(tmp_path / "data" / "labels" / f"{seed}.png", label)
        write_scores(tmp_path / "scores" / f"{seed}.npy", logits[:, 2::4, 2::4].astype(np.float32))
    (tmp_path / "data" / "classes.json").write_text(json.dumps(SEMANTIC))
    return tmp_path


def test_semantic_values(classes):
    result = run_benchmark(
        "folder", classes / "data", classes / "out", scores=classes / "scores", kind="logits", draws=20
    )
    wanted = {side: SemanticMetric(3, unseen=(2,)) for side in ("base", "csl")}
    proposer = load_proposer()
    for seed in range(4):
        logits = read_scores(classes / "scores" / f"{seed}.npy")
        label = cv2.imread(str(classes / "data" / "labels" / f"{seed}.png"), cv2.IMREAD_GRAYSCALE)
        large = torch.nn.functional.interpolate(
            torch.from_numpy(logits)[None], SIZE, mode="bilinear", align_corners=False
        )[0]
        regions = proposer(image_batch(read_image(classes / "data" / "images" / f"{seed}.png")))
        fused = fuse_labels(logits, regions, size=SIZE, logits=True)
        wanted["base"].update(large.argmax(0).numpy(), label)
        wanted["csl"].update(fused, label)
        written = cv2.imread(str(classes / "out" / "predictions" / f"{seed}.png"), cv2.IMREAD_GRAYSCALE)
        assert (written == fused).all()
    for side in ("base", "csl"):
        expected = wanted[side].compute()
        found = getattr(result.protocols[0], side)
        assert found["miou"] == pytest.approx(expected.miou, abs=2e-4)  # two bilinear interpolations
        assert found["hiou"] == pytest.approx(expected.hiou, abs=2e-4)
    assert result.classes == ("road", "tree", "cow")
    assert len(result.per_class["csl"]) == 3


def test_a_wrong_number_of_classes_is_told(classes, capsys):
    for file in (classes / "scores").iterdir():
        write_scores(file, read_scores(file)[:2])
    with pytest.raises(FramesFailedError):
        run_benchmark("folder", classes / "data", classes / "out", scores=classes / "scores", kind="logits")
    assert "(3, h, w)" in capsys.readouterr().err


def test_regions_on_coco_stuff(tmp_path):
    for seed in range(3):
        image, label, _ = make_frame(seed)
        write_jpg(tmp_path / "images" / "val2017" / f"{seed:012}.jpg", image)
        raw = np.select([label == 1, label == 255], [0, 255], 148).astype(np.uint8)  # person on road
        write_png(tmp_path / "annotations" / "val2017" / f"{seed:012}.png", raw)
    result = run_benchmark("coco-stuff-regions", tmp_path, tmp_path / "out")
    (found,) = result.protocols
    assert found.base == {}
    assert 0.5 < found.csl["miou"] <= 1
    assert [row.method for row in result.published_rows] == ["None-CA", "CA+HA", "CA+SA"]
    assert "OOD-mIoU" not in (tmp_path / "out" / "result.md").read_text().split("paper")[0].split("|")
    with pytest.raises(OptionError, match="neither"):
        run_benchmark("coco-stuff-regions", tmp_path, tmp_path / "out2", scores=tmp_path)


CLASSES = {"pascal-voc": 20, "coco-stuff": 171, "cityscapes": 19, "synscapes": 19}
MAKERS = {
    "smiyc-obstacle-track": trees.obstacle_track,
    "road-anomaly": trees.road_anomaly_authors,
    "pascal-voc": trees.pascal_voc,
    "coco-stuff": trees.coco_stuff,
    "cityscapes": trees.cityscapes,
    "synscapes": trees.synscapes,
    "mvtec-ad": trees.mvtec,
    "mvtec-ad-2": lambda root: trees.mvtec(root, "test_public", "test_public/ground_truth"),
    "visa": lambda root: trees.mvtec(root, mask="{}.png", suffix=".JPG"),
}


def test_every_data_set_has_a_miniature():
    elsewhere = {
        "smiyc-anomaly-track",
        "fishyscapes-lostandfound",
        "fishyscapes-static",
        "lostandfound-noknown",
    }
    assert set(DATASETS) - set(MAKERS) - elsewhere == {"folder"}, (
        "add it to tests/helpers/trees.py and to MAKERS"
    )


@pytest.mark.parametrize("name", MAKERS)
def test_every_data_set_in_its_published_layout(name, tmp_path):
    MAKERS[name](tmp_path / "data")
    dataset = open_dataset(name, tmp_path / "data")
    rng = np.random.default_rng(0)
    for frame in dataset.frames:
        shape = (CLASSES[name],) if name in CLASSES else ()
        size = dataset.read_image(frame).shape[:2]
        write_scores(tmp_path / "scores" / f"{frame.name}.npy", rng.random((*shape, *size), dtype=np.float32))
    out = tmp_path / "out"
    result = run_benchmark(name, tmp_path / "data", out, scores=tmp_path / "scores", draws=5)
    assert result.num_measured == result.num_frames == len(dataset.frames)
    assert all((out / place).exists() for place in result.outputs.values())
    assert (out / "report.html").exists()
    if name == "cityscapes":
        ids = np.unique([read_gray_png(file) for file in (out / "predictions").iterdir()])
        assert set(ids.tolist()) <= set(label_ids())
    if name == "coco-stuff":
        entries = json.loads((out / "predictions" / "sem_seg_predictions.json").read_text())
        assert {entry["file_name"] for entry in entries} == {"000000000139.jpg", "000000000285.jpg"}
        assert min(entry["category_id"] for entry in entries) >= 1
        assert max(entry["category_id"] for entry in entries) <= 182


def test_a_category_of_inspection(tmp_path, capsys):
    """Regions and images are measured too; score files are found by the folders of MVTec AD."""
    trees.mvtec(tmp_path / "data" / "gear")
    dataset = open_dataset("mvtec-ad", tmp_path / "data" / "gear")
    draw = np.random.default_rng(0)
    metrics = RegionOverlap(), ImageAnomaly()
    for frame in dataset.frames:
        label = dataset.read_label(frame)
        scores = (draw.random(label.shape) + 0.3 * label).astype(np.float16) / np.float16(1.4)
        defect = frame.image.parent.name
        write_scores(tmp_path / "scores" / defect / f"{frame.image.stem}.npy", scores)
        for metric in metrics:
            metric.update(scores, label)
    expected = [metric.compute() for metric in metrics]
    arguments = ["benchmark", "mvtec-ad", "--data", str(tmp_path / "data" / "gear"), "--draws", "5"]
    arguments += ["--scores", str(tmp_path / "scores"), "--out", str(tmp_path / "out"), "--json"]
    assert main(arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["num_measured"] == 5
    assert found["figures"]["overlap"]["base"] == pytest.approx(
        {"aupro_30": expected[0].aupro_30, "aupro_05": expected[0].aupro_05}, abs=1e-3
    )
    assert found["figures"]["images"]["base"]["image_auroc"] == expected[1].image_auroc
    assert set(found["figures"]["overlap"]["change_interval"]) == {"aupro_30", "aupro_05"}
    assert set(found["figures"]["images"]["change_interval"]) == {"image_auroc", "image_ap"}
    report = (tmp_path / "out" / "result.md").read_text()
    assert "AUPRO 0.3 | AUPRO 0.05" in report
    assert "image AUROC" in report
    (tmp_path / "flat").mkdir()
    for number in (0, 1):  # a file for 000 of which defect?
        write_scores(tmp_path / "flat" / f"{number:03d}.npy", scores)
    arguments[arguments.index("--scores") + 1] = str(tmp_path / "flat")
    assert main(arguments) == 2
    assert "no score map for 5 of 5 frames" in capsys.readouterr().err


def test_maps_of_inspection_have_any_size(tmp_path, capsys):
    """A model sees every picture stretched to a square, whatever its aspect ratio."""
    trees.mvtec(tmp_path / "gear")
    draw = np.random.default_rng(0)
    for frame in open_dataset("mvtec-ad", tmp_path / "gear").frames:
        height, width = open_dataset("mvtec-ad", tmp_path / "gear").read_label(frame).shape
        assert height != width
        scores = draw.random((1, 3, 3))
        write_scores(tmp_path / "square" / f"{frame.name}.npy", scores.astype(np.float32))
        whole = torch.nn.functional.interpolate(
            torch.tensor(scores)[None].float(), (height, width), mode="bilinear"
        )
        write_scores(tmp_path / "whole" / f"{frame.name}.npy", whole[0, 0].numpy())
        write_scores(tmp_path / "large" / f"{frame.name}.npy", draw.random((16, 16)))
        write_scores(tmp_path / "turned" / f"{frame.name}.npy", draw.random((width, height)))
    found = {
        kind: run_benchmark(
            "mvtec-ad", tmp_path / "gear", tmp_path / kind / "out", scores=tmp_path / kind, draws=5
        )
        for kind in ("square", "whole", "large")
    }
    assert found["square"].protocols == found["whole"].protocols
    with pytest.raises(FileError, match="5 of 5 frames"):
        run_benchmark("mvtec-ad", tmp_path / "gear", tmp_path / "out", scores=tmp_path / "turned")
    assert "Height and width are exchanged" in capsys.readouterr().err


def test_two_maps_of_one_frame_are_refused(tmp_path):
    trees.mvtec(tmp_path / "gear")
    for frame in open_dataset("mvtec-ad", tmp_path / "gear").frames:
        write_scores(tmp_path / "scores" / f"{frame.name}.npy", np.zeros((4, 6)))
    write_scores(tmp_path / "scores" / "crack" / "001.npy", np.ones((4, 6)))
    with pytest.raises(FileError, match=r"crack.001\.npy and crack_001\.npy.*one score map of each frame"):
        run_benchmark("mvtec-ad", tmp_path / "gear", tmp_path / "out", scores=tmp_path / "scores")


def test_a_category_without_good_pictures(tmp_path, capsys):
    trees.mvtec(tmp_path / "gear")
    for file in (tmp_path / "gear/test/good").iterdir():
        file.unlink()
    for frame in open_dataset("mvtec-ad", tmp_path / "gear").frames:
        write_scores(tmp_path / "scores" / f"{frame.name}.npy", np.random.default_rng(0).random((4, 6)))
    result = run_benchmark("mvtec-ad", tmp_path / "gear", tmp_path / "out", scores=tmp_path / "scores")
    (warning,) = [text for text in result.warnings if "image AUROC" in text]
    assert "each has one" in warning
    assert {found.protocol: found.csl for found in result.protocols}["overlap"]["aupro_30"] > 0


def test_the_command_line(place, capsys):
    arguments = command(place, "out", "--method", "ObsNet", teacher=False)[2:]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "+CSL" in shown
    assert "paper, table 4: ObsNet" in shown
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["figures"]["smiyc"]["csl"]["ap"] > 0.5
    assert main(["benchmark", "nothing", "--data", str(place)]) == 2
    assert "csl-plugin benchmark --list names all" in capsys.readouterr().err
    assert main([*arguments, "--option", "x"]) == 2


def test_region_maps_from_a_folder(place):
    assert main(["propose", str(place / "data" / "images"), str(place / "maps")]) == 0
    assert (
        run(place, proposer=str(place / "maps"), out="maps_out").protocols
        == run(place, proposer="csl-tiny", out="named").protocols
    )
    (place / "maps" / "validation0001.png").unlink()
    with pytest.raises(FileError, match="1 of 6 frames"):
        run(place, proposer=str(place / "maps"), out="again")
