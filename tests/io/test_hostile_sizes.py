"""Memory and time of reading are bounded by the bytes of a file and by what they can hold."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

MIB = 1 << 20
READ = {  # files that are what they declare, and the bytes that their values take in memory
    "text", "profile", "animation", "exif", "jpeg of filling", "real zeros", "one mask", "image",
}  # fmt: skip
VALUES = {"one mask": 8 * 16_000_000, "image": 4 * 16_000_000, "real zeros": 5 * 2048 * 2048}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    if not sys.platform.startswith("linux"):
        pytest.skip("the memory of a process is read as Linux gives it")
    command = [sys.executable, "-m", "tests.helpers.hostile_files", str(tmp_path_factory.mktemp("hostile"))]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=300)
    return json.loads(done.stdout)


def test_hostile_files_take_little_memory(found):
    assert len(found) > 60
    taken = {}
    for name, values in found.items():
        kind = Path(name).stem.partition(" ")[2]
        allowed = 32 * MIB + 8 * values["bytes"] + VALUES.get(kind, 0)
        if values["peak"] > allowed:
            taken[name] = values
    assert taken == {}


def test_hostile_files_end_in_an_error_of_the_package(found):
    wrong = {
        name: values["error"]
        for name, values in found.items()
        if bool(values["error"]) == (Path(name).stem.partition(" ")[2] in READ)
        or values["error"].partition(":")[0] not in ("", "FileError", "ShapeError")
    }
    assert wrong == {}
