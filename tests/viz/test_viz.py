import numpy as np
import pytest

from csl_plugin import CSLError
from csl_plugin.arrays import resize_nearest
from csl_plugin.errors import DTypeError, ShapeError
from csl_plugin.viz import fusion_picture
from csl_plugin.viz.colors import (
    EDGE,
    MASK,
    NOTHING,
    class_colors,
    draw_edges,
    heat_colors,
    highlight,
    region_colors,
)
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import Panel, sheet
from csl_plugin.viz.text import text_width, write_text

WHITE = 255


def example(height=40, width=60, classes=None, seed=0):
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    labels = rng.integers(-1, 5, (height, width))
    shape = (height, width) if classes is None else (classes, height, width)
    return image, labels, rng.random(shape, dtype=np.float32), rng.random(shape, dtype=np.float32)


def panels_of(picture, count=4):
    """The panels' pictures without their captions, at least 200 rows, found by their not being white."""
    inked = (picture != WHITE).any(axis=2)
    bottom = np.flatnonzero(inked.any(axis=1)).max()
    columns = np.flatnonzero(inked[bottom - 200 : bottom].any(axis=0))
    runs = np.split(columns, np.flatnonzero(np.diff(columns) > 9) + 1)
    assert len(runs) == count
    return [picture[bottom - 200 : bottom, run[0] : run[-1] + 1] for run in runs]


@pytest.mark.parametrize("classes", [None, 1, 2, 3, 19])
@pytest.mark.parametrize("size", [(40, 60), (60, 40), (1, 1), (1, 7), (700, 900)])
def test_a_fusion_picture_is_a_picture_of_useful_size(size, classes):
    picture = fusion_picture(*example(*size, classes))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert picture.shape[2] == 3
    assert 80 < picture.shape[0] < 800
    assert 600 < picture.shape[1] < 2000


def test_a_fusion_picture_has_even_margins():
    picture = fusion_picture(*example())
    inked = (picture != WHITE).any(axis=2)
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    left, right = columns[0], picture.shape[1] - 1 - columns[-1]
    top, bottom = rows[0], picture.shape[0] - 1 - rows[-1]
    assert left == right == bottom
    assert 20 < left < 40
    assert abs(top - bottom) < 12


@pytest.mark.parametrize("classes", [None, 4])
def test_a_fusion_picture_is_the_same_twice_and_leaves_its_input_alone(classes):
    arguments = example(classes=classes)
    kept = [value.copy() for value in arguments]
    for value in arguments:
        value.flags.writeable = False
    first = fusion_picture(*arguments)
    assert first.tobytes() == fusion_picture(*arguments).tobytes()
    assert all(np.array_equal(before, after) for before, after in zip(kept, arguments, strict=True))


def test_a_fusion_picture_of_one_class_is_that_of_no_class_axis():
    image, labels, score, fused = example()
    assert np.array_equal(
        fusion_picture(image, labels, score, fused), fusion_picture(image, labels, score[None], fused[None])
    )


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.uint8])
def test_a_fusion_picture_takes_scores_of_any_dtype(dtype):
    image, labels, score, fused = example()
    top = 255 if dtype is np.uint8 else 1
    narrow = [np.rint(values * 255).astype(np.uint8) for values in (score, fused)]
    given = [(values / (255 / top)).astype(dtype) for values in narrow]
    expected = fusion_picture(image, labels, *(values / np.float64(255) for values in narrow))
    difference = np.abs(fusion_picture(image, labels, *given).astype(int) - expected)
    assert difference.max() <= (6 if dtype is np.float16 else 0)


def test_both_scores_have_one_scale():
    image, labels, score, _ = example()
    _, _, left, right = panels_of(fusion_picture(image, labels, score, score))
    assert np.array_equal(left, right)
    _, _, left, right = panels_of(fusion_picture(image, labels, score, score / 4))
    assert right.mean() < left.mean()
    assert len(np.unique(right.reshape(-1, 3), axis=0)) < 80  # a quarter of the colors, not all


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, 70.0])
def test_a_constant_score_is_one_color(value):
    image, labels, score, _ = example()
    constant = np.full_like(score, value)
    _, _, left, right = panels_of(fusion_picture(image, labels, constant, constant))
    assert len(np.unique(left.reshape(-1, 3), axis=0)) == 1
    assert np.array_equal(left, right)


def test_unknown_scores_are_gray():
    image, labels, score, fused = example()
    score[:, :30] = np.nan
    score[0, 0] = np.inf
    _, _, left, _ = panels_of(fusion_picture(image, labels, score, fused))
    assert (left[:, :200] == NOTHING).all()
    assert not (left[:, -200:] == NOTHING).all(axis=2).any()
    classes = np.stack([score, fused])
    _, _, left, _ = panels_of(fusion_picture(image, labels, classes, classes))
    assert (left[:, :200] == NOTHING).all()


