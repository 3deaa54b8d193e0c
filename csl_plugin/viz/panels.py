"""Pictures, scores, masks and regions beside each other, as a figure of matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from io import BytesIO
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

from csl_plugin.arrays import shown
from csl_plugin.errors import DTypeError, MissingExtraError, OptionError, reason_of
from csl_plugin.viz.colors import Picture
from csl_plugin.viz.layers import Layer, Regions, read_panel
from csl_plugin.viz.painting import Range, common_ranges, paint
from csl_plugin.viz.scaling import fit, resize

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Pixels, at the figure's own resolution.
_DPI = 150
_WIDTH, _WIDEST, _MOST_COLUMNS = 1500, 700, 4
_MARGIN, _GAP = 28, 26
_TITLE, _NOTE, _NOTE_LINE, _CAPTION = 21.0, 17.0, 49, 66  # sizes of type; the note's baseline
_BAR, _BAR_HEIGHT, _SPACE = 90, 12, 8
_INK, _GRAY = "#18181b", "#606068"


class _Shown(NamedTuple):
    picture: Picture
    title: str
    note: str
    bar: Range | None


def side_by_side(panels: Mapping[str, Any]) -> Figure:
    r"""Panels with titles in a row, or in rows of equal length from five on.

    What a panel shows follows from its value: a picture as it is; floating-point scores as heat colors with a
    color bar; a boolean mask in orange; integers, such as classes, in a color each; a `RegionMap` as regions
    with white borders. Masks and regions are drawn on the first picture of their size among the panels. All
    scores within [0, 1] have one scale, from 0 to 1 if one of them reaches 0.1; others have their own.

    In a notebook the figure is shown where it is the last line of a cell. Elsewhere: `figure.savefig(path)`.
    pyplot is not imported: neither the backend nor any setting of matplotlib changes.

    Args:
        panels: Titles and what they stand above. Text of a title after a line break is smaller and gray;
            without it regions are counted. A value is a picture as `overlay` takes its image, or a layer as
            it takes its layer. Three channels make a picture: of three classes pass the arg max.
            A gray picture is passed as RGB.

    Returns:
        A `matplotlib.figure.Figure`, about 1500 pixels wide.

    Raises:
        MissingExtraError: matplotlib is not installed: the extra `viz`.
        OptionError: There is no panel.
        DTypeError: `panels` is no mapping of titles, or a value is of no type that can be shown.
        ShapeError: A value is of several images or classes.
        ScoreRangeError: A picture is floating point outside [0, 1].
        FileError: A path is no image.

    Example:
        >>> import numpy as np
        >>> from csl_plugin import RegionMap
        >>> from csl_plugin.viz import side_by_side
        >>> score, ids = np.random.default_rng(0).random((30, 40)), np.zeros((1, 30, 40), int)
        >>> figure = side_by_side({"Score\nRX": score, "Regions": RegionMap(ids)})
        >>> [text.get_text() for text in figure.texts]
        ['Score', 'RX', '0', '1', 'Regions', '1 region']
    """
    if not isinstance(panels, Mapping) or not all(isinstance(title, str) for title in panels):
        hint = 'Pass a dictionary, as in side_by_side({"Image": image, "Score": score}).'
        raise DTypeError("panels", shown(panels), "titles with what they stand above", hint)
    if not panels:
        raise OptionError("panels", "none", "one or more", "Name at least one picture.")
    read = {title: read_panel(_argument(title), value) for title, value in panels.items()}
    _check_matplotlib()
    columns = ceil(len(read) / ceil(len(read) / _MOST_COLUMNS))
    width = min(_WIDEST, (_WIDTH - 2 * _MARGIN - (columns - 1) * _GAP) // columns)
    drawn = _drawn(read, (width, width))
    return _figure([drawn[start : start + columns] for start in range(0, len(drawn), columns)])


def _argument(title: str) -> str:
    return f"panels[{shown(title)}]"


def _drawn(read: Mapping[str, Picture | Layer], box: tuple[int, int]) -> list[_Shown]:
    ranges = common_ranges(read.values())
    pictures = [value for value in read.values() if not isinstance(value, Layer)]
    backdrops = {picture.shape[:2]: picture for picture in reversed(pictures)}
    drawn = []
    for place, (title, value) in enumerate(read.items()):
        first, _, note = title.partition("\n")
        if not isinstance(value, Layer):
            drawn.append(_Shown(resize(value, fit(value.shape[:2], box)), first, note, None))
            continue
        size = fit(value.values.shape, box)
        below = backdrops.get(value.values.shape)
        heat = ranges.get(place)
        if isinstance(value, Regions) and not note:
            note = _counted(value)
        painted = paint(value, size, None if below is None else resize(below, size), heat or (0.0, 1.0))
        drawn.append(_Shown(painted, first, note, heat))
    return drawn


def _counted(regions: Regions) -> str:
    ids = set(regions.values[regions.values >= 0].tolist())
    return f"{len(ids)} region{'s' * (len(ids) != 1)}"


def _figure(rows: list[list[_Shown]]) -> Figure:
    """The panels on a white sheet of their size, with aligned columns."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    widths = [max(_width(row[place]) for row in rows if place < len(row)) for place in range(len(rows[0]))]
    heights = [_CAPTION + max(each.picture.shape[0] for each in row) for row in rows]
    width = 2 * _MARGIN + sum(widths) + _GAP * (len(widths) - 1)
    height = 2 * _MARGIN + sum(heights) + _GAP * (len(heights) - 1)
    size = (width / _DPI, height / _DPI)
    figure = Figure(figsize=size, dpi=_DPI, facecolor="white", edgecolor="white")
    figure.set_layout_engine("none")
    # White also where a style sheet gives saved figures another color.
    figure.add_artist(Rectangle((0, 0), 1, 1, transform=figure.transFigure, facecolor="white", zorder=-1))
    top = _MARGIN
    for row, tall in zip(rows, heights, strict=True):
        left = _MARGIN
        for panel, wide in zip(row, widths, strict=False):
            _place(figure, panel, left, top, (width, height))
            left += wide + _GAP
        top += tall + _GAP
    vars(figure)["_repr_png_"] = partial(_png, figure)  # of notebooks in which pyplot was never imported
    return figure


