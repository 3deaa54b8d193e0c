"""Panels beside each other as a figure of matplotlib, which stays as the user has set it."""

import os
import pickle
import subprocess
import sys
import warnings
from io import BytesIO
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from csl_plugin import RegionMap
from csl_plugin.errors import DTypeError, MissingExtraError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.viz import side_by_side
from csl_plugin.viz.colors import EDGE, MASK, heat_colors

matplotlib = pytest.importorskip("matplotlib")

IMAGE = np.random.default_rng(0).integers(0, 200, (60, 80, 3), np.uint8)
SCORE = np.random.default_rng(1).random((60, 80))
REGIONS = RegionMap(torch.arange(80).div(20, rounding_mode="floor").int().expand(1, 60, 80))


def drawn(figure):
    """The pixels of a figure at its own resolution."""
    stream = BytesIO()
    figure.savefig(stream, format="png")
    return cv2.imdecode(np.frombuffer(stream.getvalue(), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def panels_of(figure):
    """What the panels show, without the color bars."""
    return [axes.images[0].get_array() for axes in figure.axes if axes.images]


def texts(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("count", "columns"), [(1, 1), (2, 2), (3, 3), (4, 4), (5, 3), (6, 3), (7, 4), (9, 3)]
)
def test_panels_stand_in_equal_rows(count, columns):
    figure = side_by_side({f"Panel {number}": IMAGE for number in range(count)})
    places = [axes.get_position() for axes in figure.axes]
    assert len({round(place.x0, 4) for place in places}) == columns
    assert len({round(place.y0, 4) for place in places}) == -(-count // columns)
    assert 700 < figure.get_size_inches()[0] * figure.dpi <= 1501
    assert texts(figure) == [f"Panel {number}" for number in range(count)]


def test_each_kind_is_drawn_as_what_it_is():
    figure = side_by_side({"Image": IMAGE, "Score": SCORE, "Mask": SCORE > 0.5, "Regions": REGIONS})
    image, score, mask, regions = panels_of(figure)
    assert image.shape == score.shape == mask.shape == regions.shape
    assert np.abs(cv2.resize(np.asarray(image), (80, 60)).astype(float) - IMAGE).mean() < 30
    assert {tuple(color) for color in np.asarray(score).reshape(-1, 3)} <= {
        tuple(color) for color in heat_colors(np.linspace(0, 1, 256)[None], 0, 1)[0]
    }
    orange = np.asarray(mask).astype(int) @ [1, 0, -1] > 100
    assert abs(orange.mean() - (SCORE > 0.5).mean()) < 0.05
    assert np.argmax(MASK) == 0
    white = (np.asarray(regions) == EDGE).all(axis=(0, 2))
    assert white.sum() == 3
    assert texts(figure) == ["Image", "Score", "0", "1", "Mask", "Regions", "4 regions"]


def test_scores_within_0_and_1_have_one_scale_and_others_their_own():
    logits = torch.from_numpy(SCORE * 8 - 5)
    figure = side_by_side({"a": SCORE, "b": SCORE / 50, "c": logits})
    bars = [text for text in texts(figure) if text not in "abc"]
    assert bars == ["0", "1", "0", "1", f"{float(logits.min()):.3g}", f"{float(logits.max()):.3g}"]
    bright, dark, other = (np.asarray(panel).mean() for panel in panels_of(figure))
    assert dark < other
    assert dark < bright / 5
    assert texts(side_by_side({"b": SCORE / 50}))[1:] == ["0", f"{SCORE.max() / 50:.3g}"]


def test_unknown_scores_are_gray_and_a_map_of_them_alone_is_drawn():
    score = SCORE.copy()
    score[:30] = np.nan
    (panel,) = panels_of(side_by_side({"a": score}))
    assert (np.asarray(panel)[:100] == 128).all()
    (panel,) = panels_of(side_by_side({"a": score * np.nan}))
    assert (np.asarray(panel) == 128).all()


def test_a_panel_is_pixel_for_pixel_in_the_file():
    figure = side_by_side({"Image": IMAGE, "Regions": REGIONS})
    picture = drawn(figure)
    for axes, panel in zip(figure.axes, panels_of(figure), strict=True):
        place = axes.get_position()
        left, top = round(place.x0 * picture.shape[1]), round((1 - place.y1) * picture.shape[0])
        height, width = panel.shape[:2]
        assert np.array_equal(picture[top : top + height, left : left + width], np.asarray(panel))


def test_margins_are_white_and_no_text_is_cut_or_covers_another():
    titles = [
        "A title that is longer than the panel below it is wide, by far\nand a note",
        "$x_1$ costs\n50 % #&",
    ]
    figure = side_by_side(dict(zip(titles, (SCORE[:, :9], SCORE[:, :9]), strict=True)))
    picture = drawn(figure)
    ink = (picture < 250).any(axis=2)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    assert min(rows[0], columns[0], ink.shape[0] - rows[-1], ink.shape[1] - columns[-1]) > 20
    boxes = [text.get_window_extent() for text in figure.texts]
    assert not any(one.overlaps(other) for at, one in enumerate(boxes) for other in boxes[at + 1 :])
    assert "$x_1$ costs" in texts(figure)


def test_it_is_the_same_twice_and_may_be_pickled():
    panels = {"Image": IMAGE, "Score": SCORE}
    figure = side_by_side(panels)
    assert np.array_equal(drawn(figure), drawn(side_by_side(panels)))
    again = pickle.loads(pickle.dumps(figure))  # noqa: S301
    assert again._repr_png_()[:4] == b"\x89PNG"


STYLES = {
    "dark": {"figure.facecolor": "black", "savefig.facecolor": "black", "text.color": "white"},
    "odd": {
        "image.origin": "lower", "image.interpolation": "bicubic", "image.cmap": "gray", "axes.grid": True,
        "figure.constrained_layout.use": True, "text.usetex": True, "axes.facecolor": "red", "figure.dpi": 31,
    },
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_settings_are_neither_followed_nor_changed(style):
    panels = {"Image": IMAGE, "Score": SCORE, "Regions": REGIONS}
    plain = drawn(side_by_side(panels))
    with matplotlib.rc_context(STYLES[style]):
        before = dict(matplotlib.rcParams)
        figure = side_by_side(panels)
        assert dict(matplotlib.rcParams) == before
        assert np.array_equal(drawn(figure), plain)


def test_no_backend_is_loaded_and_no_display_is_needed():
    program = """
import sys, warnings
warnings.simplefilter("error")
import numpy as np
from csl_plugin.viz import side_by_side
figure = side_by_side({"Score": np.zeros((4, 5))})
assert figure._repr_png_().startswith(b"\\x89PNG")
assert "matplotlib.pyplot" not in sys.modules
"""
    environment = {key: value for key, value in os.environ.items() if key != "DISPLAY"}
    environment["MPLBACKEND"] = "module://nowhere"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr


def test_without_matplotlib_the_extra_is_named(tmp_path):
    Path(tmp_path, "matplotlib.py").write_text('raise ImportError("gone", name="matplotlib")')
    program = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import numpy as np
from csl_plugin.viz import before_after, overlay, side_by_side
before_after(np.zeros((4, 5)), overlay(np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5))))
try:
    side_by_side({{"Score": np.zeros((4, 5))}})
except {MissingExtraError.__module__}.MissingExtraError as error:
    print(error)
"""
    program = "import csl_plugin.errors\n" + program
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "csl-plugin[viz]" in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("panels", "error", "words"),
    [
        ({}, OptionError, "Name at least one"),
        ([IMAGE], DTypeError, "dictionary"),
        ({1: IMAGE}, DTypeError, "titles"),
        ({"Score": np.zeros((19, 6, 8))}, ShapeError, r"panels\['Score'\]"),
        ({"Image": IMAGE - 0.5}, ScoreRangeError, r"panels\['Image'\]"),
        ({"Nothing": None}, DTypeError, r"panels\['Nothing'\]"),
    ],
)
def test_a_panel_that_cannot_be_drawn_is_named(panels, error, words):
    with pytest.raises(error, match=words):
        side_by_side(panels)


@pytest.mark.slow
def test_a_notebook_shows_the_figure_and_the_slider(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    lines = "import numpy as np\nfrom csl_plugin.viz import before_after, side_by_side\nscore = np.eye(40)\n"
    cells = [
        lines + 'side_by_side({"Score": score})',
        "import matplotlib, matplotlib.pyplot as plt\nbefore = matplotlib.get_backend()\n"
        'side_by_side({"Score": score})',
        "assert matplotlib.get_backend() == before and not plt.get_fignums()",
        "before_after(score, score > 0)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nbclient.NotebookClient(notebook, kernel_name="python3", timeout=120, allow_errors=False).execute(
            cwd=str(tmp_path)
        )
    shown = [[output["data"] for output in cell["outputs"]] for cell in notebook.cells]
    assert [len(each) for each in shown] == [1, 1, 0, 1]
    assert "image/png" in shown[0][0]
    assert "image/png" in shown[1][0]
    assert "csl-before-after" in shown[3][0]["text/html"]
