"""The cards of the bundled networks: read as the Hub reads them, with the figures of the page of results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

import csl_plugin
from csl_plugin.proposers.bundled import BUNDLED

ROOT = Path(__file__).parents[2]
WEIGHTS = Path(csl_plugin.__file__).parent / "weights"
PAGE = ROOT / "docs/results/anomaly.md"
ROWS = {
    "csl-tiny": "**the default**",
    "csl-tiny-strict": "the default with csl-tiny-strict",
    "csl-tiny-open": "the default with csl-tiny-open",
}
BASE = "base score"
SCORES = ("msp", "entropy", "max_logit", "energy", "sml")


@pytest.fixture(params=sorted(BUNDLED))
def name(request) -> str:
    return request.param


@pytest.fixture
def card(name) -> ModelCard:
    return ModelCard.load(WEIGHTS / name / "README.md")


def rows(heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading of the page, without marks of emphasis."""
    section = PAGE.read_text(encoding="utf-8").partition(heading)[2].partition("\n#")[0]
    lines = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("|")]
    return {first: [cell.replace("*", "").strip() for cell in cells] for first, *cells in lines}


def measured(set_name: str, segmenter: str, score: str, row: str) -> tuple[str, str]:
    """AP and FPR95 of a row of the page."""
    found = rows(f"### {set_name} val, {segmenter}, ")
    cells = found.get(row) or found[row.strip("*")]
    ap, fpr95, _ = cells[SCORES.index(score)].split(" / ")
    return ap, fpr95


def table_of(card: ModelCard) -> list[list[str]]:
    text = card.text.partition("## Figures on real sets")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_card_says_what_the_hub_asks(name, card):
    data = card.data
    assert (data.library_name, data.pipeline_tag, data.model_name) == (
        "csl-plugin",
        "image-segmentation",
        name,
    )
    assert "region-proposals" in data.tags
    if data.license == "other":
        assert re.fullmatch(r"[a-z0-9-]+", data["license_name"])
        assert (WEIGHTS / name / data["license_link"]).is_file()
    else:
        assert (data.license, data["license_link"]) == ("cc0-1.0", None)
    assert {place.rsplit("/", 4)[1] for place in (data["thumbnail"], data["widget"][0]["src"])} == {name}
    for part in ("## Load it", "## Training", "## License", "## Limits", "## Citation"):
        assert part in card.text


def test_the_terms_name_the_data_of_the_recipe(name, card):
    recipe = (WEIGHTS / name / "recipe.json").read_text(encoding="utf-8")
    used = [data for data in ("camvid", "bsds500") if f'"{data}"' in recipe]
    assert (card.data.datasets or []) == used
    if used:
        terms = (WEIGHTS / name / "LICENSE.md").read_text(encoding="utf-8").lower()
        assert [data for data in ("camvid", "bsds500") if data in terms] == used


def test_the_table_of_a_card_is_that_of_the_results(name, card):
    *sets, mean = table_of(card)
    assert len(sets) == 4
    for set_name, scored, *changes in sets:
        segmenter, score = scored.split(", ")
        before = measured(set_name, segmenter, score, BASE)
        after = measured(set_name, segmenter, score, ROWS[name])
        assert changes == [f"{old} to {new}" for old, new in zip(before, after, strict=True)]
    found = rows("## In short: real sets")
    base, own = found[BASE], found[ROWS[name]]
    assert mean[2:] == [f"{base[0]} to {own[0]}", f"{base[2]} to {own[2]}"]
    worse = [cell.partition(" of ")[0] for cell in (own[1], own[3])]
    assert f"AP falls in {worse[0]} of the 23 cases, and FPR95 rises in {worse[1]}." in card.text


def test_the_set_and_the_score_are_the_best_as_they_come(card):
    """What the card says of its choice: of each set the highest AP without regions."""
    for set_name, scored, *_ in table_of(card)[:-1]:
        aps = {
            f"{segmenter}, {score}": float(measured(set_name, segmenter, score, BASE)[0])
            for segmenter in ("fddwnet", "espnetv2")
            for score in SCORES
        }
        assert max(aps, key=aps.get) == scored


def test_the_figures_of_the_front_matter_are_those_of_the_table(card):
    found = {}
    for result in card.data.eval_results:
        assert result.source_url.endswith("docs/results/anomaly.md")
        score, segmenter, before = re.search(
            r", (\w+) of (\w+), ([\d.]+) without", result.metric_name
        ).groups()
        found.setdefault((result.dataset_name, f"{segmenter}, {score}"), []).append(
            f"{before} to {result.metric_value}"
        )
    assert [[*key, *changes] for key, changes in found.items()] == table_of(card)[:-1]


def test_the_snippet_runs(card):
    code = re.search(r"```python\n(.*?)```", card.text, re.DOTALL)[1]
    values = {}
    exec(code, values)
    assert values["fused"].shape == (96, 128)
