"""Files that earlier trainings wrote: recipes, settings and states keep their keys."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from csl_plugin.errors import FileError
from csl_plugin.io import write_png, write_scores
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.training import Batch, Recipe, TrainingSettings, class_regions, train
from csl_plugin.training.state import Facts, load_state, save_state
from tests.helpers.mutated_json import mutated

SETTINGS = {
    "steps": 2,
    "batch_size": 1,
    "crop": [32, 32],
    "learning_rate": 0.001,
    "backbone_factor": 0.1,
    "warm_up": 1,
    "weight_decay": 0.02,
    "clip": 10.0,
    "average": 0.998,
    "points": 2,
    "bfloat16": False,
    "seed": 3,
    "save_every": 1,
}
STREETS = {
    "labels_of": "classes",
    "images": "images",
    "labels": "labels",
    "ignore": [3],
    "unseen": [2],
}
RECIPE = {
    "network": {"num_queries": 2, "num_classes": 2, "backbone": "resnet50"},
    "settings": SETTINGS,
    "cropping": {"smallest": 0.8, "largest": 1.2, "aspect": 1.1, "flip": 0.5},
    "sources": {
        "streets": STREETS,
        "photos": {"labels_of": "segments", "images": "images", "labels": "labels"},
    },
    "textures": ["photos", "images"],
    "objects": {"procedural": 1.0},
    "parts": [
        {"source": "streets", "share": 2, "paste": [0, 2]},
        {"source": "dead-leaves", "share": 1},
    ],
    "split": False,
    "teacher": {"maps": "maps", "source": "streets", "logits": True},
    "validation": {
        "source": STREETS,
        "every": 2,
        "frames": "0::2",
        "scores": "scores",
        "anomaly": [1],
    },
    "backbone": "imagenet",
}
CONFIG = NetworkConfig(
    num_queries=2, embedding_width=16, query_width=16, num_heads=2, num_layers=1, feedforward_width=16
)


def test_a_recipe_with_every_key_loads(tmp_path):
    for stem in ("a", "b"):
        write_png(tmp_path / "images" / f"{stem}.png", np.zeros((48, 64, 3), np.uint8))
        write_png(tmp_path / "labels" / f"{stem}.png", np.ones((48, 64), np.uint8))
        write_scores(tmp_path / "maps" / f"{stem}.npy", np.zeros((2, 12, 16), np.float32))
        write_scores(tmp_path / "scores" / f"{stem}.npy", np.zeros((12, 16), np.float32))
    (tmp_path / "recipe.json").write_text(json.dumps(RECIPE))
    recipe = Recipe.read(tmp_path / "recipe.json")
    assert recipe.settings.to_json() == SETTINGS
    mixture = recipe.mixture(tmp_path)
    assert mixture.to_regions is class_regions
    assert mixture.teacher_classes == 2
    assert [(part.share, part.pasting is not None) for part in mixture.parts] == [(2, True), (1, False)]
    validation = recipe.validation(tmp_path)
    assert (validation.every, validation.images) == (2, range(0, 2, 2))
    assert validation.scores.anomaly == (1,)


@pytest.mark.parametrize("step", [1, 2])
def test_a_state_of_an_earlier_training_is_continued(tmp_path, step):
    torch.manual_seed(0)
    stored = CSLNetwork(CONFIG)
    tensors = {}
    for name, value in stored.state_dict().items():
        tensors |= {f"weights.{name}": value.clone(), f"average.{name}": value + 1}
    for name, value in stored.named_parameters():
        tensors[f"optimiser.step.{name}"] = torch.tensor(float(step))
        tensors |= {f"optimiser.{kind}.{name}": torch.zeros_like(value) for kind in ("exp_avg", "exp_avg_sq")}
    path = tmp_path / "state.safetensors"
    save_file(tensors, path, {"facts": json.dumps({"step": step, "settings": SETTINGS})})

    draw = torch.Generator().manual_seed(0)
    regions = torch.zeros(1, 32, 32, dtype=torch.int32)
    batch = Batch(torch.rand(1, 3, 32, 32, generator=draw), regions, regions)
    network = CSLNetwork(CONFIG)
    settings = TrainingSettings.from_json(SETTINGS)
    with pytest.warns(UserWarning, match="an earlier version began; it is continued"):
        average = train(network, lambda _: itertools.repeat(batch), settings, tmp_path)
    with safe_open(path, "pt") as state:
        facts = json.loads(state.metadata()["facts"])
        assert (facts["step"], facts["settings"]) == (2, SETTINGS)
        assert tensors.keys() <= set(state.keys())
    if step == 2:  # nothing is left to train
        assert all(torch.equal(average[name], tensors[f"average.{name}"]) for name in average)
        assert all(
            torch.equal(value, stored.state_dict()[name]) for name, value in network.state_dict().items()
        )


def test_the_moments_of_an_earlier_training_are_read(tmp_path):
    network = CSLNetwork(CONFIG)
    optimizer = torch.optim.AdamW(network.parameters())
    tensors, expected = {}, {}
    for number, (name, value) in enumerate(network.named_parameters()):
        tensors[f"optimiser.step.{name}"] = torch.tensor(7.0)
        for kind in ("exp_avg", "exp_avg_sq"):
            tensors[f"optimiser.{kind}.{name}"] = torch.full_like(value, 0.5 + number)
        expected[name] = 0.5 + number
    for name, value in network.state_dict().items():
        tensors |= {f"weights.{name}": value.clone(), f"average.{name}": value.clone()}
    save_file(tensors, tmp_path / "state.safetensors", {"facts": '{"step": 7, "settings": {}}'})
    average = {name: value.clone() for name, value in network.state_dict().items()}
    load_state(tmp_path / "state.safetensors", network, average, optimizer)
    for name, parameter in network.named_parameters():
        found = optimizer.state[parameter]
        assert found["step"] == 7
        assert (found["exp_avg"] == expected[name]).all()
        assert (found["exp_avg_sq"] == expected[name]).all()


DAMAGES = {
    "step": ({}, {"step": -5, "settings": {}}, "step: got -5"),
    "no step": ({}, {"settings": {}}, "no step"),
    "a true step": ({}, {"step": True, "settings": {}}, "step: got true"),
    "a large step": ({}, {"step": 10**400, "settings": {}}, "401 digits"),
    "no settings": ({}, {"step": 1}, "no settings"),
    "a list of settings": ({}, {"step": 1, "settings": []}, "settings: got a list"),
    "an unknown fact": ({}, {"step": 1, "settings": {}, "jobs": {}}, "'jobs'.*Did you mean 'job'"),
    "a step after the job's": ({}, {"step": 0, "settings": {}}, "optimiser.step.* of 1, expected at most"),
    "a nan weight": ({"weights.query_features": torch.nan}, None, "weights.query_features with nan"),
    "an infinite moment": (
        {"optimiser.exp_avg.query_features": torch.inf},
        None,
        "exp_avg.query_features with",
    ),
    "no average": ({"average.query_features": None}, None, "no average.query_features"),
    "no step of the optimizer": ({"optimiser.step.query_features": None}, None, "no optimiser.step"),
    "a negative step": ({"optimiser.step.query_features": -1}, None, "step.query_features with the value -1"),
    "a negative square": (
        {"optimiser.exp_avg_sq.query_features": -0.5},
        None,
        "exp_avg_sq.query_features with the value -0.5",
    ),
    "a nan average": ({"average.query_features": torch.nan}, None, "average.query_features with nan"),
    "integers": ({"weights.query_features": "integers"}, None, "query_features of I64"),
    "an unknown moment": (
        {"optimiser.exp_avg.nothing": "new"},
        None,
        "'optimiser.exp_avg.nothing', which is",
    ),
    "an unknown weight": ({"weights.nothing": "new"}, None, "another network"),
    "another shape": ({"weights.query_features": "short"}, None, r"query_features of F32 \(1,\)"),
    "no second moment": ({"optimiser.exp_avg_sq.query_features": None}, None, "no optimiser.exp_avg_sq"),
    "a short moment": (
        {"optimiser.exp_avg.query_features": "short"},
        None,
        r"exp_avg.query_features of F32 \(1,\)",
    ),
    "no moments": ("moments", None, "moments of 0 weights"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_a_damaged_state_is_refused(tmp_path, case):
    changes, facts, said = DAMAGES[case]
    network = CSLNetwork(CONFIG)
    optimizer = torch.optim.AdamW(network.parameters())
    sum(value.sum() for value in network.parameters()).backward()
    optimizer.step()
    average = {name: value.clone() for name, value in network.state_dict().items()}
    path = tmp_path / "state.safetensors"
    save_state(path, network, average, optimizer, Facts(1, {}))
    with safe_open(path, "pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        metadata = stored.metadata()
    load_state(path, CSLNetwork(CONFIG), average, torch.optim.AdamW(network.parameters()))
    if changes == "moments":
        tensors = {name: value for name, value in tensors.items() if not name.startswith("optimiser.")}
    else:
        for name, value in changes.items():
            if value is None:
                del tensors[name]
            else:
                special = {"short": torch.zeros(1), "new": torch.zeros(1)}
                if value == "integers":
                    special[value] = torch.zeros_like(tensors[name], dtype=torch.int64)
                tensors[name] = special[value] if value in special else torch.full_like(tensors[name], value)
    save_file(tensors, path, metadata if facts is None else {**metadata, "facts": json.dumps(facts)})
    with pytest.raises(FileError, match=said):
        load_state(path, network, average, optimizer)


def test_a_state_before_the_first_update_is_continued(tmp_path):
    """Where no gradient was finite so far, there are no moments and none are missed."""
    network = CSLNetwork(CONFIG)
    optimizer = torch.optim.AdamW(network.parameters())
    average = {name: value.clone() for name, value in network.state_dict().items()}
    save_state(tmp_path / "state.safetensors", network, average, optimizer, Facts(3, {}))
    facts = load_state(tmp_path / "state.safetensors", network, average, optimizer)
    assert facts.step == 3
    assert not optimizer.state


def test_a_mutated_state_is_read_or_refused(tmp_path):
    """Other facts, counts and bytes: a state is read as it is, or one error says what is wrong with it."""
    network = CSLNetwork(CONFIG)
    optimizer = torch.optim.AdamW(network.parameters())
    average = {name: value.clone() for name, value in network.state_dict().items()}
    path = tmp_path / "state.safetensors"
    facts = Facts(7, SETTINGS, CONFIG.to_json(), {"files": {"sources.a": "2 files"}}, "1.0")
    save_state(path, network, average, optimizer, facts)
    whole = path.read_bytes()
    with safe_open(path, "pt") as stored:
        tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        metadata = stored.metadata()
    found, errors = [], []
    draw = np.random.default_rng(0)
    for number, text in enumerate(mutated(json.loads(metadata["facts"]), 66, seed=1)):
        if number % 3:
            save_file(tensors, path, {**metadata, "facts": text.decode("utf-8", "replace")})
        else:
            damaged = np.frombuffer(whole, np.uint8).copy()
            damaged[draw.integers(0, 3000, 3)] ^= 1 << draw.integers(8, dtype=np.uint8)
            path.write_bytes(damaged.tobytes()[: -number or None])
        try:
            found.append(load_state(path, network, average, optimizer))
        except FileError as error:
            errors.append(error)
    assert len(found) > 3
    assert len(errors) > 30
    assert all(isinstance(read, Facts) and read.step >= 0 for read in found)
    assert all(str(path) in error.argument for error in errors)
