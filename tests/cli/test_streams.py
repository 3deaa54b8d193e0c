"""Closed pipes, full disks, signals and other ends that are not the command's choice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.cli.answer import Answer
from csl_plugin.cli.streams import write
from csl_plugin.io import write_png, write_scores

posix = pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
SIZE = 24, 32
FULL = Path("/dev/full")


@pytest.fixture
def place(tmp_path):
    """Scores and labels of three frames."""
    rng = np.random.default_rng(0)
    for stem in "abc":
        write_scores(tmp_path / "scores" / f"{stem}.npy", rng.random(SIZE).astype(np.float32))
        write_png(tmp_path / "labels" / f"{stem}.png", rng.integers(0, 2, SIZE).astype(np.uint8))
    return tmp_path


def program(*arguments, **options):
    if os.name == "posix":
        options["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen([sys.executable, "-m", "csl_plugin", *map(str, arguments)], **options)


def arguments_of(place):
    return "eval", "anomaly", place / "scores", place / "labels"


@posix
def test_a_reader_that_went_is_no_traceback(place):
    reader, writer = os.pipe()
    os.close(reader)
    process = program(*arguments_of(place), stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 141, err
    assert err == b""


@posix
@pytest.mark.parametrize("words", [("--version",), ("fuse", "--help")])
def test_help_to_a_reader_that_went(words):
    reader, writer = os.pipe()
    os.close(reader)
    process = program(*words, stdout=writer, stderr=subprocess.PIPE)
    os.close(writer)
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 141
    assert err == b""


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_disk_as_stdout_is_told(place):
    with FULL.open("w") as full:
        process = program(*arguments_of(place), stdout=full, stderr=subprocess.PIPE, text=True)
        err = process.communicate(timeout=60)[1]
    assert process.returncode == 1
    message = "csl-plugin: error: stdout cannot be written: No space left on device\n"
    assert err == message
    with FULL.open("w") as full:
        process = program("fuse", "--help", stdout=full, stderr=subprocess.PIPE, text=True)
        assert process.communicate(timeout=60)[1] == message
    assert process.returncode == 1


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full")
def test_a_full_disk_as_stderr_changes_nothing(place):
    with FULL.open("w") as full:
        process = program(*arguments_of(place), "--json", stdout=subprocess.PIPE, stderr=full)
        assert json.loads(process.communicate(timeout=60)[0])["num_frames"] == 3
        assert process.returncode == 0
        process = program("eval", "nonsense", stdout=subprocess.PIPE, stderr=full)
        process.communicate(timeout=60)
        assert process.returncode == 2


@posix
@pytest.mark.slow
@pytest.mark.parametrize(("closed", "code"), [(1, 1), (2, 0)])
def test_a_stream_that_is_not_there(place, closed, code):
    command = [sys.executable, "-m", "csl_plugin", *map(str, arguments_of(place)), "--json"]
    shell = f'exec "$@" {closed}>&-'
    process = subprocess.run(["/bin/sh", "-c", shell, "sh", *command], capture_output=True, text=True)
    assert process.returncode == code
    assert "Traceback" not in process.stderr
    if closed == 2:
        assert json.loads(process.stdout)["num_frames"] == 3
    else:
        assert "stdout is closed" in process.stderr


SLOW_IMPORT = """
import pathlib, time
pathlib.Path({marker!r}).touch()
try:
    time.sleep(60)
except KeyboardInterrupt:
    {then}
"""


@posix
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("then", ["raise", "raise ImportError('a broken library')"])
def test_a_signal_while_loading_answers_in_json(tmp_path, number, code, then):
    """A slow disk, where the import of torch takes a minute; an interrupted import may raise anything."""
    marker = tmp_path / "started"
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(SLOW_IMPORT.format(marker=str(marker), then=then))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    process = program(
        "fuse", "images", "scores", "out", "--json",
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip
    while process.poll() is None and not marker.exists():
        time.sleep(0.005)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == code, err
    assert json.loads(out) == {
        "command": "fuse",
        "error": "interrupted",
        "interrupted": True,
        "exit_code": code,
    }
    assert err == "csl-plugin fuse: interrupted\n"


def test_handlers_of_a_host_program_come_back(capsys):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["demo", "nowhere.png", "--json"]) == 2
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert "nowhere.png" in json.loads(capsys.readouterr().out)["error"]


def test_what_a_model_prints_does_not_mix_with_json(tmp_path, monkeypatch, capsys):
    (tmp_path / "talking.py").write_text("print('loading')\nscore = None\n")
    monkeypatch.chdir(tmp_path)
    for path in ("images", "labels"):
        write_png(tmp_path / path / "a.png", np.zeros((8, 8), np.uint8))
    options = ["--data", str(tmp_path), "--teacher", "talking:score", "--json"]
    assert main(["benchmark", "folder", *options]) == 2
    streams = capsys.readouterr()
    assert json.loads(streams.out)["exit_code"] == 2
    assert "loading" in streams.err


@pytest.mark.parametrize(
    ("module", "said"),
    [
        ("import sys; sys.exit(7)", "SystemExit: 7"),
        ("def score(", "SyntaxError"),
        ("raise RuntimeError('no weights')", "RuntimeError: no weights"),
        (
            "import sys\ndef score(image): sys.exit('enough')",
            "a model ended the program with the code enough",
        ),
        (
            "import warnings; warnings.simplefilter('default')\n"
            "def score(image): warnings.warn('a b\\nc'); return image[..., 0] / 255",
            "",
        ),
    ],
)
def test_a_model_may_do_anything(tmp_path, monkeypatch, capsys, module, said):
    name = f"model_{len(module)}"
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for path in ("images", "labels"):
        write_png(tmp_path / path / "a.png", rng.integers(0, 2, SIZE).astype(np.uint8))
    options = ["--teacher", f"{name}:score", "--proposer", "superpixels", "--draws", "2", "--json"]
    code = main(["benchmark", "folder", "--data", str(tmp_path), *options])
    streams = capsys.readouterr()
    facts = json.loads(streams.out)
    assert facts["exit_code"] == code
    assert "Traceback" not in streams.err
    if said:
        assert code in (1, 2)
        assert said in facts["error"]
    else:
        assert code == 0
        assert "warning: a b c\n" in streams.err


def test_the_first_process_answers_for_all(monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank, lines in (("0", 1), ("1", 0)):
        monkeypatch.setenv("RANK", rank)
        assert main(["demo", "nowhere.png", "--json"]) == 2
        streams = capsys.readouterr()
        assert streams.out.count("\n") == lines
        assert "nowhere.png" in streams.err


def test_a_closed_stdout_of_a_host_program(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdout", None)
    assert write(Answer(0, {"command": "demo"}, ["done"]), as_json=False) == 1
    assert "stdout is closed" in capsys.readouterr().err


@pytest.mark.parametrize(("given", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_sleep_while_they_wait_unless_told_otherwise(given, expected):
    program = """
import os
from csl_plugin.cli import main
assert main(["eval", "anomaly", "nowhere", "nowhere"]) == 2
print(os.environ["OMP_WAIT_POLICY"])
"""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if given is not None:
        environment["OMP_WAIT_POLICY"] = given
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.split() == [expected]
