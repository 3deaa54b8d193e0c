"""The log of a training: losses and metrics of every step as JSON lines, and a picture of them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path

from csl_plugin.io import atomic_path
from csl_plugin.training.log_picture import log_svg

_DIGITS = 6


class TrainingLog:
    """OUT/log.jsonl, one JSON object per step, and OUT/log.svg.

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
        """Append a step; values that are not finite are omitted."""
        finite = {
            name: float(f"{value:.{_DIGITS}g}") for name, value in values.items() if math.isfinite(value)
        }
        self._lines.parent.mkdir(parents=True, exist_ok=True)
        with self._lines.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"step": step, **finite}) + "\n")

    def read(self) -> list[dict[str, float]]:
        """The steps so far; incomplete lines are skipped."""
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
        """Remove the steps after `step`, because they are repeated."""
        if self._lines.is_file():
            kept = [values for values in self.read() if values["step"] <= step]
            with atomic_path(self._lines) as temporary:
                temporary.write_text("".join(json.dumps(values) + "\n" for values in kept), encoding="utf-8")

    def draw(self) -> None:
        """Draw the steps so far."""
        with atomic_path(self._picture) as temporary:
            temporary.write_text(log_svg(self.read()), encoding="utf-8")
