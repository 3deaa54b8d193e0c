"""docs/results/performance.md: the report as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks.speed.measure import Result, Row
from benchmarks.speed.targets import MEGABYTE, Verdict, verdicts

_GPU_BEGIN, _GPU_END = "<!-- gpu -->", "<!-- end of gpu -->"
_NO_GPU = "Not measured: no GPU was available. `make gpu` measures on one and writes this section."
_OPEN = "1024x2048"
_STAGES = {
    "assign": "Assignment (equation 2)",
    "components": "Component split",
    "means": "Region means",
    "apply": "Fused maps (equation 3, means known)",
    "labels": "The most probable class only (means known)",
    "whole": "The whole stage: raw outputs and distribution to fused maps",
    "lowres": "From a teacher's logits at stride 4 to labels (region map known)",
    "large": "A large map, from raw outputs at stride 4 to labels (one call)",
    "objects": "From a fused map to its objects",
    "pixel metrics": "The official anomaly metrics of one frame: pixels",
    "component metrics": "The official anomaly metrics of one frame: components",
    "scaling": "Further sizes",
}
_METHOD = """\
## How it is measured

Contestants take turns in one process, A B C A B C ..., so that other load on the machine slows them alike;
torch has one thread unless a row says 2. Times are medians of {rounds} rounds, with quartiles. Calls below 50
ms are repeated three times a round; calls above 0.5 s that no target names run in three rounds only. Ratios
are more reliable than milliseconds.

**Extra memory** is the growth of the process's peak resident memory during one call, output included, inputs
not. It is read in a separate process whose allocator returns every freed block at once, so that memory freed
by an earlier call does not hide the growth. It is accurate to about 0.5 MB.

**Share of floor** is the time of the least memory traffic of the stage (the row marked *floor*: `L.sum()` and
`D.sum()` read once, `D.mul_(1.)` reads and writes once) over the contestant's time: 100 % is the speed of the
memory.

**Result** compares the result of the first call with an oracle. Labels: a pixel is wrong if the score of its
label, in float64, is below the best by more than one part in a million. Numbers: the largest absolute
difference.

