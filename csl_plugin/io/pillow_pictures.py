"""Pictures of Pillow, which is not imported for any other value."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import DTypeError, FileError, ShapeError

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
        FileError: Its file is damaged, or it was closed.
    """
    from PIL import ImageOps

    if picture.mode not in _PICTURE_MODES:
        hint = "Pass the path of the file, or 8-bit RGB: a conversion by Pillow would clip the values."
        raise DTypeError(argument, f'a picture of mode "{picture.mode}"', "8-bit color or gray", hint)
    if 0 in picture.size:
        raise ShapeError(argument, f"a picture of size {picture.size}", "a pixel at least", "Skip it.")
    try:
        turned = ImageOps.exif_transpose(picture)
        return np.asarray(turned.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        got = f"a picture that Pillow cannot read ({error})"
        hint = "Open it again, or take another copy of its file."
        raise FileError(argument, got, "a whole one", hint) from error
