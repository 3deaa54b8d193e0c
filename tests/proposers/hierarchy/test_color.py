"""Colors and gradients against their formulas, written out pixel by pixel."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csl_plugin.proposers.hierarchy import color
from csl_plugin.proposers.hierarchy.color import (
    UNIT,
    color_gradient,
    opponent_color,
    relative_to_surroundings,
)


def noise(size, seed=0):
    return torch.rand((3, *size), generator=torch.Generator().manual_seed(seed))


def cielab(red, green, blue):
    """CIELAB under D65 of one sRGB color, by the standard's formulas."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (red, green, blue)]
    matrix = [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
    white = (0.950456, 1.0, 1.088754)
    ratios = [np.dot(row, linear) / whole for row, whole in zip(matrix, white, strict=True)]
    x, y, z = (t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in ratios)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@given(st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=200, deadline=None)
def test_colors_are_those_of_cielab_with_chroma_counted_twice(levels):
    values = [level / 255 for level in levels]
    found = opponent_color(torch.tensor(values, dtype=torch.float32)[:, None, None]).flatten() / UNIT
    lightness, a, b = cielab(*values)
    np.testing.assert_allclose(found, [lightness, 2 * a, 2 * b], atol=0.15)


def test_opencv_means_the_same_colors():
    image = noise((20, 30))
    theirs = cv2.cvtColor(image.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2LAB)
    ours = opponent_color(image).permute(1, 2, 0).numpy() / UNIT / [1, 2, 2]
    np.testing.assert_allclose(ours, theirs, atol=1.0)


@given(seed=st.integers(0, 10**6), size=st.tuples(*[st.integers(1, 12)] * 2))
@settings(max_examples=40, deadline=None)
def test_the_gradient_is_that_of_the_smoothed_colors(seed, size):
    values = opponent_color(noise(size, seed))
    kernel = np.array([1, 4, 6, 4, 1]) / 16
    wide = np.pad(values.numpy() / UNIT, ((0, 0), (3, 3), (3, 3)), mode="edge")
    smooth = np.apply_along_axis(lambda row: np.convolve(row, kernel, "valid"), 2, wide)
    smooth = np.apply_along_axis(lambda row: np.convolve(row, kernel, "valid"), 1, smooth)
    found = color_gradient(values)
    for y, x in np.ndindex(size):
        across = (smooth[:, y + 1, x + 2] - smooth[:, y + 1, x]) / 2
        down = (smooth[:, y + 2, x + 1] - smooth[:, y, x + 1]) / 2
        jacobian = np.stack([across, down], 1)
        largest = np.linalg.svd(jacobian, compute_uv=False)[0]
        assert float(found[y, x]) == pytest.approx(largest, rel=1e-4, abs=1e-4)


def test_a_flat_image_has_no_gradient_and_noise_has_little_relative_to_its_surroundings():
    assert not color_gradient(opponent_color(torch.full((3, 9, 7), 0.3))).any()
    busy = torch.full((64, 64), 40.0)
    busy[32:] = 0.0
    busy[48, 32] = 40.0
    relative = relative_to_surroundings(busy)
    assert relative[48, 32] > 2 * relative[8, 32]


def test_bands_do_not_show(monkeypatch):
    image = noise((37, 11))
    whole = opponent_color(image), color_gradient(opponent_color(image))
    relative = relative_to_surroundings(whole[1])
    for pixels in (1, 40, 150):
        monkeypatch.setattr(color, "_BAND", pixels)
        assert torch.equal(opponent_color(image), whole[0])
        assert torch.equal(color_gradient(whole[0]), whole[1])
        assert torch.equal(relative_to_surroundings(whole[1]), relative)


def test_the_mean_is_summed_in_float64(monkeypatch):
    gradient = torch.cat([torch.full((1, 8), 2.0**24), torch.ones((24, 8)), torch.zeros((7, 8))])
    for elements in (8, 1 << 21):
        monkeypatch.setattr(color, "_BAND_OF_SUMS", elements)
        assert float(color.mean(gradient)) == (2.0**24 + 24) / 32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_images_of_any_float_are_taken(dtype):
    image = noise((5, 6)).to(dtype)
    assert torch.equal(opponent_color(image), opponent_color(image.float()))
