"""Small frames with labeled and predicted instances, drawn by a seed: the golden cases of instance AP."""

import hashlib

import numpy as np
from scipy import ndimage

SIZE = (40, 56)


def draw_case(seed, frames, *, levels, small=0.3, void=0.3, false=3, found=0.8):
    """Frames of (labels, instances, masks, scores).

    Args:
        seed: Of the random numbers.
        frames: Their number.
        levels: Distinct scores; few make ties.
        small: Chance that a labeled instance has fewer than 10 pixels.
        void: Chance of a void rectangle.
        false: Predictions that are drawn without regard to the labels, at most.
        found: Chance that a labeled instance is predicted, with errors; some twice.
    """
    rng = np.random.default_rng(seed)
    return [_frame(rng, levels, small, void, false, found) for _ in range(frames)]


def _frame(rng, levels, small, void, false, found):
    instances = np.zeros(SIZE, np.int32)
    for number in range(1, int(rng.integers(0, 6)) + 1):
        extent = (1, 4) if rng.random() < small else (4, 16)
        instances[_box(rng, *extent)] = number
    labels = (instances > 0).astype(np.uint8)
    if rng.random() < void:
        labels[_box(rng, 5, 25)] = 255
        instances[labels != 1] = 0
    masks = []
    for number in np.unique(instances[instances > 0]).tolist():
        times = sum(rng.random() < found for _ in range(1 + (rng.random() < 0.3)))
        masks += [_changed(rng, instances == number) for _ in range(times)]
    masks += [_rectangle(rng) for _ in range(int(rng.integers(0, false + 1)))]
    scores = rng.integers(1, levels + 1, len(masks)) / levels
    return labels, instances, np.array(masks, bool).reshape(-1, *SIZE), scores


def _box(rng, low, high):
    height, width = (int(side) for side in rng.integers(low, high, 2))
    top, left = int(rng.integers(0, SIZE[0] - height)), int(rng.integers(0, SIZE[1] - width))
    return np.s_[top : top + height, left : left + width]


def _rectangle(rng):
    mask = np.zeros(SIZE, bool)
    mask[_box(rng, 1, 14)] = True
    return mask


def _changed(rng, mask):
    """A mask that is grown, shrunk or moved by a pixel or two, with holes."""
    kind = int(rng.integers(0, 4))
    if kind == 0:
        mask = ndimage.binary_dilation(mask)
    elif kind == 1:
        mask = ndimage.binary_erosion(mask)
    elif kind == 2:
        mask = np.roll(mask, tuple(int(step) for step in rng.integers(-2, 3, 2)), (0, 1))
    return mask & (rng.random(SIZE) < rng.choice([1.0, 0.95, 0.8]))


CASES = {
    "plain": draw_case(1, 6, levels=1000),
    "ties": draw_case(2, 8, levels=3),
    "crowded": draw_case(3, 12, levels=50, false=12),
    "small_and_void": draw_case(4, 10, levels=100, small=0.7, void=0.9, false=8),
    "all_found": draw_case(5, 6, levels=1000, small=0.0, void=0.0, false=0, found=1.0),
    "nothing_predicted": [(*frame[:2], frame[2][:0], frame[3][:0]) for frame in draw_case(6, 3, levels=9)],
    "nothing_labeled": [
        (np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.int32), *frame[2:])
        for frame in draw_case(7, 3, levels=9)
    ],
    "everything_ignored": [
        (np.where(frame[0] == 0, 255, 1), frame[1], np.ones((1, *SIZE), bool), np.array([0.5]))
        for frame in draw_case(8, 2, levels=9, small=0.0, void=0.0)
    ],
}


def digest(frames):
    """Of the arrays of a case; another one means that numpy draws other numbers than were measured."""
    found = hashlib.sha256()
    for labels, instances, masks, scores in frames:
        for array in (labels, instances, masks.astype(np.uint8), scores):
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
