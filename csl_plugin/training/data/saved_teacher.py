"""A teacher's distributions for the training images, from files: scheme 1 without running the teacher."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np

from csl_plugin.errors import FileError, ScoreRangeError, ShapeError
from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, read_scores
from csl_plugin.models.network import STRIDE
from csl_plugin.training.data.scene import Scores


def output_size(size: tuple[int, int]) -> tuple[int, int]:
    """Size of the network's output for an image of `size` (h, w)."""
    return -(-size[0] // STRIDE), -(-size[1] // STRIDE)


class SavedTeacher:
    """A folder of score maps, one per image, named by its stem.

    Args:
        folder: Files that `csl_plugin.io.read_scores` reads, (C, h, w) or (h, w), of any resolution.
        logits: Whether the files hold logits, which a softmax (a sigmoid if C = 1) turns into a distribution;
            else they hold the distribution, in [0, 1].

    Attributes:
        num_classes: C, the same in every file.

    Raises:
        FileError: The folder does not exist or has no score maps, or a file is damaged.
        DTypeError: A file holds no scores.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from csl_plugin.io import write_scores
        >>> with TemporaryDirectory() as folder:
        ...     write_scores(f"{folder}/a.npy", np.zeros((2, 3, 4), np.float16))
        ...     teacher = SavedTeacher(folder, logits=True)
        ...     teacher.num_classes, teacher.read("a")[:, 0, 0].tolist()
        (2, [0.5, 0.5])
    """

    def __init__(self, folder: str | os.PathLike[str], *, logits: bool = False) -> None:
        self._folder, self._logits = os.fspath(folder), logits
        self._files = files_by_stem(folder, SCORE_SUFFIXES)
        if not self._files:
            expected = "files of " + ", ".join(SCORE_SUFFIXES)
            raise FileError(self._folder, "no score maps", expected, "Write one for each training image.")
        self.num_classes = 0
        self.num_classes = len(self.read(next(iter(self._files))))

    def require(self, stems: Sequence[str]) -> None:
        """Check that there is a map of every image.

        Raises:
            FileError: There is none of some image.
        """
        missing = sorted(set(stems) - set(self._files))
        if missing:
            got = f"no map of {len(missing)} of the images, the first {missing[0]!r}"
            hint = "Run the teacher on all images of the source, and name maps by their images."
            raise FileError(self._folder, got, "a map of every image", hint)

    def read(self, stem: str) -> Scores:
        """The distribution for an image, (C, h, w) float32 in [0, 1].

        Raises:
            FileError: The file is damaged.
            ShapeError: It has another number of classes than the first file.
            ScoreRangeError: It holds values outside [0, 1], or logits that are not finite.
        """
        path = self._files[stem]
        scores = np.asarray(read_scores(path), np.float32)
        if scores.ndim == 2:
            scores = scores[None]
        if self.num_classes and len(scores) != self.num_classes:
            hint = "Write all maps with one teacher."
            raise ShapeError(
                str(path), f"{len(scores)} classes", f"{self.num_classes}, as in the first map", hint
            )
        low, high = float(scores.min()), float(scores.max())
        if self._logits and np.isfinite([low, high]).all():
            return _distribution(scores)
        if not (low >= 0 and high <= 1):  # also where either is nan
            expected = "finite logits" if self._logits else "a distribution in [0, 1]"
            hint = 'Set "logits": true for logits; apply softmax or a Calibration to other scores.'
            raise ScoreRangeError(str(path), f"values from {low:g} to {high:g}", expected, hint)
        return scores


def _distribution(logits: Scores) -> Scores:
    from scipy.special import expit, softmax

    return np.asarray(softmax(logits, axis=0) if len(logits) > 1 else expit(logits), np.float32)
