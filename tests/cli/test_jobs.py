"""`--jobs`: several processes give what one gives, and whatever ends one of them is told."""

import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from typing import Any

import cv2
import numpy as np
import psutil
import pytest

from csl_plugin.cli import main
from csl_plugin.io import write_png, write_scores
from tests.helpers import meeting
from tests.helpers.tracks import SIZE as TRACK_SIZE
from tests.helpers.tracks import make_place

SIZE = 40, 56
MEETING = ("--proposer", "meeting")
pytestmark = pytest.mark.filterwarnings("ignore:a model that warns")


def make_image(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)


@pytest.fixture
def place(tmp_path):
    """Six images and score maps: one image is damaged, one score map is missing, one is smaller."""
    rng = np.random.default_rng(0)
    for seed, stem in enumerate("abcdef"):
        write_png(tmp_path / "images" / f"{stem}.png", make_image(seed))
        size = (20, 28) if stem == "e" else SIZE
        write_scores(tmp_path / "scores" / f"{stem}.npy", rng.random(size).astype(np.float32))
    (tmp_path / "images" / "b.png").write_bytes(b"damaged")
    (tmp_path / "scores" / "d.npy").unlink()
    return tmp_path


def words(place, out, jobs, *options):
    paths = [str(place / name) for name in ("images", "scores", out)]
    return ["fuse", *paths, "--jobs", str(jobs), "--json", *options]


def answer(printed):
    facts = json.loads(printed.out)
    return {name: value for name, value in facts.items() if name not in ("seconds", "out")}


