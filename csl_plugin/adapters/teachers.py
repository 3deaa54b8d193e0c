"""Teachers that are not a single model: a pair of networks, and score maps in files."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, read_scores, stem_key


class ObserverPair(nn.Module):
    """ObsNet: a segmentation network, and an observer network that takes its features.

    Args:
        segmenter: Called as ``segmenter(images, return_feat=True)``; returns a list of its features.
        observer: Called as ``observer(images, features)``; returns logits (B, 1, h, w).

    Example:
        >>> import torch
        >>> from csl_plugin.adapters import ObserverPair
        >>> pair = ObserverPair(lambda x, return_feat: [x.mean(1, keepdim=True)], lambda x, seen: seen[-1])
        >>> pair(torch.zeros(1, 3, 4, 5)).shape
        torch.Size([1, 1, 4, 5])

    Source:
        Besnier et al., "Triggering Failures", ICCV 2021.
    """

    def __init__(self, segmenter: Callable[..., Any], observer: Callable[..., Tensor]) -> None:
        super().__init__()
        self.segmenter, self.observer = segmenter, observer

    def forward(self, images: Tensor) -> Tensor:
        """The observer's logits; their sigmoid is the published score."""
        return self.observer(images, self.segmenter(images, return_feat=True))


class SavedScores:
    """A teacher whose score maps are in a folder, by the stems of the images' files.

    Args:
        folder: Files for `csl_plugin.io.read_scores`: `.hdf5` (the official tools), `.npz`, `.npy`, `.png`.
        key: The array to read in `.hdf5` and `.npz` files: "discrepancy" for Image Resynthesis, "arr_0" for
            the score folder of S2M; None as for `read_scores`.

    Raises:
        FileError: There is no such folder, or no score map in it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import numpy as np
        >>> from csl_plugin.io import write_scores
        >>> with TemporaryDirectory() as folder:
        ...     write_scores(f"{folder}/street.npy", np.ones((4, 5), np.float16))
        ...     SavedScores(folder)(torch.zeros(1, 3, 4, 5), names=["street"]).shape
        torch.Size([1, 1, 4, 5])
    """

    def __init__(self, folder: str | os.PathLike[str], key: str | None = None) -> None:
        self.folder, self.key = os.fspath(folder), key
        self._files = files_by_stem(folder, SCORE_SUFFIXES)
        if not self._files:
            expected = "files of " + ", ".join(SCORE_SUFFIXES)
            raise FileError(self.folder, "no score maps", expected, "Check the name of the folder.")

    def __call__(self, images: Tensor, names: Sequence[str]) -> Tensor:
        """The maps of the images, (B, C, H, W) float32 on the images' device.

        Args:
            images: RGB (B, 3, H, W) in [0, 1]; only their number and device are used.
            names: The stem of each image's file.

        Raises:
            OptionError: The number of names is not the number of images.
            FileError: There is no map of a name, or its file is damaged.
        """
        if len(names) != len(images):
            raise OptionError("names", f"{len(names)} names", f"{len(images)}", "Name each image.")
        missing = [name for name in names if stem_key(name) not in self._files]
        if missing:
            hint = "Name the score maps by their images."
            raise FileError(self.folder, f"no map {missing[0]!r}", "a map of every image", hint)
        read = [
            torch.from_numpy(read_scores(self._files[stem_key(name)], self.key)).float() for name in names
        ]
        return torch.stack([one if one.ndim == 3 else one[None] for one in read]).to(images.device)
