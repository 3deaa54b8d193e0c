"""Read images as 8-bit RGB arrays, and write PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError, FileError, ShapeError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.formats.png import GRAY, read_header
from csl_plugin.io.image_bytes import decode, read_image_bytes
from csl_plugin.io.listing import files_by_stem, holding
from csl_plugin.io.orientation import oriented
from csl_plugin.places import AnyPath, Place, place_of

if TYPE_CHECKING:
    from torch import Tensor

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".webp", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm",
)  # fmt: skip
"""What the names of image files end in, in lower case."""


@overload
def list_images(path: Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> dict[str, Path]: ...
@overload
def list_images(path: AnyPath, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> dict[str, Place]: ...
def list_images(path: AnyPath, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> Mapping[str, Place]:
    """The images of a folder (without subfolders), or the single image, by stem and sorted by it.

    Args:
        path: The folder, or the image.
        suffixes: Of images.

    Raises:
        FileError: The path does not exist, there is no image, or two images have the same stem.
    """
    images = files_by_stem(path, suffixes)
    if not images:
        expected = "images: " + ", ".join(suffixes)
        hint = "Pass the folder that holds the images themselves."
        raise FileError(str(path), holding(path, suffixes, "an image"), expected, hint)
    return images


def read_image(path: AnyPath) -> NDArray[np.uint8]:
    """An image as 8-bit RGB, as viewers and `cv2.imread` show it.

    The format is detected from the content, not from the name. Gray is expanded to three equal channels,
    palettes are resolved, alpha is dropped, 16-bit samples are reduced to 8. Of several pages or frames the
    first is read. The EXIF orientation is applied, as cv2.imread, mmcv, detectron2 and the image processors'
    `load_image` do, so score maps, labels and region maps have to fit the picture as it is shown. (Plain
    `PIL.Image.open` and `torchvision.io.read_image` give the stored pixels.)

    Args:
        path: A PNG, JPEG, BMP, WebP, TIFF or PNM file of at most 100 million pixels.

    Returns:
        (H, W, 3) uint8, red first.

    Raises:
        FileError: Missing, not a file, of another format, too large, damaged, truncated or incomplete.
    """
    cv2 = opencv()
    path = place_of(path)
    layout, data = read_image_bytes(path)
    pixels = oriented(decode(path, layout, data, cv2.IMREAD_COLOR), layout.orientation)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB, dst=pixels), np.uint8)


def read_gray_png(path: AnyPath) -> NDArray[Any]:
    """The samples of an 8- or 16-bit gray PNG as stored: no orientation, gamma or transparency is applied.

    Args:
        path: A PNG file of at most 100 million pixels.

    Returns:
        (H, W) uint8 or uint16.

    Raises:
        FileError: As for `read_image`, or a PNG of another kind.
    """
    cv2 = opencv()
    path = place_of(path)
    layout, data = read_image_bytes(path)
    kind = read_header(data) if layout.kind == "PNG" else None
    if kind is None or kind.color != GRAY or kind.bits not in (8, 16):
        names = {0: "gray", 2: "RGB", 3: "palette", 4: "gray and alpha", 6: "RGBA"}
        got = f"a {layout.kind} file" if kind is None else f"{kind.bits}-bit {names[kind.color]}"
        hint = "Save the values themselves, without colors, palette or alpha."
        raise FileError(str(path), got, "an 8- or 16-bit gray PNG", hint)
    return decode(path, layout, data, cv2.IMREAD_GRAYSCALE | cv2.IMREAD_ANYDEPTH)


def write_png(path: AnyPath, image: NDArray[Any]) -> None:
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