@pytest.mark.parametrize(
    ("index", "value", "error", "word"),
    [
        (0, np.zeros((40, 60, 3)), DTypeError, "uint8"),
        (0, np.zeros((3, 40, 60), np.uint8), ShapeError, "last"),
        (1, np.zeros((40, 60)), DTypeError, "integer"),
        (1, np.zeros((1, 40, 60), int), ShapeError, "labels"),
        (2, np.zeros((20, 60)), ShapeError, "score"),
        (2, np.zeros((2, 40, 60)), ShapeError, "fused"),
        (3, np.zeros((0, 40, 60)), ShapeError, "fused"),
    ],
)
def test_a_fusion_picture_refuses_what_does_not_fit(index, value, error, word):
    arguments = list(example())
    arguments[index] = value
    with pytest.raises(error, match=word) as caught:
        fusion_picture(*arguments)
    assert isinstance(caught.value, CSLError)


def test_heat_grows_brighter():
    colors = heat_colors(np.linspace(-1, 2, 301)[None], 0, 1)[0].astype(int)
    light = colors @ [299, 587, 114]
    assert (np.diff(light) >= -400).all()
    assert np.ptp(light[:100]) == np.ptp(light[-100:]) == 0
    assert light[-1] - light[0] > 200_000


def test_the_first_class_colors_differ():
    colors = class_colors(np.arange(-1, 60)[None])[0].astype(int)
    assert len(np.unique(colors, axis=0)) == 61
    assert tuple(colors[0]) == NOTHING
    distance = np.abs(colors[:20, None] - colors[None, :20]).sum(axis=2) + 999 * np.eye(20, dtype=int)
    assert distance.min() > 30


def test_regions_have_their_mean_color():
    image, labels, _, _ = example()
    painted = region_colors(image, labels * 1000)
    for label in range(5):
        mean = image[labels == label].mean(axis=0)
        assert np.abs(painted[labels == label] - mean).max() <= 0.5 + 1e-9
    assert np.array_equal(painted[labels == -1], image[labels == -1])


def test_all_or_no_pixels_unassigned():
    image, labels, _, _ = example()
    assert np.array_equal(region_colors(image, np.full_like(labels, -1)), image)
    assert len(np.unique(region_colors(image, np.zeros_like(labels)).reshape(-1, 3), axis=0)) == 1


def test_edges_lie_between_regions():
    labels = np.repeat([0, 1], 5)[None].repeat(4, axis=0)
    picture = draw_edges(np.zeros((4, 10, 3), np.uint8), labels)
    assert (picture[:, 4] == EDGE).all()
    assert picture.sum() == 4 * sum(EDGE)


def test_highlight_marks_the_mask_alone():
    image = example()[0]
    mask = np.zeros(image.shape[:2])
    faded = highlight(image, mask)
    assert np.ptp(faded.astype(int), axis=2).max() == 0
    mask[5, 6] = 1
    changed = (highlight(image, mask) != faded).any(axis=2)
    assert changed.sum() == changed[5, 6] == 1
    assert np.argmax(highlight(image, mask)[5, 6]) == np.argmax(MASK)


def test_fit_keeps_proportions():
    assert fit((300, 450), (500, 900)) == (500, 750)
    assert fit((450, 300), (500, 100)) == (150, 100)
    assert fit((1, 10_000), (100, 100)) == (1, 100)


@pytest.mark.parametrize("size", [(3, 4), (12, 17), (100, 130)])
def test_resizing(size):
    values = np.full((6, 8), 0.25)
    assert resize(values, size).shape == size
    assert np.allclose(resize(values, size), 0.25)
    labels = np.arange(48).reshape(6, 8)
    assert resize_nearest(labels, size).shape == size
    assert set(np.unique(resize_nearest(labels, size))) <= set(range(48))
    assert np.array_equal(resize_nearest(labels, (6, 8)), labels)
    assert np.array_equal(resize_nearest(labels, (12, 16)), labels.repeat(2, axis=0).repeat(2, axis=1))


def test_a_narrow_panel_does_not_cut_its_caption():
    narrow = Panel(np.zeros((5, 3, 3), np.uint8), "A long title", "and a longer note below", (0.0, 1.0))
    picture = sheet([[narrow], [narrow, narrow]])
    ink = np.flatnonzero((picture != WHITE).any(axis=(0, 2)))
    assert abs(ink[0] - (picture.shape[1] - 1 - ink[-1])) <= 8
    assert picture.shape[1] > 2 * text_width(narrow.note, 12)


def test_text_stays_on_the_canvas():
    canvas = np.full((20, 20, 3), 255, np.uint8)
    write_text(canvas, "longer than this", 12, 5, 10, (0, 0, 0))
    write_text(canvas, "above", 0, 0, 10, (0, 0, 0))
    write_text(canvas, "", 10, 0, 10, (0, 0, 0))
    assert canvas.min() < 80
    assert text_width("", 10) == 0 < text_width("i", 10) < text_width("mm", 10)
