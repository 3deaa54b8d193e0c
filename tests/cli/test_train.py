"""`csl-plugin train`: from a recipe and folders of images to a network that a proposer loads."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import save_file

from csl_plugin.cli import main
from csl_plugin.errors import FileError
from csl_plugin.io import write_png, write_scores
from csl_plugin.models import CSLNetwork
from csl_plugin.models.resnet import ResNet50
from csl_plugin.proposers import NetworkRegions
from csl_plugin.training import Recipe

SMALL = {"num_queries": 6, "embedding_width": 16, "query_width": 16, "num_layers": 2, "feedforward_width": 16}
RECIPE = {
    "network": {**SMALL, "points": True, "boundary": True},
    "settings": {"steps": 3, "batch_size": 2, "crop": [32, 32], "warm_up": 1, "save_every": 2, "points": 2},
    "cropping": {"smallest": 0.8, "largest": 1.2},
    "sources": {
        "streets": {
            "labels_of": "classes",
            "images": "streets/images",
            "labels": "streets/labels",
            "ignore": [3],
            "unseen": [2],
        },
        "photos": {"labels_of": "segments", "images": "photos/images", "labels": "photos/labels"},
    },
    "textures": ["photos"],
    "objects": {"photos": 0.5, "procedural": 0.5},
    "parts": [
        {"source": "streets", "share": 2, "paste": [0, 2]},
        {"source": "photos", "share": 1},
        {"source": "dead-leaves", "share": 1},
    ],
}


@pytest.fixture
def data(tmp_path):
    draw = np.random.default_rng(0)
    for stem in ("a", "b"):
        picture = draw.integers(0, 256, (48, 64, 3)).astype(np.uint8)
        labels = np.zeros((48, 64), np.uint8)
        labels[14:40, 14:36], labels[:4] = 1, 3
        labels[20:30, 50:] = 2
        write_png(tmp_path / "data/streets/images" / f"{stem}.png", picture)
        write_png(tmp_path / "data/streets/labels" / f"{stem}.png", labels)
        write_png(tmp_path / "data/photos/images" / f"{stem}.png", picture)
        for annotator in range(2):
            write_png(tmp_path / "data/photos/labels" / f"{stem}_{annotator}.png", labels)
    return tmp_path


def write_recipe(folder, **changes):
    path = folder / "recipe.json"
    path.write_text(json.dumps({**RECIPE, **changes}))
    return path


def run(folder, *more):
    command = ["train", str(write_recipe(folder)), "--data", str(folder / "data"), "--workers", "0"]
    return main([*command, *more])


def test_a_recipe_becomes_a_network(data, capsys):
    assert run(data, "--out", str(data / "run"), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["steps"] == 3
    network = CSLNetwork.from_pretrained(facts["network"])
    assert network.config.to_json() == {**network.config.to_json(), **RECIPE["network"]}
    assert [json.loads(line)["step"] for line in (data / "run/log.jsonl").read_text().splitlines()] == [
        1,
        2,
        3,
    ]


def test_training_starts_from_weights(data):
    assert run(data, "--out", str(data / "first")) == 0
    assert run(data, "--out", str(data / "second"), "--weights", str(data / "first/network")) == 0
    one, other = (load_file(data / run / "network/model.safetensors") for run in ("first", "second"))
    assert any(not np.array_equal(one[name], other[name]) for name in one)
    changed = {**RECIPE["network"], "num_queries": 7}
    recipe = write_recipe(data, network=changed)
    arguments = ["train", str(recipe), "--data", str(data / "data"), "--out", str(data / "third")]
    assert main([*arguments, "--weights", str(data / "first/network")]) == 2


def logged(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def run_recipe(folder, out, **changes):
    recipe = write_recipe(folder, **changes)
    return main(["train", str(recipe), "--data", str(folder / "data"), "--out", str(out), "--workers", "0"])


def test_of_a_network_without_finer_boundaries_only_their_head_is_trained(data):
    first, second = data / "first.json", data / "second.json"
    first.write_text(json.dumps(RECIPE), encoding="utf-8")
    finer = {**RECIPE, "network": {**RECIPE["network"], "finer_boundary": True}}
    second.write_text(json.dumps(finer), encoding="utf-8")
    assert main(["train", str(first), "--data", str(data / "data"), "--out", str(data / "a")]) == 0
    given = ["--weights", str(data / "a/network")]
    assert main(["train", str(second), "--data", str(data / "data"), "--out", str(data / "b"), *given]) == 0
    before = load_file(data / "a/network/model.safetensors")
    after = load_file(data / "b/network/model.safetensors")
    assert before.keys() == {name for name in after if not name.startswith("finer_boundary.")}
    assert all(np.array_equal(after[name], value) for name, value in before.items())
    assert np.abs(after["finer_boundary.out.weight"]).max() > 0  # zero before the first step
    losses = [json.loads(line) for line in (data / "b/log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert all(step["loss"] == step["finer_boundary"] for step in losses)
    assert all(set(step) == {"step", "loss", "finer_boundary", "gradient", "rate"} for step in losses)
    assert NetworkRegions(CSLNetwork.from_pretrained(data / "b/network"))(torch.rand(1, 3, 40, 50))


def test_finer_boundaries_that_a_recipe_has_not_are_left_out(data):
    recipe, whole = data / "recipe.json", data / "whole"
    recipe.write_text(json.dumps(RECIPE), encoding="utf-8")
    config = Recipe.read(recipe).network
    CSLNetwork(replace(config, finer_boundary=True)).save_pretrained(whole)
    given = ["--data", str(data / "data"), "--out", str(data / "run"), "--weights", str(whole)]
    assert main(["train", str(recipe), *given]) == 0
    assert CSLNetwork.from_pretrained(data / "run/network").config == config
    losses = json.loads((data / "run/log.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert "validity" in losses


def test_weights_of_another_network_are_refused(data, capsys):
    recipe, other = data / "recipe.json", data / "other"
    recipe.write_text(json.dumps(RECIPE), encoding="utf-8")
    CSLNetwork(replace(Recipe.read(recipe).network, boundary=False)).save_pretrained(other)
    given = ["--data", str(data / "data"), "--out", str(data / "run"), "--weights", str(other)]
    assert main(["train", str(recipe), *given]) == 2
    assert "Start from a network with the recipe's configuration" in capsys.readouterr().err
    assert main(["train", str(recipe), *given[:4]]) == 0, "a run that failed pins nothing"


def test_a_recipe_names_a_teacher_by_its_maps(data):
    for stem in ("a", "b"):
        logits = np.random.default_rng(1).normal(0, 3, (3, 12, 16)).astype(np.float32)
        write_scores(data / "data/maps" / f"{stem}.npz", logits, key="logits")
    teacher = {"teacher": {"maps": "maps", "source": "streets", "logits": True}}
    network = {**RECIPE["network"], "num_classes": 3}
    assert run_recipe(data, data / "run", network=network, **teacher) == 0
    distills = [line["distillation"] > 0 for line in logged(data / "run")]
    assert len(distills) == 3
    assert any(distills)  # not every batch has a street
    for wrong in (
        {**teacher},
        {"network": network, "teacher": {"maps": "maps", "logits": True}},
        {"network": network, "teacher": {"maps": "nowhere", "source": "streets"}},
        {"network": network, "teacher": {"maps": "maps", "source": "streets"}},
        {"network": network, "teacher": {"maps": "maps", "source": "streets", "softmax": True}},
    ):
        assert run_recipe(data, data / "other", **wrong) == 2


def test_a_recipe_names_what_it_is_measured_on(data):
    for stem in ("a", "b"):
        scores = np.random.default_rng(1).random((12, 16)).astype(np.float32)
        write_scores(data / "data/scores" / f"{stem}.npy", scores)
    source = RECIPE["sources"]["streets"]
    measured = {"source": source, "every": 2, "frames": "0::2", "scores": "scores", "anomaly": [1]}
    assert run_recipe(data, data / "run", validation=measured) == 0
    assert [("covering" in line, "fused_ap" in line) for line in logged(data / "run")] == [
        (False, False),
        (True, True),
        (True, True),
    ]
    assert "Validation: regions" in (data / "run/log.svg").read_text()
    for wrong in (
        {**measured, "frames": "0::2::"},
        {**measured, "frames": "9:"},
        {**measured, "often": True},
        {**measured, "scores": "nowhere"},
        {"source": source, "anomaly": [1]},
        {},
        [],
    ):
        assert run_recipe(data, data / "other", validation=wrong) == 2


def test_a_recipe_names_weights_of_the_backbone(data):
    network = {**RECIPE["network"], "backbone": "resnet50"}
    torch.manual_seed(9)
    weights = ResNet50().state_dict()
    (data / "data/imagenet").mkdir()
    save_file(weights, data / "data/imagenet/model.safetensors")
    path = write_recipe(data, network=network, backbone="imagenet")
    built = CSLNetwork(Recipe.read(path).network)
    assert not torch.equal(built.backbone.state_dict()["conv1.weight"], weights["conv1.weight"])
    Recipe.read(path).load_backbone(built, data / "data")
    assert torch.equal(built.backbone.state_dict()["conv1.weight"], weights["conv1.weight"])
    assert run_recipe(data, data / "other", network=network, backbone="./nowhere") == 2
    assert run_recipe(data, data / "other", backbone="imagenet") == 2  # the compact one has no such weights


def test_a_backbone_is_loaded_before_the_first_step(data, monkeypatch):
    loaded = []
    monkeypatch.setattr(Recipe, "load_backbone", lambda recipe, network, folder: loaded.append(folder))
    assert run_recipe(data, data / "first") == 0
    assert loaded == [data / "data"]
    assert run(data, "--out", str(data / "second"), "--weights", str(data / "first/network")) == 0
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": {}}, "settings"),
        ({"settings": {"steps": 3, "speed": 1}}, "settings"),
        ({"network": {"num_queries": 0}}, "num_queries"),
        ({"color": 1}, "got 'color', expected only backbone"),
    ],
)
def test_an_invalid_recipe_is_refused(tmp_path, changes, message):
    with pytest.raises(FileError, match=message):
        Recipe.read(write_recipe(tmp_path, **changes))


def test_a_recipe_without_its_data_is_refused(tmp_path):
    with pytest.raises(FileError):
        Recipe.read(write_recipe(tmp_path)).mixture(tmp_path)
