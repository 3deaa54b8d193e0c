"""The pages on fused scores: their rows are those they name, and their values are right."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.effect import anomaly, semantic, sensitivity
from benchmarks.effect.frames import scored
from benchmarks.effect.networks.bundled import bundled_network
from benchmarks.effect.page.pooled import StoredStates, pooled, state_of
from benchmarks.effect.rows import anomaly as anomaly_rows
from benchmarks.guide import pictures
from csl_plugin import RegionMap, RegionProposals, Trust, fuse, load_proposer
from csl_plugin.io import read_image
from csl_plugin.metrics import PooledAnomaly
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import DEFAULT
from examples.ood_scores import ood_scores

pytestmark = pytest.mark.slow

CLASSES, FRAMES, SIZE = 9, 6, (40, 56)


def _image(seed: int) -> np.ndarray:
    """Some colored rectangles under a little noise, (H, W, 3) uint8."""
    draw = np.random.default_rng(seed)
    picture = np.full((*SIZE, 3), draw.integers(0, 256, 3), np.float32)
    for _ in range(5):
        top, left = draw.integers(0, 30), draw.integers(0, 40)
        picture[top : top + 12, left : left + 16] = draw.integers(0, 256, 3)
    return (picture + draw.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def network() -> CSLNetwork:
    return bundled_network()


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The two sets and the teacher's logits in the layout that the commands read."""
    root = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for images, labels, teacher in (
        ("pasted/images", "pasted/labels", "teacher/pasted"),
        ("camvid/images/val", "camvid/labels/val", "teacher/camvid_val"),
    ):
        for folder in (images, labels, teacher):
            (root / folder).mkdir(parents=True)
        for index in range(FRAMES):
            label = np.zeros(SIZE, np.uint8)
            label[8:20, 10:30] = 1 if "pasted" in images else 9
            label[:2] = 255 if "pasted" in images else 11
            cv2.imwrite(str(root / images / f"{index}.png"), _image(index))
            cv2.imwrite(str(root / labels / f"{index}.png"), label)
            logits = draw.normal(size=(CLASSES, SIZE[0] // 4, SIZE[1] // 4))
            logits[:, 2:5, 3:7] *= 0.4
            np.savez(root / teacher / f"{index}.npz", logits=logits.astype(np.float16))
    numbers = f'{{"max_logit_mean": {[1.5] * CLASSES}, "max_logit_var": {[0.3] * CLASSES}}}'
    (root / "teacher/statistics.json").write_text(numbers, encoding="utf-8")
    return root


def _run(module, *arguments: object) -> None:
    module.main([str(argument) for argument in arguments])


def _rows(page: str, heading: str) -> dict[tuple[str, str], list[str]]:
    """The cells of the first table under a heading, by the two first."""
    blocks = page.split(heading, 1)[1].split("\n\n")
    table = next(block for block in blocks if block.startswith("|"))
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {(row[0], row[1]): row[2:] for row in cells}


# Rows


@given(seed=st.integers(0, 10**6), count=st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_a_soft_mixture_of_certain_regions_is_the_region_mean(seed, count):
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, count, (1, 6, 8))
    scores = draw.random((6, 8), np.float32)
    certain = torch.nn.functional.one_hot(torch.from_numpy(labels), count).permute(0, 3, 1, 2).float()
    proposals = RegionProposals(certain, torch.full((1, count), 0.7))
    expected = fuse(scores, RegionMap(torch.from_numpy(labels)), rule="mean", split=False)
    np.testing.assert_allclose(
        anomaly_rows.soft_mixture(proposals, (6, 8))(scores), expected, rtol=1e-5, atol=1e-6
    )


def test_a_soft_mixture_weighs_regions_by_r_times_v():
    scores = np.array([[0.0, 1.0]], np.float32)
    proposals = RegionProposals(torch.tensor([[[[1.0, 0.0]], [[0.5, 1.0]]]]), torch.tensor([[0.5, 1.0]]))
    # The first pixel belongs to both by half: means 0 and 1 / 1.5.
    np.testing.assert_allclose(
        anomaly_rows.soft_mixture(proposals, (1, 2))(scores), [[1 / 3, 2 / 3]], rtol=1e-6
    )


def test_several_blurs_keep_what_is_even_and_spread_what_is_not():
    even = np.full((30, 40), 0.3, np.float32)
    np.testing.assert_allclose(anomaly_rows.several_blurs(even), even, rtol=1e-5)
    point = np.zeros((121, 121), np.float32)
    point[60, 60] = 1
    spread = anomaly_rows.several_blurs(point)
    variance = (spread * (np.arange(121) - 60) ** 2).sum() / spread.sum()
    assert variance == pytest.approx(np.mean([9, 36, 144, 576]), rel=0.1)


def test_rows_are_what_their_sources_give(network):
    picture = _image(1)
    image = torch.from_numpy(picture.transpose(2, 0, 1)[None].copy()).float() / 255
    true = RegionMap(torch.zeros(1, *SIZE, dtype=torch.int32))
    score = np.random.default_rng(3).random(SIZE, dtype=np.float32)
    found = anomaly_rows.methods_of(image, true, network, "csl-tiny")
    sources = [way for way in found if way.regions.startswith(("csl-tiny:", "superpixels:"))]
    assert anomaly_rows.Row(DEFAULT, anomaly_rows.TRUST) in sources
    assert len(sources) == 15
    rules = {anomaly_rows.EQ3: "product", anomaly_rows.MEAN: "mean", anomaly_rows.TRUST: "trust"}
    for way in sources:
        regions = load_proposer(way.regions)(image)
        expected = fuse(score, regions, rule=rules[way.rule], split=False)
        np.testing.assert_array_equal(found[way](score), expected, err_msg=str(way))
    np.testing.assert_array_equal(found[anomaly_rows.BASE](score), score)
    np.testing.assert_allclose(found[anomaly_rows.TRUE_MEAN](score), score.mean(), rtol=1e-5)


def test_the_default_of_another_network_has_the_same_scales():
    assert anomaly_rows.default_source("csl-tiny") == DEFAULT
    assert anomaly_rows.default_source("csl-tiny-open") == "csl-tiny-open:auto,10+superpixels:40"


# Pages


def test_the_anomaly_page(data, tmp_path):
    _run(anomaly, "--data", data, "--frames", "1::2", "--draws", 20, "--out", tmp_path)
    page = (tmp_path / "anomaly.md").read_text(encoding="utf-8")
    assert [path.name for path in tmp_path.iterdir()] == ["anomaly.md"]
    assert f"**{DEFAULT}**" in page
    ap, fpr95, auroc = (_rows(page, f"### {title}") for title in ("AP", "FPR95", "AUROC"))
    assert ap.keys() == fpr95.keys() == auroc.keys()
    assert len(ap) == 25

    dataset = scored.open_sets(data)["pasted"]
    scores = ood_scores(data / "teacher/statistics.json")
    frames = list(scored.read_frames(dataset, data / "teacher/pasted", scores, slice(1, None, 2)))
    assert len(frames) == 3
    for column, score in enumerate(scores):
        metric = PooledAnomaly()
        for frame in frames:
            metric.update(frame.scores[score], frame.label)
        expected = metric.compute()
        row = [table[anomaly_rows.BASE][column] for table in (ap, fpr95, auroc)]
        assert row == [f"{100 * value:.1f}" for value in (expected.ap, expected.fpr95, expected.auroc)]

    changes = _rows(page, "### Changes")
    assert len(changes) == 24
    default, base = (
        float(ap[way][0]) for way in (anomaly_rows.Row(DEFAULT, anomaly_rows.TRUST), anomaly_rows.BASE)
    )
    low, high = map(float, re.findall(r"[+-][\d.]+", changes["trust - base", "AP"][0]))
    assert low - 0.1 <= default - base <= high + 0.1


def test_records_come_back_from_files(tmp_path):
    stored = StoredStates(tmp_path / "records")
    label = np.array([[0, 1, 1, 0]], np.uint8)
    for seed in range(2):
        values = np.random.default_rng(seed).random((1, 4))
        stored.append(state_of(values, label))
    assert len(stored) == len(list(stored)) == 2
    metric = PooledAnomaly()
    for seed in range(2):
        metric.update(np.random.default_rng(seed).random((1, 4)).astype(np.float32), label)
    assert pooled(stored).compute() == metric.compute()


def test_classes_by_several_partitions():
    draw = np.random.default_rng(0)
    logits = torch.from_numpy(draw.normal(size=(9, 8, 12)).astype(np.float32))
    maps = tuple(RegionMap(torch.from_numpy(draw.integers(0, count, (1, 8, 12)))) for count in (2, 3))
    found = semantic.labels_by_method(semantic.Case(logits, np.zeros((8, 12), np.uint8), {}, {"two": maps}))
    assert list(found) == ["base", "two, trust", "two, average of region means"]
    for name, rule in (("two, trust", "trust"), ("two, average of region means", "mean")):
        expected = fuse(logits.softmax(0), maps, rule=rule, split=False).argmax(0)
        assert torch.equal(found[name], expected)


# Sensitivity


def test_settings_differ_from_the_default_in_one_parameter():
    found = sensitivity.settings()
    assert found[0] == Trust()
    assert len(found) == len(set(found)) == 15
    for setting in found[1:]:
        changed = [name for name in sensitivity.VALUES if getattr(setting, name) != getattr(Trust(), name)]
        assert len(changed) == 1
    for name, values in sensitivity.VALUES.items():
        assert getattr(Trust(), name) in values


def test_gain_counts_ap_up_and_fpr95_down():
    before = {("a", "energy"): (0.2, 0.4)}
    assert sensitivity.gain(before, before) == 0
    assert sensitivity.gain(before, {("a", "energy"): (0.3, 0.3)}) == pytest.approx((0.5 + 0.25) / 2)


def test_the_sensitivity_page(data, tmp_path, monkeypatch):
    monkeypatch.setattr(sensitivity, "_FOLDS", 3)
    _run(sensitivity, "--data", data, "--out", tmp_path)
    page = (tmp_path / "sensitivity.md").read_text(encoding="utf-8")
    assert "pasted: 3, camvid_val: 3" in page
    defaults = [line for line in page.splitlines() if line.startswith("| **")]
    assert [line.split("|")[1] for line in defaults] == [" **2500** ", " **1.5** ", " **1** ", " **2** "]
    assert len({line.split("|", 2)[2] for line in defaults}) == 1
    folds = page.split("gain of the default |")[1].strip().splitlines()[1:]
    assert [line.split("|")[1].strip() for line in folds] == ["1", "2", "3", "mean"]
    gains = np.array([[float(cell) for cell in line.split("|")[3:5]] for line in folds])
    np.testing.assert_allclose(gains[:3].mean(0), gains[3], atol=0.11)


# Pictures


@pytest.mark.parametrize("name", ["helps", "hurts"])
def test_pictures_show_what_they_say(name):
    pytest.importorskip("skimage")
    case = getattr(pictures, name)()
    noisy = pictures.noisy_score(case)
    fused = pictures.fused_scores(noisy, pictures.regions_of(case))
    score, eq3, mean, trust = (
        pictures.average_precision(values, case.truth) for values in (noisy, *fused.values())
    )
    if name == "helps":
        assert min(eq3, mean, trust) > score + 0.1
    else:
        assert mean < score - 0.5
        assert eq3 < score - 0.03
        assert trust > score - 0.05
    drawn = pictures.draw(case)
    stored = Path(__file__).parents[2] / "docs" / "images" / f"fusion-{name}.png"
    assert drawn.shape == read_image(stored).shape
