"""The pages on training: recipes, frames, metrics, and the pages from end to end."""

from __future__ import annotations

import json
from functools import partial

import numpy as np
import pytest
import torch
from scipy import ndimage

from benchmarks.effect import ablation, table7
from benchmarks.effect.frames.true_regions import true_components
from benchmarks.effect.networks.bundled import recipe_of
from benchmarks.effect.networks.trainings import Training, images_per_second
from benchmarks.effect.page.measured import Measured, markdown
from benchmarks.effect.rows.ablation import Setting, ablation_settings
from benchmarks.effect.table7 import METHODS, class_aware_and_agnostic, verdict
from csl_plugin import RegionMap, fuse, hard_assignment, soft_assignment
from csl_plugin.errors import FileError
from csl_plugin.io import read_image, write_png
from csl_plugin.metrics import PooledAnomaly, RegionQuality, RegionVoteMetric
from csl_plugin.proposers import NetworkProposals
from csl_plugin.training import Recipe
from examples.ood_scores import ood_scores

pytestmark = pytest.mark.slow

SMALL = {"num_queries": 6, "embedding_width": 16, "query_width": 16, "num_layers": 2, "feedforward_width": 16}
SETTINGS = {"steps": 2, "batch_size": 2, "crop": [32, 32], "warm_up": 1, "save_every": 1}
STREETS = {"labels_of": "classes", "images": "camvid/images/train", "labels": "camvid/labels/train"}
SIZE = (48, 64)


def _picture(draw, labels):
    colors = np.random.default_rng(0).integers(0, 256, (16, 3))
    noise = draw.integers(-20, 20, (*SIZE, 3))
    return np.clip(colors[labels % 16] + noise, 0, 255).astype(np.uint8)


def _labels(draw, classes):
    labels = np.full(SIZE, int(draw.choice(classes)), np.uint8)
    for value in draw.permutation(classes):
        top, left = draw.integers(0, 28), draw.integers(0, 44)
        labels[top : top + 18, left : left + 16] = value
    return labels


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """All data sets of the pages, in small."""
    root, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for stem in ("a", "b", "c"):
        streets = _labels(draw, [0, 1, 3, 8, 9, 10, 11])
        pasted = np.where(_labels(draw, [0, 1]) > 0, 1, 0).astype(np.uint8)
        for folder, labels in (
            ("camvid/{}/train", streets),
            ("camvid/{}/val", streets),
            ("pasted/{}", pasted),
        ):
            write_png(root / folder.format("images") / f"{stem}.png", _picture(draw, labels))
            write_png(root / folder.format("labels") / f"{stem}.png", labels)
        for split in ("train", "val"):
            people = [_labels(draw, [0, 1, 2]) for _ in range(2)]
            write_png(root / f"bsds500/images/{split}/{stem}.png", _picture(draw, people[0]))
            for number, labels in enumerate(people):
                write_png(root / f"bsds500/labels/{split}/{stem}_{number}.png", labels)
        for name in ("pasted", "camvid_val"):
            logits = draw.normal(size=(9, 12, 16)).astype(np.float16)
            (root / "teacher" / name).mkdir(parents=True, exist_ok=True)
            np.savez(root / "teacher" / name / f"{stem}.npz", logits=logits)
    numbers = {"max_logit_mean": [1.0] * 9, "max_logit_var": [0.5] * 9}
    (root / "teacher/statistics.json").write_text(json.dumps(numbers))
    return root


def _training(name, **changes):
    document = {
        "network": SMALL,
        "settings": SETTINGS,
        "sources": {"camvid": {**STREETS, "ignore": [11], "unseen": [9, 10]}},
        "parts": [{"source": "camvid"}],
    }
    return Training(name, document | changes)


# Recipes


def test_each_setting_is_a_recipe_and_builds_on_an_earlier_one(tmp_path):
    settings = ablation_settings(600)
    rows = [setting.row for setting in settings]
    assert len(set(rows)) == len({setting.training.name for setting in settings}) == len(rows) == 8
    for place, setting in enumerate(settings):
        assert setting.against in (rows[:place] or [None])
        (tmp_path / "recipe.json").write_text(json.dumps(setting.training.document))
        recipe = Recipe.read(tmp_path / "recipe.json")
        assert recipe.settings.steps == 600
        assert recipe.network.boundary == setting.training.has_boundary_head
        assert "val" not in json.dumps(setting.training.document)


