"""The fused map of an image file and its score file, which `csl-plugin fuse` and others go on with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin import RegionMap, fuse, ops, split_components
from csl_plugin.cli.fused.class_maps import CLASS_MAPS, looks_like_classes
from csl_plugin.cli.fused.valid_masks import ValidMasks
from csl_plugin.errors import DTypeError, FileError, ScoreRangeError, ShapeError
from csl_plugin.io import ScoreStorage, read_image, read_score_file, write_png, write_scores
from csl_plugin.io.limits import check_extent
from csl_plugin.io.orientation import check_orientation
from csl_plugin.io.score_layout import does_not_fit, fits
from csl_plugin.proposers.identity import identity_of
from csl_plugin.proposers.on_files import propose_regions

if TYPE_CHECKING:
    from csl_plugin.calibration import Calibration
    from csl_plugin.fusion import Rule
    from csl_plugin.places import Place

UPSAMPLED = "scores_upsampled"


@dataclass(frozen=True, eq=False)
class FusedImage:
    """An image with its regions and its fused map.

    Args:
        pixels: (H, W, 3) uint8 RGB.
        regions: The partitions, from coarse to fine, split into connected components where that was asked;
            pixels that do not count are in none.
        scores: (H, W) or (C, H, W), as they were fused.
        fused: The fused map, of the same shape.
        storage: How the file stores its score map.
        upsampled: The file's map was smaller than the image.
        valid: (H, W), the pixels that count; None if all do.
        of_classes: The file's map looks like class indices.
    """

    pixels: NDArray[np.uint8]
    regions: tuple[RegionMap, ...]
    scores: NDArray[Any]
    fused: NDArray[Any]
    storage: ScoreStorage
    upsampled: bool
    valid: NDArray[np.bool_] | None
    of_classes: bool = False

    @property
    def counted(self) -> list[str]:
        """What the summary counts of the file's map, by name."""
        return [UPSAMPLED] * self.upsampled + [CLASS_MAPS] * self.of_classes


@dataclass(frozen=True)
class ScoreFusion:
    """How the scores of every file are fused.

    Args:
        proposer: Gives the regions.
        rule: As for `csl_plugin.fuse`.
        split: Whether regions are split into connected components.
        calibration: Maps raw scores onto [0, 1], after they are upsampled.
        calibration_sha256: Of its file.
        logits: The files hold logits.
        valid: The pixels that count, if not all do.
    """

    proposer: Any
    rule: Rule
    split: bool
    calibration: Calibration | None
    calibration_sha256: str | None
    logits: bool
    valid: ValidMasks | None

    @property
    def settings(self) -> Mapping[str, Any]:
        """What decides the fused maps besides the files, as JSON values."""
        return {
            "rule": self.rule,
            "split": self.split,
            "proposer": identity_of(self.proposer),
            "calibration": self.calibration_sha256,
            **({"logits": True} if self.logits else {}),
            **({"valid": True} if self.valid else {}),
        }

    def fused_image(self, image: Place, score: Place) -> FusedImage:
        """Read an image and its score map, and fuse them at the image's size.

        Raises:
            CSLError: A file is missing, unreadable or of another size, or the scores cannot be fused.
        """
        pixels, stored, storage = read_scored_image(image, score)
        size = (pixels.shape[0], pixels.shape[1])
        valid = self.valid.read(image, size) if self.valid else None
        values = self._distribution(score, stored, storage, size, valid)
        regions = regions_of(self.proposer, pixels, image.stem, split=self.split, valid=valid)
        fused = fuse(values, regions, rule=self.rule, split=False, valid=valid)
        smaller, of_classes = stored.shape[-2:] != size, looks_like_classes(stored, storage.dtype)
        return FusedImage(pixels, regions, values, fused, storage, smaller, valid, of_classes)

    def fused_map(self, image: Place, score: Place) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """The fused map and the pixels that count; as `fused_image`."""
        made = self.fused_image(image, score)
        return made.fused, made.valid

    def fuse_file(self, *, image: Place, score: Place, target: Place, picture: Place | None) -> Sequence[str]:
        """Fuse one score map and write it at the image's size, and its picture if there is a path for it.

        Returns:
            `UPSAMPLED` if the scores are smaller than the image, `CLASS_MAPS` if they look like classes.

        Raises:
            CSLError: As for `fused_image`, or a file cannot be written.
        """
        made = self.fused_image(image, score)
        write_scores(
            target,
            made.fused,
            dtype=made.storage.dtype,
            key=made.storage.key,
            compressed=made.storage.compressed,
            channels_last=made.storage.channels_last,
        )
        if picture is not None:
            from csl_plugin.viz import fusion_picture

            labels = made.regions[0].labels[0].cpu().numpy()
            maps = [_shown(values, made.valid) for values in (made.scores, made.fused)]
            write_png(picture, fusion_picture(made.pixels, labels, *maps))
        return made.counted

    def _distribution(
        self,
        score: Place,
        stored: NDArray[Any],
        storage: ScoreStorage,
        size: tuple[int, int],
        valid: NDArray[np.bool_] | None,
    ) -> NDArray[Any]:
        """The scores to fuse, at the image's size."""
        own = (stored.shape[-2], stored.shape[-1])
        values = stored if stored.dtype == np.float64 else stored.astype(np.float32)
        counted = _counted(values, valid if own == size else None)
        if self.logits:
            _check_logits(score.name, counted, storage)
        elif self.calibration is None:
            _check(score.name, counted, squared=self.rule == "product")
        if own != size or self.logits:
            check_extent(score, (*values.shape[:-2], *size), values.itemsize)
            batch = torch.from_numpy(values)[(None,) * (4 - values.ndim)]
            resized = ops.upsample(batch, size, logits=self.logits)
            values = resized[(0,) * (4 - values.ndim)].numpy()
        if self.calibration is not None:
            values = self.calibration(values)
            _check(score.name, _counted(values, valid), squared=False)
        return values


