"""Pictures of Pillow, which is not imported for any other value."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, ShapeError

_PICTURE_MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV")


def is_picture(value: object) -> bool:
    """Whether a value is a picture of Pillow, which is not imported for it."""
    module: Any = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def pixels_of_picture(argument: str, picture: Any) -> NDArray[np.uint8]:
    """A picture of Pillow as it is shown, (H, W, 3) uint8 RGB; alpha is dropped.

    Raises:
        DTypeError: A mode without bytes, such as "I;16" or "F".
        ShapeError: An empty axis.
    """
    from PIL import ImageOps

    if picture.mode not in _PICTURE_MODES:
        hint = "Pass the path of the file, or 8-bit RGB: a conversion by Pillow would clip the values."
        raise DTypeError(argument, f'a picture of mode "{picture.mode}"', "8-bit color or gray", hint)
    if 0 in picture.size:
        raise ShapeError(argument, f"a picture of size {picture.size}", "a pixel at least", "Skip it.")
    return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
