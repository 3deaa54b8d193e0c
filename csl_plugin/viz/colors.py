"""Images, regions, scores and masks as colored pixels."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv

Picture: TypeAlias = NDArray[np.uint8]
Values: TypeAlias = NDArray[Any]

MASK = (255, 106, 0)
EDGE = (255, 255, 255)
NOTHING = (128, 128, 128)
TRUTH = (86, 220, 255)  # the outline of what is sought, a color that few photographs have

# The palette of Okabe and Ito, distinct under the common color-vision deficiencies.
_CLASSES = (
    (0, 114, 178),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (213, 94, 0),
    (240, 228, 66),
    (70, 70, 70),
)


def heat_colors(values: Values, low: float, high: float) -> Picture:
    """Values as colors of the inferno map, which is perceptually uniform and safe for the color-blind.

    Args:
        values: (h, w), any real dtype. Values that are not finite become gray.
        low: The value of black.
        high: The value of the brightest color. Values are clipped to [low, high]. If high is not above low,
            every value is drawn as `low`.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    values = np.asarray(values, dtype=np.float64)
    known = np.isfinite(values)
    span = high - low if high > low else np.inf
    unit = np.clip((np.where(known, values, low) - low) / span, 0.0, 1.0)
    steps = np.arange(256, dtype=np.uint8)[:, None]
    cv2 = opencv()
    table = np.asarray(cv2.applyColorMap(steps, cv2.COLORMAP_INFERNO), dtype=np.uint8)[:, 0, ::-1]
    colors = table[np.rint(unit * 255).astype(np.intp)]
    colors[~known] = NOTHING
    return colors


def class_colors(labels: Values) -> Picture:
    """One color per class id: the eight of Okabe and Ito, then hues by the golden angle.

    Args:
        labels: (h, w) integer ids; negative ones become gray.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    ids, place = np.unique(np.asarray(labels), return_inverse=True)
    colors = np.array([_class_color(int(label)) for label in ids], dtype=np.uint8)
    painted: Picture = colors[place.reshape(np.shape(labels))]
    return painted


def region_colors(image: Picture, labels: Values) -> Picture:
    """Every region in the mean color of its pixels; pixels of no region (negative ids) do not change.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integer ids, not necessarily consecutive.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    ids, place = np.unique(labels, return_inverse=True)
    place = place.ravel()
    counts = np.bincount(place)
    sums = [np.bincount(place, weights=channel) for channel in image.reshape(-1, 3).T.astype(np.float64)]
    means = np.rint(np.stack(sums, axis=1) / counts[:, None]).astype(np.uint8)
    assigned = (ids >= 0)[place].reshape(image.shape[:2])
    painted: Picture = np.where(assigned[..., None], means[place].reshape(image.shape), image)
    return painted


def draw_edges(picture: Picture, labels: Values) -> Picture:
    """A copy of the picture with a white line, one pixel wide, where two regions meet.

    Args:
        picture: (h, w, 3) uint8 RGB.
        labels: (h, w) integer ids.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    drawn = np.array(picture)
    drawn[edges(labels)] = EDGE
    return drawn


def edges(labels: Values, width: int = 1) -> NDArray[np.bool_]:
    """Where two regions meet, as lines of so many pixels.

    Args:
        labels: (h, w) integer ids.
        width: Of the lines.

    Returns:
        (h, w) boolean.
    """
    found = np.zeros(labels.shape, dtype=np.uint8)
    found[:-1] |= labels[1:] != labels[:-1]
    found[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    if width > 1:
        cv2 = opencv()
        found = np.asarray(cv2.dilate(found, np.ones((width, width), np.uint8)), np.uint8)
    return found > 0


def highlight(image: Picture, coverage: Values) -> Picture:
    """The mask in orange on the faded gray image.

    Args:
        image: (h, w, 3) uint8 RGB.
        coverage: (h, w) in [0, 1]: how much of each pixel the mask covers.

    Returns:
        (h, w, 3) uint8 RGB.
    """
    cv2 = opencv()
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)[..., None]
    faded = 0.55 * gray + 0.45 * 255
    marked = 0.25 * faded + 0.75 * np.array(MASK, dtype=np.float32)
    share = np.asarray(coverage, dtype=np.float32)[..., None]
    blended: Picture = np.rint(share * marked + (1 - share) * faded).astype(np.uint8)
    return blended


def _class_color(label: int) -> tuple[int, int, int]:
    if label < 0:
        return NOTHING
    if label < len(_CLASSES):
        return _CLASSES[label]
    extra = label - len(_CLASSES)
    angle, lightness = np.radians(137.508 * extra), (70, 55, 85)[extra % 3]
    lab = np.array([[[lightness, 45 * np.cos(angle), 45 * np.sin(angle)]]], dtype=np.float32)
    cv2 = opencv()
    red, green, blue = np.clip(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)[0, 0], 0, 1) * 255
    return round(float(red)), round(float(green)), round(float(blue))
