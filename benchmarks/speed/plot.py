"""docs/results/performance.png: time and memory against image size, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.speed.measure import Result, Row

_INK, _SOFT, _GRID = "#18181b", "#6b6b75", "#e4e4e7"
_LINES = {
    "naive": ("naive", "#b45309"),
    "careful torch": ("careful torch", "#a16fb0"),
    "streaming, index_add, m[:, a] * D": ("per-query streaming", "#4b83b5"),
    "ours": ("this library", "#15803d"),
}
_LINE_HEIGHT = 12  # points
_TICKS = (128, 256, 512, 1024, 2048, 4096)


def draw(results: list[Result], path: Path) -> bool:
    """Draw the whole stage with C = 1; False without matplotlib, or with fewer than two sizes."""
    chosen = [
        result
        for result in results
        if result.spec.stage in ("whole", "scaling") and result.spec.classes == 1 and "naive" in result
    ]
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    if len(chosen) < 2:
        return False
    mpl.use("Agg")
    from matplotlib import pyplot

    style = {"font.family": "DejaVu Sans", "font.size": 9.5, "text.color": _INK, "axes.labelcolor": _INK}
    with mpl.rc_context(style):
        canvas, axes = pyplot.subplots(1, 2, figsize=(9, 4.1), layout="constrained")
        _panel(axes[0], chosen, lambda row: row.median * 1e3, "Time, ms")
        _panel(axes[1], chosen, _megabytes, "Extra memory, MB")
        canvas.suptitle(
            "Region scores and one score map to the fused map: 100 queries, one core",
            x=0.01,
            ha="left",
            size=11,
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.savefig(path, dpi=200, facecolor="white", metadata={"Software": None})
        pyplot.close(canvas)
    return True


def _panel(axis: Any, results: list[Result], value: Callable[[Row], float], title: str) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    ends = []
    for name, (label, color) in _LINES.items():
        points = sorted(
            (result.spec.size[0] * result.spec.size[1], value(result[name]))
            for result in results
            if name in result
        )
        points = [point for point in points if point[1] > 0]
        if not points:
            continue
        ours = name == "ours"
        axis.plot(
            *zip(*points, strict=True),
            color=color,
            linewidth=2.4 if ours else 1.5,
            marker="o",
            markersize=4.5 if ours else 3.5,
            zorder=3 if ours else 2,
        )
        ends.append((points[-1], label, color, ours))
    axis.set(xscale="log", yscale="log")
    areas = [result.spec.size[0] * result.spec.size[1] for result in results]
    shown = [side for side in _TICKS if min(areas) <= 2 * side * side <= max(areas)]
    axis.set_xticks([2 * side * side for side in shown], [f"{side}\nx {2 * side}" for side in shown])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(
        FuncFormatter(lambda number, _: f"{number:,.3g}" if number < 1e3 else f"{number:,.0f}")
    )
    axis.set_xlim(min(areas) / 1.4, max(areas) * 9)
    axis.set_title(title, loc="left", size=10, color=_INK)
    axis.grid(axis="y", color=_GRID, linewidth=0.8)
    axis.tick_params(colors=_SOFT, length=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(_GRID)
    _label(axis, ends)


def _label(axis: Any, ends: list[Any]) -> None:
    """Write the name of each line at its end, moved apart where two would overlap."""
    axis.figure.canvas.draw()
    points = 72 / axis.figure.dpi
    below = float("-inf")
    for end, label, color, ours in sorted(ends, key=lambda entry: entry[0][1]):
        height = axis.transData.transform(end)[1] * points
        below = max(height, below + _LINE_HEIGHT)
        axis.annotate(
            label,
            end,
            xytext=(7, below - height),
            textcoords="offset points",
            va="center",
            color=color,
            weight="bold" if ours else "normal",
        )


def _megabytes(row: Row) -> float:
    return 0.0 if row.extra_bytes is None else row.extra_bytes / 1e6
