"""The documentation names files, modules and links that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
_SKIPPED = {".venv", "build", "dist", "node_modules"}
PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part in _SKIPPED or part.startswith(".") for part in path.relative_to(ROOT).parts[:-1])
)
PRESENT = [page for page in PAGES if page.name != "CHANGELOG.md"]  # which also has the names of the past
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)(?:\s+\"[^\"]*\")?\)")
_HTML = re.compile(r"(?:src|href)=\"([^\"]+)\"")
_MODULE = re.compile(r"\b(?:csl_plugin|benchmarks|examples)(?:\.\w+)+")
_PATH = re.compile(r"\b(?:csl_plugin|benchmarks|examples|tests|docs)/[\w./-]*[\w/]")


def _id(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _without_code(text: str) -> str:
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def _anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_every_relative_link_resolves(page):
    text = _without_code(page.read_text(encoding="utf-8"))
    for link in [*_LINK.findall(text), *_HTML.findall(text)]:
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = unquote(link).partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        assert ROOT in (target, *target.parents), f"{link} leaves the repository"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target), link


def _found(name: str) -> bool:
    """Whether a dotted name is a module, or an attribute of one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError as error:
            if error.name is None or not name.startswith(error.name):
                raise
            continue
        for attribute in parts[count:]:
            if not hasattr(found, attribute):
                return False
            found = getattr(found, attribute)
        return True
    return False


@pytest.mark.parametrize("page", PRESENT, ids=_id)
def test_every_named_module_exists(page):
    text = page.read_text(encoding="utf-8")
    names = {name for name in _MODULE.findall(text) if not name.endswith(".py")}
    assert not [name for name in sorted(names) if not _found(name)]


@pytest.mark.parametrize("page", PRESENT, ids=_id)
def test_every_named_path_exists(page):
    text = re.sub(r"https?://\S+", "", page.read_text(encoding="utf-8"))
    assert not [path for path in sorted(set(_PATH.findall(text))) if not (ROOT / path).exists()]


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    linked = {(ROOT / "docs" / link).resolve() for link in _LINK.findall(index)}
    pages = {page for page in PAGES if page.parent.name in ("guide", "howto", "results", "tasks")}
    assert not sorted(_id(page) for page in pages - linked)


def test_every_decision_is_in_its_index():
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    decisions = sorted(path for path in folder.glob("*.md") if path.name != "README.md")
    assert [path.name[:4] for path in decisions] == [
        f"{number:04d}" for number in range(1, len(decisions) + 1)
    ]
    for number, path in enumerate(decisions, 1):
        title, status, *rest = path.read_text(encoding="utf-8").split("\n\n")
        assert title.startswith(f"# {number}. ")
        assert status.startswith("Status: ")
        assert [block for block in rest if block.startswith("## ")] == [
            "## Context",
            "## Decision",
            "## Consequences",
        ]
        assert f"| {number} | [{title.partition('. ')[2]}]({path.name}) |" in index


def test_generated_pages_name_their_command():
    docs = ROOT / "docs"
    generated = [docs / "guide" / "adapters.md", docs / "guide" / "hub.md", *(docs / "results").glob("*.md")]
    for page in generated:
        title, first, *_ = page.read_text(encoding="utf-8").split("\n\n")
        assert title.startswith("# ")
        assert first.startswith("Written by "), page
