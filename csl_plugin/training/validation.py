"""Validation during training: quality of the regions, and of a teacher's scores fused with them."""

from __future__ import annotations

import copy
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.errors import FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.fusion import fuse
from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, read_scores
from csl_plugin.io.orientation import check_orientation
from csl_plugin.metrics import PooledAnomaly, RegionQuality
from csl_plugin.models import CSLNetwork
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from csl_plugin.regions.assignment import soft_assignment
from csl_plugin.regions.region_map import RegionMap
from csl_plugin.training.data.folders import LabeledFolder, SegmentFolder
from csl_plugin.training.data.mask_split import mask_split

_VOID = 255


@dataclass(frozen=True)
class AnomalyScores:
    """A teacher's anomaly scores for the validation images, from files, and which labels are anomalies.

    Attributes:
        folder: Score maps (h, w), named by their images, of any resolution; >= 0, higher for anomalies.
        anomaly: Label values of anomalies; all others are normal, and those that the source ignores are void.
    """

    folder: str | os.PathLike[str]
    anomaly: Collection[int]

    def require(self, stems: Iterable[str]) -> None:
        """Check that there are scores of every image.

        Raises:
            FileError: There are none of some image, or the folder does not exist.
        """
        self._files(stems)

    def _files(self, stems: Iterable[str]) -> Mapping[str, Path]:
        files = files_by_stem(Path(self.folder), SCORE_SUFFIXES)
        missing = sorted(set(stems) - set(files))
        if missing:
            hint = "Name score maps by their images."
            got = f"no scores of {missing[0]!r}"
            raise FileError(os.fspath(self.folder), got, "scores of every image", hint)
        return files

    def read(self, stem: str) -> Tensor:
        """The scores for an image, (1, h, w) float32.

        Raises:
            FileError: The file is missing or damaged.
            ShapeError: It holds scores of several classes.
            ScoreRangeError: It holds negative or non-finite values.
        """
        path = self._files([stem])[stem]
        scores = np.asarray(read_scores(path), np.float32)
        if scores.ndim == 3 and len(scores) == 1:
            scores = scores[0]
        if scores.ndim != 2:
            hint = "Store one score per pixel, such as 1 - the largest class probability."
            raise ShapeError(str(path), f"shape {scores.shape}", "(h, w)", hint)
        if not (np.isfinite(scores).all() and scores.min() >= 0):
            hint = "Map raw scores to [0, 1] with a Calibration first."
            raise ScoreRangeError(str(path), "negative or non-finite scores", "scores >= 0", hint)
        return torch.from_numpy(scores)[None]


@dataclass(frozen=True)
class Validation:
    """Validation images, and how often the network is measured on them.

    The regions are those of `NetworkRegions`, or of eq. 2 for a network without boundary head. The ground
    truth is the annotated segments, or the mask split of class labels.

    Attributes:
        source: Images with labels, none of which is trained on.
        every: Steps between measurements; the last step is always measured.
        images: Indices of the images in the source.
        scores: A teacher's scores for these images; None to measure regions alone.

    Raises:
        OptionError: No images, indices out of range, or scores with a source whose labels are not classes.
        FileError: An image has no scores.
    """

    source: LabeledFolder | SegmentFolder
    every: int = 500
    images: range = range(16)
    scores: AnomalyScores | None = None

    def __post_init__(self) -> None:
        count = len(self.source)
        if self.every < 1 or not self.images or not 0 <= min(self.images) <= max(self.images) < count:
            got = f"every {self.every}, images {self.images}"
            expected = f"every >= 1, and some of the source's {count} images"
            raise OptionError("validation", got, expected, "Choose other images.")
        if self.scores is not None and not isinstance(self.source, LabeledFolder):
            hint = 'Use a source with labels_of "classes", or omit the scores.'
            raise OptionError("validation.scores", "scores with segments", "scores with classes", hint)
        if self.scores is not None:
            self.scores.require(map(self.source.stem, self.images))

    def is_due(self, step: int) -> bool:
        """Whether the network is measured after `step` steps."""
        return step % self.every == 0

    def measure(self, network: CSLNetwork, weights: Mapping[str, Tensor] | None = None) -> dict[str, float]:
        """Measure a network.

        Args:
            network: Not modified.
            weights: Weights by name to use instead of its own.

        Returns:
            `covering` and `best_iou` of the regions; with scores also `base_ap`, `base_fpr95`, `fused_ap` and
            `fused_fpr95`, over the pixels of all images.

        Raises:
            FileError: A file is missing or damaged.
            ShapeError, ScoreRangeError: As for `AnomalyScores.read`.
        """
        measured = copy.deepcopy(network).eval()
        if weights is not None:
            measured.load_state_dict(dict(weights))
        quality, base, fused = RegionQuality(), PooledAnomaly(), PooledAnomaly()
        for index in self.images:
            regions = _regions(measured, self.source.image(index))
            labels = self.source.labels(index)
            quality.update(regions.labels[0].cpu(), *self._ground_truth(index))
            if self.scores is None:
                continue
            scores = self.scores.read(self.source.stem(index)).to(regions.labels.device)
            argument = f"the scores of {self.source.stem(index)}"
            check_orientation(
                argument, scores.shape, self.source.image_file(index), labels.shape, scaled=True
            )
            anomalous = np.where(labels < 0, _VOID, np.isin(labels, list(self.scores.anomaly)))
            size = (labels.shape[0], labels.shape[1])
            base.update(F.interpolate(scores[None], size, mode="bilinear")[0, 0].cpu(), anomalous)
            fused.update(fuse(scores, regions, size=size)[0].cpu(), anomalous)
        found = quality.compute()
        values = {"covering": found.covering, "best_iou": found.best_iou}
        if self.scores is not None:
            for name, metric in (("base", base), ("fused", fused)):
                pooled = metric.compute()
                values |= {f"{name}_ap": pooled.ap, f"{name}_fpr95": pooled.fpr95}
        return values

    def _ground_truth(self, index: int) -> tuple[NDArray[np.int32], NDArray[np.bool_] | None]:
        """The annotated regions (A, H, W), and which pixels are not ignored; None for all."""
        annotated = [self.source.labels(index, number) for number in range(self.source.annotations(index))]
        if isinstance(self.source, LabeledFolder):
            return mask_split(annotated[0])[None], annotated[0] >= 0
        return np.stack(annotated), None


def _regions(network: CSLNetwork, image: NDArray[np.uint8]) -> RegionMap:
    pixels = torch.from_numpy(image.transpose(2, 0, 1)[None].copy()).float() / 255
    if network.config.boundary:
        return NetworkRegions(network)(pixels)[0]
    return soft_assignment(NetworkProposals(network)(pixels)[0], (image.shape[0], image.shape[1]))
