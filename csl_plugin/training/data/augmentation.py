"""Random crops and random appearance; every draw comes from a generator that the caller seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._opencv import opencv
from csl_plugin.errors import OptionError
from csl_plugin.io.json_schema import Reader, check_fields, number, record
from csl_plugin.training.data.scene import Picture, Scores

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# An orthonormal basis of color whose first axis is gray: rotating the other two shifts the hue.
_GRAY_BASIS = np.array(
    [[1 / 3**0.5] * 3, [2**-0.5, -(2**-0.5), 0.0], [6**-0.5, 6**-0.5, -2 * 6**-0.5]], np.float32
)

_CROPPING: dict[str, Reader[Any]] = {
    "smallest": number(0, 1e6, above_low=True),
    "largest": number(0, 1e6, above_low=True),
    "aspect": number(1, 1e3),
    "flip": number(0, 1),
}


@dataclass(frozen=True)
class Window:
    """A rectangle of a picture, to be scaled to a crop.

    Attributes:
        top: First row.
        left: First column.
        height: Rows.
        width: Columns.
        flipped: Whether the crop is mirrored left to right.
    """

    top: int
    left: int
    height: int
    width: int
    flipped: bool

    def cut_image(self, image: Picture, size: tuple[int, int]) -> Picture:
        """The window of (H, W, 3) at `size`: area averaging to shrink it, bilinear to enlarge it."""
        cv2 = opencv()
        part = image[self.top : self.top + self.height, self.left : self.left + self.width]
        if part.shape[:2] != size:
            shrinks = self.height * self.width > size[0] * size[1]
            way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            part = np.asarray(cv2.resize(part, (size[1], size[0]), interpolation=way), np.uint8)
        return np.ascontiguousarray(part[:, ::-1] if self.flipped else part)

    def cut_labels(self, labels: NDArray[np.integer], size: tuple[int, int]) -> NDArray[np.integer]:
        """The window of (H, W) at `size`; every pixel has the label at its center."""
        rows = self.top + ((np.arange(size[0]) + 0.5) * (self.height / size[0])).astype(np.intp)
        columns = self.left + ((np.arange(size[1]) + 0.5) * (self.width / size[1])).astype(np.intp)
        cut: NDArray[np.integer] = labels[rows[:, None], columns[:: -1 if self.flipped else 1]]
        return cut

    def cut_scores(self, scores: Scores, extent: tuple[int, int], size: tuple[int, int]) -> Scores:
        """The window in scores (C, h, w), of any resolution, of a picture of `extent` (H, W), at `size`.

        Bilinear with antialiasing, as `torch.nn.functional.interpolate(..., antialias=True)`.
        """
        spans = (self.top, self.height), (self.left, self.width)
        rows, columns = (
            _weights(length, first * length / whole, extended * length / whole, count)
            for length, (first, extended), whole, count in zip(
                scores.shape[1:], spans, extent, size, strict=True
            )
        )
        cut = rows @ scores @ columns.T
        return np.ascontiguousarray(cut[:, :, ::-1] if self.flipped else cut)


def _weights(length: int, first: float, extended: float, count: int) -> Scores:
    """(count, length) weights that resample `length` values to `count` in [first, first + extended)."""
    step = extended / count
    centers = first + (np.arange(count) + 0.5) * step
    distance = np.abs(np.arange(length) + 0.5 - centers[:, None]) / max(step, 1.0)
    weights = np.maximum(1.0 - distance, 0.0)
    return np.asarray(weights / weights.sum(1, keepdims=True), np.float32)


@dataclass(frozen=True)
class Cropping:
    """Random scale, position and flip.

    Attributes:
        smallest: Smallest scale, crop pixels per picture pixel; no picture becomes smaller than the crop.
        largest: Largest scale.
        aspect: Largest factor on the aspect ratio.
        flip: Probability of a flip.

    Example:
        >>> import numpy as np
        >>> window = Cropping(1.0, 1.0, 1.0).draw(np.random.default_rng(0), (360, 480), (192, 256))
        >>> window.height, window.width
        (192, 256)

    Raises:
        OptionError: `smallest` is not above 0 or exceeds `largest`, `aspect` is below 1, `flip` is no
            probability, or a value is no number.
    """

    smallest: float = 0.5
    largest: float = 1.6
    aspect: float = 1.15
    flip: float = 0.5

    def __post_init__(self) -> None:
        check_fields(self, _CROPPING)
        if self.smallest > self.largest:
            got = f"smallest {self.smallest}, largest {self.largest}"
            hint = "Use for example 0.5 and 1.6."
            raise OptionError("smallest, largest", got, "smallest <= largest", hint)

    def draw(self, rng: np.random.Generator, extent: tuple[int, int], size: tuple[int, int]) -> Window:
        """A window of a picture of `extent` (H, W) for a crop of `size` (h, w)."""
        scale = np.exp(rng.uniform(np.log(self.smallest), np.log(self.largest)))
        stretch = np.exp(0.5 * rng.uniform(-1.0, 1.0) * np.log(self.aspect))
        scale = max(scale, size[0] / extent[0] / stretch, size[1] / extent[1] * stretch)
        height = int(np.clip(round(size[0] / (scale * stretch)), 1, extent[0]))
        width = int(np.clip(round(size[1] / (scale / stretch)), 1, extent[1]))
        top, left = rng.integers(extent[0] - height + 1), rng.integers(extent[1] - width + 1)
        return Window(int(top), int(left), height, width, bool(rng.random() < self.flip))


read_cropping = record(Cropping, _CROPPING)
"""Reads the arguments of `Cropping`, from a file or not."""


@dataclass(frozen=True)
class Appearance:
    """Random colors, blur, noise and JPEG artifacts; the geometry stays.

    Attributes:
        brightness: Largest relative change of brightness.
        contrast: Largest relative change of contrast.
        saturation: Largest relative change of saturation.
        hue: Largest rotation of the hue in degrees.
        blur: Probability of a Gaussian blur, sigma 0.4 to 1.5 pixels.
        noise: Probability of Gaussian noise, sigma 1 to 10 of 255.
        jpeg: Probability of a JPEG re-encoding, quality 50 to 95.
    """

    brightness: float = 0.2
    contrast: float = 0.25
    saturation: float = 0.4
    hue: float = 15.0
    blur: float = 0.2
    noise: float = 0.25
    jpeg: float = 0.4

    def __call__(self, rng: np.random.Generator, image: Picture) -> Picture:
        """The picture (h, w, 3) with random changes; the one given is not modified."""
        cv2 = opencv()
        image = self._recolored(rng, image)
        blur, noise, jpeg = rng.random(3) < (self.blur, self.noise, self.jpeg)
        if blur:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 1.5))), np.uint8)
        if noise:
            grain = rng.standard_normal(image.shape, np.float32)
            grain *= np.float32(np.exp(rng.uniform(0.0, np.log(10.0))))
            image = np.asarray(cv2.add(image, grain, dtype=cv2.CV_8U), np.uint8)
        if jpeg:
            quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(50, 96))]
            decoded = cv2.imdecode(cv2.imencode(".jpg", image, quality)[1], cv2.IMREAD_COLOR)
            image = np.asarray(decoded, np.uint8)
        return image

    def _recolored(self, rng: np.random.Generator, image: Picture) -> Picture:
        """Change the colors; all four changes are affine, so they are one 3 x 4 matrix."""
        cv2 = opencv()
        bright, contrast, saturation, turn = rng.uniform(-1.0, 1.0, 4)
        angle = np.radians(turn * self.hue)
        turned = np.array(
            [[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]], np.float32
        )
        hue = _GRAY_BASIS.T @ turned @ _GRAY_BASIS
        keep = np.float32(1 + saturation * self.saturation)
        saturated = keep * np.eye(3, dtype=np.float32) + (1 - keep) * _LUMA[None, :]
        gain = 1 + contrast * self.contrast
        matrix = (gain * (1 + bright * self.brightness) * saturated @ hue).astype(np.float32)
        middle = np.asarray(cv2.mean(image)[:3])
        offset = (1 - gain) * (1 + bright * self.brightness) * middle
        return np.asarray(cv2.transform(image, np.hstack([matrix, offset[:, None]])), np.uint8)
