"""Read images as 8-bit RGB arrays, and write PNG."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError, FileError, ShapeError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.headers import declared_size, png_kind
from csl_plugin.io.limits import as_file_error, check_extent, check_file
from csl_plugin.io.listing import files_by_stem, holding

if TYPE_CHECKING:
    from torch import Tensor

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm")


def list_images(path: str | os.PathLike[str]) -> dict[str, Path]:
    """The images of a folder (without subfolders), or the single image, by stem and sorted by it.

    Raises:
        FileError: The path does not exist, there is no image, or two images have the same stem.
    """
    images = files_by_stem(path, IMAGE_SUFFIXES)
    if not images:
        expected = "images: " + ", ".join(IMAGE_SUFFIXES)
        hint = "Pass the folder that holds the images themselves."
        raise FileError(str(path), holding(path, IMAGE_SUFFIXES, "an image"), expected, hint)
    return images


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """An image as 8-bit RGB.

    The format is detected from the content, not from the name. Gray is expanded to three equal channels,
    palettes are resolved, alpha is dropped, 16-bit samples are reduced to 8. EXIF rotation is not applied,
    because score maps and region maps align with the stored pixels. Of several pages or frames the first is
    read.

    Args:
        path: A PNG, JPEG, BMP, WebP, TIFF or PNM file of at most 100 million pixels.

    Returns:
        (H, W, 3) uint8, red first.

    Raises:
        FileError: Missing, not a file, of another format, too large, damaged or truncated.
    """
    cv2 = opencv()
    path = Path(path)
    data = _checked_bytes(path)
    bgr = _decode(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)


def read_gray_png(path: str | os.PathLike[str]) -> NDArray[Any]:
    """The samples of an 8- or 16-bit gray PNG, unchanged.

    Args:
        path: A PNG file of at most 100 million pixels.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        FileError: As for `read_image`, or a PNG of another kind.
    """
    cv2 = opencv()
    path = Path(path)
    data = _checked_bytes(path)
    kind = png_kind(data)
    if kind not in ((8, 0), (16, 0)):
        names = {0: "gray", 2: "RGB", 3: "palette", 4: "gray and alpha", 6: "RGBA"}
        got = "another format" if kind is None else f"{kind[0]}-bit {names.get(kind[1], 'unknown')}"
        hint = "Save the values themselves, without colors, palette or alpha."
        raise FileError(str(path), got, "an 8- or 16-bit gray PNG", hint)
    return _decode(path, data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)


def write_png(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write a PNG file atomically.

    Args:
        path: The file; its folder is created.
        image: (H, W, 3) uint8 RGB, or (H, W) uint8 or uint16 gray.

    Raises:
        DTypeError: Another element type.
        ShapeError: Another shape, or an empty axis.
        FileError: The path cannot be written.
    """
    cv2 = opencv()
    color = image.ndim == 3
    if image.dtype not in ((np.uint8,) if color else (np.uint8, np.uint16)):
        hint = "Scale and round the values, then convert them with .astype(numpy.uint8)."
        raise DTypeError("image", describe(image), "uint8, or uint16 without channels", hint)
    if image.ndim not in (2, 3) or 0 in image.shape or (color and image.shape[2] != 3):
        raise ShapeError("image", describe(image), "(H, W, 3) or (H, W)", "Move the channels last.")
    encoded, data = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1] if color else image))
    if not encoded:
        raise FileError(str(path), describe(image), "an image that PNG can hold", "Make it smaller.")
    with atomic_path(path) as temporary:
        temporary.write_bytes(data.tobytes())


def image_batch(image: NDArray[np.uint8]) -> Tensor:
    """An image as a batch of one, the input of a proposer.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        (1, 3, H, W) float32 in [0, 1], contiguous.

    Example:
        >>> image_batch(np.full((2, 4, 3), 255, np.uint8)).shape
        torch.Size([1, 3, 2, 4])
    """
    import torch

    channels = np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32)
    return torch.from_numpy(channels / np.float32(255))


def _checked_bytes(path: Path) -> bytes:
    check_file(path)
    with as_file_error(path, "a readable file"):
        data = path.read_bytes()
    size = declared_size(data)
    if size is None:
        expected = "a complete PNG, JPEG, BMP, WebP, TIFF or PNM file"
        hint = "The file is truncated or of another format: convert it to PNG."
        raise FileError(str(path), f"{len(data)} bytes with no such header", expected, hint)
    check_extent(path, size, itemsize=1)
    return data


def _decode(path: Path, data: bytes, flags: int) -> NDArray[Any]:
    cv2 = opencv()
    with as_file_error(path, "an image"):
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        hint = "The file is damaged, truncated or of a rare kind: save it as 8-bit PNG with another program."
        raise FileError(str(path), "a file that cannot be decoded", "an image", hint)
    return np.asarray(pixels)
