"""Colors and classes of the picture while layers are painted onto it, from far to near."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.demo.street.noise import Plane

EMPTY = -2
_SHIFT = 4  # OpenCV draws at sixteenths of a pixel


class Canvas:
    """A picture of colors in [0, 1] and classes.

    Args:
        size: (H, W).
        corner: Row and column of its first pixel, from which all places are counted.

    Attributes:
        color: (H, W, 3) float32.
        classes: (H, W) int8; `EMPTY` where nothing was painted.
    """

    def __init__(self, size: tuple[int, int], corner: tuple[int, int] = (0, 0)) -> None:
        self.color = np.zeros((*size, 3), np.float32)
        self.classes = np.full(size, EMPTY, np.int8)
        self._corner = corner

    def layer(self, points: Any, margin: int) -> Canvas:
        """An empty canvas around (N, 2) columns and rows, as far as this one reaches."""
        height, width = self.classes.shape
        left, top = np.floor(np.min(points, axis=0)).astype(int) - margin
        right, bottom = np.ceil(np.max(points, axis=0)).astype(int) + margin
        left, top = max(left, -margin), max(top, -margin)
        right, bottom = max(min(right, width + margin), left + 1), max(min(bottom, height + margin), top + 1)
        return Canvas((int(bottom - top), int(right - left)), (int(top), int(left)))

    def merge(self, layer: Canvas, rounding: float, blur: float) -> None:
        """Paint what is on a layer of one class.

        Args:
            layer: Of `layer`.
            rounding: Radius in pixels of the corners of its outline.
            blur: Deviation in pixels of a blur inside the outline.
        """
        painted = layer.classes != EMPTY
        if not painted.any():
            return
        mask = painted.astype(np.float32)
        cover = np.clip((soft(mask, rounding) - 0.5) * max(2.5 * rounding, 1.0) + 0.5, 0, 1)
        weight = soft(mask, max(blur, 1.0))
        spread = soft(layer.color * mask[..., None], max(blur, 1.0)) / np.maximum(weight, 1e-3)[..., None]
        color = spread if blur >= 1 else np.where(painted[..., None], layer.color, spread)
        self.paint(np.asarray(cover, np.float32), color, int(layer.classes[painted][0]), *layer._corner)

    def paint(self, alpha: Plane, color: Any, label: int | None, top: int = 0, left: int = 0) -> None:
        """Paint a layer; what lies outside is cut off.

        Args:
            alpha: (h, w) in [0, 1].
            color: (3,) or (h, w, 3).
            label: The class of the pixels that are covered at least by half; None to leave them.
            top: Row of the layer's first row.
            left: Column of the layer's first column.
        """
        height, width = self.classes.shape
        top, left = top - self._corner[0], left - self._corner[1]
        rows = slice(max(top, 0), min(top + alpha.shape[0], height))
        columns = slice(max(left, 0), min(left + alpha.shape[1], width))
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return
        inner = slice(rows.start - top, rows.stop - top), slice(columns.start - left, columns.stop - left)
        cover = alpha[inner][..., None]
        color = np.asarray(color, np.float32)
        over = color if color.ndim == 1 else color[inner]
        below = self.color[rows, columns]
        below += cover * (over - below)
        if label is not None:
            self.classes[rows, columns][cover[..., 0] >= 0.5] = label

    def polygon(self, points: Any, color: Any, label: int | None, opacity: float = 1.0) -> None:
        """Paint a filled polygon of (N, 2) columns and rows in one color."""
        corners = np.asarray(points, np.float64)
        height, width = self.classes.shape
        up, aside = self._corner
        corners = corners.clip(-20000, 20000)
        left, top = np.maximum(np.floor(corners.min(0)).astype(int), (aside, up)) - 1
        right, bottom = np.minimum(np.ceil(corners.max(0)).astype(int) + 2, (aside + width, up + height))
        if right <= left or bottom <= top:
            return
        self.paint(
            opacity * polygon_mask(corners - (left, top), (bottom - top, right - left)),
            color, label, top, left,
        )  # fmt: skip

    def darken(self, alpha: Plane, top: int = 0, left: int = 0) -> None:
        """Cast a shadow: multiply the colors by 1 - alpha."""
        height, width = self.classes.shape
        top, left = top - self._corner[0], left - self._corner[1]
        rows = slice(max(top, 0), min(top + alpha.shape[0], height))
        columns = slice(max(left, 0), min(left + alpha.shape[1], width))
        if rows.start < rows.stop and columns.start < columns.stop:
            cut = alpha[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
            self.color[rows, columns] *= 1 - cut[..., None] * np.array([1.0, 0.96, 0.88], np.float32)


def polygon_mask(points: Any, size: tuple[int, int]) -> Plane:
    """How much of each pixel a filled polygon of (N, 2) columns and rows covers, (h, w) in [0, 1]."""
    cv2 = opencv()
    plate = np.zeros(size, np.uint8)
    corners = np.rint(np.asarray(points, np.float64) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillPoly(plate, [corners], 255, cv2.LINE_AA, _SHIFT)
    return np.asarray(plate, np.float32) / 255


def soft(mask: NDArray[Any], deviation: float) -> Plane:
    """A mask blurred by a Gaussian."""
    blurred: Plane = opencv().GaussianBlur(np.asarray(mask, np.float32), (0, 0), max(deviation, 0.1))
    return blurred
