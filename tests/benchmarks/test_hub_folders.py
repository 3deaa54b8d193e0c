"""The folders for the Hub: pushed as a maintainer does, to a Hub on this machine, and loaded by name."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import cv2
import pytest

pytest.importorskip("skimage")

from benchmarks.guide import hub_folders
from csl_plugin import load_proposer
from csl_plugin.proposers import NetworkRegions
from csl_plugin.proposers.bundled import BUNDLED, bundled_folder
from tests.helpers.hub_server import hub_server

PUSHED = """
import sys
from csl_plugin import load_proposer
for name in sys.argv[1:]:
    print(load_proposer(f"csl-plugin/{name}", revision="v0.2.0"))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return hub_folders.make_folders(tmp_path_factory.mktemp("hub"))


def test_a_folder_is_what_ships_and_two_pictures(folders):
    assert [folder.name for folder in folders] == list(BUNDLED)
    for folder in folders:
        shipped = {path.name: path.read_bytes() for path in bundled_folder(folder.name).iterdir()}
        made = {path.name: path.read_bytes() for path in folder.iterdir()}
        assert {name: made[name] for name in shipped} == shipped
        assert made.keys() - shipped.keys() == {"photograph.jpg", "regions.png"}
        assert len(made["photograph.jpg"]) + len(made["regions.png"]) < 500_000
        assert cv2.imread(str(folder / "regions.png")).shape[1] > 1500
        card = made["README.md"].decode()
        for picture in ("photograph.jpg", "regions.png"):
            assert f"https://huggingface.co/csl-plugin/{folder.name}/resolve/main/{picture}" in card


def test_a_folder_that_is_there_is_not_replaced(folders, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["hub_folders", "--out", str(folders[0].parent)])
    with pytest.raises(SystemExit, match="2"):
        hub_folders.main()
    assert "is there; remove it first" in capsys.readouterr().err


@pytest.mark.slow
def test_what_hf_upload_pushes_is_loaded_by_name(folders, tmp_path):
    with hub_server() as hub:
        environment = {
            **os.environ,
            "HF_ENDPOINT": hub.url,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HOME": str(tmp_path / "home"),
            "HF_TOKEN": "hf_test",
        }
        for folder in folders:
            name = f"csl-plugin/{folder.name}"
            for arguments in (["upload", name, folder, "."], ["repos", "tag", "create", name, "v0.2.0"]):
                command = [sys.executable, "-m", "huggingface_hub.cli.hf", *map(str, arguments)]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
                assert done.returncode == 0, done.stderr
        for folder in folders:
            repository = hub.repositories[f"csl-plugin/{folder.name}"]
            stored = repository.commits[repository.refs["main"]]
            assert stored == {path.name: path.read_bytes() for path in folder.iterdir()}
            assert hashlib.sha256(stored["model.safetensors"]).hexdigest() == BUNDLED[folder.name]
        loading = [sys.executable, "-c", PUSHED, *BUNDLED]
        loaded = subprocess.run(loading, env=environment, capture_output=True, text=True, check=True)
        assert loaded.stdout.splitlines() == [
            repr(NetworkRegions(load_proposer(name).network))
            for name in BUNDLED  # with the digest of its weights
        ]
