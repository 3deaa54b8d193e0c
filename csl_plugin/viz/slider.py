"""Two pictures under one slider, as HTML without anything from outside."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from csl_plugin._opencv import opencv
from csl_plugin.arrays import shown
from csl_plugin.errors import DTypeError, FileError, ShapeError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.places import AnyPath, place_of
from csl_plugin.viz.colors import Picture
from csl_plugin.viz.layers import Layer, read_panel
from csl_plugin.viz.painting import common_ranges, paint
from csl_plugin.viz.scaling import fit, resize

_BOX = (1200, 1280)

# The input covers the picture: it is dragged by mouse or finger anywhere, and moved by the arrow keys.
_STYLE = """
.csl-before-after { position: relative; display: inline-block; max-width: 100%; line-height: 0; --at: 50%;
  overflow: hidden; }
.csl-before-after img { display: block; width: 100%; max-width: 100%; height: auto; margin: 0; }
.csl-before-after .after { position: absolute; inset: 0; clip-path: inset(0 0 0 var(--at)); }
.csl-before-after .line { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px;
  margin-left: -1px; background: #fff; box-shadow: 0 0 0 1px rgb(24 24 27 / 60%); pointer-events: none; }
.csl-before-after .line::after { content: "\\2194"; position: absolute; top: 50%; left: 50%; width: 36px;
  height: 36px; margin: -18px 0 0 -18px; border-radius: 50%; background: #fff; color: #18181b;
  font: 20px/36px system-ui, sans-serif; text-align: center; box-shadow: 0 1px 4px rgb(24 24 27 / 60%); }
.csl-before-after span { position: absolute; top: 12px; max-width: 45%; padding: 3px 9px; border-radius: 3px;
  background: rgb(24 24 27 / 85%); color: #fff; font: 600 14px/20px system-ui, sans-serif;
  pointer-events: none; }
.csl-before-after .left { left: 12px; }
.csl-before-after .right { right: 12px; }
.csl-before-after input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; }
.csl-before-after input:focus-visible ~ .line::after { outline: 3px solid #ff6a00; outline-offset: 2px; }
""".strip()

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>{title}</title>
<style>body {{ margin: 0; padding: 16px; background: #fff; text-align: center; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #18181b; }} }}</style>
</head>
<body>
{body}
</body>
</html>
"""


@dataclass(frozen=True, repr=False)
class BeforeAfter:
    """Two pictures of one size under a slider; shown in notebooks.

    Attributes:
        before: (h, w, 3) uint8 RGB, left of the slider.
        after: (h, w, 3) uint8 RGB, right of it.
        titles: What is written on the two.

    Example:
        >>> import numpy as np
        >>> from csl_plugin.viz import before_after
        >>> before_after(np.zeros((20, 30)), np.ones((20, 30)))
        BeforeAfter(size=(20, 30), titles=('Before', 'After'))
    """

    before: Picture
    after: Picture
    titles: tuple[str, str]

    def save(self, path: AnyPath) -> None:
        """Write a page that any browser opens, with both pictures in it, atomically.

        Args:
            path: Of the file, with the suffix .html or .htm; its folder is created.

        Raises:
            FileError: Another suffix, or the path cannot be written.
        """
        target = place_of(path)
        if target.suffix.lower() not in (".html", ".htm"):
            hint = "Name it such as before-after.html."
            raise FileError(str(path), f"the suffix {target.suffix!r}", ".html", hint)
        page = _PAGE.format(title=escape(" / ".join(self.titles)), body=self._repr_html_())
        with atomic_path(target) as temporary:
            temporary.write_text(page, encoding="utf-8")

    def _repr_html_(self) -> str:
        height, width = self.before.shape[:2]
        left, right = (escape(title) for title in self.titles)
        size = f'width="{width}" height="{height}"'
        move = "this.parentNode.style.setProperty('--at', this.value + '%')"
        label = f"How much of the picture is {left}, in per cent; the rest is {right}"
        plates = [
            f'<span class="{side}">{text}</span>' for side, text in (("left", left), ("right", right)) if text
        ]
        return (
            f"<style>{_STYLE}</style>"
            f'<div class="csl-before-after">'
            f'<img src="{_data(self.before)}" {size} alt="{left}">'
            f'<img class="after" src="{_data(self.after)}" {size} alt="{right}">'
            f"{''.join(plates)}"
            f'<input type="range" min="0" max="100" value="50" aria-label="{label}" oninput="{move}">'
            f'<div class="line"></div></div>'
        )

    def __repr__(self) -> str:
        return f"BeforeAfter(size={self.before.shape[:2]}, titles={self.titles})"


def before_after(before: Any, after: Any, *, titles: tuple[str, str] = ("Before", "After")) -> BeforeAfter:
    """Two pictures of one image on top of each other, with a slider between them.

    The slider is moved by mouse, by finger or by the arrow keys. Two scores have one scale, as in
    `side_by_side`. Pictures that are higher than 1200 or wider than 1280 pixels are made smaller.

    Args:
        before: A picture or a layer, as a panel of `side_by_side`.
        after: Another one of the same size.
        titles: What is written on the two; "" for nothing.

    Returns:
        An object that a notebook shows, and that `save("page.html")` writes as a page by itself.

    Raises:
        DTypeError: A value is of no type that can be shown, or the titles are not two texts.
        ShapeError: The sizes differ, or a value is of several images or classes.
        ScoreRangeError: A picture is floating point outside [0, 1].
        FileError: A path is no image.

    Example:
        >>> import numpy as np
        >>> from csl_plugin.viz import before_after
        >>> score = np.random.default_rng(0).random((20, 30))
        >>> slider = before_after(score, score.round(), titles=("Score", "Fused"))
        >>> "data:image/png;base64," in slider._repr_html_()
        True
    """
    if not (
        isinstance(titles, (tuple, list)) and len(titles) == 2 and all(isinstance(t, str) for t in titles)
    ):
        hint = 'Pass them as in titles=("Score", "Fused").'
        raise DTypeError("titles", shown(titles), "two texts", hint)
    read = read_panel("before", before), read_panel("after", after)
    sizes = [(each.values if isinstance(each, Layer) else each).shape[:2] for each in read]
    if sizes[0] != sizes[1]:
        hint = "Pass two pictures of one image."
        raise ShapeError("after", f"size {sizes[1]}", f"{sizes[0]}, the size of `before`", hint)
    height, width = sizes[0]
    size = (height, width) if height <= _BOX[0] and width <= _BOX[1] else fit(sizes[0], _BOX)
    ranges = common_ranges(read)
    drawn = [
        paint(each, size, None, ranges.get(place, (0.0, 1.0)))
        if isinstance(each, Layer)
        else resize(each, size)
        for place, each in enumerate(read)
    ]
    return BeforeAfter(drawn[0], drawn[1], (titles[0], titles[1]))


def _data(picture: Picture) -> str:
    _, encoded = opencv().imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    return "data:image/png;base64," + b64encode(encoded.tobytes()).decode()
