"""What a command says at its end: one JSON object, or lines of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SUCCESS, FAILED, USAGE_ERROR, INTERRUPTED = 0, 1, 2, 130


@dataclass(frozen=True)
class Answer:
    """The answer of a command; it prints nothing on stdout itself.

    Args:
        exit_code: 0 success, 1 some files failed, 2 wrong usage, 130 stopped by Ctrl-C.
        facts: The JSON object, to which the exit code is added; without any, nothing is printed.
        lines: The text.
        of_shard: Whether it is of a shard. Of all others the first process that torchrun started gives one.
    """

    exit_code: int
    facts: Mapping[str, Any]
    lines: Sequence[str] = ()
    of_shard: bool = False
