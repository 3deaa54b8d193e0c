"""The benchmark of `--jobs` from end to end on tiny frames."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_every_command_is_measured_and_writes_the_same(tmp_path):
    out = tmp_path / "jobs.md"
    words = ["--frames", "3", "--size", "48", "64", "--rounds", "1", "--out", str(out)]
    subprocess.run([sys.executable, "-m", "benchmarks.speed.jobs", *words], check=True, capture_output=True)
    rows = [line for line in out.read_text().splitlines() if line.startswith("| --jobs")]
    assert [row.split("|")[1].strip() for row in rows] == ["--jobs 1, one thread", "--jobs 1", "--jobs 2"]
