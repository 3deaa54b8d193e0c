"""What a run wrote down: a line of figures a step, and a picture of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from csl_plugin.io import atomic_path
from csl_plugin.training.log_picture import log_svg

_DIGITS = 6


class RunLog:
    """The log of a run: OUT/log.jsonl, one JSON object a step, and OUT/log.svg.

    Args:
        out: The run's folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     log = RunLog(Path(folder))
        ...     log.add(1, {"loss": 2.5})
        ...     log.read()
        [{'step': 1, 'loss': 2.5}]
    """

    def __init__(self, out: Path) -> None:
        self._lines, self._picture = out / "log.jsonl", out / "log.svg"

    def add(self, step: int, figures: Mapping[str, float]) -> None:
        """Write down a step; a figure that is no finite number is left out."""
        known = {
            name: float(f"{value:.{_DIGITS}g}") for name, value in figures.items() if math.isfinite(value)
        }
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        with self._lines.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": step, **known}) + "\n")

    def read(self) -> list[dict[str, float]]:
        """The steps so far; a line that was cut short is left out."""
        if not self._lines.is_file():
            return []
        found = []
        for line in self._lines.read_text(encoding="utf-8").splitlines():
            try:
                values = json.loads(line)
            except ValueError:
                continue
            if isinstance(values, dict) and isinstance(values.get("step"), int):
                found.append(values)
        return found

    def cut(self, step: int) -> None:
        """Drop what was written after a step: those steps are done again."""
        if self._lines.is_file():
            kept = [values for values in self.read() if values["step"] <= step]
            with atomic_path(self._lines) as temporary:
                temporary.write_text("".join(json.dumps(values) + "\n" for values in kept), encoding="utf-8")

    def draw(self) -> None:
        """Draw all steps so far."""
        with atomic_path(self._picture) as temporary:
            temporary.write_text(log_svg(self.read()), encoding="utf-8")
