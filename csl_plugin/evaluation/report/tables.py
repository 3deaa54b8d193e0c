"""The values as tables in the paper's layout, in Markdown, and the text that both reports share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from csl_plugin.evaluation.protocols import LOWER_IS_BETTER
from csl_plugin.evaluation.result import ProtocolValues, Result
from csl_plugin.metrics import ObjectCounts

NAMES = {
    "ap": "AP",
    "auroc": "AUROC",
    "fpr95": "FPR95",
    "aupro_30": "AUPRO 0.3",
    "aupro_05": "AUPRO 0.05",
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "siou_gt": "sIoU gt",
    "ppv": "PPV",
    "mean_f1": "mean F1",
    "miou": "mIoU",
    "miou_seen": "mIoU(S)",
    "miou_unseen": "mIoU(U)",
    "hiou": "hIoU",
    "macc": "mACC",
    "pacc": "pACC",
    "fwiou": "fwIoU",
}
REGION_NAMES = {"miou_seen": "ID-mIoU", "miou_unseen": "OOD-mIoU"}
PROTOCOLS = {
    "smiyc": "All pixels of the set, in SegmentMeIfYouCan's bins",
    "pooled": "All pixels of the set, exact",
    "overlap": "Labeled regions by their overlap, up to a false positive rate of 0.3 and of 0.05, exact",
    "images": "Images by their largest score",
    "official": "Official: pixels binned, components at the best-F1 threshold of each side",
    "semantic": "All pixels of the set",
    "regions": "Majority vote of every region",
}
_PUBLISHED = "Published values"
_OBJECTS = "Objects at the oracle threshold: the best pixel F1 of each side, which takes the labels to know"
_CALIBRATION = "The score as the probability of anomaly: expected calibration error, in 15 bins"
_SAME = 5e-5
UNDEFINED, _MINUS = "not defined", "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Cell:
    """One value of a table row, in per cent.

    Args:
        text: As shown.
        note: In small print below it, such as an interval.
        good: Whether a change is an improvement; None if it is not a change.
    """

    text: str
    note: str = ""
    good: bool | None = None


@dataclass(frozen=True)
class Row:
    """A table row: its name and one cell per column."""

    name: str
    cells: tuple[Cell, ...]
    published: bool = False


@dataclass(frozen=True)
class Table:
    """The values of one protocol: columns, then base, fused, change and the paper's rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def per_cent(value: float, digits: int = 2) -> str:
    """A fraction in per cent.

    Example:
        >>> per_cent(0.12345), per_cent(float("nan"))
        ('12.35', 'not defined')
    """
    return f"{100 * value:.{digits}f}" if math.isfinite(value) else UNDEFINED


def signed(value: float, digits: int = 2) -> str:
    r"""A difference of fractions in points, with its sign.

    Example:
        >>> ascii([signed(0.0123), signed(-0.5), signed(0.0)])
        "['+1.23', '\\u221250.00', '0.00']"
    """
    if not math.isfinite(value):
        return UNDEFINED
    text = f"{100 * abs(value):.{digits}f}"
    return text if float(text) == 0 else f"{'+' if value > 0 else _MINUS}{text}"


def tables(result: Result) -> list[Table]:
    """A table for each protocol, with components beside the official pixel metrics as in the paper.

    The second of two protocols is omitted if they agree to 0.01. Published rows are in the first table, or in
    one of their own where nothing could be measured.
    """
    pixels = [found for found in result.protocols if found.protocol != "components"]
    shown: list[ProtocolValues] = []
    for values in pixels:
        if not any(_agree(values, other) for other in shown):
            shown.append(values)
    components = next((found for found in result.protocols if found.protocol == "components"), None)
    if components is not None and shown:
        first = shown[0]
        shown[0] = ProtocolValues(
            "official", first.base | components.base, first.csl | components.csl, first.intervals
        )
    if not shown and result.published_rows:
        return [_published_table(result)]
    found = [_table(result, values, published=values is shown[0]) for values in shown]
    return [*found, *_object_tables(result), *_calibration_tables(result)]