def content(folder):
    """The results in a folder, without the journal, whose lines are in the order of the work."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".jsonl")}


def check_alone():
    assert multiprocessing.active_children() == []


# --- the same results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_fuse_writes_and_answers_the_same(place, tmp_path, monkeypatch, capfd, jobs):
    met = meeting.install(tmp_path / "package", monkeypatch, 1)
    assert main(words(place, "one", 1, *MEETING, "--overlays")) == 1
    one = capfd.readouterr()
    for pid in met.iterdir():
        pid.unlink()
    monkeypatch.setenv("PROCESSES", str(jobs))
    assert main(words(place, "out", jobs, *MEETING, "--overlays")) == 1
    several = capfd.readouterr()
    assert len(list(met.iterdir())) == jobs
    assert answer(several) == answer(one)
    assert [failure["name"] for failure in answer(one)["failed"]] == ["b.png", "d.png"]
    assert answer(one)["failed"][0]["error"] == "FileError"
    assert answer(one)["scores_upsampled"] == 1
    assert content(place / "out") == content(place / "one")
    assert "failed: b.png: " in several.err
    assert "Traceback" not in several.err
    check_alone()
    # What is done is done for any number of processes.
    assert main(words(place, "out", 1, *MEETING, "--overlays")) == 1
    assert answer(capfd.readouterr())["skipped"] == 4


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [2, 3])
def test_propose_writes_and_answers_the_same(place, tmp_path, monkeypatch, capfd, jobs):
    for proposer, out in ((("--proposer", "superpixels:80"), "one"), (MEETING, "out")):
        meeting.install(tmp_path / f"package-{out}", monkeypatch, jobs)
        options = [str(place / "images"), str(place / out), "--json", *proposer]
        assert main(["propose", *options, "--jobs", str(jobs if out == "out" else 1)]) == 1
        facts = answer(capfd.readouterr())
        assert (facts["done"], [failure["name"] for failure in facts["failed"]]) == (5, ["b.png"])
    maps = [
        {name: data for name, data in content(place / out).items() if ".png" in name}
        for out in ("one", "out")
    ]
    assert len(maps[0]) == 5
    assert maps[0] == maps[1]


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [2, 3])
def test_a_benchmark_has_the_same_files(tmp_path, monkeypatch, capfd, jobs):
    place = make_place(tmp_path / "track")
    met = meeting.install(tmp_path / "package", monkeypatch, 1)
    monkeypatch.chdir(place)
    monkeypatch.delitem(sys.modules, "teachers", raising=False)
    given = ["benchmark", "smiyc-anomaly-track", "--data", str(place / "data"), "--draws", "20"]
    given += [*MEETING, "--teacher", "teachers:score", "--json"]
    assert main([*given, "--out", "one"]) == 0
    one = answer(capfd.readouterr())
    for pid in met.iterdir():
        pid.unlink()
    monkeypatch.setenv("PROCESSES", str(jobs))
    assert main([*given, "--out", "out", "--jobs", str(jobs)]) == 0
    printed = capfd.readouterr()
    assert answer(printed) == one
    assert len(list(met.iterdir())) == jobs
    assert content(place / "out") == content(place / "one")
    check_alone()


@pytest.mark.slow
def test_a_bad_frame_fails_the_benchmark_and_keeps_the_others(tmp_path, monkeypatch, capfd):
    place = make_place(tmp_path / "track")
    meeting.install(tmp_path / "package", monkeypatch, 2)
    np.save(place / "scores" / "validation0002.npy", np.full(TRACK_SIZE, np.nan, np.float32))
    given = [
        "benchmark",
        "smiyc-anomaly-track",
        "--data",
        str(place / "data"),
        "--scores",
        str(place / "scores"),
    ]
    assert main([*given, *MEETING, "--out", str(place / "out"), "--jobs", "2"]) == 1
    said = capfd.readouterr().err
    assert "failed: validation0002: " in said
    assert "1 of 6 frames that could not be measured: validation0002" in said
    assert len(list((place / "out" / "records").glob("*.npz"))) == 5
    check_alone()


# --- a process that ends --------------------------------------------------------------------------------


def test_a_killed_process_is_one_error_and_what_is_done_stays(place, tmp_path, monkeypatch, capfd):
    meeting.install(tmp_path / "package", monkeypatch, 2, "kill")
    assert main(words(place, "out", 2, *MEETING)) == 1
    printed = capfd.readouterr()
    facts = answer(printed)
    assert facts["error"].startswith("--jobs: got a process that ended before its work was done, expected")
    assert printed.err.count(facts["error"]) == 1
    assert "Traceback" not in printed.err
    assert facts["done"] >= 1
    assert facts["not_done"] >= 1
    assert facts["done"] + len(facts["failed"]) + facts["not_done"] == 6
    finished = len(list((place / "out").glob("*.npy")))
    assert finished >= facts["done"]
    check_alone()
    monkeypatch.setenv("FAULT", "")
    monkeypatch.setenv("PROCESSES", "1")
    assert main(words(place, "out", 1, *MEETING)) == 1
    again = answer(capfd.readouterr())
    assert (again["skipped"], again["done"]) == (finished, 4 - finished)
    assert main(words(place, "fresh", 1, *MEETING)) == 1
    assert content(place / "out") == content(place / "fresh")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "code", "said"),
    [
        ("load", 2, "error: --jobs: got MemoryError: no room, expected"),
        ("identity", 2, "error: --jobs: got proposer '.*' in another process, expected proposer '.*'"),
        ("exit", 1, "a model ended the program with the code 5"),
    ],
)
def test_an_error_of_a_process_ends_the_command(place, tmp_path, monkeypatch, capfd, fault, code, said):
    meeting.install(tmp_path / "package", monkeypatch, 2, fault)
    assert main(words(place, "out", 2, *MEETING)) == code
    printed = capfd.readouterr()
    assert re.search(said, printed.err)
    assert json.loads(printed.out)["exit_code"] == code
    check_alone()


# --- Ctrl-C ---------------------------------------------------------------------------------------------


def started(place, jobs):
    command = [sys.executable, "-m", "csl_plugin", *words(place, "out", jobs, *MEETING)]
    options: dict[str, Any] = {"text": True, "start_new_session": True}
    if sys.platform != "win32":  # a shell that runs the tests in its background ignores it for all of them
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def ended(process):
    """Its answer and what it said, when nothing of it is left."""
    out, err = process.communicate(timeout=60)
    end = time.monotonic() + 30  # Python's own process, which tracks resources, ends after the others
    while (left := [each for each in psutil.process_iter() if _group(each) == process.pid]) and (
        time.monotonic() < end
    ):
        time.sleep(0.05)
    assert left == []
    assert "Traceback" not in err
    return json.loads(out), err


def _group(process):
    try:
        return os.getpgid(process.pid)
    except OSError:
        return None


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_all_processes(place, tmp_path, monkeypatch, number):
    met = meeting.install(tmp_path / "package", monkeypatch, 3, "sleep")
    process = started(place, 3)
    end = time.monotonic() + 60
    while len(list(met.iterdir())) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # as a terminal does
    else:
        process.send_signal(number)
    facts, _ = ended(process)  # long before the model has slept for 100 s
    assert (process.returncode, facts["interrupted"]) == (128 + number, True)
    assert [path.name for path in (place / "out").iterdir() if path.suffix in (".npy", ".tmp")] == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes of POSIX")
def test_a_stop_while_the_processes_start(place, tmp_path, monkeypatch):
    meeting.install(tmp_path / "package", monkeypatch, 99)
    process = started(place, 3)
    end = time.monotonic() + 60
    while len(psutil.Process(process.pid).children(recursive=True)) < 4 and time.monotonic() < end:
        time.sleep(0.01)  # three, and those that start them and track Python's resources
    os.killpg(process.pid, signal.SIGINT)
    facts, _ = ended(process)
    assert (process.returncode, facts["interrupted"]) == (130, True)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="groups of processes of POSIX")
def test_no_process_is_left_when_the_first_is_killed(place, tmp_path, monkeypatch):
    met = meeting.install(tmp_path / "package", monkeypatch, 3, "sleep")
    process = started(place, 3)
    end = time.monotonic() + 60
    while len(list(met.iterdir())) < 3 and time.monotonic() < end:
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=60)
    left = [int(pid.name) for pid in met.iterdir()]
    while any(map(psutil.pid_exists, left)) and time.monotonic() < end + 30:
        time.sleep(0.05)
    assert not any(map(psutil.pid_exists, left))


# --- the option -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "all", "100000", "\N{SUPERSCRIPT TWO}"])
def test_other_numbers_of_processes_are_refused(place, capfd, given):
    assert main(words(place, "out", given)) == 2
    assert "--jobs: got '" in capfd.readouterr().err
    assert not (place / "out").exists()
