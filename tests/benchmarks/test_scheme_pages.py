"""The pages on scheme 1, classes and speed, and the example that trains their teacher."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.effect import scheme1, semantic, speed_network
from benchmarks.effect.networks import distillation
from benchmarks.effect.networks.bundled import bundled_network
from benchmarks.timing import quartiles, spread, take_turns
from csl_plugin.errors import FileError
from csl_plugin.models import CSLNetwork, NetworkConfig
from examples import train_segmenter
from examples.ood_scores import ood_scores
from examples.train_segmenter import CLASSES, CONFIG, Segmenter

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _same_threads():
    before = torch.get_num_threads(), cv2.getNumThreads()
    yield
    torch.set_num_threads(before[0])
    cv2.setNumThreads(before[1])


# The data sets in miniature


def street(draw):
    """A sky, a road, a car and a person, every class by its color."""
    labels = np.zeros((96, 128), np.uint8)
    labels[40:] = 3
    top, left = draw.integers(30, 60), draw.integers(0, 60)
    labels[top : top + 20, left : left + 30] = 8
    labels[50:80, 100:110] = 9
    labels[:, :2] = 11
    colors = np.random.default_rng(5).integers(0, 255, (12, 3))
    image = colors[labels] + draw.normal(0, 6, (*labels.shape, 3))
    return image.clip(0, 255).astype(np.uint8), labels


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """CamVid, BSDS500, pasted objects and a teacher's logits, three frames each."""
    root, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split in ("train", "val"):
        for number in range(3):
            image, labels = street(draw)
            write(root / "camvid" / "images" / split / f"{number}.png", image)
            write(root / "camvid" / "labels" / split / f"{number}.png", labels)
            write(root / "bsds500" / "images" / split / f"{number}.png", image)
            write(root / "bsds500" / "labels" / split / f"{number}_1.png", labels)
            if split == "val":
                write(root / "pasted" / "images" / f"{number}.png", image)
                write(root / "pasted" / "labels" / f"{number}.png", (labels == 8).astype(np.uint8))
                logits = draw.normal(0, 0.5, (9, 24, 32)) + 4 * (
                    labels[::4, ::4] == np.arange(9)[:, None, None]
                )
                stored = root / "teacher" / "camvid_val" / f"{number}.npz"
                stored.parent.mkdir(parents=True, exist_ok=True)
                np.savez(stored, logits=logits.astype(np.float16))
    return root


@pytest.fixture(scope="module")
def segmenter(data, tmp_path_factory):
    """The output of the example."""
    out = tmp_path_factory.mktemp("segmenter")
    options = {"data": data / "camvid", "out": out, "steps": 60, "batch-size": 2}
    before = sys.argv
    words = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    sys.argv = ["", *words, "--crop", "64", "96"]
    try:
        with pytest.raises(SystemExit) as done:
            runpy.run_path(train_segmenter.__file__, run_name="__main__")
    finally:
        sys.argv = before
    assert done.value.code == 0
    return out


def run(module, **options):
    module.main([part for name, value in options.items() for part in (f"--{name}", str(value))])


def test_the_example_learns_the_classes_that_it_is_shown(data, segmenter):
    model = distillation.load_teacher(segmenter)
    folders = [data / "camvid" / kind / "val" for kind in ("images", "labels")]
    values_of_val = train_segmenter.evaluate(model, *folders)
    assert values_of_val.pacc > 0.8  # two thirds is one class
    stored = json.loads((segmenter / "statistics.json").read_text())
    assert {len(values) for values in stored.values()} == {len(CLASSES)}
    assert all(variance > 0 for variance in stored["max_logit_var"])


def test_what_is_unseen_teaches_nothing(data, tmp_path):
    def trained(value):
        for path in (data / "camvid" / "labels" / "train").iterdir():
            labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            write(tmp_path / str(value) / path.name, np.where(labels >= 9, value, labels).astype(np.uint8))
        model = train_segmenter.train(
            data / "camvid" / "images" / "train",
            tmp_path / str(value),
            steps=2,
            size=2,
            crop=(64, 64),
            workers=0,
        )
        return model.state_dict()

    person, void = trained(9), trained(11)
    for name, value in person.items():
        assert torch.equal(value, void[name]), name


def test_statistics_are_those_of_the_known_pixels(data):
    images, labels = (data / "camvid" / kind / "val" for kind in ("images", "labels"))

    def logits(batch):
        red = batch[:, :1]
        return torch.cat([red, red.flip(3), *[red * 0 - 1] * 7], 1)

    found = train_segmenter.statistics(logits, images, labels)
    values = [[] for _ in CLASSES]
    for path in images.iterdir():
        red = cv2.imread(str(path))[:, :, 2].astype(np.float64) / 255
        known = cv2.imread(str(labels / path.name), cv2.IMREAD_UNCHANGED) < 9
        first = red >= red[:, ::-1]
        values[0].append(red[known & first])
        values[1].append(red[:, ::-1][known & ~first])
    for index in (0, 1):
        pooled = np.concatenate(values[index])
        assert found["max_logit_mean"][index] == pytest.approx(pooled.mean(), rel=1e-5)
        assert found["max_logit_var"][index] == pytest.approx(pooled.var(), rel=1e-4)


# Distillation