def markdown(result: Result) -> str:
    """The whole result as Markdown."""
    lines = [f"# {result.title}, {result.subset}", "", verdict(result), ""]
    for table in tables(result):
        lines += [f"## {table.title}", "", "| | " + " | ".join(table.columns) + " |"]
        lines.append("|---" * (len(table.columns) + 1) + "|")
        for row in table.rows:
            cells = [cell.text + (f" ({cell.note})" if cell.note else "") for cell in row.cells]
            lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
        lines.append("")
    lines += [notes(result), ""]
    if result.warnings:
        lines += ["## Warnings", "", *(f"- {warning}" for warning in result.warnings), ""]
    lines += ["## Settings", ""]
    lines += [f"- {name}: {_flat(value)}" for name, value in result.settings.items()]
    lines += [f"- {name}: {place}" for name, place in result.outputs.items()]
    return "\n".join(lines) + "\n"


def notes(result: Result) -> str:
    """What a reader must know about the values."""
    words = ["In per cent, but for numbers of objects." if result.objects else "In per cent."]
    published = result.num_published
    if published is not None and published != result.num_measured and result.num_measured:
        words.append(
            f"Not the published split: {result.num_measured} frames were measured, and it has {published}."
        )
    spans = [span for found in result.protocols for span in found.intervals.values()]
    if any(math.isfinite(low) for low, _ in spans):
        words.append("Beside a change: its 95 % interval, by bootstrap over the frames.")
    if result.task == "anomaly":
        lower = ["FPR95", *(["missed and false objects"] if result.objects else [])]
        lower += ["ECE"] if result.reliability else []
        words.append(f"The interval is that of the exact value. Lower is better only for {_listed(lower)}.")
    if any(row.table is not None for row in result.published_rows):
        words.append("The paper's rows are as printed, made with its own regions.")
    if any(row.table is None for row in result.published_rows):
        words.append("Rows of the leaderboard are as listed there.")
    return " ".join(words)


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if names[1:] else names)


def verdict(result: Result) -> str:
    """The result in one sentence."""
    if not result.num_measured or not result.protocols:
        return (
            f"The labels of this split are not public: the {result.num_frames} fused predictions are written "
            "for the official evaluator, and nothing can be compared here."
        )
    own = result.protocols[0]
    name = _main_metric(own)
    after = own.csl.get(name, math.nan)
    frames = f"{result.num_measured} frame{'s' * (result.num_measured != 1)}"
    if not math.isfinite(after):
        return f"Over {frames} {_name(own, name)} is not defined: the labels lack pixels that it needs."
    if not own.base:
        return f"Over {frames} the regions reach {_name(own, name)} {per_cent(after, 1)}."
    before = own.base.get(name, math.nan)
    if per_cent(before, 1) == per_cent(after, 1):
        return f"Over {frames} fusion leaves {_name(own, name)} at {per_cent(after, 1)}{_second(own, name)}."
    low, high = own.intervals.get(name, (math.nan, math.nan))
    span = f"95 % interval {signed(low, 1)} to {signed(high, 1)}"
    values = f"from {per_cent(before, 1)} to {per_cent(after, 1)} ({signed(after - before, 1)}"
    change = f"{_name(own, name)} {values}"
    if math.isfinite(low) and low <= 0 <= high:
        doubt = ", which these frames cannot tell from no change"
        return f"Over {frames} fusion changes {change}, {span}){doubt}{_second(own, name)}."
    verb = "raises" if after > before else "lowers"
    span = f", {span}" if math.isfinite(low) else ""
    return f"Over {frames} fusion {verb} {change}{span}){_second(own, name)}."


def _second(found: ProtocolValues, key: str) -> str:
    # One metric alone could hide a loss in the other.
    name = {"ap": "fpr95", "hiou": "miou"}.get(key, "")
    before, after = found.base.get(name, math.nan), found.csl.get(name, math.nan)
    if not (math.isfinite(before) and math.isfinite(after)):
        return ""
    change = f"{per_cent(before, 1)} to {per_cent(after, 1)} ({signed(after - before, 1)})"
    return f"; {_name(found, name)} goes from {change}"


def _main_metric(found: ProtocolValues) -> str:
    hiou = found.csl.get("hiou", math.nan)
    return "ap" if "ap" in found.csl else "hiou" if math.isfinite(hiou) and found.base else "miou"


