"""The pixels that count, as masks in files give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import FileError, ShapeError
from csl_plugin.io import files_by_stem, holding, read_label_png
from csl_plugin.io.listing import stem_key
from csl_plugin.io.orientation import check_orientation
from csl_plugin.places import Place, is_file_place

_SUFFIXES = (".png",)


@dataclass(frozen=True)
class ValidMasks:
    """A mask for each image, or one for all of them.

    Args:
        place: The folder of the masks, or the one mask.
        files: By stem.
        one: `place` is the one mask, as of a camera that does not move.
    """

    place: Place
    files: Mapping[str, Place]
    one: bool

    @classmethod
    def of(cls, place: Place, suffixes: Sequence[str] = _SUFFIXES) -> ValidMasks:
        """The masks of a folder, by the stems of their images, or one mask for every image.

        Args:
            place: The folder, or the mask.
            suffixes: Of the files.

        Raises:
            FileError: There is none.
        """
        files = files_by_stem(place, suffixes)
        if not files:
            hint = "Pass the folder that holds the masks themselves, or one mask for every image."
            raise FileError(str(place), holding(place, suffixes, "a mask"), ", ".join(suffixes), hint)
        return cls(place, files, is_file_place(place))

    def of_fit(self, folder: Place) -> ValidMasks:
        """The masks of the images that a threshold is fitted on.

        Args:
            folder: Has them in its subfolder "valid", unless one mask is for every image.

        Raises:
            FileError: There is none.
        """
        return self if self.one else ValidMasks.of(folder / "valid")

    def file(self, stem: str) -> Place | None:
        """The mask of an image, if there is one."""
        return next(iter(self.files.values())) if self.one else self.files.get(stem_key(stem))

    def of_image(self, image: Place) -> Place:
        """The mask of an image.

        Raises:
            FileError: There is none.
        """
        file = self.file(image.stem)
        if file is None:
            hint = "Add the mask, or remove the image: every image has one with --valid."
            raise FileError(str(self.place), "no mask", f"one named {image.stem}.png", hint)
        return file

    def read(self, image: Place, size: tuple[int, int]) -> NDArray[np.bool_]:
        """The pixels of an image that count, boolean (H, W).

        Args:
            image: Its file.
            size: (H, W) of its pixels as `read_image` gives them.

        Raises:
            FileError: It has no mask, or one that cannot be read.
            ShapeError: The mask has another size.
        """
        file = self.of_image(image)
        mask = read_label_png(file)
        check_orientation(file.name, mask.shape, image, size)
        if mask.shape != size:
            hint = "Resize the mask with nearest-neighbor interpolation."
            if mask.shape == size[::-1]:
                hint = "Height and width are exchanged: transpose the mask."
            raise ShapeError(file.name, f"size {mask.shape}", f"the size of the image, {size}", hint)
        return np.asarray(mask != 0)


def mask_files(masks: ValidMasks | None, stem: str) -> list[Place]:
    """The mask that is read for an image, if any is."""
    file = masks.file(stem) if masks is not None else None
    return [] if file is None else [file]