def test_targets_are_the_teacher_s_distribution_and_score(segmenter):
    teacher, images = distillation.load_teacher(segmenter), torch.rand(2, 3, 40, 52)
    with torch.inference_mode():
        logits = teacher.network(images).distribution
        found = distillation.class_target(teacher)(images)
        torch.testing.assert_close(found, logits.softmax(1), atol=0.05, rtol=0)  # bfloat16
        stored = segmenter / "statistics.json"
        target = distillation.score_target(teacher, stored, "energy")(images)
        expected = torch.stack([ood_scores(stored)["energy"](image) for image in logits])
    assert target.shape == (2, 1, *logits.shape[2:])
    torch.testing.assert_close(target[:, 0], expected, atol=0.05, rtol=0)


def test_a_student_starts_as_csl_tiny():
    start = bundled_network()
    config = NetworkConfig(**{**start.config.to_json(), "num_classes": 3})
    started = distillation.started(CSLNetwork(config)).state_dict()
    assert {name for name in started if name not in start.state_dict()} == {
        "distribution.weight",
        "distribution.bias",
    }
    assert all(torch.equal(started[name], value) for name, value in start.state_dict().items())
    without = {"boundary": False, "finer_boundary": False}
    with pytest.raises(FileError, match="boundary"):
        distillation.started(CSLNetwork(NetworkConfig(**{**config.to_json(), **without})))


# Pages


@pytest.mark.filterwarnings("ignore")
def test_both_schemes_on_one_page(data, segmenter, tmp_path, capsys):
    options = {
        "data": data,
        "teacher": segmenter,
        "work": tmp_path / "work",
        "steps": 1,
        "draws": 5,
        "rounds": 2,
    }
    run(scheme1, **options, out=tmp_path)
    text = (tmp_path / "scheme1.md").read_text()
    assert text.rstrip("\n") == capsys.readouterr().out.rstrip("\n")
    for row in (*scheme1.ROWS, "raw logits", "msp, eq. 2", "sml, regions", "times as long as scheme 1"):
        assert row in text
    assert text.count("### ") == 4
    before = (tmp_path / "work" / "classes" / "network" / "model.safetensors").stat().st_mtime_ns
    run(scheme1, **options, frames="1::2")
    assert (tmp_path / "work" / "classes" / "network" / "model.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("count", [1, 2])
def test_classes_before_and_after(data, segmenter, tmp_path, count):
    both = tmp_path / "data"
    both.mkdir()
    for name in ("camvid", "teacher"):
        (both / name).symlink_to(data / name)
    if count == 2:
        (both / "segmenter").symlink_to(segmenter)
    run(semantic, data=both, draws=5, out=tmp_path)
    text = (tmp_path / "semantic.md").read_text()
    for row in ("base", *semantic.REGIONS, "SignSymbol"):
        assert text.count(f"\n| {row} |") == count


def test_true_regions_correct_a_speckled_prediction():
    labels = np.full((8, 8), 1, np.uint8)
    labels[:, 4:] = 2
    logits = torch.zeros(9, 8, 8)
    logits[1, :, :4] = logits[2, :, 4:] = 3.0
    logits[5, 2, 2] = 3.5
    true = semantic.RegionMap(torch.from_numpy(labels.astype(np.int32))[None])
    found = semantic.labels_by_method(semantic.Case(logits, labels, {"true": true}))
    assert found["base"][2, 2] == 5
    assert (found["true, region mean"].numpy() == labels).all()


@pytest.mark.filterwarnings("ignore")
def test_the_speed_of_all_parts(data, tmp_path, monkeypatch):
    monkeypatch.setattr(speed_network, "SIZES", ((64, 96), (100, 200)))
    run(speed_network, data=data, out=tmp_path, rounds=1, steps=1)
    text = (tmp_path / "speed-network.md").read_text()
    for row in (
        *(name for *_, name in speed_network.PARTS),
        speed_network.REST,
        "CSLWrapper(teacher), the default",
        "CSLWrapper's own share, the default",
    ):
        assert text.count(f"| {row} |") == 2
    assert text.count("| teacher only |") == text.count("| 1.00 (1.00 ... 1.00) |") == 2
    assert "matching and losses" in text


def test_parts_are_clocked_once_and_put_back():
    before = [getattr(owner, name) for owner, name, _ in speed_network.PARTS]
    image = torch.rand(1, 3, 48, 64)
    parts = speed_network.shares(image, rounds=1)
    assert before == [getattr(owner, name) for owner, name, _ in speed_network.PARTS]
    assert all(len(values) == 1 and values[0] > 0 for values in parts.values())


def test_a_street_fills_the_size(data):
    image = speed_network.street(data / "camvid" / "images" / "val", (90, 300))
    assert image.shape == (1, 3, 90, 300)
    first = cv2.imread(str(data / "camvid" / "images" / "val" / "0.png"))[:90, :, ::-1]
    assert (image[0, :, :, :128].permute(1, 2, 0).mul(255).round().numpy() == first).all()


def test_turns_leave_the_first_round_out():
    calls = []
    seconds = take_turns({"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, 2)
    assert calls == ["a", "b"] * 3
    assert {name: len(values) for name, values in seconds.items()} == {"a": 2, "b": 2}
    assert quartiles([4.0]) == (4.0, 4.0, 4.0)
    assert spread([1.0, 2.0, 3.0], 1) == "2.0 (1.5 ... 2.5)"


def test_the_example_s_network_is_the_library_s():
    assert Path(train_segmenter.__file__).parent.name == "examples"
    with torch.inference_mode():
        assert Segmenter(CSLNetwork(CONFIG))(torch.rand(1, 3, 33, 50)).shape == (1, 9, 33, 50)