def _table(result: Result, found: ProtocolValues, *, published: bool) -> Table:
    names = [name for name in found.csl if _known(found, name)] or list(found.csl)
    csl = Row("+CSL" if found.base else "regions", tuple(Cell(per_cent(found.csl[name])) for name in names))
    rows = [csl]
    if found.base:
        base = Row(result.method, tuple(Cell(per_cent(found.base[name])) for name in names))
        change = Row("change", tuple(_change(found, name) for name in names))
        rows = [base, csl, change]
    rows += _published(result, names) if published else []
    return Table(PROTOCOLS[found.protocol], tuple(_name(found, name) for name in names), tuple(rows))


def _object_tables(result: Result) -> list[Table]:
    if not result.objects:
        return []
    base, csl = (_numbers(result.objects[side], result.num_measured) for side in ("base", "csl"))
    changes = [after - before for before, after in zip(base, csl, strict=True)]
    better = (1, -1, -1, -1)  # more found is better, more of the others is worse
    cells = [
        Cell(_count(abs(change), change), good=change * sign > 0 if change else None)
        for change, sign in zip(changes, better, strict=True)
    ]
    rows = (
        Row(result.method, tuple(Cell(_count(number)) for number in base)),
        Row("+CSL", tuple(Cell(_count(number)) for number in csl)),
        Row("change", tuple(cells)),
    )
    return [Table(_OBJECTS, ("found", "missed", "false", "false per image"), rows)]


def _numbers(counts: ObjectCounts, frames: int) -> tuple[float, ...]:
    return counts.found, counts.missed, counts.false, counts.false / frames


def _count(number: float, change: float = 0) -> str:
    text = f"{number:.2f}" if isinstance(number, float) else str(number)
    return f"{'+' if change > 0 else _MINUS}{text}" if change else text


def _calibration_tables(result: Result) -> list[Table]:
    if not result.reliability:
        return []
    base, csl = (result.reliability[side].ece for side in ("base", "csl"))
    change = csl - base
    good = None if not abs(change) >= _SAME else change < 0
    rows = (
        Row(result.method, (Cell(per_cent(base)),)),
        Row("+CSL", (Cell(per_cent(csl)),)),
        Row("change", (Cell(signed(change), good=good),)),
    )
    return [Table(_CALIBRATION, ("ECE",), rows)]


def _published_table(result: Result) -> Table:
    found = {name for row in result.published_rows for name in (*row.base, *row.csl1, *row.csl2)}
    names = [name for name in NAMES if name in found]
    return Table(_PUBLISHED, tuple(NAMES[name] for name in names), tuple(_published(result, names)))


def _published(result: Result, names: Sequence[str]) -> list[Row]:
    rows = []
    for row in result.published_rows:
        versions = ((row.base, row.method), (row.csl1, "+CSL, scheme 1"), (row.csl2, "+CSL, scheme 2"))
        for values, label in versions:
            if any(name in values for name in names):
                cells = tuple(Cell(f"{values[name]:g}" if name in values else "") for name in names)
                rows.append(Row(f"{row.origin}: {label}", cells, published=True))
    return rows


def _known(found: ProtocolValues, name: str) -> bool:
    return math.isfinite(found.csl[name]) or math.isfinite(found.base.get(name, math.nan))


def _change(found: ProtocolValues, name: str) -> Cell:
    change = found.csl[name] - found.base[name]
    low, high = found.intervals.get(name, (math.nan, math.nan))
    note = f"{signed(low)} to {signed(high)}" if math.isfinite(low) and math.isfinite(high) else ""
    good = None if not abs(change) >= _SAME else (change > 0) != (name in LOWER_IS_BETTER)
    return Cell(signed(change), note, good)


def _name(found: ProtocolValues, name: str) -> str:
    return REGION_NAMES.get(name, NAMES[name]) if found.protocol == "regions" else NAMES[name]


def _agree(one: ProtocolValues, other: ProtocolValues) -> bool:
    if one.csl.keys() != other.csl.keys():
        return False
    pairs = [(a[name], b[name]) for a, b in ((one.base, other.base), (one.csl, other.csl)) for name in a]
    return all(abs(x - y) < _SAME or (math.isnan(x) and math.isnan(y)) for x, y in pairs)


def _flat(value: object) -> str:
    if isinstance(value, dict) and value:
        return ", ".join(f"{name} {inner}" for name, inner in value.items())
    return "none" if value in (None, {}) else " ".join(str(value).split())


def flat_settings(settings: Sequence[tuple[str, object]]) -> list[tuple[str, str]]:
    """Settings as text for a page."""
    return [(name.replace("_", " "), _flat(value)) for name, value in settings]
