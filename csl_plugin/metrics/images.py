"""How well the largest score of an image tells images with anomalies from those without."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin._options import as_float
from csl_plugin.arrays import Array, shown
from csl_plugin.errors import ScoreRangeError
from csl_plugin.metrics.metric import State, check_same_class, invalid_state, state_array, state_counts
from csl_plugin.metrics.pixels import read_frame
from csl_plugin.metrics.pr_roc import CurveScan
from csl_plugin.metrics.sorted_scores import sort_scores

IMAGE_METRICS = ("image_auroc", "image_ap")
"""The values of `ImageValues` that benchmarks report."""


@dataclass(frozen=True)
class ImageValues:
    """Values over images, as fractions; nan where no image is anomalous, or none is normal.

    Attributes:
        image_auroc: Area under the ROC curve.
        image_ap: Average precision.
        num_anomalous: Images with an anomalous pixel.
        num_normal: Images with normal pixels alone.
        num_frames: Images, including those without labeled pixels.
    """

    image_auroc: float
    image_ap: float
    num_anomalous: int
    num_normal: int
    num_frames: int


class ImageAnomaly:
    """AUROC and average precision of images: an image with an anomalous pixel is a positive.

    The score of an image is the largest of its labeled pixels, or the one that a model gives for the image.
    An image without labeled pixels contributes nothing.

    Example:
        >>> metric = ImageAnomaly()
        >>> metric.update(np.array([[0.1, 0.9]]), np.array([[0, 1]], np.uint8))
        >>> metric.update(np.array([[0.3, 0.2]]), np.array([[0, 0]], np.uint8))
        >>> metric.compute().image_auroc
        1.0

    Source:
        Bergmann et al., "The MVTec Anomaly Detection Dataset", 2021.
    """

    def __init__(self) -> None:
        self._scores: list[float] = []
        self._anomalous: list[int] = []
        self._frames = 0

    def update(self, scores: Array, labels: Array, image_score: float | None = None) -> None:
        """Add one image.

        Args:
            scores: (H, W) floating point or uint8; higher is more anomalous. Infinities are allowed.
            labels: (H, W) integers: 0 normal, 1 anomaly, everything else void. Of a mask of 0 and 255 pass
                `mask == 255`.
            image_score: The model's own score of the image; None for the largest of the labeled pixels.

        Raises:
            ShapeError: Not (H, W), or not the same.
            DTypeError: Another element type.
            ScoreRangeError: A labeled pixel's score or the image's is nan.
        """
        score_map, label_map = read_frame(scores, labels)
        labeled = score_map[(label_map == 0) | (label_map == 1)]
        if labeled.size:
            largest = float(labeled.max()) if image_score is None else as_float(image_score)
            if math.isnan(largest):
                argument, got = "image_score", shown(image_score)
                if image_score is None:
                    argument, got = "scores", "nan on a labeled pixel"
                raise ScoreRangeError(argument, got, "numbers", "Find the source of nan.")
            self._scores.append(largest)
            self._anomalous.append(int((label_map == 1).any()))
        self._frames += 1

    def state(self) -> dict[str, NDArray[Any]]:
        """The score of each image, and 1 where it is anomalous."""
        return {
            "frames": np.array([self._frames], np.int64),
            "score": np.array(self._scores, np.float64),
            "anomalous": np.array(self._anomalous, np.int64),
        }

    def add_state(self, state: State) -> None:
        """Add the state of another metric.

        Raises:
            FileError: An array is missing, of another element type, or invalid.
            ShapeError: An array of another shape.
        """
        frames = int(state_counts(state, "frames", 1)[0])
        scores = state_array(state, "score", np.float64)
        if np.isnan(scores).any():
            raise invalid_state("score", "nan")
        anomalous = state_counts(state, "anomalous", scores.size)
        if (anomalous > 1).any():
            raise invalid_state("anomalous", "a value other than 0 and 1")
        self._scores += scores.tolist()
        self._anomalous += anomalous.tolist()
        self._frames += frames

    def merge(self, other: ImageAnomaly) -> None:
        """Add another metric.

        Raises:
            OptionError: It is of another class.
        """
        check_same_class(self, other)
        self._scores += other._scores
        self._anomalous += other._anomalous
        self._frames += other._frames

    def compute(self) -> ImageValues:
        """The values over all images so far."""
        scores, anomalous = np.array(self._scores, np.float64), np.array(self._anomalous, bool)
        positive, negative = sort_scores(scores[anomalous]), sort_scores(scores[~anomalous])
        scan = CurveScan(positive.size, negative.size)
        if positive.size:
            scan.feed([positive], [negative])
        found = scan.values("first", self._frames).where_defined()
        return ImageValues(found.auroc, found.ap, positive.size, negative.size, self._frames)
