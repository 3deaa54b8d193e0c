"""The blocks of a page of the documentation, run in their order as a reader would.

A block of Python runs, all blocks of a page in one namespace. A block below a line that ends in a file name
and a colon is written to that file; the entry points of a `pyproject.toml` are registered. A line of a shell
block that begins with `csl-plugin` runs where it can, and is parsed alone where words in capitals stand for
the reader's own files. A block of text right below another one is what that one prints.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import math
import re
import shlex
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from csl_plugin.cli import _parser, main

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"`([\w./-]+\.\w+)`:\s*\Z")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PLACEHOLDER = re.compile(r"[A-Z]{2,}")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        language: What stands behind the fence.
        text: The lines between the fences.
        file: The file that the line above names, if it does.
        answers: Whether only white space stands between this block and the one before.
    """

    language: str
    text: str
    file: str | None
    answers: bool


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in their order."""
    text, end, blocks = page.read_text(encoding="utf-8"), 0, []
    for match in _FENCE.finditer(text):
        between = text[end : match.start()]
        named = _FILE.search(between)
        blocks.append(Block(match[1], match[2], named and named[1], bool(blocks) and not between.strip()))
        end = match.end()
    return blocks


def commands_of(text: str) -> list[list[str]]:
    """The words of every call of csl-plugin in a shell block, without comments."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("csl-plugin ")]


def parse(words: list[str]) -> None:
    """Parse the words of a command, as the command line does."""
    _parser().parsed(words)


def run_page(page: Path, folder: Path, names: dict[str, Any] | None = None) -> dict[str, Any]:
    """Run a page in a folder, which has to be the current one; returns the namespace of its Python."""
    names, printed = {} if names is None else names, ""
    with _importable(folder):
        for block in blocks_of(page):
            if block.language == "text":
                if block.answers:
                    check_same(printed, block.text, page)
            elif block.file is not None:
                _write(folder / block.file, block.text)
                if block.file == "pyproject.toml":
                    _register(folder, block.text)
            elif block.language in ("python", "sh"):
                with contextlib.redirect_stdout(io.StringIO()) as stream:
                    _run(block, page, names)
                printed = stream.getvalue()
    return names


def check_same(printed: str, shown: str, page: Path) -> None:
    """Compare what was printed with what a page shows; numbers may differ by 5 %, as processors do."""
    got, expected = (_NUMBER.sub("#", " ".join(text.split())) for text in (printed, shown))
    assert got == expected, f"{page.name} shows\n{shown}and prints\n{printed}"
    for one, other in zip(_NUMBER.findall(printed), _NUMBER.findall(shown), strict=True):
        assert math.isclose(float(one), float(other), rel_tol=0.05, abs_tol=0.02), (page.name, one, other)


def _run(block: Block, page: Path, names: dict[str, Any]) -> None:
    if block.language == "python":
        exec(compile(block.text, str(page), "exec"), names)
        return
    for words in commands_of(block.text):
        if any(_PLACEHOLDER.search(word) for word in words):
            parse(words)
        else:
            assert main(words) == 0, words


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    importlib.invalidate_caches()


def _register(folder: Path, project: str) -> None:
    values = tomllib.loads(project)["project"]
    info = folder / f"{values['name'].replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {values['name']}\nVersion: 1.0\n")
    lines = [
        "\n".join([f"[{group}]", *(f"{name} = {value}" for name, value in points.items()), ""])
        for group, points in values["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))


@contextlib.contextmanager
def _importable(folder: Path) -> Any:
    """Modules that the page writes can be imported, and are forgotten afterwards."""
    known, path = set(sys.modules), list(sys.path)
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - known:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(folder):
                del sys.modules[name]