def _place(figure: Figure, panel: _Shown, left: int, top: int, size: tuple[int, int]) -> None:
    height, width = panel.picture.shape[:2]
    _write(figure, panel.title, left, top + _TITLE, size, _TITLE, _INK, weight="bold")
    baseline = top + _NOTE_LINE
    _write(figure, panel.note, left, baseline, size, _NOTE, _GRAY)
    if panel.bar is not None:
        low, high = _bar_words(panel.bar)
        bar_right = left + _width(panel) - _text_width(high, _NOTE) - _SPACE
        bar_left = bar_right - _BAR
        _write(figure, low, bar_left - _SPACE, baseline, size, _NOTE, _GRAY, align="right")
        _write(figure, high, bar_right + _SPACE, baseline, size, _NOTE, _GRAY)
        _draw_bar(figure, _box(bar_left, baseline - _BAR_HEIGHT, (_BAR, _BAR_HEIGHT), size))
    axes = figure.add_axes(_box(left, top + _CAPTION, (width, height), size))
    axes.imshow(panel.picture, origin="upper", interpolation="auto", aspect="auto", resample=True)
    axes.set_axis_off()


def _draw_bar(figure: Figure, box: tuple[float, float, float, float]) -> None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    colors = ScalarMappable(Normalize(0, 1), colormaps["inferno"])
    bar = figure.colorbar(colors, cax=figure.add_axes(box), orientation="horizontal", ticks=[])
    bar.outline.set_visible(False)


def _write(
    figure: Figure,
    text: str,
    left: float,
    baseline: float,
    size: tuple[int, int],
    height: float,
    ink: str,
    weight: str = "normal",
    align: str = "left",
) -> None:
    if not text:
        return
    figure.text(
        left / size[0],
        1 - baseline / size[1],
        text,
        color=ink,
        fontsize=height * 72 / _DPI,
        fontweight=weight,
        fontfamily="sans-serif",
        ha=align,
        va="baseline",
        parse_math=False,
        usetex=False,
    )


def _box(left: float, top: float, inner: tuple[int, int], size: tuple[int, int]) -> Any:
    """A rectangle as matplotlib takes it: left, bottom, width and height, in shares of the figure."""
    return left / size[0], 1 - (top + inner[1]) / size[1], inner[0] / size[0], inner[1] / size[1]


def _width(panel: _Shown) -> int:
    second = _text_width(panel.note, _NOTE)
    if panel.bar is not None:
        second += _BAR + 5 * _SPACE + sum(_text_width(word, _NOTE) for word in _bar_words(panel.bar))
    return max(int(panel.picture.shape[1]), _text_width(panel.title, _TITLE, "bold"), second)


def _text_width(text: str, height: float, weight: str = "normal") -> int:
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    if not text.strip():
        return 0
    font = FontProperties(family="sans-serif", weight=weight)
    # parse_math of a path is off only where no dollar is left in it.
    path = TextPath((0, 0), text.replace("$", "S"), size=height, prop=font, usetex=False)
    return ceil(float(path.get_extents().xmax))


def _bar_words(ends: Range) -> tuple[str, str]:
    return f"{ends[0]:.3g}", f"{ends[1]:.3g}"


def _png(figure: Figure) -> bytes:
    stream = BytesIO()
    figure.savefig(stream, format="png", facecolor="white")
    return stream.getvalue()


def _check_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        absent = error.name == "matplotlib"
        got = "no package matplotlib" if absent else f"an import error ({reason_of(error)})"
        hint = "Install it: pip install 'csl-plugin[viz]'"
        raise MissingExtraError("matplotlib", got, "the extra `viz`", hint) from error
