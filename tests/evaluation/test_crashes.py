"""Benchmarks that are killed, shared by processes, or out of disk: the same values, and nothing lost."""

import shutil
import signal
import subprocess
import sys
import time

import pytest

from csl_plugin.cli import main
from csl_plugin.errors import FileError
from csl_plugin.evaluation.frames import overlap
from csl_plugin.io import write_png, write_scores
from tests.helpers.tracks import (
    FRAMES,
    command,
    environment,
    make_frame,
    make_place,
    result_values,
    run,
    write_jpg,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path):
    """AnomalyTrack's validation split, smaller, with score files."""
    return make_place(tmp_path)


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def records(place, out, kind="validation????.npz"):
    return {path.name: path.stat().st_mtime_ns for path in (place / out / "records").glob(kind)}


def kill_when(place, kind):
    """Start a run with a slow teacher and kill it when two records of the kind are there."""
    process = subprocess.Popen(
        [sys.executable, *command(place, "killed")],
        cwd=place,
        env=environment() | {"DELAY": "0.2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    wait_for(lambda: len(records(place, "killed", kind)) >= 2, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert 2 <= len(records(place, "killed", kind)) < FRAMES
    assert not (place / "killed" / "result.json").exists()


def test_killed_twice_and_resumed(place, monkeypatch):
    kill_when(place, "validation????.npz")
    first = records(place, "killed")
    (place / "killed" / "records" / ".csl-plugin-0.tmp").write_bytes(b"half a record")
    kill_when(place, "*.components.npz")
    second = records(place, "killed", "*.npz")
    monkeypatch.chdir(place)
    monkeypatch.delitem(sys.modules, "teachers", raising=False)  # another test's
    for out in ("killed", "whole"):
        assert main(command(place, out)[2:]) == 0
    after = records(place, "killed", "*")
    assert not list((place / "killed").rglob("*.tmp"))
    assert first.items() <= second.items() <= after.items()
    assert (place / "killed" / "result.json").read_text() == (place / "whole" / "result.json").read_text()


def test_two_processes_give_the_values_of_one(place):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [sys.executable, *launcher, *command(place, "two", teacher=False)],
        cwd=place,
        env=environment(),
        check=True,
        capture_output=True,
    )
    run(place, out="one")
    assert result_values(place, "two") == result_values(place, "one")


LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
from csl_plugin.cli import main
from csl_plugin.datasets import open_dataset
sys.exit(main(sys.argv[1:]))
"""


def make_large(place, name="validation0004", size=(480, 640)):
    image, label, score = make_frame(4, size)
    write_jpg(place / "data" / "images" / f"{name}.jpg", image)
    write_png(place / "data" / "labels_masks" / f"{name}_labels_semantic.png", label)
    write_scores(place / "scores" / f"{name}.npy", score)


def check_full(place, out, process):
    assert process.returncode == 2, process.stderr
    assert "Check that the folder can be written and that the disk has room" in process.stderr
    assert "Traceback" not in process.stderr
    assert not list((place / out).rglob("*.tmp"))


def test_no_room_for_a_large_frame(place):
    make_large(place)
    process = subprocess.run(
        [sys.executable, "-c", LIMITED, *command(place, "out", teacher=False)[2:]],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
    )
    check_full(place, "out", process)
    kept = records(place, "out")
    assert len(kept) >= 3
    run(place)
    assert kept.items() <= records(place, "out").items()
    run(place, out="fresh")
    assert result_values(place) == result_values(place, "fresh")


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    options = ["-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)]
    if not (mount and unmount) or subprocess.run([mount, *options], capture_output=True).returncode:
        pytest.skip("no right to mount a small disk")
    yield folder
    subprocess.run([unmount, str(folder)], check=True)


def test_a_full_disk(place, small_disk):
    process = subprocess.run(
        [sys.executable, *command(place, "disk/out", teacher=False)],
        cwd=place,
        env=environment(),
        capture_output=True,
        text=True,
    )
    check_full(place, "disk/out", process)
    kept = records(place, "disk/out")
    assert 1 <= len(kept) < FRAMES
    shutil.copytree(small_disk / "out", place / "out")
    run(place)
    run(place, out="fresh")
    assert result_values(place) == result_values(place, "fresh")


def test_overlap_keeps_few_in_flight_and_ends_at_the_first_lost_write():
    flying, most, told = set(), [], []

    def read(item):
        flying.add(item)
        most.append(len(flying))
        return item

    def finish(item, made):
        time.sleep(0.002)
        flying.discard(item)
        if item == 30:
            raise FileError("disk", "full", "room", "Make room.")

    def failed():
        for item, error in overlap(range(200), read, lambda _, x: 1 / (x - 7), finish):
            told.extend([item] * (error is not None))

    with pytest.raises(FileError, match="full"):
        failed()
    assert told == [7]
    assert max(most) <= 6  # the failed one is never finished
    assert max(flying, default=0) < 40
