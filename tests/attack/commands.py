"""Commands that are killed, or run out of disk: no half output, and the same command then completes."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from csl_plugin.cli import main
from csl_plugin.io import write_png, write_scores
from tests.attack.mutation import Rng

_FRAMES = 6
_durations: dict[str, float] = {}
_wanted: dict[str, Mapping[str, bytes]] = {}


def kill(rng: Rng, folder: Path) -> str | None:
    """A command is killed at any moment; the same command then gives what it gives undisturbed."""
    name, command = _command(rng, folder)
    expected = _undisturbed(name, command, folder)
    out = _fresh(folder / "killed")
    child = _forked(lambda: _exit(command(out)))
    time.sleep(float(rng.uniform(0, 1.1 * _durations[name])))
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return _completes(name, command, out, expected)


def full_disk(rng: Rng, folder: Path) -> str | None:
    """No file may grow beyond some bytes; the command says so, and completes once there is room."""
    name, command = _command(rng, folder)
    expected = _undisturbed(name, command, folder)
    out = _fresh(folder / "full")
    most = int(rng.integers(0, 3000))
    said = folder / "said.txt"

    def limited() -> None:
        with said.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        _exit(command(out))

    _, status = os.waitpid(_forked(limited), 0)
    code, text = os.waitstatus_to_exitcode(status), said.read_text(encoding="utf-8")
    if code == 0 and _files(out) != expected:
        return f"{name} with files of at most {most} bytes: exit code 0, but other outputs"
    if "Traceback" in text or code < 0:
        return f"{name} with files of at most {most} bytes: exit code {code}, {text[-300:]!r}"
    half = {path for path, content in _files(out).items() if path in expected and content != expected[path]}
    if half - {"settings.json", "run.json"}:
        return f"{name} with files of at most {most} bytes: half a file, {sorted(half)}"
    return _completes(name, command, out, expected)


def _completes(
    name: str, command: Callable[[Path], int], out: Path, expected: Mapping[str, bytes]
) -> str | None:
    code = _run(command, out)
    if code:
        return f"{name}: the same command ends with {code} afterwards"
    found = _files(out)
    if found != expected:
        other = sorted(set(found) ^ set(expected)) or sorted(p for p in found if found[p] != expected[p])
        return f"{name}: afterwards these differ: {other[:5]}"
    return None


def _command(rng: Rng, folder: Path) -> tuple[str, Callable[[Path], int]]:
    images, scores = folder / "images", folder / "scores"
    if not scores.exists():
        draw = np.random.default_rng(0)
        for number in range(_FRAMES):
            write_png(images / f"{number}.png", draw.integers(0, 256, (40, 56, 3)).astype(np.uint8))
            write_scores(scores / f"{number}.npy", draw.random((40, 56), dtype=np.float32))
    which = ["fuse", "fuse npz", "propose"][int(rng.integers(3))]
    if which == "propose":
        return which, lambda out: main(["propose", str(images), str(out), "--proposer", "superpixels"])
    extra = ["--overlays"] if which == "fuse npz" else []
    return which, lambda out: main(
        ["fuse", str(images), str(scores), str(out), "--proposer", "superpixels", *extra]
    )


def _undisturbed(name: str, command: Callable[[Path], int], folder: Path) -> Mapping[str, bytes]:
    if name not in _wanted:
        out = _fresh(folder / "undisturbed")
        start = time.monotonic()
        if _run(command, out):
            raise RuntimeError(f"{name} fails without any attack")
        _durations[name] = time.monotonic() - start
        _wanted[name] = _files(out)
    return _wanted[name]


def _run(command: Callable[[Path], int], out: Path) -> int:
    _, status = os.waitpid(_forked(lambda: _exit(command(out))), 0)
    return os.waitstatus_to_exitcode(status)


def _forked(call: Callable[[], None]) -> int:
    child = os.fork()
    if child == 0:
        quiet = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(quiet, stream)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                call()
        except SystemExit as ended:
            os._exit(ended.code if isinstance(ended.code, int) else 1)
        finally:
            os._exit(70)
    return child


def _exit(code: int) -> None:
    raise SystemExit(code)


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _files(folder: Path) -> dict[str, bytes]:
    """The content of every file; of JSON that a run writes about itself only that it is there."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            found[name] = b"" if path.suffix in (".json", ".jsonl") else path.read_bytes()
    return found
