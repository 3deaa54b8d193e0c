"""Polygons against the masks that they outline."""

import tracemalloc

import numpy as np
import pytest

from csl_plugin import Objects
from csl_plugin.objects.polygons import polygons_of, polygons_of_crop
from tests.objects.drawn import SIZE, drawn_objects, noise_objects


def loops(parts):
    return [loop for part in parts for loop in (part.outer, *part.holes)]


def rasterized(parts, size):
    """The mask whose sides the polygons follow: a pixel is inside after an odd number of vertical sides."""
    crossings = np.zeros((size[0], size[1] + 1), int)
    for loop in loops(parts):
        for (x, y), (other_x, other_y) in zip(loop, np.roll(loop, -1, axis=0), strict=True):
            assert (x == other_x) != (y == other_y)
            if x == other_x:
                crossings[min(y, other_y) : max(y, other_y), x] += 1
    return np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


def area(loop):
    x, y = loop.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


@pytest.mark.parametrize("size", [(7, 9), (1, 30), (30, 1), (1, 1), (40, 33)])
def test_polygons_drawn_again_are_the_masks(size):
    for seed in range(15):
        objects = noise_objects(seed, size)
        for parts, mask, pixels in zip(
            polygons_of(objects), objects.masks(), objects.areas.tolist(), strict=True
        ):
            np.testing.assert_array_equal(rasterized(parts, size), mask)
            assert all(area(part.outer) > 0 for part in parts)
            assert all(area(hole) < 0 for part in parts for hole in part.holes)
            assert sum(area(loop) for loop in loops(parts)) == pixels


def test_parts_and_holes_belong_together():
    bar, parts, ring, pixel = polygons_of(drawn_objects())
    assert [len(each) for each in (bar, parts, ring, pixel)] == [1, 2, 1, 1]
    assert bar[0].outer.tolist() == [[40, 40], [90, 40], [90, 60], [40, 60]]
    assert pixel[0].outer.tolist() == [[89, 0], [90, 0], [90, 1], [89, 1]]
    assert [len(part.holes) for part in parts] == [0, 0]
    assert len(ring[0].holes) == 1
    nested = np.ones((9, 9), bool)
    nested[1:8, 1:8] = False
    nested[3:6, 3:6] = True
    nested[4, 4] = False
    outer, inner = polygons_of_crop(nested)
    assert (len(outer.holes), len(inner.holes)) == (1, 1)
    assert inner.holes[0].tolist() == [[4, 5], [5, 5], [5, 4], [4, 4]]


def test_pixels_that_touch_at_a_corner_are_one_part_and_holes_there_are_two():
    diagonal = polygons_of_crop(np.array([[1, 0], [0, 1]], bool), top=3, left=5)
    assert [part.outer.tolist() for part in diagonal] == [
        [[5, 3], [6, 3], [6, 4], [7, 4], [7, 5], [6, 5], [6, 4], [5, 4]]
    ]
    holes = np.ones((4, 4), bool)
    holes[1, 1] = holes[2, 2] = False
    (part,) = polygons_of_crop(holes)
    assert sorted(abs(area(hole)) for hole in part.holes) == [1, 1]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_coco_draws_the_outer_polygons_as_the_mask():
    coco = pytest.importorskip("pycocotools.mask")
    objects = drawn_objects()
    solid = Objects.from_masks(objects.masks()[[0, 1, 3]], objects.scores[[0, 1, 3]])
    for parts, mask in zip(polygons_of(solid), solid.masks(), strict=True):
        flat = [part.outer.ravel().astype(float).tolist() for part in parts]
        drawn = coco.decode(coco.merge(coco.frPyObjects(flat, *SIZE)))
        np.testing.assert_array_equal(drawn, mask)


def test_the_outline_of_a_large_object_takes_some_bytes_for_each_pixel():
    mask = np.ones((1, 1500, 1500), bool)
    found = Objects.from_masks(mask, np.array([0.5]))
    tracemalloc.start()
    ((part,),) = polygons_of(found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(part.outer) == 4
    assert peak < 20 * mask.size