def test_the_settings_differ_in_what_their_rows_say():
    documents = {setting.training.name: setting.training.document for setting in ablation_settings(600)}
    bundled = json.loads(recipe_of().read_text())
    everything = documents["all"]
    assert {key: value for key, value in everything.items() if key != "settings"} == {
        key: value for key, value in bundled.items() if key != "settings"
    }

    def changed(name):
        return {
            key for key in {*everything, *documents[name]} if documents[name].get(key) != everything.get(key)
        }

    assert changed("no-points") == changed("no-boundary") == {"network"}
    assert documents["no-points"]["network"] == {"points": False, "boundary": True}
    assert documents["no-boundary"]["network"] == {"points": True, "boundary": False}
    assert changed("no-split") == {"split"}
    assert changed("resolution") == {"settings"}
    pixels = {name: np.prod(documents[name]["settings"].get("crop", (192, 256))) for name in documents}
    images = {name: documents[name]["settings"].get("batch_size", 8) for name in documents}
    assert 0.8 < pixels["resolution"] * images["resolution"] / (pixels["all"] * images["all"]) < 1.25
    pasted = {name: any("paste" in part for part in documents[name]["parts"]) for name in documents}
    assert not pasted["camvid"]
    assert not pasted["bsds500"]
    assert documents["segments"]["objects"] == {"bsds500": 1.0}


def test_the_class_aware_network_differs_in_classes_and_mask_split():
    aware, agnostic = (training.document for training in class_aware_and_agnostic(1200))
    assert aware["network"] == {**agnostic["network"], "region_classes": 9}
    assert {key: value for key, value in aware.items() if key not in ("network", "split")} == {
        key: value for key, value in agnostic.items() if key != "network"
    }
    assert aware["split"] is False
    assert aware["sources"]["camvid"]["unseen"] == [9, 10]


@pytest.mark.parametrize("split", [True, False])
def test_a_recipe_can_omit_mask_split(tmp_path, split):
    labels = np.zeros(SIZE, np.uint8)
    labels[:, 28:36] = 1  # the zeros are in two pieces, in every crop that sees both sides
    write_png(tmp_path / "camvid/images/train/a.png", np.zeros((*SIZE, 3), np.uint8))
    write_png(tmp_path / "camvid/labels/train/a.png", labels)
    document = {
        "settings": {**SETTINGS, "crop": [32, 64]},
        "cropping": {"smallest": 1.0, "largest": 1.0},
        "sources": {"camvid": STREETS},
        "parts": [{"source": "camvid"}],
        "split": split,
    }
    (tmp_path / "recipe.json").write_text(json.dumps(document))
    regions = Recipe.read(tmp_path / "recipe.json").mixture(tmp_path).sample(0, 0).regions
    assert len(regions.unique()) == (3 if split else 2)


# Trainings


def test_a_finished_training_is_not_repeated_and_a_stopped_one_goes_on(data, tmp_path):
    training = _training("small")
    first = training.network(data, tmp_path)
    written = (tmp_path / "small/network/model.safetensors").stat().st_mtime_ns
    again = training.network(data, tmp_path)
    assert (tmp_path / "small/network/model.safetensors").stat().st_mtime_ns == written
    (tmp_path / "small/network").rename(tmp_path / "away")
    on = training.network(data, tmp_path)  # from the saved state, where nothing is left to do
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert torch.equal(value, on.state_dict()[name])


def test_a_training_by_another_recipe_is_not_taken_for_this_one(data, tmp_path):
    _training("small").recipe(tmp_path)
    with pytest.raises(FileError, match="another training"):
        _training("small", split=False).network(data, tmp_path)


# Frames and metrics


def test_true_components_are_connected_parts_of_the_chosen_classes():
    draw = np.random.default_rng(1)
    label = np.repeat(np.repeat(draw.integers(0, 4, (8, 8)), 7, 0), 7, 1).astype(np.uint8)
    label[label == 3] = 255
    found = true_components(label, (1, 2))
    expected = 0
    for value in (1, 2):
        parts, count = ndimage.label(label == value, np.ones((3, 3)))
        for number in range(1, count + 1):
            part = parts == number
            ids = set(found[part].tolist())
            assert len(ids) == 1
            assert (ids == {-1}) == (part.sum() < 60)
            expected += part.sum() >= 60
    assert len(set(found[found >= 0].tolist())) == expected
    assert (found[~np.isin(label, (1, 2))] == -1).all()


def test_changes_are_of_the_second_method_against_the_first():
    measured = Measured({"quality": RegionQuality}, draws=20)
    truth = np.array([[0, 0, 1, 1]])
    for method, labels in (("bad", np.zeros((1, 4), int)), ("good", truth)):
        for _ in range(3):
            metric = RegionQuality()
            metric.update(labels, truth)
            measured.add("quality", method, metric.state())
    assert measured.text("quality", "bad", "best_iou") == "50.0"
    assert (
        measured.change("quality", "bad", "good", "best_iou", "covering") == "+50.0 to +50.0 / +50.0 to +50.0"
    )
    assert markdown(["a", "b"], [["1", "2"]]) == ["| a | b |", "|---|---|", "| 1 | 2 |", ""]


