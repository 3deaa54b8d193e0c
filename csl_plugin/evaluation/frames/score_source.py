"""The source of a frame's per-pixel scores: a folder of files, or a model that is called."""

from __future__ import annotations

import hashlib
import importlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from csl_plugin.arrays import as_tensor
from csl_plugin.datasets import Frame
from csl_plugin.errors import FileError, OptionError, OutputError
from csl_plugin.evaluation.frames.frame_files import files_of_frames
from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, read_scores, stem_key
from csl_plugin.io.score_layout import is_channels_last
from csl_plugin.places import local_path
from csl_plugin.proposers.identity import identity_of

Image = NDArray[np.uint8]


class ScoreSource(Protocol):
    """Gives the scores of a frame; `load` reads ahead, in a thread."""

    def load(self, frame: Frame) -> Tensor | None:
        """The frame's scores on disk, if any."""
        ...

    def scores(self, image: Image, loaded: Tensor | None) -> Tensor:
        """The frame's scores, (H, W) or (C, h, w) floating point."""
        ...

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """The files that `load` reads."""
        ...

    def identity(self) -> dict[str, str]:
        """Its entries in the settings of a job."""
        ...


@dataclass(frozen=True)
class ScoreFolder:
    """Score files by frame.

    Args:
        path: The folder.
        by_frame: The file of each frame, by the frame's name.
    """

    path: Path
    by_frame: Mapping[str, Path]

    @staticmethod
    def open(path: str | os.PathLike[str], frames: Sequence[Frame]) -> ScoreFolder:
        """Find the file of every frame: its stem is the frame's name, or the stem of the frame's image.

        Files may also be in subfolders, named as the images' folders, as anomaly maps of MVTec AD are:
        FOLDER/crack/000.npy is that of the frame crack_000.

        Raises:
            FileError: The folder cannot be read, or lacks the file of a frame, or has two.
        """
        folder = local_path(path, "scores")
        hint = "Name score maps after their frames, or choose their subset with --split."
        below, here = _in_subfolders(folder, frames), files_by_stem(folder, SCORE_SUFFIXES)
        for name in (stem_key(frame.name) for frame in frames):
            if name in below and name in here:
                got = f"{below[name].relative_to(folder)} and {here[name].name}"
                raise FileError(str(folder), got, "one score map of each frame", "Remove those of one kind.")
        found = below | here
        files = files_of_frames(folder, found, frames, kind="score map", suffixes=SCORE_SUFFIXES, hint=hint)
        return ScoreFolder(folder, files)

    def load(self, frame: Frame) -> Tensor:
        """The frame's file, as `csl_plugin.io.read_scores` reads it."""
        return as_tensor("scores", read_scores(self.by_frame[frame.name]))

    def scores(self, image: Image, loaded: Tensor | None) -> Tensor:
        """The loaded scores, with the classes first.

        Raises:
            ShapeError: They may have the classes in the first or in the last axis.
        """
        assert loaded is not None  # noqa: S101
        if is_channels_last("scores", tuple(loaded.shape), (image.shape[0], image.shape[1])):
            return loaded.movedim(-1, 0)
        return loaded

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """The frame's file."""
        return (self.by_frame[frame.name],)

    def identity(self) -> dict[str, str]:
        """None: what each file is made from is recorded beside it."""
        return {}


def _in_subfolders(folder: Path, frames: Sequence[Frame]) -> dict[str, Path]:
    names = sorted({frame.image.parent.name for frame in frames})
    below = {name: folder / name for name in names if (folder / name).is_dir()}
    return {
        stem_key(f"{name}_{stem}"): file
        for name, place in below.items()
        for stem, file in files_by_stem(place, SCORE_SUFFIXES).items()
    }


@dataclass(frozen=True)
class Teacher:
    """A callable from an image (H, W, 3) uint8 RGB to its scores (H, W), (C, h, w) or (1, C, h, w).

    Args:
        spec: Its name, module:callable.
        call: The callable.
        digest: The sha256 of the module's file, or of no bytes if it has none.
    """

    spec: str
    call: Callable[[Image], Any]
    digest: str

    @staticmethod
    def named(spec: str) -> Teacher:
        """Import `module:callable`; modules in the current folder are found too.

        Raises:
            OptionError: Another form, no such module, one that cannot be imported, or no such callable in it.
        """
        module_name, _, name = spec.partition(":")
        expected, hint = (
            "module:callable",
            "For example my_models.obsnet:score for the function score in my_models/obsnet.py.",
        )
        if not (module_name and name):
            raise OptionError("--teacher", repr(spec), expected, hint)
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)
        try:
            module = importlib.import_module(module_name)
        except (Exception, SystemExit) as error:  # the module is anybody's code
            got = f"{spec!r} ({type(error).__name__}: {error})"
            raise OptionError("--teacher", got, expected, hint) from error
        call = getattr(module, name, None)
        if not callable(call):
            raise OptionError("--teacher", f"{spec!r}, and the module has no callable {name}", expected, hint)
        file = getattr(module, "__file__", None)
        content = Path(file).read_bytes() if file else b""
        return Teacher(spec, call, hashlib.sha256(content).hexdigest())

    def load(self, frame: Frame) -> None:
        """Nothing: a model is called in the thread that computes."""
        del frame

    def scores(self, image: Image, loaded: Tensor | None) -> Tensor:
        """Call the teacher.

        Raises:
            OutputError: Not a floating-point array of the shapes above.
        """
        del loaded
        with torch.inference_mode():
            given = self.call(image)
        scores = as_tensor(self.spec, given).detach()
        if scores.ndim == 4 and scores.shape[0] == 1:
            scores = scores[0]
        if scores.ndim not in (2, 3) or not scores.is_floating_point():
            got = f"{scores.dtype} of shape {tuple(scores.shape)}"
            hint = "Return one image's scores in floating point."
            raise OutputError(self.spec, got, "(H, W) or (C, h, w) floating point", hint)
        return scores.clone() if scores.is_inference() else scores

    def files(self, frame: Frame) -> tuple[Path, ...]:
        """None."""
        del frame
        return ()

    def identity(self) -> dict[str, str]:
        """Its name, the hash of its module, and what `csl_plugin.proposers.identity` finds it made of.

        Weights that it loads when it is called are not part of it; a method `identity()` can name them.
        """
        made_of = identity_of(self.call)
        return {"teacher": self.spec, "teacher_sha256": self.digest, "teacher_identity": made_of}
