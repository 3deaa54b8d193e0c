"""Masks as files hold them, against the dense masks."""

import numpy as np
import pytest

from csl_plugin import Objects
from csl_plugin.io import encode_rle, read_run_lengths
from csl_plugin.objects.border import border_share
from csl_plugin.objects.stored_masks import (
    canonical_runs,
    crop_of_runs,
    objects_of_runs,
    stored_masks,
)
from tests.objects.drawn import assert_same, drawn_objects, noise_objects

SIZES = [(7, 9), (1, 30), (30, 1), (1, 1), (2, 2), (40, 33)]


@pytest.mark.parametrize("size", SIZES)
def test_masks_are_stored_as_coco_encodes_them_and_come_back(size):
    for seed in range(20):
        objects = noise_objects(seed, size)
        records = stored_masks(objects)
        assert records == [encode_rle(mask) for mask in objects.masks()]
        runs = [canonical_runs(read_run_lengths(record)[1]) for record in records]
        assert_same(objects_of_runs(size, runs, objects.scores.tolist()), objects)


@pytest.mark.parametrize("size", SIZES)
def test_crops_and_shares_of_the_border_are_those_of_the_masks(size):
    for seed in range(20):
        objects = noise_objects(seed, size)
        for place, mask in enumerate(objects.masks()):
            runs = objects.runs[place]
            crop, top, left = crop_of_runs(runs, size)
            box = objects.boxes[place].tolist()
            assert [left, top, left + crop.shape[1], top + crop.shape[0]] == box
            np.testing.assert_array_equal(crop, mask[box[1] : box[3], box[0] : box[2]])
            share = border_share(runs, size)
            assert share == pytest.approx(objects.border_shares[place], abs=1e-12)


def test_runs_of_length_zero_are_joined():
    size = 4, 5
    rng = np.random.default_rng(0)
    for _ in range(200):
        counts = rng.multinomial(20, rng.dirichlet(np.full(9, 0.3)))
        flat = np.repeat(np.arange(9) % 2 == 1, counts)
        runs = canonical_runs(counts)
        if not flat.any():
            assert runs.tolist() == [20]
            continue
        expected = Objects.from_masks(flat.reshape(size[::-1]).T[None], np.ones(1))
        assert runs.tolist() == expected.runs[0].tolist()


def test_a_mask_of_a_very_wide_image_takes_no_memory_of_its_size():
    runs = canonical_runs(np.array([0, 100_000_000]))
    assert border_share(runs, (1, 100_000_000)) == 1.0
    assert border_share(canonical_runs(np.array([5, 10, 85])), (10, 10)) == pytest.approx(7 / 24)


def test_drawn_objects_have_their_border():
    assert drawn_objects().border_shares.tolist() == [70 / 140, 0, 0, 0.5]
