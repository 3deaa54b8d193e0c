"""The orientation of a photograph: pixels are turned as viewers and cv2.imread turn them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.errors import FileError, ShapeError
from csl_plugin.io.image_bytes import read_image_bytes
from csl_plugin.places import Place

TURNED_HINT = (
    "The size is the same turned by 90 degrees, as from the stored pixels of a photograph with an EXIF "
    "orientation: make the file from the image as cv2.imread reads it."
)
"""For an array of the transposed size where the image is not known."""

_TURNED = (5, 6, 7, 8)
_MENDS = {
    5: "numpy.swapaxes(a, -2, -1)",
    6: "numpy.rot90(a, -1, axes=(-2, -1))",
    7: "numpy.swapaxes(a[..., ::-1, ::-1], -2, -1)",
    8: "numpy.rot90(a, 1, axes=(-2, -1))",
}


def oriented(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Stored pixels (H, W) or (H, W, C) as they are shown.

    Args:
        pixels: As stored.
        orientation: The EXIF orientation, 1 to 8.

    Example:
        >>> oriented(np.array([[1, 2, 3]], np.uint8), 6).tolist()
        [[1], [2], [3]]
    """
    cv2 = opencv()
    if orientation in (5, 7):
        pixels = cv2.transpose(pixels)
    mirrored = {2: 1, 3: -1, 4: 0, 7: -1}
    if orientation in mirrored:
        pixels = cv2.flip(pixels, mirrored[orientation])
    if orientation in (6, 8):
        pixels = cv2.rotate(
            pixels, cv2.ROTATE_90_CLOCKWISE if orientation == 6 else cv2.ROTATE_90_COUNTERCLOCKWISE
        )
    return np.asarray(pixels)


def check_orientation(
    argument: str, size: tuple[int, ...], image: Place, shown: tuple[int, ...], *, scaled: bool = False
) -> None:
    """Refuse an array that was made from the stored pixels of an image which is shown turned.

    Of a square image, or one that is mirrored or upside down, the size does not tell.

    Args:
        argument: The array's file, for the error.
        size: Its (H, W).
        image: The image's file.
        shown: (H, W) of the image as `read_image` gives it.
        scaled: Whether the array may have another resolution; then its proportions count.

    Raises:
        ShapeError: The array fits the stored pixels alone.
    """
    (rows, columns), (height, width) = size[-2:], shown[:2]
    if scaled:
        # As far from the image's proportions as a turn of it, up to the rounding of its sides.
        fits_stored = (height > width and rows < columns) or (height < width and rows > columns)
    else:
        fits_stored = (rows, columns) == (width, height) and rows != columns
    if not fits_stored:
        return
    orientation = stored_orientation(image)
    if orientation in _TURNED:
        got = (
            f"size {(rows, columns)}, which fits the stored pixels of {image.name}: its EXIF orientation is "
        )
        expected = f"the size that viewers and cv2.imread show, {(height, width)}"
        hint = f"Make it from the image as cv2.imread reads it, or turn it: {_MENDS[orientation]}."
        raise ShapeError(argument, f"{got}{orientation}", expected, hint)


def stored_orientation(image: Place) -> int:
    """The EXIF orientation of an image file that can be read, else 1."""
    try:
        return read_image_bytes(image)[0].orientation
    except FileError:
        return 1
