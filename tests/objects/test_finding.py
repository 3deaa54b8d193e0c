"""`find_objects` against its definition pixel by pixel, its laws, and odd input."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.func import vmap

from csl_plugin import Objects, RegionMap, find_objects, split_components
from csl_plugin.errors import CSLError, DeviceError, DTypeError, OptionError, ScoreRangeError, ShapeError

SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, max_side=9)
SCORES = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])


@st.composite
def scenes(draw):
    """A fused map, and one to three partitions of it with gaps."""
    fused = draw(arrays.arrays(np.float64, SHAPES, elements=SCORES))
    ids = arrays.arrays(np.int64, fused.shape, elements=st.integers(-1, 3))
    return fused, draw(st.lists(ids, min_size=1, max_size=3))


def decided(fused, threshold, partitions):
    """The pixels of objects, region by region."""
    marked = fused >= threshold
    split = [split_components(RegionMap(each[None])).labels[0].numpy() for each in partitions]
    chosen = np.where(split[-1] < 0, marked, False)
    for number, ids in enumerate(reversed(split)):
        inner = marked if number == 0 else chosen.copy()
        for region in range(ids.max() + 1):
            inside = ids == region
            if inner[inside].any() and inner[inside].mean() >= 0.5:
                chosen[inside] = True
    return chosen


def components(mask):
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [labels == place for place in range(1, count)]


def check(found, fused, threshold, mask, min_area):
    """The objects are the components of the mask, with the score that is documented, in order."""
    expected = [each for each in components(mask) if each.sum() >= min_area]
    scores = np.array([fused[each & (fused >= threshold)].mean() for each in expected])
    again = Objects.from_masks(np.array(expected, bool).reshape(-1, *fused.shape), scores)
    np.testing.assert_array_equal(found.masks(), again.masks())
    np.testing.assert_allclose(found.scores, again.scores)
    np.testing.assert_array_equal(found.boxes, again.boxes)
    np.testing.assert_array_equal(found.areas, again.areas)
    np.testing.assert_allclose(found.border_shares, again.border_shares)
    assert [runs.tolist() for runs in found.runs] == [runs.tolist() for runs in again.runs]


@given(scenes(), SCORES, st.integers(1, 4))
def test_regions_decide(scene, threshold, min_area):
    fused, partitions = scene
    (found,) = find_objects(fused, threshold, partitions, min_area=min_area)
    check(found, fused, threshold, decided(fused, threshold, partitions), min_area)


@given(scenes(), SCORES, st.integers(1, 4))
def test_pixels_decide_without_regions(scene, threshold, min_area):
    fused, _ = scene
    (found,) = find_objects(fused, threshold, min_area=min_area)
    check(found, fused, threshold, fused >= threshold, min_area)


@given(scenes(), SCORES)
def test_pixels_that_do_not_count_are_in_no_object_and_no_region(scene, threshold):
    fused, partitions = scene
    valid = np.random.default_rng(fused.size).random(fused.shape) < 0.7
    (found,) = find_objects(np.where(valid, fused, np.nan), threshold, partitions, min_area=1, valid=valid)
    cut = [np.where(valid, ids, -1) for ids in partitions]
    mask = decided(np.where(valid, fused, -1), threshold, cut)
    check(found, fused, threshold, mask & valid, 1)


@given(scenes(), SCORES)
def test_kinds_and_batches_give_the_same(scene, threshold):
    fused, partitions = scene
    batch = torch.from_numpy(np.stack([fused, fused[::-1].copy()]))[:, None].float()
    maps = [np.stack([ids, ids[::-1]]) for ids in partitions]
    both = find_objects(batch, threshold, [torch.from_numpy(each.copy()) for each in maps], min_area=1)
    (first,) = find_objects(fused, threshold, partitions, min_area=1)
    np.testing.assert_array_equal(both[0].masks(), first.masks())
    (second,) = find_objects(fused[::-1], threshold, [ids[::-1] for ids in partitions], min_area=1)
    np.testing.assert_array_equal(both[1].masks(), second.masks())


def test_a_hole_is_filled_a_speck_vanishes_and_the_outline_follows_the_region():
    ids = np.zeros((20, 30), int)
    ids[5:15, 5:20] = 1
    fused = np.where(ids == 1, 0.8, 0.1)
    fused[8:11, 9:12] = 0.1  # a hole
    fused[5:15, 20:22] = 0.7  # the score leaks over the outline
    fused[1:3, 1:3] = 0.9  # a speck
    (found,) = find_objects(fused, 0.5, ids, min_area=4)
    assert found.boxes.tolist() == [[5, 5, 20, 15]]
    assert found.areas.tolist() == [150]
    assert found.scores.tolist() == pytest.approx([0.8])
    (without,) = find_objects(fused, 0.5, min_area=4)
    assert sorted(without.areas.tolist()) == [4, 150 - 9 + 20]


def test_a_piece_that_its_region_filled_in_has_the_mean_of_its_pixels():
    fused = np.array([[0.9, 0.9, 0.1, 0.3]])
    (found,) = find_objects(fused, 0.5, np.array([[0, 0, 1, 0]]), min_area=1, split=False)
    assert found.boxes.tolist() == [[0, 0, 2, 1], [3, 0, 4, 1]]
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])


def test_a_coarse_region_closes_a_gap():
    fine = np.arange(12)[None, :].repeat(4, axis=0) // 2
    coarse = np.arange(12)[None, :].repeat(4, axis=0) // 10
    fused = np.where((fine == 1) | (fine == 3) | (fine == 4), 0.9, 0.1)
    (apart,) = find_objects(fused, 0.5, fine, min_area=1)
    (joined,) = find_objects(fused, 0.5, [coarse, fine], min_area=1)
    assert len(apart) == 2
    assert joined.boxes.tolist() == [[0, 0, 10, 4]]


def test_the_score_of_an_image_is_the_share_of_its_objects_times_their_scores():
    fused = np.zeros((10, 10))
    fused[:2, :5], fused[6:8, 6:8] = 0.8, 0.5
    (found,) = find_objects(fused, 0.5, min_area=1)
    assert found.image_score == pytest.approx((10 * 0.8 + 4 * 0.5) / 100)
    (none,) = find_objects(fused, 0.9, min_area=1)
    assert none.image_score == 0


def test_what_the_edge_cuts_off():
    fused = np.zeros((6, 8))
    fused[2:4, 0:3] = 1  # 2 of 10 sides are on the edge
    fused[0:6, 5:8] = 0.9  # 3 + 3 + 6 of 18 sides
    (found,) = find_objects(fused, 0.5, min_area=1)
    assert found.border_shares.tolist() == pytest.approx([2 / 10, 12 / 18])


def test_equal_scores_are_in_order_of_their_first_pixel_down_the_columns():
    fused = np.zeros((9, 9))
    fused[0, 6], fused[4, 2], fused[8, 2] = 1, 1, 1
    (found,) = find_objects(fused, 0.5, min_area=1)
    assert found.boxes[:, :2].tolist() == [[2, 4], [2, 8], [6, 0]]


@pytest.mark.parametrize("threshold", [-1.0, 2.0])
def test_thresholds_that_cut_nothing_or_all(threshold):
    fused = np.random.default_rng(0).random((5, 7))
    (found,) = find_objects(fused, threshold, np.zeros((5, 7), int), min_area=1)
    assert found.areas.tolist() == ([35] if threshold < 0 else [])
    assert found.masks().shape == (len(found), 5, 7)
    assert found.label_map().max() == len(found)


def test_no_region_and_no_valid_pixel():
    fused = np.ones((4, 4))
    (alone,) = find_objects(fused, 0.5, np.full((4, 4), -1), min_area=1)
    assert alone.areas.tolist() == [16]
    (none,) = find_objects(fused, 0.5, valid=np.zeros((4, 4), bool), min_area=1)
    assert len(none) == 0


def test_ten_thousand_objects_of_one_pixel():
    fused = np.zeros((200, 200), np.float32)
    fused[::2, ::2] = 1
    (found,) = find_objects(fused, 0.5, min_area=1)
    assert len(found) == 10_000
    np.testing.assert_array_equal(found.label_map() > 0, fused > 0)


def test_bytes_are_shares_of_255():
    fused = np.array([[255, 128, 127, 0]], np.uint8)
    (found,) = find_objects(fused, 0.5, min_area=1)
    assert found.areas.tolist() == [2]
    assert found.scores.tolist() == pytest.approx([(1 + 128 / 255) / 2])


@pytest.mark.parametrize(
    ("error", "argument", "call"),
    [
        (OptionError, "threshold", lambda d: find_objects(d, float("nan"))),
        (OptionError, "threshold", lambda d: find_objects(d, "0.5")),
        (OptionError, "threshold", lambda d: find_objects(d, None)),
        (OptionError, "threshold", lambda d: find_objects(d, True)),
        (OptionError, "min_area", lambda d: find_objects(d, 0.5, min_area=0)),
        (OptionError, "min_area", lambda d: find_objects(d, 0.5, min_area=2.5)),
        (ScoreRangeError, "fused", lambda d: find_objects(d * np.nan, 0.5)),
        (ScoreRangeError, "fused", lambda d: find_objects(d + 1e300, 0.5)),
        (ScoreRangeError, "fused", lambda d: find_objects(d - 1e300, 0.5)),
        (OptionError, "threshold", lambda d: find_objects(d, np.True_)),
        (OptionError, "threshold", lambda d: find_objects(d, torch.tensor(True))),
        (ScoreRangeError, "fused", lambda d: find_objects(d + np.inf, 0.5)),
        (ShapeError, "fused", lambda d: find_objects(np.stack([d, d]), 0.5)),
        (ShapeError, "fused", lambda d: find_objects(d[0], 0.5)),
        (ShapeError, "fused", lambda d: find_objects(d[:0], 0.5)),
        (DTypeError, "fused", lambda d: find_objects(d > 0.5, 0.5)),
        (DTypeError, "fused", lambda d: find_objects(d.tolist(), 0.5)),
        (DeviceError, "fused", lambda d: find_objects(torch.from_numpy(d).to("meta"), 0.5)),
        (OptionError, "fused", lambda d: vmap(lambda x: find_objects(x, 0.5))(torch.from_numpy(d)[None])),
        (ShapeError, "regions", lambda d: find_objects(d, 0.5, np.zeros((3, 3), int))),
        (ShapeError, "regions", lambda d: find_objects(d, 0.5, [])),
        (DTypeError, "regions", lambda d: find_objects(d, 0.5, d)),
        (DTypeError, "valid", lambda d: find_objects(d, 0.5, valid=d)),
    ],
)
def test_bad_input_names_the_argument(error, argument, call):
    with pytest.raises(error) as caught:
        call(np.random.default_rng(0).random((5, 6)))
    assert isinstance(caught.value, CSLError)
    assert caught.value.argument == argument
    assert caught.value.hint


def test_torch_compile_keeps_it_out_of_its_graph():
    fused = torch.rand(2, 1, 20, 30, generator=torch.Generator().manual_seed(0))
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    found = torch.compile(lambda x: find_objects(x * 0.5, 0.35, min_area=1), backend=backend)(fused)
    for each, expected in zip(found, find_objects(fused * 0.5, 0.35, min_area=1), strict=True):
        np.testing.assert_array_equal(each.boxes, expected.boxes)
        np.testing.assert_array_equal(each.scores, expected.scores)
    assert len(graphs) == 1
