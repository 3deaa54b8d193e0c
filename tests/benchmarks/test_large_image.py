"""The benchmark of a large image from end to end on a small one."""

import subprocess
import sys

import pytest

pytest.importorskip("skimage")
pytestmark = pytest.mark.slow


def test_seconds_and_memory_of_a_process_of_its_own(tmp_path):
    out = tmp_path / "large.md"
    words = ["--size", "96", "128", "--rounds", "1", "--proposer", "superpixels", "--out", str(out)]
    module = "benchmarks.speed.large_image"
    subprocess.run([sys.executable, "-m", module, *words], check=True, capture_output=True)
    rows = dict(line.split("|")[1:3] for line in out.read_text().splitlines() if line.startswith("| "))
    values = {name.strip(): float(value.split()[0]) for name, value in rows.items() if "GB" in name}
    assert 0 < values["inputs: process, image and score, GB"] <= values["peak of all, GB"] < 3
