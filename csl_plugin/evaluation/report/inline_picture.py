"""Pictures inside an HTML page."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv


@dataclass(frozen=True)
class InlinePicture:
    """A caption and a data URI, with the size in pixels."""

    caption: str
    uri: str
    width: int
    height: int

    @staticmethod
    def encode(caption: str, pixels: NDArray[Any], suffix: Literal[".jpg", ".png"]) -> InlinePicture:
        """A picture of (H, W, 3) uint8 RGB pixels, in the format of the suffix."""
        cv2 = opencv()
        quality = [cv2.IMWRITE_JPEG_QUALITY, 85] if suffix == ".jpg" else [cv2.IMWRITE_PNG_COMPRESSION, 9]
        encoded, data = cv2.imencode(suffix, np.ascontiguousarray(pixels[..., ::-1]), quality)
        assert encoded  # noqa: S101
        mime = "image/jpeg" if suffix == ".jpg" else "image/png"
        text = base64.b64encode(data.tobytes()).decode("ascii")
        return InlinePicture(caption, f"data:{mime};base64,{text}", pixels.shape[1], pixels.shape[0])
