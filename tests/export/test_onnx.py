"""ONNX files of the dynamo exporter in onnxruntime: equal to the package on random inputs of many sizes."""

from __future__ import annotations

import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from csl_plugin import RegionProposals, fuse, load_proposer
from csl_plugin.cli import main
from csl_plugin.errors import FileError, OptionError
from csl_plugin.export import FusionGraph, NetworkGraph, StageGraph, to_onnx
from csl_plugin.export.onnx_file import check_exported

for _package in ("onnx", "onnxscript", "onnxruntime"):
    pytest.importorskip(_package, reason="needs the extra `onnx`")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
RULES = ("adaptive", "product", "geometric", "mean")
INPUTS = 50
PAGE = Path(__file__).parents[2] / "docs/guide/export.md"


def session(file):
    return import_module("onnxruntime").InferenceSession(str(file), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("classes", [1, 3])
def test_the_fusion(tmp_path, rule, classes):
    assert to_onnx(FusionGraph(rule, classes), tmp_path / "fuse.onnx", inputs=INPUTS) <= 1e-5


class OfProposals(nn.Module):
    """A module of a user's."""

    def __init__(self, rule):
        super().__init__()
        self.rule = rule

    def forward(self, distribution, scores, validity):
        regions = RegionProposals(scores, validity, check=False)
        return fuse(distribution, regions, rule=self.rule, split=False, check=False)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("classes", [1, 3])
def test_proposals_in_a_module_of_a_user(tmp_path, rule, classes):
    draw = torch.Generator().manual_seed(0)

    def given(height, width):
        scores = torch.rand(1, 6, height // 4, width // 4, generator=draw)
        return torch.rand(1, classes, height, width, generator=draw), scores, torch.rand(1, 6, generator=draw)

    sizes = [
        {axis: torch.export.Dim(name, min=2) for axis, name in zip((2, 3), names, strict=True)}
        for names in ("hw", "yx")
    ]
    file = tmp_path / "proposals.onnx"
    torch.onnx.export(
        OfProposals(rule),
        given(40, 56),
        file,
        dynamo=True,
        dynamic_shapes=(*sizes, None),
        external_data=False,
    )
    run = session(file)
    for _ in range(INPUTS):
        inputs = given(*torch.randint(16, 120, (2,), generator=draw).tolist())
        named = {each.name: value.numpy() for each, value in zip(run.get_inputs(), inputs, strict=True)}
        found = torch.from_numpy(run.run(None, named)[0])
        expected = fuse(inputs[0], RegionProposals(*inputs[1:]), rule=rule, split=False)
        # A pixel between two regions of nearly equal probability may go to either.
        assert ((found - expected).abs() > 1e-5).float().mean() < 1e-3


def test_a_network(tmp_path):
    network = load_proposer("csl-tiny").network
    assert to_onnx(NetworkGraph(network), tmp_path / "network.onnx", inputs=INPUTS) <= 1e-5


def test_the_default_stage_and_the_program_of_the_guide(tmp_path, monkeypatch):
    file = tmp_path / "stage.onnx"
    assert to_onnx(StageGraph(), file, inputs=10) <= 1e-5
    monkeypatch.chdir(tmp_path)
    draw = np.random.default_rng(0)
    import cv2

    from csl_plugin.io import read_image, write_scores

    cv2.imwrite("street.png", draw.integers(0, 255, (60, 80, 3), dtype=np.uint8))
    write_scores("street.npy", draw.random((15, 20), dtype=np.float32))
    [program] = re.findall(r"```python\n(import numpy.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(program.splitlines()) <= 12
    exec(compile(program, str(PAGE), "exec"), {})
    images = torch.from_numpy(read_image("street.png")).permute(2, 0, 1)[None] / 255
    expected = StageGraph().plain(images, torch.from_numpy(np.load("street.npy"))[None, None])[0]
    np.testing.assert_allclose(np.load("fused.npy"), expected[0, 0], atol=1e-5)


def test_a_file_that_gives_something_else_is_not_kept(tmp_path, monkeypatch):
    file = tmp_path / "fuse.onnx"
    graph = FusionGraph("product")
    plain = graph.plain
    monkeypatch.setattr(graph, "plain", lambda *given: (plain(*given)[0] + 1e-3,))
    with pytest.raises(OptionError, match=r"differ by up to 0\.001"):
        to_onnx(graph, file)
    assert list(tmp_path.iterdir()) == []


def test_the_command(tmp_path, capsys):
    file = tmp_path / "fuse.onnx"
    command = ["export", "fuse", str(file), "--rule", "product", "--inputs", "3", "--json"]
    assert main(command) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["inputs"] == ["distribution", "labels"]
    assert answer["bytes"] == file.stat().st_size
    assert answer["largest_difference"] <= 1e-5
    assert answer["size"] is None
    assert [each.name for each in session(file).get_inputs()] == ["distribution", "labels"]
    assert session(file).get_modelmeta().custom_metadata_map == {
        "graph": "FusionGraph",
        "size": "sides from 2 to 16384",
        "rule": "product",
        "classes": "1",
        "distribution": "(1, C, h, w), >= 0, higher = more of class c",
        "labels": "(1, H, W), ids of regions, -1 for none",
    }
    assert check_exported(file) is None  # so that the command replaces it
    foreign = tmp_path / "notes.onnx"
    foreign.write_bytes(b"not a graph")
    assert main(["export", "fuse", str(foreign)]) == 2
    assert foreign.read_bytes() == b"not a graph"
    for wrong, message in (
        (["fuse", str(file), "--network"], "--network"),
        (["superpixels", str(file), "--network"], "which has none"),
        (["csl-tiny", str(file), "--network", "--rule", "mean"], "a network fuses nothing"),
        (["csl-tiny", str(file), "--network", "--classes", "19"], "a network fuses nothing"),
        (["nowhere", str(file)], "NAME: got 'nowhere', which is neither a built-in proposer"),
        (["fuse", str(file), "--classes", "0"], "--classes: got 0"),
        (["fuse", str(tmp_path)], "a folder"),
    ):
        assert main(["export", *wrong]) == 2
        assert message in capsys.readouterr().err


def test_an_onnx_file_of_another_program_is_not_replaced(tmp_path):
    onnx = import_module("onnx")
    graph = onnx.helper.make_graph([], "empty", [], [])
    file = tmp_path / "model.onnx"
    onnx.save(onnx.helper.make_model(graph, producer_name="another"), file)
    with pytest.raises(FileError, match="another"):
        check_exported(file)
