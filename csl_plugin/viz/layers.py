"""What a picture can show: an image, scores, a mask, class labels or regions, read from any array."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.arrays import as_array, describe
from csl_plugin.errors import DTypeError, ScoreRangeError, ShapeError
from csl_plugin.io.images import read_image
from csl_plugin.io.pillow_pictures import is_picture, pixels_of_picture
from csl_plugin.places import RemotePath
from csl_plugin.regions.proposals import RegionProposals
from csl_plugin.regions.region_map import RegionMap
from csl_plugin.viz.colors import Picture, Values

_PATHS = (str, os.PathLike, RemotePath)
_ROUNDING = 0.01  # of an image that was normalized and brought back
_LABEL_MODES = ("L", "P", "I", "I;16")
_A_LAYER = "scores, a mask, ids, or a RegionMap"


@dataclass(frozen=True)
class Scores:
    """Scores per pixel, (H, W) float64; they may be not finite."""

    values: NDArray[np.float64]


@dataclass(frozen=True)
class Mask:
    """A mask, (H, W) boolean."""

    values: NDArray[np.bool_]


@dataclass(frozen=True)
class Labels:
    """An integer per pixel, (H, W): a class, or any id; negative for none."""

    values: Values


@dataclass(frozen=True)
class Regions:
    """A partition of the image: region ids, (H, W); negative for none."""

    values: Values


Layer: TypeAlias = Scores | Mask | Labels | Regions


def read_picture(argument: str, value: Any) -> Picture:
    """An image as (H, W, 3) uint8 RGB.

    Args:
        argument: Its name in errors.
        value: A path or URL, a PIL image, turned as its EXIF orientation says, or a tensor or array
            (H, W, 3), (3, H, W), (1, 3, H, W) or, if gray, (H, W): uint8, or floating point in [0, 1].

    Raises:
        FileError: The path is no image.
        DTypeError, ShapeError: It is none of these.
        ScoreRangeError: Floating point outside [0, 1], as a normalized batch is.
    """
    if isinstance(value, _PATHS):
        return read_image(value)
    if is_picture(value):
        return pixels_of_picture(argument, value)
    pixels: Values = as_array(argument, value)
    if pixels.ndim == 4 and len(pixels) == 1:
        pixels = pixels[0]
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.ndim == 3 and pixels.shape[2] != 3 and pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        hint = "Pass one image of three channels, red first."
        raise ShapeError(argument, describe(value), "an image (H, W, 3) or (3, H, W)", hint)
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if pixels.dtype.kind != "f":
        hint = "Convert it with .astype('uint8')."
        raise DTypeError(argument, describe(value), "uint8, or floating point in [0, 1]", hint)
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -_ROUNDING and high <= 1 + _ROUNDING):
        got, hint = f"values between {low:.4g} and {high:.4g}", "Undo the normalization by mean and std."
        raise ScoreRangeError(argument, got, "an image in [0, 1], or uint8", hint)
    return np.rint(np.clip(pixels, 0, 1).astype(np.float32) * 255).astype(np.uint8)


def read_layer(argument: str, value: Any) -> Layer:
    """What lies over an image: by its type and dtype scores, a mask, labels or regions.

    Args:
        argument: Its name in errors.
        value: A `RegionMap` of one image, or a tensor or array (H, W), with any number of axes of length 1
            before: floating point for scores, boolean for a mask, integers for labels. A PIL image of mode F,
            1, or L, P and I is the same.

    Raises:
        DTypeError: It is none of these.
        ShapeError: It has another shape, or the map is of several images.
    """
    if isinstance(value, RegionMap):
        return Regions(_alone(argument, value, value.labels))
    if isinstance(value, RegionProposals):
        hint = "Assign the pixels first: soft_assignment(proposals, size)."
        raise DTypeError(argument, "a RegionProposals", "a RegionMap", hint)
    if isinstance(value, (tuple, list)) and value and isinstance(value[0], (RegionMap, RegionProposals)):
        hint = "Pass one of the partitions, such as regions[0]."
        raise DTypeError(argument, f"{len(value)} partitions", _A_LAYER, hint)
    if is_picture(value):
        if value.mode not in ("1", "F", *_LABEL_MODES):
            hint = "Only the first argument is a color image."
            raise DTypeError(argument, f"a PIL image of mode {value.mode}", _A_LAYER, hint)
        value = np.array(value)
    values = _alone(argument, value, value)
    if values.dtype == np.bool_:
        return Mask(values)
    if values.dtype.kind in "iu":
        return Labels(values)
    if values.dtype.kind != "f":
        raise DTypeError(argument, describe(value), _A_LAYER, "Convert it with .astype('float32').")
    return Scores(values.astype(np.float64))


def read_panel(argument: str, value: Any) -> Picture | Layer:
    """A picture if the value is a path or has three color channels, else a layer.

    Raises:
        CSLError: As for `read_picture` and `read_layer`.
    """
    colored = value.mode in ("RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV") if is_picture(value) else False
    if isinstance(value, (Tensor, np.ndarray)):
        shape = value.shape[1:] if value.ndim == 4 and len(value) == 1 else value.shape
        colored = len(shape) == 3 and 3 in (shape[0], shape[2]) and shape[0] != 1
    if colored or isinstance(value, _PATHS):
        return read_picture(argument, value)
    return read_layer(argument, value)


def _alone(argument: str, given: object, values: Any) -> Values:
    array = as_array(argument, values)
    if array.ndim < 2 or 0 in array.shape or any(length != 1 for length in array.shape[:-2]):
        hint = "Pass one image alone; of several classes, the scores of one or their arg max."
        raise ShapeError(argument, describe(given), "(H, W), or (1, H, W)", hint)
    return array.reshape(array.shape[-2:])
