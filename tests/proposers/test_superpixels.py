"""The weight-free proposer: what its regions are, and what it refuses."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from csl_plugin import fuse
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.proposers import Superpixels
from csl_plugin.regions.region_map import RegionMap


def noise(height, width, seed=0, batch=1):
    return torch.rand(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def squares(height=48, width=64):
    """Four flat squares of distinct colors on a flat ground."""
    image = torch.full((1, 3, height, width), 0.3)
    colors = [(0.9, 0.1, 0.1), (0.1, 0.7, 0.2), (0.2, 0.2, 0.9), (0.9, 0.9, 0.8)]
    corners = [(4, 6), (4, 40), (28, 6), (28, 40)]
    for color, (top, left) in zip(colors, corners, strict=True):
        image[0, :, top : top + 16, left : left + 18] = torch.tensor(color).view(3, 1, 1)
    return image, corners


@pytest.fixture(scope="module")
def photographs():
    """Two photographs of one size; skimage brings `astronaut` and `coffee` along, so nothing is fetched."""
    data = pytest.importorskip("skimage.data")
    crops = [data.coffee()[80:320, 100:420], data.astronaut()[:240, 80:400]]
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 255


def assert_is_a_partition(regions, images):
    labels = regions.labels
    assert isinstance(regions, RegionMap)
    assert labels.shape == (images.shape[0], *images.shape[-2:])
    assert labels.dtype == torch.int32
    assert labels.device == images.device
    assert regions.num_regions == int(labels.max()) + 1
    for partition in labels.numpy():
        ids, first_pixel = np.unique(partition, return_index=True)
        np.testing.assert_array_equal(ids, np.arange(len(ids)))
        assert np.all(np.diff(first_pixel) > 0), "numbered by the first pixel in reading order"
        for region in ids:
            assert ndimage.label(partition == region)[1] == 1, "4-connected"


def is_nested(fine, coarse):
    """Every fine region lies in one coarse region."""
    return len(np.unique(np.stack([fine.ravel(), coarse.ravel()]), axis=1).T) == len(np.unique(fine))


@pytest.mark.parametrize("scale", [10.0, 150.0])
def test_photographs_are_partitioned(photographs, scale):
    assert_is_a_partition(Superpixels(scale)(photographs)[0], photographs)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 9), st.sampled_from([1e-9, 1.0, 150.0, 1e6]))
def test_any_small_image_is_partitioned(height, width, seed, scale):
    images = noise(height, width, seed).mul(3).round().div(3)  # few values: many ties and plateaus
    assert_is_a_partition(Superpixels(scale)(images)[0], images)


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (1, 300), (300, 1), (2, 2), (130, 150)])
def test_noise_of_any_size_is_partitioned(size):
    images = noise(*size)
    assert_is_a_partition(Superpixels()(images)[0], images)


@pytest.mark.parametrize("value", [0.0, 0.37, 1.0])
@pytest.mark.parametrize("size", [(1, 1), (1, 70), (70, 1), (61, 83), (200, 300)])
def test_a_constant_image_is_one_region(size, value):
    (regions,) = Superpixels(1e-3)(torch.full((1, 3, *size), value))
    assert regions.num_regions == 1
    assert torch.equal(regions.labels, torch.zeros(1, *size, dtype=torch.int32))


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("size", [(16, 20), (120, 90), (300, 400)])
@pytest.mark.parametrize("values", [(0.0, 1.0), (1.0, 0.0), (0.4, 0.6)])
def test_two_flat_halves_are_two_regions(size, axis, values):
    halves = [torch.full((1, 3, *size), value) for value in values]
    image = torch.cat(halves, axis)
    expected = torch.cat([torch.full((1, *size), k, dtype=torch.int32) for k in (0, 1)], axis - 1)
    assert torch.equal(Superpixels()(image)[0].labels, expected)


def test_flat_squares_are_found():
    image, corners = squares()
    labels = Superpixels()(image)[0].labels[0]
    assert labels.max() == len(corners)
    for top, left in corners:
        square = torch.zeros_like(labels, dtype=torch.bool)
        square[top : top + 16, left : left + 18] = True
        found = labels == labels[top + 8, left + 9]
        assert (found & square).sum() >= 0.98 * (found | square).sum()


def test_equal_lightness_is_told_apart_by_color():
    image = torch.tensor([0.8, 0.3, 0.3]).view(1, 3, 1, 1).repeat(1, 1, 40, 60)
    image[..., 30:] = torch.tensor([0.1, 0.53, 0.1]).view(1, 3, 1, 1)
    assert Superpixels()(image)[0].num_regions == 2


def test_a_smooth_ramp_is_not_cut():
    ramp = torch.linspace(0.2, 0.8, 200).expand(1, 3, 150, 200)
    assert Superpixels()(ramp)[0].num_regions == 1


def test_mirrored_squares_have_mirrored_regions():
    image, _ = squares()
    proposer = Superpixels()
    mirrored = proposer(image.flip(-1))[0].labels.flip(-1)
    straight = proposer(image)[0].labels
    assert is_nested(straight.numpy(), mirrored.numpy())
    assert is_nested(mirrored.numpy(), straight.numpy())


def test_larger_scales_give_fewer_and_nested_regions(photographs):
    maps = [Superpixels(scale)(photographs)[0].labels.numpy() for scale in (5, 30, 150, 600, 1e9)]
    for fine, coarse in pairwise(maps):
        for one, other in zip(fine, coarse, strict=True):
            assert is_nested(one, other)
            assert len(np.unique(one)) > len(np.unique(other))
    assert not maps[-1].any()


def test_the_size_of_the_image_hardly_matters(photographs):
    large = torch.nn.functional.interpolate(photographs[:1], scale_factor=2)
    counts = [Superpixels()(image)[0].num_regions for image in (photographs[:1], large)]
    assert max(counts) < 2 * min(counts)


def test_same_input_same_output_alone_and_in_a_batch(photographs):
    proposer = Superpixels(50)
    batch = proposer(photographs)[0].labels
    assert torch.equal(batch, Superpixels(50)(photographs.clone())[0].labels)
    for index in range(len(photographs)):
        assert torch.equal(batch[index : index + 1], proposer(photographs[index : index + 1])[0].labels)


def test_memory_layout_does_not_matter_and_input_stays(photographs):
    before = photographs.clone()
    expected = Superpixels()(photographs)[0].labels
    channels_last = photographs.contiguous(memory_format=torch.channels_last)
    strided = torch.cat([photographs, photographs], -1)[..., : photographs.shape[-1]]
    assert torch.equal(Superpixels()(channels_last)[0].labels, expected)
    assert torch.equal(Superpixels()(strided)[0].labels, expected)
    assert torch.equal(Superpixels()(photographs.numpy())[0].labels, expected)
    assert torch.equal(photographs, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_are_read_as_float32(photographs, dtype):
    images = photographs[:1, :, :120, :160].to(dtype)
    assert torch.equal(Superpixels()(images)[0].labels, Superpixels()(images.float())[0].labels)


def test_gradients_are_not_needed():
    image = squares()[0].requires_grad_()
    assert not Superpixels()(image)[0].labels.requires_grad


def test_regions_explain_the_colors_of_a_photograph(photographs):
    image = photographs[:1]
    labels = Superpixels()(image)[0].labels.numpy().ravel()
    pixels = image[0].permute(1, 2, 0).reshape(-1, 3).numpy()
    counts = np.bincount(labels)
    assert 5 <= len(counts) <= 150
    painted = np.stack([(np.bincount(labels, channel) / counts)[labels] for channel in pixels.T], 1)
    assert ((pixels - painted) ** 2).sum() < 0.15 * ((pixels - pixels.mean(0)) ** 2).sum()


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), "150", None, True, [1.0], 1j])
def test_a_scale_without_meaning_is_refused(scale):
    with pytest.raises(
        OptionError, match=r"^scale: got .*, expected a positive finite number\. The default"
    ) as caught:
        Superpixels(scale)
    assert repr(scale) in str(caught.value)


@pytest.mark.parametrize("scale", [150, np.float32(150), np.int64(150)])
def test_any_real_number_is_a_scale(scale):
    assert repr(Superpixels(scale)) == "Superpixels(scale=150)"


def spoiled(value):
    image = torch.full((1, 3, 4, 5), 0.5)
    image[0, 1, 2, 3] = value
    return image


@pytest.mark.parametrize(
    ("images", "error", "got", "hint"),
    [
        ([[0.5]], DTypeError, "a list of 1", r"numpy\.stack"),
        (torch.zeros(1, 3, 4, 5, dtype=torch.bool), DTypeError, "torch.bool", "uint8"),
        (torch.zeros(1, 3, 4, 5, dtype=torch.complex64), DTypeError, "torch.complex64", "uint8"),
        (torch.zeros(1, 1, 4, 5), ShapeError, r"shape \(1, 1, 4, 5\)", "three equal channels"),
        (torch.zeros(0, 3, 4, 5), ShapeError, r"shape \(0, 3, 4, 5\)", "no image"),
        (torch.zeros(1, 3, 0, 5), ShapeError, r"shape \(1, 3, 0, 5\)", "no image"),
        (torch.zeros(1, 3, 4, 0), ShapeError, r"shape \(1, 3, 4, 0\)", "no image"),
        (spoiled(1.5), ScoreRangeError, r"between 0\.5 and 1\.5", "Divide by 255"),
        (spoiled(-0.25), ScoreRangeError, r"between -0\.25 and 0\.5", "Undo the normalization"),
        (spoiled(float("nan")), ScoreRangeError, "nan", "not finite"),
        (spoiled(float("inf")).bfloat16(), ScoreRangeError, "inf", "not finite"),
    ],
)
def test_images_without_meaning_are_refused(images, error, got, hint):
    with pytest.raises(error, match=rf"^images: got .*{got}.*, expected .+\. .*{hint}"):
        Superpixels()(images)


def test_regions_take_part_in_a_training_step():
    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    score = torch.rand(1, 1, 20, 24, requires_grad=True)
    fuse(score, Superpixels()(image)).sum().backward()
    assert score.grad is not None
    assert score.grad.isfinite().all()


def test_the_default_dtype_does_not_matter():
    image = torch.rand(1, 3, 20, 24, generator=torch.Generator().manual_seed(0))
    labels = Superpixels(5)(image)[0].labels
    torch.set_default_dtype(torch.float64)
    try:
        assert torch.equal(Superpixels(5)(image)[0].labels, labels)
    finally:
        torch.set_default_dtype(torch.float32)
