"""The log of a training: losses and metrics of every step as JSON lines, and a picture of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from csl_plugin.errors import FileError
from csl_plugin.io import atomic_path
from csl_plugin.io.json_files import parse_json
from csl_plugin.io.json_schema import Place, integer, number, table
from csl_plugin.io.limits import check_file
from csl_plugin.training.log_picture import log_svg

_DIGITS = 6
_LONGEST_LINE = 1 << 16

_STEPS = re.compile(rb'\{"step": [^{}]*\}')
_STEP = integer(0, 10**9)
_VALUES = table(number(-1e300, 1e300))


class TrainingLog:
    """OUT/log.jsonl, one JSON object per step, and OUT/log.svg.

    What is no step, such as a line that a full disk cut off, is passed over.

    Args:
        out: The job's folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     log = TrainingLog(Path(folder))
        ...     log.add(1, {"loss": 2.5})
        ...     log.read()
        [{'step': 1, 'loss': 2.5}]
    """

    def __init__(self, out: Path) -> None:
        self._lines, self._picture = out / "log.jsonl", out / "log.svg"

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Append a step; values that are not finite are omitted.

        Raises:
            FileError: The file cannot be written.
        """
        finite = {
            name: float(f"{value:.{_DIGITS}g}") for name, value in values.items() if math.isfinite(value)
        }
        line = json.dumps({"step": step, **finite}) + "\n"
        try:
            self._lines.parent.mkdir(parents=True, exist_ok=True)
            with self._lines.open("a", encoding="utf-8") as log:
                log.write(line)
        except OSError as error:
            got, hint = error.strerror or str(error), "Make room, then continue with the same command."
            raise FileError(str(self._lines), got, "a writable file", hint) from error

    def read(self) -> list[dict[str, float]]:
        """The steps so far.

        Raises:
            FileError: The log is no regular file, or cannot be read.
        """
        return [values for values, _ in self._steps()]

    def cut(self, step: int) -> None:
        """Remove the steps after `step`, because they are repeated, and what is no step.

        Raises:
            FileError: The log is no regular file, or cannot be read or written.
        """
        with atomic_path(self._lines) as temporary, temporary.open("wb") as kept:
            for values, line in self._steps():
                if values["step"] <= step:
                    kept.write(line)

    def draw(self) -> None:
        """Draw the steps so far.

        Raises:
            FileError: The picture cannot be written.
        """
        with atomic_path(self._picture) as temporary:
            temporary.write_text(log_svg(self.read()), encoding="utf-8")

    def _steps(self) -> Iterator[tuple[dict[str, float], bytes]]:
        """The values of each step, and its line."""
        if not self._lines.exists():
            return
        check_file(self._lines)
        try:
            with self._lines.open("rb") as log:
                within = False  # a line that is longer than any step's
                while line := log.readline(_LONGEST_LINE):
                    if not within:
                        yield from _steps_in(line)
                    within = not line.endswith(b"\n")
        except OSError as error:
            got = error.strerror or str(error)
            raise FileError(str(self._lines), got, "a readable file", "Check its permissions.") from error


def _steps_in(line: bytes) -> Iterator[tuple[dict[str, float], bytes]]:
    """The step of a line; of a damaged line, every step that is whole."""
    whole = line.strip()
    for written in (whole,) if _step(whole) else _STEPS.findall(whole):
        if values := _step(written):
            yield values, written + b"\n"


def _step(written: bytes) -> dict[str, float] | None:
    """The values of a step; None for anything else."""
    place = Place("log.jsonl")
    try:
        values = parse_json(written, str(place), "a step")
        return {**_VALUES(values, place), "step": _STEP(values.get("step"), place)}
    except FileError:
        return None
