"""What every page of docs is made by: the frames it is of, and how it is printed and stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from csl_plugin.io import atomic_path


def frame_slice(text: str) -> slice:
    """Frames as the command line names them: "1::2" is every other one, from the second on."""
    return slice(*(int(number) if number else None for number in text.split(":")))


def publish(lines: Sequence[str], folder: Path | None, name: str) -> None:
    """Print a page, and store it as FOLDER/name where there is a folder."""
    text = "\n".join(lines)
    print(text)
    if folder:
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