**Inputs** are synthetic scenes like the outputs of a mask classifier: 100 queries at stride 4, of them 25
valid (six kinds of stuff, things from two samples to a quarter of the height), the others redundant, merged
or empty with low validity; sharp logits with noise. The scenes have about as many components, runs and
bounding boxes as labeled street photographs. White noise is the worst case.
"""


@dataclass(frozen=True)
class Job:
    """The outcome of one job of the benchmarks.

    Attributes:
        machine: As `machine.describe` gives it.
        load: Load average before and after.
        rounds: Turns of every contestant.
        minutes: Duration of the job.
        results: One entry for each case.
    """

    machine: dict[str, str]
    load: tuple[float, float]
    rounds: int
    minutes: float
    results: list[Result]


def write(job: Job, folder: Path) -> Path:
    """Write performance.md into a folder; an existing section of the GPU is kept."""
    path = folder / "performance.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render(job, _kept_gpu_section(path)), encoding="utf-8")
    return path


def write_gpu_section(text: str, folder: Path) -> Path:
    """Write the section of the GPU between its marks in performance.md."""
    path = folder / "performance.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    existing = path.read_text(encoding="utf-8") if path.exists() else "# Performance\n"
    if _GPU_BEGIN not in existing:
        existing += f"\n## On a GPU\n\n{_GPU_BEGIN}\n{_GPU_END}\n"
    before, _, rest = existing.partition(_GPU_BEGIN)
    after = rest.partition(_GPU_END)[2]
    path.write_text(f"{before}{_GPU_BEGIN}\n{text}\n{_GPU_END}{after}", encoding="utf-8")
    return path


def render(job: Job, gpu: str = _NO_GPU) -> str:
    """The whole page."""
    rows = verdicts(job.results)
    counted = {met: sum(row.met is met for row in rows) for met in (True, False, None)}
    return "\n".join(
        [
            "# Performance",
            "",
            "Written by `make bench`; do not edit.",
            "",
            *_machine(job),
            "![Time and extra memory against image size](performance.png)",
            "",
            *_headline(job.results),
            "## Targets",
            "",
            f"{counted[True]} met, {counted[False]} not met, {counted[None]} not measured. "
            "Reasons for those not met: [missed-targets.md](missed-targets.md).",
            "",
            *verdict_table(rows),
            "",
            "## On a GPU",
            "",
            _GPU_BEGIN,
            gpu,
            _GPU_END,
            "",
            _METHOD.format(rounds=job.rounds),
            *_tables(job.results),
        ]
    )


def verdict_table(rows: list[Verdict]) -> list[str]:
    """A table of targets, measurements and verdicts."""
    words = {True: "met", False: "**not met**", None: "not measured"}
    lines = [f"| {row.target} | {row.measured} | {words[row.met]} |" for row in rows]
    return ["| target | measured | |", "|---|---|---|", *lines]


def _kept_gpu_section(path: Path) -> str:
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    _, found, rest = text.partition(_GPU_BEGIN)
    return rest.partition(_GPU_END)[0].strip() if found else _NO_GPU


def _machine(job: Job) -> list[str]:
    before, after = job.load
    lines = [f"| {name} | {value} |" for name, value in job.machine.items()]
    lines.append(f"| load average | {before:.2f} before, {after:.2f} after |")
    lines.append(f"| duration | {job.rounds} rounds, {job.minutes:.1f} minutes |")
    return ["| | |", "|---|---|", *lines, ""]


def _headline(results: list[Result]) -> list[str]:
    """The whole stage of the largest image with C = 1, in four lines."""
    found = [result for result in results if result.spec.stage == "whole" and result.spec.classes == 1]
    if not found:
        return []
    result = max(found, key=lambda result: result.spec.size[0] * result.spec.size[1])
    names = ("naive", "careful torch", "streaming, index_add, m[:, a] * D", "ours", "ours, in place")
    height, width = result.spec.size
    lines = [
        f"| {row.name} | {_time(row.median)} | {_megabytes(row)} |" for row in map(result.__getitem__, names)
    ]
    return [
        f"The whole stage on a {height} x {width} image, 100 queries, one score map, one core:",
        "",
        "| | ms | extra MB |",
        "|---|--:|--:|",
        *lines,
        "",
    ]


def _tables(results: list[Result]) -> Iterator[str]:
    for stage, title in _STAGES.items():
        chosen = [result for result in results if result.spec.stage == stage]
        if not chosen:
            continue
        yield from (f"## {title}", "")
        for result in sorted(chosen, key=lambda result: _OPEN not in result.spec.key):
            yield from _folded(result)


def _folded(result: Result) -> Iterator[str]:
    """One case's table, open for the largest size."""
    title = result.spec.key.removeprefix(result.spec.stage).strip()
    opened = " open" if _OPEN in result.spec.key else ""
    yield from (f"<details{opened}><summary>{title}</summary>", "")
    for line in (*result.notes, *(f"Missing: {line}." for line in result.missing)):
        yield from (line if line.endswith(".") else f"{line}.", "")
    yield from _table(result)
    yield from ("", "</details>", "")


def _table(result: Result) -> Iterator[str]:
    naive = next((row for row in result.rows if row.role == "naive"), None)
    simple = min(
        (row for row in result.rows if row.role == "simple"), key=lambda row: row.median, default=None
    )
    floor = next((row for row in result.rows if row.role == "floor"), None)
    yield "| | ms | quartiles | fastest | x naive | x best simple | extra MB | share of floor | result |"
    yield "|---|--:|--:|--:|--:|--:|--:|--:|---|"
    for row in result.rows:
        first, third = row.quartiles
        marks = {"ours": f"**{row.name}**", "floor": f"{row.name} *(floor)*"}
        cells = [
            marks.get(row.role, f"`{row.name}`" if "*" in row.name or "(" in row.name else row.name),
            _time(row.median),
            f"{_time(first)} ... {_time(third)}",
            _time(row.fastest),
            _ratio(naive, row),
            _ratio(simple, row),
            _megabytes(row),
            f"{floor.median / row.median:.1%}" if floor else "",
            row.agreement if row.agrees else f"**{row.agreement}**",
        ]
        yield "| " + " | ".join(cells) + " |"


def _time(seconds: float) -> str:
    milliseconds = seconds * 1e3
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"


def _ratio(other: Row | None, row: Row) -> str:
    if other is None:
        return ""
    ratio = other.median / row.median
    return f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"


def _megabytes(row: Row) -> str:
    return "" if row.extra_bytes is None else f"{row.extra_bytes / MEGABYTE:.1f}"
