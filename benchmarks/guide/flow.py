"""The flow of docs/concepts.md as a drawing, light or dark as its reader is: docs/images/flow.svg.

    python -m benchmarks.guide.flow --out docs/images

The pictures in it are of the drawn street and the small teacher of `csl_plugin.demo`.
"""

from __future__ import annotations

import argparse
import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin import find_objects, fuse, load_proposer
from csl_plugin.demo import STREET_SEED, draw_street, load_teacher
from csl_plugin.demo.street.scoring import street_threshold, teacher_score
from csl_plugin.io import atomic_path, image_batch
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import NetworkProposals
from csl_plugin.proposers.bundled import bundled_folder
from csl_plugin.viz.colors import Picture, class_colors, draw_edges, heat_colors, highlight, region_colors

_WIDTH, _HEIGHT = 190, 114
_SHARPER = 2  # pixels of a picture for one of the drawing
_STYLE = """
text { font-family: Rubik, Inter, "Segoe UI", system-ui, "Helvetica Neue", Arial, sans-serif }
text { fill: #16181d }
.title { font-size: 22px; font-weight: 600 }
.note { font-size: 18px; fill: #5a5f6b }
.name { font-size: 20px; font-weight: 600; text-anchor: middle }
.how { font-size: 16px; text-anchor: middle; fill: #5a5f6b }
.sheet { fill: #ffffff }
.box { fill: #f3f5f8; stroke: #c3c8d1; stroke-width: 1.5 }
.core { fill: #fff1e6; stroke: #ff6a00; stroke-width: 2 }
.way { fill: none; stroke: #5a5f6b; stroke-width: 2 }
.tip { fill: #5a5f6b }
.frame { fill: none; stroke: #c3c8d1; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
  text { fill: #f1f2f4 }
  .note, .how { fill: #aab0bc }
  .sheet { fill: #14161a }
  .box { fill: #23262d; stroke: #4a505c }
  .core { fill: #3a2312; stroke: #ff8c38 }
  .way { stroke: #aab0bc }
  .tip { fill: #aab0bc }
  .frame { stroke: #4a505c }
}
"""


@dataclass(frozen=True)
class Pictures:
    """What the flow shows, all (H, W, 3) uint8 RGB of one size."""

    image: Picture
    classes: Picture
    score: Picture
    proposals: tuple[Picture, ...]
    regions: Picture
    fused: Picture
    objects: Picture


def pictures(seed: int = STREET_SEED) -> Pictures:
    """Each stage of the drawn street of a seed."""
    image = draw_street(seed).image
    batch = image_batch(image)
    teacher = load_teacher()
    with torch.no_grad():
        classes = teacher(batch)["out"].argmax(1)[0].numpy()
    score = teacher_score(teacher, image)
    several: Any = load_proposer()(batch)
    fused = fuse(score, several)
    ids = several[0].labels[0].numpy()
    (objects,) = find_objects(fused, float(street_threshold()), several)
    return Pictures(
        image,
        class_colors(classes),
        heat_colors(score, 0.0, 1.0),
        _proposals(batch),
        draw_edges(region_colors(image, ids), ids),
        heat_colors(fused, 0.0, 1.0),
        highlight(image, (objects.label_map() > 0).astype(np.float32)),
    )


def _proposals(batch: torch.Tensor, count: int = 3) -> tuple[Picture, ...]:
    """R of the proposals with the highest V that differ, the highest last."""
    proposer = NetworkProposals(CSLNetwork.from_pretrained(bundled_folder("csl-tiny")))
    (proposed,) = proposer(batch)
    scores, chosen = proposed.scores[0], list[int]()
    for index in proposed.validity[0].argsort(descending=True).tolist():
        mask = scores[index] > 0.5
        others = [scores[other] > 0.5 for other in chosen]
        if 0.01 < mask.float().mean() < 0.5 and all(_overlap(mask, other) < 0.2 for other in others):
            chosen.append(index)
        if len(chosen) == count:
            break
    return tuple(heat_colors(scores[index].numpy(), 0.0, 1.0) for index in reversed(chosen))


def _overlap(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one & other).sum() / (one | other).sum().clamp(min=1))


