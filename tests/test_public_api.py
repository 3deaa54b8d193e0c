"""What a user of the package sees: names, documentation, and what importing it costs."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import csl_plugin

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("name", csl_plugin.__all__)
def test_every_public_name_is_documented_with_an_example(name):
    documentation = inspect.getdoc(getattr(csl_plugin, name))
    assert documentation is not None
    assert ">>> " in documentation
    if inspect.isfunction(getattr(csl_plugin, name)):
        sections = set(re.findall(r"^(Args|Returns|Raises|Example):$", documentation, re.MULTILINE))
        assert sections == {"Args", "Returns", "Raises", "Example"}


@pytest.mark.parametrize(
    "name", ["fuse", "fuse_labels", "soft_assignment", "hard_assignment", "load_proposer"]
)
def test_every_argument_is_documented(name):
    function = getattr(csl_plugin, name)
    documentation = inspect.getdoc(function)
    for argument in inspect.signature(function).parameters:
        assert re.search(rf"^ +{argument}: ", documentation, re.MULTILINE), argument


def test_importing_touches_no_network_and_loads_what_is_used():
    program = """
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("network at import")
socket.socket.connect = refuse
socket.getaddrinfo = refuse
optional = {"cv2", "h5py", "scipy", "sklearn", "PIL", "huggingface_hub", "transformers", "triton"}
def check(expected=set(), among=optional):
    found = among & sys.modules.keys()
    assert found == expected, (found, expected)

import csl_plugin
check(among={"torch", "numpy", "csl_plugin.datasets", "csl_plugin.metrics"})
csl_plugin.io.read_scores, csl_plugin.metrics.PooledAnomaly
assert csl_plugin.fuse is csl_plugin.fusion.fuse is vars(csl_plugin)["fuse"]
from csl_plugin import *
assert RegionMap is csl_plugin.regions.RegionMap
for name in ("nonsense", "_private", "fuse_all"):
    assert not hasattr(csl_plugin, name)
check()
import csl_plugin.adapters, csl_plugin.cli, csl_plugin.datasets, csl_plugin.proposers
for name in csl_plugin.__all__:
    getattr(csl_plugin, name)
check()
from csl_plugin.proposers import Superpixels
check()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_package_ships_its_types_and_its_version():
    assert (ROOT / "csl_plugin" / "py.typed").is_file()
    assert re.fullmatch(r"\d+\.\d+\.\d+", csl_plugin.__version__)


def test_the_base_dependencies_are_the_seven():
    project = (ROOT / "pyproject.toml").read_text()
    listed = re.search(r"^dependencies = \[(.*?)^\]", project, re.DOTALL | re.MULTILINE).group(1)
    assert re.findall(r'"([A-Za-z_-]+)', listed) == [
        "torch",
        "numpy",
        "scipy",
        "opencv-python",
        "safetensors",
        "huggingface_hub",
        "tqdm",
    ]