def single_class(score: Place, fused: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[Any]:
    """A fused map as (H, W).

    Args:
        score: Its file.
        fused: (H, W) or (C, H, W).
        valid: (H, W), the pixels that count; None if all do.

    Raises:
        ShapeError: Several classes.
        ScoreRangeError: nan or infinity in a pixel that counts.
    """
    if fused.ndim == 3 and fused.shape[0] > 1:
        hint = "Keep the channel of the anomaly score."
        raise ShapeError(score.name, f"{fused.shape[0]} classes", "the scores of one class", hint)
    counted = _counted(fused, valid)
    if not np.isfinite(counted).all():
        got = f"nan or infinity in {int((~np.isfinite(counted)).sum())} of {counted.size} values"
        raise ScoreRangeError(score.name, got, "finite scores", "Find out what produced them.")
    return fused.reshape(fused.shape[-2:])


def read_scored_image(image: Place, score: Place) -> tuple[NDArray[np.uint8], NDArray[Any], ScoreStorage]:
    """The pixels of an image, its score map as stored, of its size or smaller, and how the file stores it.

    Raises:
        CSLError: A file is missing or unreadable, or the map is none of this image.
    """
    pixels = read_image(image)
    size = (pixels.shape[0], pixels.shape[1])
    stored, storage = read_score_file(score, size=size)
    check_orientation(score.name, stored.shape, image, size, scaled=True)
    own = (stored.shape[-2], stored.shape[-1])
    if not fits(own, size):
        raise does_not_fit(score.name, own, size)
    return pixels, stored, storage


def regions_of(
    proposer: Any, pixels: NDArray[np.uint8], stem: str, *, split: bool, valid: NDArray[np.bool_] | None
) -> tuple[RegionMap, ...]:
    """The partitions of an image, split into connected components if that is asked.

    Pixels that do not count connect no components, as for `csl_plugin.fuse`.
    """
    regions = propose_regions(proposer, pixels, stem)
    if valid is not None:
        regions = tuple(_restricted(partition, valid) for partition in regions)
    return tuple(split_components(partition) for partition in regions) if split else regions


def _restricted(partition: RegionMap, valid: NDArray[np.bool_]) -> RegionMap:
    """A partition without the pixels that do not count."""
    labels = partition.labels if partition.labels.dtype == torch.int64 else partition.labels.int()
    outside = torch.from_numpy(~valid).to(labels.device)
    return RegionMap(labels.masked_fill(outside, -1), partition.num_regions)


def no_score(fusion: ScoreFusion, *, image: Place, folder: Place) -> Sequence[str]:
    """The work on an image without a score map.

    Raises:
        FileError: Always.
    """
    del fusion
    hint = "Add the score map, or remove the image."
    raise FileError(str(folder), "no score map", f"one named {image.stem}", hint)


def _counted(values: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[Any]:
    """The values of the pixels that count."""
    return values if valid is None else values[..., valid]


def _shown(values: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Scores as a picture shows them: pixels that do not count have none."""
    return values if valid is None else np.where(valid, values, np.nan)


def _check_logits(name: str, values: NDArray[Any], storage: ScoreStorage) -> None:
    if storage.dtype.kind == "u":
        hint = "Save the logits as float32 .npy, before they are rounded, or omit --logits."
        raise DTypeError(name, f"{storage.dtype} fractions", "floating-point logits", hint)
    if not np.isfinite(values).all():
        got = f"nan or infinity in {int((~np.isfinite(values)).sum())} of {values.size} values"
        raise ScoreRangeError(name, got, "finite logits", "Find out what produced them.")


def _check(name: str, values: NDArray[Any], *, squared: bool) -> None:
    if not values.size:  # no pixel counts
        return
    low, high = float(values.min()), float(values.max())  # nan if any is
    largest = float(np.finfo(values.dtype).max)
    if np.isfinite([low, high]).all() and low >= 0 and (not squared or high <= largest**0.5):
        return
    expected = "finite scores >= 0, higher for more of the class"
    if not np.isfinite([low, high]).all():
        got = f"nan or infinity in {int((~np.isfinite(values)).sum())} of {values.size} values"
        raise ScoreRangeError(name, got, expected, "Find out what produced them.")
    if low >= 0:
        hint = "Scale them to [0, 1], or pass --rule geometric."
        raise ScoreRangeError(name, f"scores up to {high:.4g}", "scores whose square can be stored", hint)
    got = f"{int((values < 0).sum())} negative of {values.size} values, down to {low:.4g}"
    hint = (
        "Fusion reverses the order of negative scores: pass --logits if they are logits of classes, or "
        "--calibration FILE, which csl-plugin calibrate NORMAL_SCORES FILE makes; with --lower-is-anomalous "
        "where the score is high for normal pixels, as the maximal logit is."
    )
    raise ScoreRangeError(name, got, expected, hint)
