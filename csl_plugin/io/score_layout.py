"""Where a score map's class axis is, and whether the map fits an image."""

from __future__ import annotations

import math
from collections.abc import Sequence

from csl_plugin.errors import ShapeError


def is_channels_last(argument: str, shape: Sequence[int], size: tuple[int, int] | None = None) -> bool:
    """Whether a stored map of three axes is (H, W, C) rather than (C, H, W).

    (H, W, 1) is one class. Several classes in the last axis are recognized by the image's size only, and only
    where the map cannot be (C, H, W) too.

    Args:
        argument: The file, for the error.
        shape: Of the stored map; two axes are never channels-last.
        size: (H, W) of the image, if known.

    Raises:
        ShapeError: Both readings fit a reduced resolution of the image.

    Example:
        >>> is_channels_last("a.npy", (40, 56, 3), (40, 56)), is_channels_last("a.npy", (3, 40, 56), (40, 56))
        (True, False)
    """
    if len(shape) != 3:
        return False
    first, last = (shape[1], shape[2]), (shape[0], shape[1])
    if 1 in last:
        return False
    if size is None or (shape[2] == 1 and size[1] > 1):
        return shape[2] == 1
    if size in (first, last):
        return first != size
    if fits(first, size) and fits(last, size):
        got = f"shape {tuple(shape)}, which is (C, h, w) or (h, w, C)"
        hint = "Save the scores at the size of the image, or with the classes in the first axis."
        raise ShapeError(argument, got, f"one that fits the image's {size} in one way only", hint)
    return fits(last, size)


def fits(size: tuple[int, int], image: tuple[int, int]) -> bool:
    """Whether a map of this size covers an image: it has its size, or is smaller by one factor.

    Both sides must come from the factor by the same rounding: down, up or to the nearest.

    Example:
        >>> fits((256, 512), (1024, 2048)), fits((34, 60), (270, 480)), fits((512, 256), (1024, 2048))
        (True, True, False)
    """
    if size == image:
        return True
    if min(size) < 1 or any(own > whole for own, whole in zip(size, image, strict=True)):
        return False
    for below, above in ((0.0, 1.0), (1.0, 0.0), (0.5, 0.5)):
        # The factors with size - below <= image / factor <= size + above, for both sides.
        least = max(whole / (own + above) for own, whole in zip(size, image, strict=True))
        most = min(
            whole / (own - below) if own > below else math.inf for own, whole in zip(size, image, strict=True)
        )
        if least < most:
            return True
    return False


def does_not_fit(argument: str, size: tuple[int, int], image: tuple[int, int]) -> ShapeError:
    """The error of a map that does not fit its image."""
    expected = f"the image's {image}, or smaller with its aspect ratio"
    hint = "Make the scores from this image, and remove padding from them."
    if size == image[::-1]:
        hint = (
            "Height and width are exchanged: transpose the scores, or, where the photograph has an EXIF "
            "orientation, make them from the image as it is shown."
        )
    elif size[0] > image[0] or size[1] > image[1]:
        hint = "Resize the scores to the image, or pass the image that they were made from."
    return ShapeError(argument, f"size {size}", expected, hint)
