import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from scipy.stats import entropy

import csl_plugin.demo.street.teacher as teacher_module
from csl_plugin import CSLWrapper, RegionMap, fuse
from csl_plugin.cli import main
from csl_plugin.demo import (
    STREET_CLASSES,
    STREET_SEED,
    demonstrate_street,
    draw_street,
    load_teacher,
)
from csl_plugin.demo.signed_files import write_signed
from csl_plugin.demo.street.scoring import street_threshold, teacher_score
from csl_plugin.demo.street.things import KINDS, draw_thing
from csl_plugin.errors import FileError, OptionError
from csl_plugin.io import read_label_png, read_scores
from csl_plugin.metrics import PooledAnomaly, SemanticMetric

ROOT = Path(__file__).parents[2]
SMALL = (96, 160)


@pytest.fixture(scope="module")
def streets():
    return [draw_street(seed, SMALL) for seed in range(6)]


def test_a_street_is_an_image_with_classes_and_one_thing(streets):
    for street in streets:
        assert street.image.shape == (*SMALL, 3)
        assert street.image.dtype == np.uint8
        assert street.classes.dtype == np.int64
        assert np.array_equal(street.classes == -1, street.unseen)
        assert street.classes.max() < len(STREET_CLASSES)
        assert street.thing in KINDS
        assert street.unseen.any()
        parts = cv2.connectedComponents(cv2.dilate(street.unseen.astype(np.uint8), np.ones((5, 5))))[0] - 1
        assert parts <= 2  # a pole may stand before it
    seen = np.unique(np.concatenate([np.unique(street.classes) for street in streets]))
    assert set(seen) == set(range(-1, len(STREET_CLASSES)))


def test_the_same_seed_gives_the_same_street(streets):
    again = draw_street(3, SMALL)
    assert again.image.tobytes() == streets[3].image.tobytes()
    assert np.array_equal(again.classes, streets[3].classes)
    assert not np.array_equal(streets[2].image, streets[3].image)


def test_without_the_thing_the_street_is_known(streets):
    for seed, street in enumerate(streets):
        known = draw_street(seed, SMALL, unseen=False)
        assert not known.unseen.any()
        assert known.classes.min() >= 0
        assert known.thing == ""
        assert (known.classes == street.classes).mean() > 0.7  # but for what it hides and what would hide it


@pytest.mark.parametrize(
    ("seed", "size"),
    [(-1, SMALL), (0.5, SMALL), (True, SMALL), (0, (63, 160)), (0, (96, 5000)), (0, (96.0, 160))],
)
def test_a_seed_or_size_out_of_range_is_named(seed, size):
    with pytest.raises(OptionError, match="seed" if size is SMALL else "size"):
        draw_street(seed, size)


@pytest.mark.parametrize("size", [(64, 64), (64, 200), (150, 70), (65, 97)])
def test_any_size_is_drawn(size):
    street = draw_street(0, size)
    assert street.image.shape == (*size, 3)
    assert street.classes.shape == street.unseen.shape == size


def test_things_of_every_kind_come(streets):
    class Plan:
        road = (-4.0, 3.0)

        class camera:  # noqa: N801
            size, focal, center = (768, 1280), 1000.0, 640.0

    drawn = [draw_thing(np.random.default_rng(seed), Plan) for seed in range(200)]
    assert {thing.name for thing in drawn} == set(KINDS)
    assert all(4.5 <= thing.at.z <= 18 for thing in drawn)
    assert all(-4.61 <= thing.at.x <= 3.61 for thing in drawn)


def test_the_teacher_knows_streets_and_is_small():
    assert teacher_module.WEIGHTS.stat().st_size < 1_500_000
    model, metric = load_teacher(), SemanticMetric(len(STREET_CLASSES))
    assert not model.training
    street = draw_street(4_000_000, unseen=False)
    with torch.inference_mode():
        logits = model(torch.from_numpy(street.image).permute(2, 0, 1)[None] / 255)["out"]
    assert logits.shape == (1, len(STREET_CLASSES), 384, 640)
    metric.update(logits[0].argmax(0), street.classes.astype(np.uint8))
    values = metric.compute()
    assert values.miou > 0.5
    assert min(values.per_class[index] for index in (0, 2, 5)) > 0.8  # road, building, sky


def test_the_wrapper_takes_the_teacher_as_it_is():
    images = torch.rand(2, 3, 64, 96)
    fused = CSLWrapper(load_teacher(), "superpixels")(images)["out"]
    assert fused.shape == (2, len(STREET_CLASSES), 64, 96)
    assert bool((fused >= 0).all())


def test_the_score_is_the_entropy(streets):
    model, image = load_teacher(), streets[0].image
    score = teacher_score(model, image)
    with torch.inference_mode():
        logits = model(torch.from_numpy(image).permute(2, 0, 1)[None] / 255)["out"][0]
    expected = entropy(logits.softmax(0).numpy(), base=len(STREET_CLASSES))
    np.testing.assert_allclose(score, expected, atol=1e-5)
    assert score.min() >= 0
    assert score.max() <= 1