@pytest.mark.parametrize(
    ("wrong", "said"), [((2, 1, 0), "the paper's order"), ((1, 2, 1), "not the paper's order")]
)
def test_the_verdict_names_the_order(wrong, said):
    measured = Measured({"vote": partial(RegionVoteMetric, 2, unseen=(1,))}, draws=5)
    truth = np.array([[0] * 4, [1] * 4])
    for method, pixels in zip(METHODS, wrong, strict=True):
        labels = truth.copy()
        labels[0, :pixels] = labels[1, :pixels] = -1
        metric = RegionVoteMetric(2, unseen=(1,))
        metric.update(labels, truth)
        measured.add("vote", method, metric.state())
    lines = verdict(measured)
    assert len(lines) == 3
    assert all(f", {said}. By their intervals, " in line for line in lines)
    assert ("CA+SA is above CA+HA" in lines[0]) == (wrong[2] < wrong[1])
    assert ("CA+HA is below None-CA" in lines[0]) == (wrong[1] > wrong[0])
    assert ("CA+SA does not differ from None-CA" in lines[0]) == (wrong[2] == wrong[0])


def test_the_ablation_measures_what_it_says(data, tmp_path):
    settings = [
        Setting("first", None, _training("first", network={**SMALL, "boundary": True})),
        Setting("second", "first", _training("second")),
    ]
    networks = [setting.training.network(data, tmp_path) for setting in settings]
    measured = ablation.measure(ablation.partitions_of(settings, networks), data, slice(0, 2), 1, draws=10)
    energy = ood_scores(data / "teacher/statistics.json")["energy"]
    base, fused = PooledAnomaly(), PooledAnomaly()
    for stem in ("a", "b"):
        low = torch.from_numpy(np.load(data / f"teacher/camvid_val/{stem}.npz")["logits"]).float()
        scores = energy(torch.nn.functional.interpolate(low[None], SIZE, mode="bilinear")[0]).numpy()
        image = (
            torch.from_numpy(read_image(data / f"camvid/images/val/{stem}.png")).permute(2, 0, 1)[None] / 255
        )
        label = read_image(data / f"camvid/labels/val/{stem}.png")[..., 0]
        anomaly = np.select([label == 11, label >= 9], [255, 1], 0).astype(np.uint8)
        base.update(scores, anomaly)
        regions: RegionMap = ablation.region_maps(networks[1], image)["eq. 2"]
        fused.update(fuse(scores, regions, rule="product", split=False), anomaly)
    assert measured.values("CamVid energy", "no regions") == base.compute()
    assert measured.values("CamVid energy", "second, eq. 2") == fused.compute()
    for kind in ("learned boundaries", "eq. 2 along boundaries"):
        assert measured.values("bsds500", f"first, {kind}").num_frames == 1
    speeds = images_per_second([setting.training for setting in settings], data, rounds=1, steps=4)
    assert min(speeds.values()) > 0
    table = ablation.quality_table(settings, measured, speeds)
    assert table[3].endswith(f"| {speeds['first']:.1f} |")
    assert len(table) == 2 + 1 + 3 + 1 + 1  # head, superpixels, three kinds, one kind, end
    assert len(ablation.effect_table(settings, measured)) == len(table) + 1
    assert len(ablation.steps_table(settings, measured)) == 2 + 1 + 1


def test_table_7_measures_all_methods_on_the_same_frames(data, tmp_path):
    aware = _training("aware", network={**SMALL, "region_classes": 9}, split=False)
    networks = [training.network(data, tmp_path) for training in (aware, _training("agnostic"))]
    measured, means = table7.measure(*networks, data, slice(0, 2), draws=5)
    expected = {method: RegionVoteMetric(11, unseen=(9, 10)) for method in METHODS}
    regions, gaps = dict.fromkeys(METHODS, 0), dict.fromkeys(METHODS, 0.0)
    for stem in ("a", "b"):
        image = (
            torch.from_numpy(read_image(data / f"camvid/images/val/{stem}.png")).permute(2, 0, 1)[None] / 255
        )
        label = read_image(data / f"camvid/labels/val/{stem}.png")[..., 0]
        proposals = [NetworkProposals(network)(image)[0] for network in networks]
        maps = {
            "None-CA": soft_assignment(proposals[0], SIZE),
            "CA+HA": hard_assignment(proposals[1], SIZE),
            "CA+SA": soft_assignment(proposals[1], SIZE),
        }
        for method, found in maps.items():
            expected[method].update(found.labels[0], np.where(label == 11, 255, label))
            regions[method] += len({*found.labels.flatten().tolist()} - {-1})
            gaps[method] += float((found.labels < 0).float().mean())
    for method, metric in expected.items():
        np.testing.assert_array_equal(
            measured.values("vote", method).per_class, metric.compute().per_class, method
        )
        assert means["regions per street frame"][method] == regions[method] / 2
        assert means["street pixels in no region"][method] == pytest.approx(50 * gaps[method], abs=1e-4)
    assert measured.values("bsds500", "CA+SA").num_frames == 2
    assert len(table7.metrics_table(measured, means)) == 2 + 9 + 2 + 1
