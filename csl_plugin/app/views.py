"""What the page shows of a result, as HTML: the pictures are in it, so that no file of a visitor is left."""

from __future__ import annotations

from base64 import b64encode
from html import escape

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.app.session import Result
from csl_plugin.arrays import resize_nearest
from csl_plugin.metrics import AnomalyValues
from csl_plugin.objects.picture import outlined_objects
from csl_plugin.regions import RegionMap
from csl_plugin.viz import before_after, outline
from csl_plugin.viz.colors import Picture, Values, draw_edges, heat_colors, region_colors
from csl_plugin.viz.scaling import fit, resize

_BOX = (900, 900)
_QUALITY = 90
_MOST_ROWS = 12
_ROOM = 0.12  # of the picture's height, for a number above an object


def photograph_view(result: Result) -> str:
    """The photograph, with the truth outlined where it is known."""
    photograph = result.photograph
    height, width = photograph.own_size
    facts = [f"{width} x {height} pixels."]
    if photograph.own_size != photograph.size:
        facts.append(f"Worked on at {photograph.size[1]} x {photograph.size[0]}.")
    facts.append(photograph.about)
    alt = f"The photograph {photograph.name}"
    return _figure(_with_truth(result, photograph.image), alt, escape(" ".join(facts)))


def comparison_view(result: Result) -> str:
    """The score before and after fusion under one slider, and what is known of their quality."""
    heats = [_with_truth(result, heat_colors(values, 0.0, 1.0)) for values in (result.score, result.fused)]
    slider = before_after(*heats, titles=("Score", "Fused score"))
    height, width = result.photograph.size
    note = "Drag the line, or move it with the arrow keys."
    if result.is_out_of_place:
        note += " The street teacher has seen drawn streets only: on this photograph RX says more."
    if result.divisor != 1:
        note += f" The map was divided by its largest value, {result.divisor:.4g}."
    return (
        f'<figure class="csl-figure"><div class="csl-comparison" style="--shape: {width / height:.4f}">'
        f"{slider._repr_html_()}</div>"
        f'<figcaption>{note}<span class="csl-scale">0<span class="csl-ramp"></span>1</span></figcaption>'
        f"</figure>{_quality_table(result.quality)}"
    )


def regions_view(result: Result) -> str:
    """The fine partition, each region in the mean color of its pixels."""
    coarse, fine = (_count(each) for each in result.partitions)
    size = fit(result.photograph.size, _BOX)
    ids = _resized_ids(result.partitions[1], size)
    picture = draw_edges(region_colors(resize(result.photograph.image, size), ids), ids)
    caption = (
        f"Two partitions: {coarse} coarse and {fine} fine regions, of which the fine are shown. "
        f'In Python: <code>load_proposer("{escape(result.regions)}")</code>'
    )
    return _figure(picture, f"The photograph as {fine} regions, each in its mean color", caption)


def objects_view(result: Result) -> str:
    """The objects at the threshold, numbered on the photograph and listed in a table."""
    found = result.objects
    height, width = result.photograph.size
    picture, gain = outlined_objects(result.photograph.image, found, fit(found.size, _BOX))
    number = f"{len(found)} object{'s' * (len(found) != 1)}" if len(found) else "No object"
    caption = f"{number} at the threshold {result.threshold:.3f}."
    if gain > 1:
        caption += f" The photograph is shown {gain:.1f} times as bright."
    boxes = found.boxes[:_MOST_ROWS].tolist()
    marks = "".join(
        f'<span class="csl-mark{" csl-above" if top > _ROOM * height else ""}" '
        f'style="left: {100 * left / width:.2f}%; top: {100 * top / height:.2f}%">{place}</span>'
        for place, (left, top, _, _) in enumerate(boxes, 1)
    )
    return _figure(picture, f"The photograph with {number.lower()} outlined", caption, marks) + _table(result)


def _table(result: Result) -> str:
    found = result.objects
    if not len(found):
        return '<p class="csl-nothing">Lower the threshold, or the least area, to find more.</p>'
    rows = [
        f"<tr><td>{place}</td><td>{score:.3f}</td><td>{', '.join(map(str, box))}</td><td>{area:,}</td></tr>"
        for place, (score, box, area) in enumerate(
            zip(found.scores.tolist(), found.boxes.tolist(), found.areas.tolist(), strict=True), 1
        )
    ]
    more = len(rows) - _MOST_ROWS
    rest = f'<p class="csl-nothing">And {more} more, in the files.</p>' if more > 0 else ""
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("No.", "Score", "Box: left, top, right, bottom", "Pixels")
    )
    return _framed("csl-table", "Objects, by falling score", head, "".join(rows[:_MOST_ROWS])) + rest


def _quality_table(quality: tuple[AnomalyValues, AnomalyValues] | None) -> str:
    if quality is None:
        return (
            '<p class="csl-nothing">No ground truth is known for this photograph, so nothing here says '
            "whether the score became better.</p>"
        )
    before, after = quality
    rows = [
        ("AP, higher is better", before.ap, after.ap),
        ("FPR95, lower is better", before.fpr95, after.fpr95),
    ]
    cells = "".join(
        f'<tr><th scope="row">{name}</th><td>{100 * old:.1f} %</td><td>{100 * new:.1f} %</td></tr>'
        for name, old, new in rows
    )
    head = '<td></td><th scope="col">Score</th><th scope="col">Fused</th>'
    return _framed("csl-table csl-quality", "Against the truth of this one picture", head, cells)


def _framed(classes: str, caption: str, head: str, rows: str) -> str:
    """A table that scrolls where the window is narrow."""
    return (
        f'<div class="csl-scroll"><table class="{classes}"><caption>{caption}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _with_truth(result: Result, picture: Picture) -> Picture:
    truth = result.photograph.truth
    return picture if truth is None else outline(picture, truth)


def _count(regions: RegionMap) -> int:
    return int(regions.labels.max()) + 1


def _resized_ids(regions: RegionMap, size: tuple[int, int]) -> Values:
    return resize_nearest(regions.labels[0].cpu().numpy(), size)


def _figure(picture: Picture, alt: str, caption: str, marks: str = "") -> str:
    """A picture with its caption, which is HTML."""
    height, width = picture.shape[:2]
    return (
        f'<figure class="csl-figure"><div class="csl-picture"><img src="{_data(picture)}" width="{width}" '
        f'height="{height}" alt="{escape(alt)}">{marks}</div><figcaption>{caption}</figcaption></figure>'
    )


def _data(picture: Picture) -> str:
    cv2 = opencv()
    settings = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[..., ::-1]), settings)
    return "data:image/jpeg;base64," + b64encode(encoded.tobytes()).decode()
