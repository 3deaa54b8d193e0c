"""What the tests of tiles share: images, a proposer whose regions are local, and equality up to numbers."""

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from csl_plugin import RegionMap


def blobs(height, width, seed=0, sigma=5.0):
    """An RGB image of smooth blobs, (H, W, 3) uint8."""
    noise = np.random.default_rng(seed).random((height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), sigma)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return (smooth * 255).astype(np.uint8)


class Levels:
    """Regions of equal brightness, of the mean over a square of radius r: they see no farther."""

    def __init__(self, radius=0, levels=6):
        self.radius, self.levels = radius, levels

    def __call__(self, images):
        side = 2 * self.radius + 1
        # In float64 a sum of bytes is exact in any order.
        mean = F.avg_pool2d((images[:, :1] * 255).round().double(), side, 1, self.radius) / 255
        return RegionMap((mean[:, 0] * self.levels).int(), self.levels + 1)


def batch(image):
    """(H, W, 3) uint8 as a proposer takes it."""
    return torch.from_numpy(np.moveaxis(image, 2, 0)[None] / np.float32(255))


def same_regions(one, two):
    """Whether two maps are equal but for the numbers of their regions."""
    one, two = (np.ravel(each).astype(np.int64) + 1 for each in (one, two))
    pairs = np.unique(one * (two.max() + 1) + two)
    return len(pairs) == len(np.unique(one)) == len(np.unique(two)) and np.array_equal(one == 0, two == 0)
