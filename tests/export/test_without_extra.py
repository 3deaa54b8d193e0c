"""Without the packages of the extra."""

from __future__ import annotations

import sys

import pytest

from csl_plugin.cli import main
from csl_plugin.errors import MissingExtraError
from csl_plugin.export import FusionGraph, to_onnx


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "onnxruntime"])
def test_the_extra_is_named(tmp_path, monkeypatch, capsys, package):
    for other in ("onnx", "onnxscript", "onnxruntime"):
        monkeypatch.setitem(sys.modules, other, sys)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package}: .*csl-plugin\[onnx\]"):
        to_onnx(FusionGraph(), tmp_path / "fuse.onnx")
    assert main(["export", "fuse", str(tmp_path / "fuse.onnx")]) == 2
    assert "csl-plugin[onnx]" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_is_none(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["export", "fuse", str(tmp_path / "fuse.onnx"), "--size", "480"])
    assert "expected height and width as HxW" in capsys.readouterr().err
