"""The meaning of stored label values: a table from them to evaluation ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError

VOID = 255
"""The evaluation id of pixels that do not count."""
_STORABLE = 1 << 16
_UNKNOWN = -1


@dataclass(frozen=True)
class IdTable:
    """Evaluation ids by stored value.

    Args:
        values: The evaluation id, 0 to 255, of each known value, 0 to 65535.
        rest: The evaluation id of all other values; None if another value is an error.
        hint: How to fix that error, a sentence.

    Example:
        >>> IdTable({7: 0, 8: 1}, rest=255).decode(Path("a.png"), np.array([[8, 7, 0]], np.uint8))
        array([[  1,   0, 255]], dtype=uint8)
    """

    values: Mapping[int, int]
    rest: int | None = None
    hint: str = "Check that the file belongs to this data set and was not converted."

    @cached_property
    def _lookup(self) -> NDArray[np.int16]:
        lookup = np.full(_STORABLE, _UNKNOWN if self.rest is None else self.rest, np.int16)
        lookup[list(self.values)] = list(self.values.values())
        return lookup

    def decode(self, path: Path, stored: NDArray[Any]) -> NDArray[np.uint8]:
        """Evaluation ids of stored labels.

        Args:
            path: Their file, for the error.
            stored: (H, W) uint8 or uint16.

        Raises:
            FileError: A value that is not in the table.
        """
        ids = self._lookup[stored]
        if self.rest is None and (ids == _UNKNOWN).any():
            strange = int(stored[ids == _UNKNOWN].min())
            known = sorted(self.values)
            listed = ", ".join(map(str, known[:6])) + (f", ... {known[-1]}" if len(known) > 6 else "")
            raise FileError(str(path), f"the label value {strange}", f"the values {listed}", self.hint)
        return np.asarray(ids, np.uint8)


ANOMALY_IDS = IdTable({0: 0, 1: 1, VOID: VOID})
"""Labels stored in evaluation ids: 0 normal, 1 anomaly, 255 void."""
