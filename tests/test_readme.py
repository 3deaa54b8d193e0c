"""The blocks of the README, run as they stand: in order, in one folder, all Python in one namespace."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

import csl_plugin
from csl_plugin.cli import main
from csl_plugin.io import read_label_png
from tests.helpers.hub_server import Repository, hub_server

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
INSTALLING = ("pip ", "git ", "make ")
MODEL = "nvidia/segformer-b0-finetuned-cityscapes-1024-1024"

# Python goes on in one namespace, the shell in one folder; each block says where it failed.
RUNNER = """
import json, subprocess, sys
names = {"__name__": "readme"}
for number, (language, block) in enumerate(json.load(sys.stdin), 1):
    print(f"block {number}: {language}", flush=True)
    if language == "python":
        exec(compile(block, f"README block {number}", "exec"), names)
    else:
        subprocess.run(["bash", "-euo", "pipefail", "-c", block], check=True)
"""


def commands(block):
    """The commands of a shell block without their comments."""
    lines = (line.partition("  #")[0].strip() for line in block.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def installing(block):
    return any(line.startswith(INSTALLING) for line in commands(block))


def test_every_block_is_python_or_shell():
    assert {language for language, _ in BLOCKS} == {"python", "sh"}


def test_what_is_installed_exists():
    """The extras, the version of the wheel, the targets of make."""
    lines = [line for language, block in BLOCKS if language == "sh" for line in commands(block)]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {
        name
        for line in lines
        for group in re.findall(r"csl-plugin\[(.*?)\]", line)
        for name in group.split(",")
    }
    assert extras <= set(project["optional-dependencies"])
    wheels = [
        version for line in lines for version in re.findall(r"csl_plugin-([\d.]+)-py3-none-any\.whl", line)
    ]
    assert wheels
    assert set(wheels) == {csl_plugin.__version__}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = {line.split()[1] for line in lines if line.startswith("make ")}
    assert targets
    for target in targets:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize(
    "line",
    [
        line
        for language, block in BLOCKS
        if language == "sh"
        for line in commands(block)
        if line.startswith("csl-plugin ")
    ],
)
def test_every_command_has_these_options(line, capsys):
    """Options of a command that is not there end with a usage error; `--help` behind them does not."""
    name, *options = [word.strip("'\"") for word in line.split()[1:]]
    known = _help(name, capsys)
    for option in options:
        if option.startswith("--"):
            assert re.search(rf"{re.escape(option)}\b", known), option


def _help(name, capsys):
    shown = []
    for words in ([name], [name, "fit"], [name, "anomaly"]):
        with pytest.raises(SystemExit):
            main([*words, "--help"])
        shown.append(capsys.readouterr().out)
    return "\n".join(shown)


def test_the_first_lines_need_no_extra():
    """Pillow, for one, comes with extras alone."""
    first = next(block for language, block in BLOCKS if language == "python")
    imported = re.findall(r"^(?:import|from) (\w+)", first, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    required = {re.match(r"\w+", line).group() for line in project["dependencies"]}
    assert set(imported) <= required | {"csl_plugin"}


@pytest.mark.slow
def test_the_first_lines_find_the_thing_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    names: dict = {}
    exec(next(block for language, block in BLOCKS if language == "python"), names)
    (mask,) = names["objects"].masks()
    truth = read_label_png("demo_out/truth.png").reshape(mask.shape) == 1
    assert (mask & truth).sum() > 0.7 * (mask | truth).sum()


@pytest.mark.slow
def test_the_blocks_run_in_order(tmp_path):
    pytest.importorskip("transformers")
    folder = tmp_path / "folder"
    _write_data(folder)
    blocks = [item for item in BLOCKS if item[0] == "python" or not installing(item[1])]
    with hub_server() as hub:
        hub.repositories[MODEL] = Repository()
        hub.repositories[MODEL].commit(_segformer(tmp_path / "model"))
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HOME": str(tmp_path / "home"),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        }
        done = subprocess.run(
            [sys.executable, "-c", RUNNER],
            input=json.dumps(blocks),
            env=environment,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def _write_data(folder):
    """What the README's folders are called: photographs, a score map of each, and some of normal streets."""
    from csl_plugin.demo import draw_street

    for images, scores, unseen, seeds in (
        ("images", "scores", True, (1, 2)),
        ("normal/images", "normal/scores", False, (3, 4)),
    ):
        for place in (images, scores):
            (folder / place).mkdir(parents=True)
        for seed in seeds:
            street = draw_street(seed, (192, 320), unseen=unseen)
            cv2.imwrite(str(folder / images / f"{seed}.png"), street.image[:, :, ::-1])
            noise = np.random.default_rng(seed).random(street.unseen.shape)
            np.save(folder / scores / f"{seed}.npy", (0.3 * noise + 0.6 * street.unseen).astype(np.float32))


def _segformer(folder):
    """The files of a SegFormer with random weights, and of its image processor."""
    import transformers

    config = transformers.SegformerConfig(
        num_labels=19,
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        decoder_hidden_size=16,
        num_attention_heads=[1, 1, 2, 2],
    )
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(folder)
    transformers.SegformerImageProcessor().save_pretrained(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}
