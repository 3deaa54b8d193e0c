"""What the header of an image file declares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


class Damaged(Exception):  # noqa: N818 - the readers turn it into a FileError
    """The bytes are no complete file of their format; the text says what is there."""


def _accept(pixels: NDArray[Any]) -> None:
    del pixels


EXPANSION = 2048
"""Bytes of pixels that a byte of a file stands for, at most, where its format has no smaller bound."""

FREE = 64 << 20
"""Bytes of pixels that a file of any size may declare."""


@dataclass(frozen=True)
class Layout:
    """A file whose structure is complete, as far as that shows without decoding it.

    Args:
        kind: The format, such as "PNG".
        size: (H, W) as stored.
        needed: Units of pixels that the header declares: bytes, or blocks.
        available: Units that the stored bytes can hold at most; a smaller number than `needed` is a lie.
        orientation: The EXIF orientation, 1 to 8; 1 is as stored.
        check_pixels: Called with the decoded pixels as stored; raises `Damaged` where the decoder filled in
            what is missing.
    """

    kind: str
    size: tuple[int, int]
    needed: int
    available: int
    orientation: int = 1
    check_pixels: Callable[[NDArray[Any]], None] = _accept


def layout_by_size(
    kind: str, size: tuple[int, int], file_bytes: int, orientation: int = 1, pixel_bytes: int = 3
) -> Layout:
    """The layout of a file whose format bounds its pixels by nothing but its size."""
    needed = pixel_bytes * size[0] * size[1]
    return Layout(kind, size, needed, FREE + EXPANSION * file_bytes, orientation)
