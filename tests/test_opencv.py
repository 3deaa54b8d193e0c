"""OpenCV where its system libraries are missing: what needs none works, the rest ends in one clear error."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import csl_plugin
from csl_plugin._opencv import opencv

ROOT = Path(__file__).parents[1]
HINT = "pip install opencv-python-headless"
REASON = "libGL.so.1: cannot open shared object file: No such file or directory"

# As OpenCV's own loader: the first import fails for its reason, every other one for having been tried.
BROKEN = f"""
import sys
if hasattr(sys, "OpenCV_LOADER"):
    raise ImportError("recursion is detected during loading of cv2")
sys.OpenCV_LOADER = True
raise ImportError("{REASON}")
"""


@pytest.fixture
def without_libraries(tmp_path):
    """A function that runs Python where cv2 cannot be imported."""
    (tmp_path / "cv2").mkdir()
    (tmp_path / "cv2" / "__init__.py").write_text(BROKEN)
    paths = [str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}

    def run(*arguments):
        command = [sys.executable, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)

    return run


def test_the_module_is_opencv():
    assert opencv() is sys.modules["cv2"]


def test_nothing_else_imports_it():
    folder = Path(csl_plugin.__file__).parent
    found = [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*.py"))
        if re.search(r"^\s*(import cv2|from cv2)", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert found == ["_opencv.py"]


def test_every_use_ends_in_the_same_error(without_libraries):
    program = f"""
import numpy as np
import csl_plugin
from csl_plugin import fuse, load_proposer
from csl_plugin.errors import MissingExtraError
from csl_plugin.io import read_image, write_png
from csl_plugin.metrics import *
from csl_plugin.training import *
from csl_plugin.viz import fusion_picture

image = np.zeros((8, 8, 3), np.uint8)
labels, score = np.zeros((8, 8), int), np.ones((8, 8), np.float32)
assert fuse(score, labels).tolist() == score.tolist()
assert load_proposer("superpixels")(np.zeros((1, 3, 8, 8), np.float32))[0].num_regions == 1
for call in (
    lambda: read_image({str(ROOT / "csl_plugin" / "app" / "chelsea.jpg")!r}),
    lambda: write_png("a.png", image),
    lambda: fusion_picture(image, labels, score, score),
):
    try:
        call()
    except MissingExtraError as error:
        print(error)
"""
    done = without_libraries("-c", program)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    assert len(set(lines)) == 1
    assert lines[0].startswith("cv2: got an import error")
    assert REASON in lines[0]
    assert lines[0].endswith(HINT)


def test_the_command_line_prints_it_without_a_traceback(without_libraries):
    done = without_libraries("-m", "csl_plugin", "demo")
    assert done.returncode == 2
    assert HINT in done.stderr
    assert "Traceback" not in done.stderr
