"""Objects for tests: drawn shapes, and masks of noise."""

import cv2
import numpy as np

from csl_plugin import Objects

SIZE = 60, 90


def drawn_objects():
    """A ring, a bar at the border, one pixel, and two parts that belong together; two overlap."""
    masks = np.zeros((4, *SIZE), np.uint8)
    cv2.circle(masks[0], (30, 30), 20, 1, -1)
    cv2.circle(masks[0], (30, 30), 9, 0, -1)
    masks[1, 40:, 40:90] = 1
    masks[2, 0, 89] = 1
    masks[3, 5:15, 60:70] = 1
    masks[3, 20:30, 60:70] = 1
    return Objects.from_masks(masks.astype(bool), np.array([0.5, 0.9, 0.1, 0.7]))


def noise_objects(seed, size=(7, 9), count=5):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, *size)) < rng.random((count, 1, 1))
    masks[:, rng.integers(size[0]), rng.integers(size[1])] = True
    return Objects.from_masks(masks, rng.random(count))


def assert_same(found, expected):
    assert found.size == expected.size
    assert [runs.tolist() for runs in found.runs] == [runs.tolist() for runs in expected.runs]
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.areas, expected.areas)
    np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_allclose(found.border_shares, expected.border_shares, rtol=1e-12)
