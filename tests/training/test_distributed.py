"""Two real processes against one: the same gradient, the same weights, one log; and the errors."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from csl_plugin.cli import main
from csl_plugin.distributed import SINGLE
from csl_plugin.io import write_png
from csl_plugin.training.log import TrainingLog
from tests.helpers.distributed_step import gradient

pytestmark = pytest.mark.slow
HERE = Path(__file__).parents[1] / "helpers"
RECIPE = {
    "network": {
        "num_queries": 6,
        "embedding_width": 16,
        "query_width": 16,
        "num_heads": 2,
        "num_layers": 2,
        "feedforward_width": 16,
        "points": True,
        "boundary": True,
    },
    "settings": {
        "steps": 4,
        "batch_size": 4,
        "crop": [32, 32],
        "warm_up": 1,
        "save_every": 1,
        "points": 2,
        "bfloat16": False,
    },
    "sources": {"streets": {"labels_of": "classes", "images": "images", "labels": "labels"}},
    "parts": [{"source": "streets"}, {"source": "dead-leaves"}],
    "validation": {"source": {"labels_of": "classes", "images": "images", "labels": "labels"}, "every": 2},
}


def launch(*arguments):
    """Run two processes with torchrun."""
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run(
        [sys.executable, *launcher, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    draw = np.random.default_rng(0)
    for stem in ("a", "b"):
        labels = np.zeros((48, 64), np.uint8)
        labels[14:40, 14:36] = 1
        write_png(folder / "images" / f"{stem}.png", draw.integers(0, 256, (48, 64, 3)).astype(np.uint8))
        write_png(folder / "labels" / f"{stem}.png", labels)
    return folder


def command(data, out):
    path = out.parent / "recipe.json"
    path.write_text(json.dumps(RECIPE))
    return ["train", str(path), "--data", str(data), "--out", str(out), "--workers", "0", "--json"]


def test_the_gradient_of_two_processes_is_that_of_one(tmp_path):
    done = launch(str(HERE / "distributed_step.py"), str(tmp_path))
    assert done.returncode == 0, done.stderr
    for name, teacher, empty in (("plain", False, False), ("taught", True, False), ("empty", True, True)):
        values, gradients = gradient(range(4), SINGLE, teacher, empty)
        found = dict(np.load(tmp_path / f"{name}.npz"))
        assert found.keys() == {*gradients, *(f"loss {key}" for key in values)}
        assert ("distribution.weight" in gradients) == teacher
        for key, value in values.items():
            assert found[f"loss {key}"] == pytest.approx(value, rel=1e-5, abs=1e-7), key
        largest = max(float(value.abs().max()) for value in gradients.values())
        for key, value in gradients.items():
            torch.testing.assert_close(
                torch.from_numpy(found[key]), value, rtol=1e-5, atol=1e-5 * largest, msg=key
            )


def test_two_processes_continue_a_job_as_one_does(data, tmp_path, monkeypatch, capsys):
    one, two = tmp_path / "one", tmp_path / "two"
    add = TrainingLog.add

    def stop(log, step, values):
        add(log, step, values)
        if step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(TrainingLog, "add", stop)
        assert main(command(data, one)) == 130
    shutil.copytree(one, two)
    assert main(command(data, one)) == 0
    done = launch("-m", "csl_plugin", *command(data, two))
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["steps"] for line in done.stdout.splitlines()] == [4]  # only one of them prints

    states = [load_file(run / "state.safetensors") for run in (one, two)]
    assert states[0].keys() == states[1].keys()
    compared = total = 0
    for name in (name for name in states[0] if name.startswith("weights.")):
        apart = (states[0][name] - states[1][name]).abs()
        # AdamW makes full steps of gradients that are rounding errors alone, as those of the keys' biases.
        squares = states[0].get(name.replace("weights.", "optimiser.exp_avg_sq."), torch.ones_like(apart))
        real = (squares > 1e-12) | (squares == 0)
        assert float((apart * real).max()) < 1e-5, name
        compared, total = compared + int(real.sum()), total + real.numel()
    assert compared > 0.8 * total
    logs = [[json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (one, two)]
    assert [line["step"] for line in logs[1]] == [1, 2, 3, 4]
    for first, second in zip(*logs, strict=True):
        # A network of four steps has other regions where its weights are 1e-6 apart.
        measured = [
            log.pop(name) for name in ("covering", "best_iou") if name in first for log in (first, second)
        ]
        assert all(0 < value <= 1 for value in measured)
        assert second == pytest.approx(first, rel=1e-3, abs=1e-4)
    assert (two / "network/model.safetensors").is_file()
