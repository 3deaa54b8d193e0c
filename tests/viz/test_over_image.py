"""Layers over images, and outlines of masks."""

import numpy as np
import pytest
import torch

from csl_plugin import RegionMap
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.viz import outline, overlay
from csl_plugin.viz.colors import EDGE, MASK, TRUTH, class_colors, heat_colors

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
SCORE = np.random.default_rng(1).random((40, 60))
IDS = np.arange(60)[None].repeat(40, 0) // 20 - 1  # none, then 0 and 1


def test_alpha_goes_from_the_image_to_the_layer():
    assert np.array_equal(overlay(IMAGE, SCORE, alpha=0), IMAGE)
    assert np.array_equal(overlay(IMAGE, SCORE, alpha=1), heat_colors(SCORE, 0, 1))
    between = overlay(IMAGE, SCORE)
    assert np.abs(between * 2.0 - IMAGE - heat_colors(SCORE, 0, 1)).max() <= 1


@pytest.mark.parametrize(
    ("score", "ends"),
    [(SCORE / 20, (0, SCORE.max() / 20)), (SCORE * 9, (0, SCORE.max() * 9)), (SCORE - 2, None)],
)
def test_heat_colors_span_scores_of_any_scale(score, ends):
    low, high = ends or (score.min(), score.max())
    assert np.array_equal(overlay(IMAGE, score, alpha=1), heat_colors(score, low, high))


def test_what_is_unknown_or_outside_shows_the_image():
    score = SCORE.copy()
    score[:5], score[5] = np.nan, np.inf
    assert np.array_equal(overlay(IMAGE, score, alpha=1)[:6], IMAGE[:6])
    assert np.array_equal(overlay(IMAGE, score * np.nan), IMAGE)
    mask = SCORE > 0.5
    drawn = overlay(IMAGE, mask, alpha=1)
    assert np.array_equal(drawn[~mask], IMAGE[~mask])
    assert (drawn[mask] == MASK).all()
    drawn = overlay(IMAGE, IDS, alpha=1)
    assert np.array_equal(drawn[:, :20], IMAGE[:, :20])
    assert np.array_equal(drawn[:, 20:], class_colors(IDS)[:, 20:])


def test_regions_have_borders_and_labels_have_none():
    drawn = overlay(IMAGE, RegionMap(IDS[None]), alpha=1)
    assert (drawn[:, 39] == EDGE).all()
    assert np.array_equal(np.delete(drawn, [19, 39], 1), np.delete(overlay(IMAGE, IDS, alpha=1), [19, 39], 1))
    large = np.zeros((64, 1300, 3), np.uint8)
    halves = np.arange(1300)[None].repeat(64, 0) // 650
    white = (overlay(large, RegionMap(halves[None]), alpha=0) == EDGE).all(axis=(0, 2))
    assert white.sum() == 3  # one for each 640 pixels or part of them


@pytest.mark.parametrize(
    "draw", [lambda image: overlay(image, SCORE), lambda image: outline(image, SCORE > 2)]
)
def test_the_result_is_new_and_the_image_as_before(draw):
    image = IMAGE.copy()
    drawn = draw(image)
    drawn[:] = 0
    assert np.array_equal(image, IMAGE)


def test_tensors_are_drawn_like_arrays():
    image = torch.from_numpy(IMAGE).permute(2, 0, 1)[None] / 255
    score = torch.from_numpy(SCORE)[None, None]
    assert np.array_equal(overlay(image, score), overlay(IMAGE, SCORE))
    assert np.array_equal(outline(image, score > 0.9), outline(IMAGE, SCORE > 0.9))


def test_an_outline_is_outside_of_the_mask_and_beside_it():
    mask = np.zeros((40, 60), bool)
    mask[10:20, 10:30] = True
    drawn = outline(IMAGE, mask)
    assert np.array_equal(drawn[mask], IMAGE[mask])
    line = (drawn == TRUTH).all(axis=2)
    assert line[9, 10:30].all()
    assert line[10:20, 30].all()
    assert not line[:, 40:].any()
    for labels in (mask * 255, mask.astype(np.uint8), torch.from_numpy(mask)):
        assert np.array_equal(outline(IMAGE, labels), drawn)


@pytest.mark.parametrize("mask", [np.zeros((40, 60), bool), np.ones((40, 60), bool)])
def test_an_outline_of_nothing_or_all_is_the_image(mask):
    assert np.array_equal(outline(IMAGE, mask), IMAGE)


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (IDS, ScoreRangeError, "-1, 0, 1"),
        (np.arange(2400).reshape(40, 60), ScoreRangeError, "0, 1, 2, 3, 4, ..."),
        (SCORE, DTypeError, "score > 0.5"),
        (RegionMap(IDS[None]), DTypeError, "regions"),
        (SCORE[:20] > 0.5, ShapeError, "size of the image"),
    ],
)
def test_an_outline_refuses_what_is_no_mask(mask, error, words):
    with pytest.raises(error, match=words) as caught:
        outline(IMAGE, mask)
    assert caught.value.argument == "mask"


@pytest.mark.parametrize("alpha", [-0.1, 1.1, np.nan, "half", None])
def test_alpha_is_a_share(alpha):
    with pytest.raises(OptionError, match="alpha"):
        overlay(IMAGE, SCORE, alpha=alpha)


def test_a_layer_of_another_size_is_refused():
    with pytest.raises(ShapeError, match=r"layer: got size \(20, 60\)"):
        overlay(IMAGE, SCORE[:20])
