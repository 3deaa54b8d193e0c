"""The command line of a page, and how the page is stored."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from csl_plugin.io import atomic_path

_FRAMES = "slice of the frames, such as 1::2"
_HELP = {
    "teacher": "folder that examples/train_segmenter.py wrote",
    "work": "folder of the trained networks; those that it holds are not trained again",
    "frames": f"{_FRAMES} (%(default)s)",
    "steps": "of each training (%(default)s)",
    "draws": "of the bootstrap (%(default)s)",
    "rounds": "of the timing (%(default)s)",
}


def page_parser(description: str | None, **options: Any) -> argparse.ArgumentParser:
    """The parser of a page's command line, with --data and --out.

    Args:
        description: The module's docstring.
        **options: Names of `_HELP` with their defaults; a default that is a type makes the option required.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    for name, default in options.items():
        required = isinstance(default, type)
        kind = default if required else type(default)
        parser.add_argument(
            f"--{name}", type=kind, required=required, default=None if required else default, help=_HELP[name]
        )
    parser.add_argument("--out", type=Path, help="folder of the page; if omitted, it is only printed")
    return parser


def frame_slice(text: str) -> slice:
    """The frames that a command line names: "1::2" is every other one, from the second on."""
    return slice(*(int(number) if number else None for number in text.split(":")))


def publish(lines: Sequence[str], folder: Path | None, name: str) -> None:
    """Print a page, and store it as FOLDER/name where a folder is given."""
    text = "\n".join(lines)
    print(text)
    if folder:
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
