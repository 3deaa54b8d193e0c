"""The rounds of an attack, each in a process that is started again where a round kills it."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, NamedTuple

ROOT = Path(__file__).resolve().parents[2]


class Finding(NamedTuple):
    """What is wrong, and the number of the round, which makes it again with the same seed."""

    number: int
    text: str


class Gallery:
    """A process for attacks.

    Args:
        folder: For the files of the attacks; the caller removes it.
        seconds: After so long a round is taken for one that hangs.
    """

    def __init__(self, folder: Path, *, seconds: float = 120.0) -> None:
        self._folder, self._seconds = folder, seconds
        self._process: subprocess.Popen[str] | None = None

    def attack(self, name: str, seed: int, numbers: Iterable[int]) -> list[Finding]:
        """What the rounds of these numbers find."""
        return [Finding(number, text) for number in numbers if (text := self._round(name, seed, number))]

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def _round(self, name: str, seed: int, number: int) -> str | None:
        process = self._process = self._process or self._started()
        _stream(process.stdin).write(json.dumps([name, seed, number]) + "\n")
        _stream(process.stdin).flush()
        answers = _stream(process.stdout)
        ready, _, _ = select.select([answers], [], [], self._seconds)
        line = answers.readline() if ready else ""
        if line:
            found: str | None = json.loads(line)
            return found
        self.close()
        return f"the process died ({process.returncode})" if ready else f"no answer in {self._seconds:g} s"

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.attack.worker", str(self._folder)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )


def _stream(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream
