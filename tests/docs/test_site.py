"""The site has a page for every public module, every page is in its navigation, and its links have a form."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import csl_plugin
from tests.test_structure import SURFACE

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INTERNAL = {"csl_plugin.ops", "csl_plugin.cli", "csl_plugin.distributed"}
ROOT_PAGE = "index"
SITE = sorted(
    path.relative_to(DOCS).with_suffix("").as_posix()
    for path in [*DOCS.rglob("*.md"), *DOCS.rglob("*.ipynb")]
    if "_build" not in path.parts and path != DOCS / "README.md"
)


def _text(page):
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def _public_modules():
    names = [item.name for item in pkgutil.iter_modules(csl_plugin.__path__) if item.name[0] != "_"]
    places = {f"csl_plugin.{name}" for name in names}
    with_names = {place for place in places if hasattr(importlib.import_module(place), "__all__")}
    return (with_names | set(SURFACE)) - INTERNAL - {"csl_plugin"}


def test_every_public_module_has_a_page():
    pages = {page.removeprefix("api/") for page in SITE if page.startswith("api/")} - {"index"}
    assert {f"csl_plugin.{page}" for page in pages} == _public_modules()
    for page in pages:
        assert f"```{{public-names}} csl_plugin.{page}\n" in _text(f"api/{page}")


def _listed(page):
    """The pages that the toctrees of a page list, and the entries that no page matches."""
    here = page.rpartition("/")[0]
    found, unmatched = set(), []
    for options, entries in re.findall(r"```\{toctree\}\n((?::[^\n]*\n)*)\n(.*?)```", _text(page), re.DOTALL):
        for entry in entries.split("\n"):
            target = re.sub(r"^.*<(.*)>$", r"\1", entry.strip())
            if not target or re.match(r"https?:", target):
                continue
            place = f"{here}/{target}" if here else target
            if ":glob:" in options and "*" in target:
                folder = place.rpartition("/")[0]
                matched = {
                    name for name in SITE if fnmatch(name, place) and name.rpartition("/")[0] == folder
                }
            else:
                matched = {place} & set(SITE)
            found |= matched - {page}
            unmatched += [] if matched else [entry]
    return found, unmatched


def test_every_page_is_in_the_navigation():
    reached, waiting, unmatched = {ROOT_PAGE}, [ROOT_PAGE], []
    while waiting:
        page = waiting.pop()
        if not (DOCS / f"{page}.md").exists():
            continue  # a notebook lists nothing
        found, missing = _listed(page)
        waiting += found - reached
        reached |= found
        unmatched += missing
    assert unmatched == []
    decisions = {page for page in SITE if page.startswith("adr/0")}  # listed by docs/_extensions
    orphans = {page for page in SITE if (DOCS / f"{page}.md").exists() and "\norphan: true\n" in _text(page)}
    assert orphans == {"404"}
    assert set(SITE) - reached - decisions - orphans == set()


@pytest.mark.parametrize("page", [page for page in SITE if (DOCS / f"{page}.md").exists()])
def test_addresses_have_a_form(page):
    for address in re.findall(r"\]\((https?:[^)\s]+)\)|<(https?:[^>\s]+)>", _text(page)):
        parts = urlsplit(address[0] or address[1])
        assert parts.scheme == "https", address
        assert re.fullmatch(r"([\w-]+\.)+[a-z]{2,}", parts.netloc), address


def test_the_first_page_says_what_the_readme_says():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(python|sh)\n(.*?)```", _text("index"), re.DOTALL)
    assert [kind for kind, _ in blocks].count("python") == 1
    for _, block in blocks:
        for line in block.splitlines():
            assert line in readme.splitlines()


def test_the_site_is_built_by_what_pyproject_declares():
    settings = (DOCS / "conf.py").read_text(encoding="utf-8")
    extensions = re.search(r"^extensions = \[(.*?)^\]", settings, re.DOTALL | re.MULTILINE)[1]
    outside = {
        name.replace("_", "-")
        for name in re.findall(r'"([\w.]+)"', extensions)
        if not name.startswith("sphinx.") and not (DOCS / "_extensions" / f"{name}.py").exists()
    }
    theme = re.search(r'^html_theme = "(\w+)"', settings, re.MULTILINE)[1]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.match(r"[\w-]+", item)[0] for item in project["optional-dependencies"]["docs"]}
    assert declared == outside | {theme, "sphinx"}


@pytest.fixture
def broken_links():
    spec = importlib.util.spec_from_file_location("check_site", DOCS / "check_site.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.broken_links


def test_a_link_that_leads_nowhere_is_named(tmp_path, broken_links):
    (tmp_path / "guide").mkdir()
    (tmp_path / "guide" / "a b.html").write_text('<p id="here"><a href="../index.html#there">x</a></p>')
    good = '<h1 id="there">x</h1><a href="guide/a%20b.html#here">x</a><a href="https://example.org">x</a>'
    (tmp_path / "index.html").write_text(good + '<a href="#">x</a><img src="picture.png">')
    (tmp_path / "picture.png").write_bytes(b"")
    assert broken_links(tmp_path) == []
    (tmp_path / "index.html").write_text(good.replace("there", "else") + '<img src="gone.png">')
    assert broken_links(tmp_path) == ["guide/a b.html: ../index.html#there", "index.html: gone.png"]
