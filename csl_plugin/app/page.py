"""The page: its controls, what it shows, and which click changes what."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from csl_plugin.app.extra import gradio
from csl_plugin.app.files import file_links
from csl_plugin.app.notices import notice as notice_saying
from csl_plugin.app.notices import notice_of
from csl_plugin.app.photographs import EXAMPLES, OWN
from csl_plugin.app.region_sources import SOURCES, STEPS
from csl_plugin.app.scores import OWN_MAP, RX, SCORES, TEACHER
from csl_plugin.app.session import Result, Sessions
from csl_plugin.app.settings import Settings
from csl_plugin.app.uploads import MAP_SUFFIXES
from csl_plugin.app.views import comparison_view, objects_view, photograph_view, regions_view
from csl_plugin.fusion import Rule

if TYPE_CHECKING:
    from gradio import Blocks

_VISITORS = 12
_AT_ONCE = 2
_EVERY, _AGE = 600, 3600  # seconds: when gradio looks for uploads, and how old those are that it removes
_DOCS = "https://github.com/csl-plugin/csl-plugin"
_TITLE = "Fuse a score with regions"
_HEAD = f"""
# {_TITLE}

A segmentation model, the *teacher*, scores every pixel alone, and the score comes out noisy. `csl-plugin`
divides the image into regions and lets each pixel answer together with its region: whole things stand out,
and specks vanish.
[Documentation]({_DOCS})
"""
_ABOUT_SCORES = (
    "How unusual each pixel is, from 0 to 1. The street teacher is a small segmenter of drawn streets, and "
    "its entropy is the score. RX compares a pixel with the rest of its image. A map of yours is .npy or "
    "gray .png."
)
_RULES = {
    "adaptive": "adaptive, the default",
    "product": "product, eq. 3 of the paper",
    "geometric": "geometric, its square root",
    "mean": "mean of the region",
}


def build_app() -> Blocks:
    """The page, to be served with `launch`.

    It keeps the results of the last visitors in memory, and files that they drop for an hour.

    Returns:
        A `gradio.Blocks`.

    Raises:
        MissingExtraError: gradio is not installed.
    """
    gr = gradio()
    sessions = Sessions(_VISITORS)
    with gr.Blocks(title=_TITLE, analytics_enabled=False, delete_cache=(_EVERY, _AGE)) as app:
        _add_page(gr, app, sessions)
    page: Blocks = app
    return page


def _add_page(gr: Any, app: Any, sessions: Sessions) -> None:
    gr.Markdown(_HEAD, elem_id="csl-head")
    with gr.Row(elem_id="csl-columns"):
        with gr.Column(scale=2, min_width=300):
            photograph = gr.Radio(
                [*EXAMPLES, OWN], value=next(iter(EXAMPLES)), label="Photograph", elem_id="photograph"
            )
            own = gr.File(label="Your photograph", file_types=["image"], height=132, elem_id="own-photograph")
            original = gr.HTML(elem_id="original")
            score = gr.Radio(
                [*SCORES, OWN_MAP],
                value=next(iter(SCORES)),
                label="Score of every pixel",
                info=_ABOUT_SCORES,
                elem_id="score",
            )
            own_map = gr.File(
                label="Your map",
                file_types=list(MAP_SUFFIXES),
                height=132,
                visible=False,
                elem_id="own-map",
            )
            rule = gr.Radio(
                [(_RULES[name], name) for name in get_args(Rule)],
                value="adaptive",
                label="Rule of fusion",
                info="How a pixel and its regions combine.",
                elem_id="rule",
            )
        with gr.Column(scale=5, min_width=320):
            notice = gr.HTML(elem_id="notice")
            comparison = gr.HTML(elem_id="comparison")
            with gr.Row(elem_id="csl-details"):
                with gr.Column(min_width=300):
                    gr.Markdown("## Regions")
                    with gr.Group():
                        regions = gr.Radio(
                            list(SOURCES), value=next(iter(SOURCES)), label="Found by", elem_id="regions"
                        )
                        fineness = gr.Slider(
                            1, STEPS, value=3, step=1, label="Fineness", elem_id="fineness", buttons=[]
                        )
                    of_regions = gr.HTML(elem_id="regions-view")
                with gr.Column(min_width=300):
                    gr.Markdown("## Objects")
                    with gr.Group():
                        threshold = gr.Slider(
                            0,
                            1,
                            value=0.5,
                            step=0.005,
                            label="Threshold on the fused score",
                            elem_id="threshold",
                            buttons=[],
                        )
                        min_area = gr.Slider(
                            1,
                            1000,
                            value=64,
                            step=1,
                            label="Least pixels of an object",
                            elem_id="min-area",
                            buttons=[],
                        )
                    of_objects = gr.HTML(elem_id="objects-view")
            prepare = gr.Button("Prepare the files to download", elem_id="prepare", size="md")
            links = gr.HTML(elem_id="files")

    chosen = [photograph, own, score, own_map, regions, fineness, rule, threshold, min_area]
    views = [original, comparison, of_regions, of_objects, links]
    everything = [notice, *views, threshold]

    def all_of(result: Result) -> dict[Any, Any]:
        return {
            original: photograph_view(result),
            comparison: comparison_view(result),
            of_regions: regions_view(result),
            of_objects: objects_view(result),
            threshold: result.threshold,
            links: "",
        }

    def shown(request: Any, values: Sequence[Any], view: Any, *, suggest: bool = False) -> dict[Any, Any]:
        missing = _missing(values)
        if missing:
            return {notice: missing, **dict.fromkeys(views, "")}
        try:
            settings = _settings(values, suggest=suggest)
            result = sessions.of(request.session_hash).result(settings)
            return {notice: "", **view(result)}
        except Exception as error:  # nothing of earlier settings may stand beside a notice
            return {notice: notice_of(error), **dict.fromkeys(views, "")}

    def anew(request: Any, *values: Any) -> dict[Any, Any]:
        return shown(request, values, all_of, suggest=True)

    def again(request: Any, *values: Any) -> dict[Any, Any]:
        return shown(request, values, all_of)

    def objects_again(request: Any, *values: Any) -> dict[Any, Any]:
        return shown(request, values, lambda result: {of_objects: objects_view(result), links: ""})

    def files_of(request: Any, *values: Any) -> dict[Any, Any]:
        return shown(request, values, lambda result: {links: file_links(result)})

    def leave(request: Any) -> None:
        sessions.drop(request.session_hash)

    for handler in (anew, again, objects_again, files_of, leave):
        handler.__annotations__["request"] = gr.Request  # by which gradio knows what to pass

    private = {"api_visibility": "private"}
    work = {"concurrency_limit": _AT_ONCE, "concurrency_id": "work", **private}
    full = {"inputs": chosen, "outputs": everything, "trigger_mode": "always_last", **work}
    part = {"inputs": chosen, "outputs": [notice, *views], "trigger_mode": "always_last", **work}
    app.load(anew, **full, show_progress="minimal", show_progress_on=comparison)
    for control in (photograph, score, rule):
        control.input(anew, **full, show_progress="minimal", show_progress_on=comparison)
    regions.input(again, **full, show_progress="minimal", show_progress_on=comparison)
    fineness.input(again, **full, show_progress="hidden")
    for control in (threshold, min_area):
        control.input(objects_again, **part, show_progress="hidden")
    score.change(lambda name: gr.update(visible=name == OWN_MAP), score, own_map, queue=False, **private)
    own.upload(_with_own, score, [photograph, score], queue=False, **private).then(anew, **full)
    own_map.upload(lambda: OWN_MAP, outputs=score, queue=False, **private).then(anew, **full)
    prepare.click(files_of, chosen, [notice, *views], **work, show_progress="hidden")
    app.unload(leave)


def _with_own(score: str) -> tuple[str, str]:
    """The photograph and the score after a drop: the street teacher has seen drawn streets only."""
    return OWN, RX if score == TEACHER else score


def _missing(values: Sequence[Any]) -> str:
    """What a visitor has still to drop, as a notice."""
    photograph, own, score, own_map, *_ = values
    if photograph == OWN and own is None:
        return notice_saying("Drop a photograph, or choose an example.")
    if score == OWN_MAP and own_map is None:
        return notice_saying("Drop a map of this photograph, or choose another score.")
    return ""


def _settings(values: Sequence[Any], *, suggest: bool) -> Settings:
    photograph, own, score, own_map, regions, fineness, rule, threshold, min_area = values
    return Settings(
        photograph,
        None if own is None else Path(own),
        score,
        None if own_map is None else Path(own_map),
        regions,
        int(fineness),
        rule,
        None if suggest else float(threshold),
        int(min_area),
    )
