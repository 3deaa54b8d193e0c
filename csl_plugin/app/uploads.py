"""Files that a visitor drops: every size is checked before memory is taken for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError, ScoreRangeError, ShapeError
from csl_plugin.io import read_image, read_scores
from csl_plugin.io.image_bytes import read_image_bytes
from csl_plugin.io.limits import check_file
from csl_plugin.io.score_layout import does_not_fit, fits
from csl_plugin.viz.colors import Picture
from csl_plugin.viz.scaling import fit, resize

LARGEST_UPLOAD = 32 << 20
"""Maximum bytes of a file."""

MOST_PIXELS = 50_000_000
"""Maximum pixels of a photograph or a map."""

LONGEST_SIDE = 1024
"""Pixels of the longer side at which the page works: larger photographs are scaled down to it."""

LEAST_SIDE = 32
"""Minimum pixels of each side of a photograph."""

MAP_SUFFIXES = (".npy", ".png")


def read_photograph(path: Path) -> tuple[Picture, tuple[int, int]]:
    """A photograph at the size at which the page works, and its own size.

    Args:
        path: As `csl_plugin.io.read_image` takes it, of at most 32 MiB and 50 million pixels.

    Returns:
        (h, w, 3) uint8 RGB with sides of at most 1024 pixels, and (H, W) as the photograph is shown.

    Raises:
        FileError: It is gone, too large or too small, damaged, or no photograph.
    """
    _check_sizes(path)
    image = read_image(path)
    own = image.shape[0], image.shape[1]
    if min(own) < LEAST_SIDE:
        got, hint = f"{own[1]} x {own[0]} pixels", "Drop a larger photograph."
        raise FileError(str(path), got, f"at least {LEAST_SIDE} pixels on each side", hint)
    if max(own) <= LONGEST_SIDE:
        return image, own
    size = fit(own, (LONGEST_SIDE, LONGEST_SIDE))
    return np.asarray(resize(image, size), np.uint8), own


def read_map(path: Path, own: tuple[int, int], size: tuple[int, int]) -> tuple[NDArray[np.float32], float]:
    """A score map of a photograph, at the size at which the page works.

    Args:
        path: .npy or .png, of at most 32 MiB and 50 million pixels.
        own: (H, W) of the photograph.
        size: (h, w) of the result.

    Returns:
        (h, w) in [0, 1], and what it was divided by: the largest value where that is above 1, else 1.

    Raises:
        FileError: It is gone, too large, damaged, or no map.
        DTypeError: It holds no real numbers.
        ShapeError: It does not fit the photograph, or holds several classes.
        ScoreRangeError: A value is negative or not finite.
    """
    if path.suffix.lower() not in MAP_SUFFIXES:
        hint = "Save the map with numpy.save, or as a gray PNG."
        raise FileError(str(path), f"a {path.suffix or 'nameless'} file", "a .npy or .png file", hint)
    _check_sizes(path)
    values = read_scores(path, size=own)
    if values.ndim == 3 and len(values) == 1:
        values = values[0]
    if values.ndim != 2:
        got, hint = f"shape {values.shape}", "Save the score of one class."
        raise ShapeError(str(path), got, "one score for each pixel, (H, W)", hint)
    found = values.shape[0], values.shape[1]
    if not fits(found, own):
        raise does_not_fit(str(path), found, own)
    return _on_unit_scale(path, np.asarray(resize(values.astype(np.float32), size)))


def _check_sizes(path: Path) -> None:
    """Refuse what is too large, by the bytes of the file and by what its header declares."""
    hint = "Scale it down."
    check_file(path, LARGEST_UPLOAD)
    if path.suffix.lower() == ".npy":
        return  # its bytes are as many as the header declares: `read_scores` compares them first
    height, width = read_image_bytes(path)[0].size
    if height * width > MOST_PIXELS:
        got = f"{width} x {height} pixels"
        raise FileError(str(path), got, f"at most {MOST_PIXELS // 10**6} million pixels", hint)


def _on_unit_scale(path: Path, values: NDArray[Any]) -> tuple[NDArray[np.float32], float]:
    if not np.isfinite(values).all():
        hint = "Find out what produced them."
        raise ScoreRangeError(str(path), "nan or infinity", "finite scores", hint)
    low, high = float(values.min()), float(values.max())
    if low < 0:
        hint = "Map raw scores onto [0, 1] first, as csl-plugin calibrate does."
        raise ScoreRangeError(str(path), f"scores down to {low:.4g}", "scores from 0 on", hint)
    divisor = max(high, 1.0)
    return np.asarray(values / divisor, np.float32), divisor
