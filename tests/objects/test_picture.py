"""The picture of objects: what is in it, and that it can be drawn of anything."""

import numpy as np
import pytest
import torch

from csl_plugin import Objects
from csl_plugin.errors import DTypeError, ShapeError
from csl_plugin.objects.picture import objects_picture
from csl_plugin.viz.colors import MASK
from tests.objects.drawn import SIZE, drawn_objects, noise_objects

GRAY = np.full((*SIZE, 3), 120, np.uint8)
INK = (24, 24, 27)
TOP, LEFT = 94, 28  # of the image on its sheet


def of_color(picture, color):
    return (picture == np.array(color, np.uint8)).all(axis=2)


def panel(picture):
    return picture[TOP:-LEFT, LEFT:-LEFT]


def test_objects_are_outlined_tinted_and_the_rest_is_faded():
    mask = np.zeros((1, *SIZE), bool)
    mask[0, 20:40, 30:60] = True
    drawn = panel(objects_picture(GRAY, Objects.from_masks(mask, np.array([0.75])), 0.5))
    scale = drawn.shape[0] / SIZE[0]
    outline = np.argwhere(of_color(drawn, MASK)) / scale
    np.testing.assert_allclose(outline.min(axis=0), [20, 30], atol=0.5)
    np.testing.assert_allclose(outline.max(axis=0), [40, 60], atol=0.5)
    inside, outside = drawn[round(30 * scale), round(45 * scale)], drawn[round(50 * scale), round(80 * scale)]
    assert inside[0] > inside[2]
    assert outside.min() == outside.max() > 150


@pytest.mark.parametrize("size", [(60, 90), (90, 60), (40, 200), (200, 40)])
def test_scores_stay_inside_the_image(size):
    masks = np.zeros((4, *size), bool)
    masks[0, :3, :3] = masks[1, -3:, -3:] = masks[2, :3, -3:] = masks[3, -3:, :3] = True
    found = Objects.from_masks(masks, np.array([0.9, 0.8, 0.7, 0.6]))
    empty = objects_picture(np.full((*size, 3), 255, np.uint8), found.take([]))
    picture = objects_picture(np.full((*size, 3), 255, np.uint8), found)
    assert picture.shape == empty.shape
    rows, columns = np.nonzero((picture != empty)[TOP:].any(axis=2))
    assert rows.max() < picture.shape[0] - LEFT - TOP
    assert columns.min() >= LEFT
    assert columns.max() < picture.shape[1] - LEFT
    assert of_color(picture[TOP:], INK).sum() > 4 * 200


def test_plates_of_many_objects_do_not_overlap_and_are_counted():
    one = np.zeros((1, *SIZE), bool)
    one[0, 30, 45] = True
    crowd = Objects.from_masks(one, np.ones(1)).take(np.zeros(40, int))
    few = panel(objects_picture(GRAY, crowd.take(range(30))))
    many = panel(objects_picture(GRAY, crowd))
    assert of_color(few, INK).sum() == of_color(many, INK).sum() > 1000


def test_a_dark_image_is_brightened():
    found = drawn_objects()
    dark = panel(objects_picture(GRAY // 10, found))
    black = panel(objects_picture(GRAY * 0, found))
    assert dark[500, -20:].mean() > 150 > black[500, -20:].mean()


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (7, 9)])
@pytest.mark.parametrize("factor", [1, -1e-12, 1e12])
def test_any_size_and_any_scores_are_drawn(size, factor):
    found = noise_objects(1, size)
    found = Objects.from_masks(found.masks(), found.scores * factor)
    assert objects_picture(np.zeros((*size, 3), np.uint8), found, factor).shape[2] == 3


def test_an_image_of_another_kind_is_refused():
    with pytest.raises(DTypeError, match="RGB of uint8"):
        objects_picture(GRAY / 255, drawn_objects())
    with pytest.raises(ShapeError, match=r"\(H, W, 3\)"):
        objects_picture(GRAY[..., 0], drawn_objects())
    with pytest.raises(ShapeError, match=r"size \(59, 90\), expected \(60, 90\)"):
        objects_picture(GRAY[1:], drawn_objects())
    with pytest.raises(DTypeError, match=r"image: got a builtins\.list"):
        objects_picture(GRAY.tolist(), drawn_objects())


def test_an_image_is_an_array_or_a_tensor_of_any_strides():
    expected = objects_picture(GRAY, drawn_objects())
    for image in (torch.from_numpy(GRAY), GRAY[::-1, :, ::-1].copy()[::-1, :, ::-1]):
        np.testing.assert_array_equal(objects_picture(image, drawn_objects()), expected)