@pytest.mark.parametrize("fault", ["missing", "cut", "nan", "less"])
def test_damaged_weights_are_named(tmp_path, monkeypatch, fault):
    path = tmp_path / "teacher.safetensors"
    weights = load_file(teacher_module.WEIGHTS)
    if fault == "nan":
        weights["head.bias"][0] = float("nan")
    if fault == "less":
        del weights["head.bias"]
    if fault != "missing":
        save_file(weights, path)
    if fault == "cut":
        path.write_bytes(path.read_bytes()[:-10])
    monkeypatch.setattr(teacher_module, "WEIGHTS", path)
    with pytest.raises(FileError, match=r"teacher\.safetensors"):
        load_teacher()


def test_the_demonstration_measures_what_it_shows(streets):
    street = streets[1]
    labels = (street.unseen + 2 * (street.classes == 0)).astype(np.int32)
    shown = demonstrate_street(street, (RegionMap(labels[None]),))
    assert np.array_equal(shown.score, teacher_score(load_teacher(), street.image))
    np.testing.assert_allclose(shown.fused, fuse(shown.score, labels), atol=1e-6)
    for values, score in ((shown.before, shown.score), (shown.after, shown.fused)):
        metric = PooledAnomaly()
        metric.update(score, street.unseen.astype(np.uint8))
        assert values == metric.compute()
    assert shown.num_regions == 3


def run(capsys, *arguments):
    code = main(["demo", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_writes_the_picture_and_its_inputs(tmp_path, capsys):
    out = tmp_path / "new" / "folder"
    code, said, _ = run(capsys, "--out", out, "--json")
    facts = json.loads(said)
    assert code == 0
    names = ["demo.png", "score.npy", "street.png", "truth.png"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert (out / "demo.png").stat().st_size < 1_100_000
    assert 1200 < cv2.imread(str(out / "demo.png")).shape[1] < 1600
    street = draw_street(STREET_SEED)
    assert np.array_equal(cv2.imread(str(out / "street.png"))[..., ::-1], street.image)
    truth, score = read_label_png(out / "truth.png"), read_scores(out / "score.npy")
    assert np.array_equal(truth, street.unseen)
    assert score.dtype == np.float32
    metric = PooledAnomaly()
    metric.update(score, truth)
    assert facts["ap"][0] == metric.compute().ap
    assert facts["ap"][1] > facts["ap"][0]
    assert facts["objects"] >= 1

    # The same bytes again, and no file of another program is replaced.
    first = {name: (out / name).read_bytes() for name in names}
    assert run(capsys, "--out", out)[0] == 0
    assert {name: (out / name).read_bytes() for name in names} == first
    for name in names:
        (out / name).write_bytes(b"a text")
        code, _, complaint = run(capsys, "--out", out)
        assert code == 2
        assert str(out / name) in complaint
        (out / name).write_bytes(first[name])
    assert {name: (out / name).read_bytes() for name in names} == first

    # What it wrote with other weights is replaced.
    np.save(out / "score.npy", score + np.float32(0.125))
    write_signed(out / "demo.png", street.image, out / "score.npy")
    assert run(capsys, "--out", out)[0] == 0
    assert {name: (out / name).read_bytes() for name in names} == first


def test_the_demonstrated_street_is_the_one_that_the_rule_chose():
    page = (ROOT / "docs" / "results" / "street.md").read_text(encoding="utf-8")
    (seed,) = re.findall(r"It is seed (\d+)\s", page)
    assert int(seed) == STREET_SEED


def test_the_threshold_was_fitted_without_things():
    threshold = street_threshold()
    assert threshold.kind == "objects"
    assert threshold.target == 0.25
    assert threshold.images >= 20


@pytest.mark.parametrize("size", [64, (64,), (64, 64, 64), None])
def test_a_size_that_is_no_pair_is_named(size):
    with pytest.raises(OptionError, match=r"size: got .*height and width"):
        draw_street(0, size)


def test_a_photograph_replaces_no_file_of_the_street(tmp_path, capsys):
    street = draw_street(1, SMALL)
    (tmp_path / "out").mkdir()
    cv2.imwrite(str(tmp_path / "street.png"), street.image)
    np.save(tmp_path / "out" / "score.npy", street.unseen.astype(np.float32))
    write_signed(tmp_path / "out" / "street.png", street.image)
    before = (tmp_path / "out" / "street.png").read_bytes()
    code, _, said = run(capsys, tmp_path / "street.png", "--out", tmp_path / "out")
    assert code == 2
    assert "a file of the drawn street" in said
    assert (tmp_path / "out" / "street.png").read_bytes() == before
