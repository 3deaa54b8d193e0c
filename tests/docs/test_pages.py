"""The pages by hand run as they stand: quickstart, concepts, tasks and how-tos; every command parses."""

from __future__ import annotations

import shutil
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest

from csl_plugin.cli.arguments import UsageError
from csl_plugin.demo import STREET_SEED, draw_street
from tests.helpers.pages import blocks_of, check_same, commands_of, parse, run_page

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
BY_HAND = [DOCS / "quickstart.md", DOCS / "concepts.md", *DOCS.glob("tasks/*.md"), *DOCS.glob("howto/*.md")]
RUN = sorted(page for page in BY_HAND if any(block.language in ("python", "sh") for block in blocks_of(page)))
LONG = {"quickstart.md", "add-a-data-set.md", "train-regions.md"}  # whole jobs and trainings
PARAMETERS = [
    pytest.param(page, id=str(page.relative_to(DOCS)), marks=[pytest.mark.slow] * (page.name in LONG))
    for page in RUN
]
ALL = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])


@pytest.mark.parametrize("page", PARAMETERS)
def test_the_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(ROOT / "csl_plugin/app/chelsea.jpg", tmp_path / "photo.jpg")  # the reader's own
    names = run_page(page, tmp_path)
    if page.name in ("quickstart.md", "find-objects.md"):
        found = names["objects" if page.name == "quickstart.md" else "found"]
        street = names["street"] if "street" in names else draw_street(STREET_SEED)
        truth = street.unseen
        assert truth[found.label_map() > 0].mean() > 0.5


def test_every_command_of_every_page_parses():
    count = 0
    for page in ALL:
        lines = page.read_text(encoding="utf-8").replace("\\\n", " ").splitlines()
        synopses = ("[--", "(--")  # which show what may be left out, and are no calls
        text = "\n".join(line.strip() for line in lines if not any(mark in line for mark in synopses))
        for words in commands_of(text):
            with redirect_stderr(StringIO()) as said:
                try:
                    parse(words)
                except UsageError:
                    pytest.fail(f"{page.name}: {words}: {said.getvalue()}")
            count += 1
    assert count > 60


def test_what_a_page_shows_is_what_it_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = tmp_path / "page.md"
    block = "```python\nprint('AP', 0.5, 12)\n```\n\n```text\n{}\n```\n"
    page.write_text(block.format("AP 0.51  12"))
    run_page(page, tmp_path)
    for other in ("AP 0.6 12", "AP 0.5", "AUROC 0.5 12"):
        page.write_text(block.format(other))
        with pytest.raises(AssertionError):
            run_page(page, tmp_path)
    with pytest.raises(AssertionError, match="shows"):
        check_same("1", "one", page)
