"""The result on disk: result.json, result.md, and report.html, a self-contained page."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np

from csl_plugin.evaluation.report.curves import curve_svg, reliability_svg
from csl_plugin.evaluation.report.inline_picture import InlinePicture
from csl_plugin.evaluation.report.tables import (
    Cell,
    Row,
    Table,
    flat_settings,
    markdown,
    notes,
    per_cent,
    signed,
    tables,
    verdict,
)
from csl_plugin.evaluation.result import FrameChange, Result
from csl_plugin.io import atomic_path
from csl_plugin.viz.colors import class_colors

_SHOWN = 3


def result_files(out: Path) -> list[Path]:
    """The files that `write_report` writes."""
    return [out / name for name in ("result.json", "result.md", "report.html")]


def write_report(out: Path, result: Result, pictures: Mapping[str, Sequence[InlinePicture]]) -> None:
    """Write the three files of a result.

    Args:
        out: The output folder.
        result: The result.
        pictures: Of the frames that `best_and_worst` selects, by name.

    Raises:
        FileError: The folder cannot be written.
    """
    texts = (
        json.dumps(result.as_json(), indent=1, allow_nan=False) + "\n",
        markdown(result),
        page(result, pictures),
    )
    for path, text in zip(result_files(out), texts, strict=True):
        with atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def best_and_worst(changes: Sequence[FrameChange]) -> tuple[list[FrameChange], list[FrameChange]]:
    """The three best and the three worst frames, none twice; the best have priority.

    Args:
        changes: In falling order of the change, as in `Result`.

    Example:
        >>> frames = [FrameChange(name, 0.0, change) for name, change in zip("abcd", (0.3, 0.2, 0.1, 0.0))]
        >>> [[frame.name for frame in group] for group in best_and_worst(frames)]
        [['a', 'b'], ['d', 'c']]
    """
    best = list(changes[: min(_SHOWN, (len(changes) + 1) // 2)])
    rest = changes[len(best) :]
    return best, list(reversed(rest[-_SHOWN:]))


def page(result: Result, pictures: Mapping[str, Sequence[InlinePicture]]) -> str:
    """The HTML page; names and settings are escaped, and nothing outside the page is loaded."""
    style = files("csl_plugin.evaluation.report").joinpath("report.css").read_text(encoding="utf-8")
    title = result.title
    body = [
        f'<header><p class="kicker">{escape(_kicker(result))}</p><h1>{escape(title)}</h1>'
        f'<p class="verdict">{escape(verdict(result))}</p></header>',
        _values(result),
        _curves(result),
        _reliability(result),
        _frames(result, pictures),
        _classes(result),
        _settings(result),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{style}</style></head>\n<body>\n"
        + "\n".join(part for part in body if part)
        + "\n</body></html>\n"
    )


def _kicker(result: Result) -> str:
    frames = f"{result.subset}, {result.num_frames} frame{'s' * (result.num_frames != 1)}"
    if result.task == "regions":
        return f"Region proposals by majority vote: {frames}"
    return f"{result.method}, before and after fusion with the regions of each image: {frames}"


def _values(result: Result) -> str:
    found = tables(result)
    if not found:
        return ""
    parts = ["<h2>Metrics</h2>", f'<p class="note">{escape(notes(result))}</p>']
    parts += [f'<p class="note">{escape(warning)}</p>' for warning in result.warnings]
    parts += [
        f'<p class="caption">{escape(table.title)}</p><div class="scroll">{_table(table)}</div>'
        for table in found
    ]
    return "".join(parts)


def _table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows, before_published = [], True
    for row in table.rows:
        kinds = {"+CSL": "csl", "regions": "csl"}.get(row.name, "") if not row.published else "published"
        if row.published and before_published:
            kinds, before_published = "published first-published", False
        rows.append(_row(row, kinds))
    return f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _row(row: Row, kind: str, before: str = "") -> str:
    cells = "".join(_cell(cell) for cell in row.cells)
    return f'<tr class="{kind}"><th scope="row">{before}{escape(row.name)}</th>{cells}</tr>'


def _chip(index: int) -> str:
    red, green, blue = class_colors(np.array([[index]]))[0, 0].tolist()
    return f'<span class="chip" style="background:rgb({red},{green},{blue})"></span>'


def _cell(cell: Cell) -> str:
    kind = {True: ' class="good"', False: ' class="bad"', None: ""}[cell.good]
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    return f"<td{kind}>{escape(cell.text)}{note}</td>"


def _curves(result: Result) -> str:
    if not result.curves:
        return ""
    names = {"base": result.method, "csl": "+CSL"}
    own = result.protocols[0]
    marks = {"base": f"AP {per_cent(own.base['ap'])}", "csl": f"AP {per_cent(own.csl['ap'])}"}
    curves = {side: (names[side], curve) for side, curve in result.curves.items()}
    return f"<h2>Precision and recall</h2>{curve_svg(curves, marks)}"


def _reliability(result: Result) -> str:
    if not result.reliability:
        return ""
    names = {"base": result.method, "csl": "+CSL"}
    marks = {side: f"ECE {per_cent(curve.ece)}" for side, curve in result.reliability.items()}
    curves = {side: (names[side], curve) for side, curve in result.reliability.items()}
    note = (
        "The score as the probability of anomaly, in 15 bins of equal width; a dot is a bin with pixels. On "
        "the straight line 30 of 100 pixels with a score of 0.3 are anomalous; below it scores are too high. "
        "The expected calibration error (ECE) weighs the bins by their pixels."
    )
    return f'<h2>Reliability</h2><p class="note">{note}</p>{reliability_svg(curves, marks)}'


def _frames(result: Result, pictures: Mapping[str, Sequence[InlinePicture]]) -> str:
    best, worst = best_and_worst(result.changes)
    regions = result.task == "regions"
    metric = "AP" if result.task == "anomaly" else "mIoU"
    titles = ("Best frames", "Worst frames") if regions else ("Most gained", "Least gained, or lost")
    parts = []
    for title, changes in zip(titles, (best, worst), strict=True):
        if changes:
            parts.append(f"<h2>{title}</h2>")
            parts.append(f'<p class="note">{escape(_frames_note(result))}</p>' if title == titles[0] else "")
        for change in changes:
            numbers = f"{metric} {per_cent(change.csl, 1)}"
            if not regions:
                numbers = (
                    f"{metric} {per_cent(change.base, 1)} to {per_cent(change.csl, 1)} "
                    f"({signed(change.change, 1)})"
                )
            parts.append(_frame(change.name, numbers, pictures.get(change.name, [])))
    return "".join(parts)


def _frames_note(result: Result) -> str:
    if result.task == "anomaly":
        return (
            "By the AP of the single frame. In the label, amber is anomalous, dark is normal, light is not "
            "evaluated; in the scores, brighter is more anomalous."
        )
    return (
        "By the mIoU of the single frame over the classes in it. The table below shows their colors; "
        "gray is not evaluated."
    )


def _frame(name: str, numbers: str, pictures: Sequence[InlinePicture]) -> str:
    panels = "".join(
        f'<figure><img src="{picture.uri}" width="{picture.width}" height="{picture.height}" '
        f'alt="{escape(f"{name}: {picture.caption}")}">'
        f"<figcaption>{escape(picture.caption)}</figcaption></figure>"
        for picture in pictures
    )
    three = " three" if len(pictures) == 3 else ""
    return (
        f'<section class="frame"><h3>{escape(name)}<span>{escape(numbers)}</span></h3>'
        f'<div class="panels{three}">{panels}</div></section>'
    )


def _classes(result: Result) -> str:
    if not result.per_class:
        return ""
    rows = []
    for index, name in enumerate(result.classes):
        after = result.per_class["csl"][index]
        cells = [Cell(per_cent(after, 1))]
        if "base" in result.per_class:
            before = result.per_class["base"][index]
            good = None if not abs(after - before) >= 5e-4 else after > before
            cells = [Cell(per_cent(before, 1)), *cells, Cell(signed(after - before, 1), good=good)]
        rows.append(_row(Row(name, tuple(cells)), "", _chip(index)))
    head = ("base", "+CSL", "change") if "base" in result.per_class else ("IoU",)
    columns = "".join(f'<th scope="col">{name}</th>' for name in head)
    middle = (len(rows) + 1) // 2
    halves = "".join(
        f"<table><thead><tr><th></th>{columns}</tr></thead><tbody>{''.join(half)}</tbody></table>"
        for half in (rows[:middle], rows[middle:])
        if half
    )
    return f'<h2>IoU of each class</h2><div class="classes">{halves}</div>'


def _settings(result: Result) -> str:
    rows = flat_settings([*result.settings.items(), *result.outputs.items()])
    entries = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in rows)
    return f"<h2>Settings</h2><dl>{entries}</dl>"