def drawing(shown: Pictures) -> str:
    """The SVG."""
    parts = [
        _panel(24, 178, "Image", "(B, 3, H, W) RGB", shown.image),
        _panel(330, 48, "Logits", "C known classes", shown.classes),
        _panel(700, 48, "Distribution D", "here one score, C = 1", shown.score),
        _panel(330, 308, "Proposals", "scores R, validity V", *shown.proposals),
        _panel(700, 308, "Regions", "one id for each pixel", shown.regions),
        _panel(1070, 48, "Fused map", "same shape and scale", shown.fused),
        _panel(1070, 308, "Objects", "mask, box, score", shown.objects),
        _way("M119 148 V105 H150"),
        _way("M119 324 V365 H150"),
        *(_way(f"M290 {row} H323", tip=True) for row in (105, 365)),
        *(_way(f"M520 {row} H540 M670 {row} H693", tip=True) for row in (105, 365)),
        _way("M890 105 H970 V193", tip=True),
        _way("M890 365 H970 V277", tip=True),
        _way("M1030 235 H1052 V105 H1063", tip=True),
        _way("M1196 194 V274", tip=True),
        _pill(150, 105, 140, "teacher", "your model"),
        _pill(150, 365, 140, "proposer", "csl-tiny, SAM, ..."),
        _pill(534, 105, 144, "score", "entropy of p"),
        _pill(534, 365, 144, "assignment", "soft, eq. 2"),
        _pill(904, 235, 132, "fusion", "eq. 3, its rule", core=True),
        _pill(1132, 228, 128, "threshold", ""),
    ]
    label = (
        "Image to teacher to distribution; image to proposer to regions; both to fusion, fused map, objects"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1284 470" role="img" aria-label="{label}">'
    sheet = '<rect class="sheet" width="1284" height="470" rx="14"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", sheet, *parts, "</svg>", ""])


def _panel(left: int, top: int, title: str, note: str, *shown: Picture) -> str:
    """A titled picture, or several as a stack of cards."""
    step = 14 if len(shown) > 1 else 0
    width, height = _WIDTH - step * (len(shown) - 1), _HEIGHT - step * (len(shown) - 1)
    cards = []
    for place, picture in enumerate(shown):
        x, y = left + step * (len(shown) - 1 - place), top + step * place
        box = f'x="{x}" y="{y}" width="{width}" height="{height}"'
        cards.append(f'<image {box} preserveAspectRatio="none" href="{_jpeg(picture, width, height)}"/>')
        cards.append(f'<rect class="frame" {box}/>')
    words = (
        f'<text class="title" x="{left}" y="{top - 12}">{title}</text>'
        f'<text class="note" x="{left}" y="{top + _HEIGHT + 24}">{note}</text>'
    )
    return "\n".join([*cards, words])


def _pill(left: int, middle: int, width: int, name: str, how: str, *, core: bool = False) -> str:
    height = 64 if how else 40
    box = f'x="{left}" y="{middle - height // 2}" width="{width}" height="{height}" rx="12"'
    center = left + width // 2
    words = f'<text class="name" x="{center}" y="{middle - 3 if how else middle + 7}">{name}</text>'
    if how:
        words += f'<text class="how" x="{center}" y="{middle + 20}">{how}</text>'
    return f'<rect class="{"core" if core else "box"}" {box}/>{words}'


def _way(path: str, *, tip: bool = False) -> str:
    """A line of absolute M, H and V, with a tip at its end."""
    drawn = f'<path class="way" d="{path}"/>'
    if not tip:
        return drawn
    words = path.split()
    x, y, across = 0, 0, True
    turned = 0
    for word in words:
        number = int(word.lstrip("MHV"))
        if word[0] == "M":
            x = number
        elif word[0] == "H":
            turned, x, across = number - x, number, True
        elif word[0] == "V":
            turned, y, across = number - y, number, False
        else:
            y = number
    sign = 1 if turned > 0 else -1
    corners = (
        [(x + 8 * sign, y), (x - 2 * sign, y - 6), (x - 2 * sign, y + 6)]
        if across
        else [(x, y + 8 * sign), (x - 6, y - 2 * sign), (x + 6, y - 2 * sign)]
    )
    points = " ".join(f"{a},{b}" for a, b in corners)
    return f'{drawn}<polygon class="tip" points="{points}"/>'


def _jpeg(picture: NDArray[np.uint8], width: int, height: int) -> str:
    small = cv2.resize(picture, (width * _SHARPER, height * _SHARPER), interpolation=cv2.INTER_AREA)
    data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    path = parser.parse_args().out / "flow.svg"
    with atomic_path(path) as place:
        place.write_text(drawing(pictures()), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
