"""Precomputed region maps or masks as a proposer: a folder with one file per image."""

from __future__ import annotations

import os
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from csl_plugin.arrays import shown
from csl_plugin.errors import FileError, OptionError, ShapeError
from csl_plugin.io.job_settings import SETTINGS_NAME
from csl_plugin.io.listing import files_by_stem, stem_key
from csl_plugin.io.orientation import TURNED_HINT
from csl_plugin.io.region_maps import REGION_SUFFIXES
from csl_plugin.places import local_path
from csl_plugin.proposers.images import Images, read_images
from csl_plugin.proposers.mask_files import MASK_SUFFIXES, read_regions
from csl_plugin.regions.region_map import RegionMap

STORED_REGIONS = "region maps of a folder"
"""The identity of every folder of region maps."""


class RegionMapFolder:
    """A proposer that reads region maps from a folder, the file with the stem of each image.

    The constructor lists the folder into `files`, by stem; a call reads the maps of its images.

    Args:
        path: A folder of `.png` or `.npz` files as `read_regions` reads them: region maps, EntitySeg's
            results, masks. If there are none, its `.json` files: lists of masks.

    Raises:
        FileError: Not a folder, no region map in it, or two of the same stem.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> from csl_plugin.io import write_region_map
        >>> from csl_plugin.proposers import RegionMapFolder
        >>> with TemporaryDirectory() as folder:
        ...     write_region_map(f"{folder}/street.png", np.array([[0, 0, 1], [2, 2, 1]]))
        ...     RegionMapFolder(folder)(torch.rand(1, 3, 2, 3), names=["street"])
        (RegionMap(batch_size=1, size=(2, 3), num_regions=3),)
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = local_path(path, "path")
        if not os.path.isdir(self.path):  # noqa: PTH112  # no name makes it raise
            got = "a file" if os.path.exists(self.path) else "nothing there"  # noqa: PTH110
            raise FileError(str(path), got, "a folder of region maps", "Check the name of the folder.")
        maps = files_by_stem(self.path, REGION_SUFFIXES)
        masks = {} if maps else files_by_stem(self.path, MASK_SUFFIXES)
        self.files = maps or {stem: file for stem, file in masks.items() if file.name != SETTINGS_NAME}
        if not self.files:
            hint = "Make them with: csl-plugin propose IMAGES OUT"
            raise FileError(
                str(path), "a folder without one", "region maps or masks, .png, .npz or .json", hint
            )

    def __call__(self, images: Images, names: Sequence[str] | None = None) -> tuple[RegionMap]:
        """The region maps of the named images.

        Args:
            images: (B, 3, H, W), or whatever else `Proposer` names; only their size and device are used.
            names: The stems of the B images, in their order.

        Returns:
            One map: labels (B, H, W) int32 on the images' device, -1 where a pixel belongs to no region.

        Raises:
            OptionError: No `names`, or not B of them.
            FileError: No region map of that stem, or an unreadable one.
            ShapeError: A map of another size than the images.
        """
        tensor = images if isinstance(images, Tensor) else read_images(images)
        batch, size = tensor.shape[0], tuple(tensor.shape[-2:])
        if names is None or isinstance(names, str) or len(names) != batch:
            got = "no names" if names is None else shown(names)
            hint = "Region maps are found by name: call proposer(images, names=[stem, ...])."
            raise OptionError("names", got, f"the stems of the {batch} images", hint)
        labels = np.stack([self._read(name, size) for name in names])
        return (RegionMap(torch.from_numpy(labels).to(tensor.device), num_regions=int(labels.max()) + 1),)

    def _read(self, name: str, size: tuple[int, ...]) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
        file = self.files.get(stem_key(name))
        if file is None:
            got = f"no region map named {name!r}"
            hint = "Make it with csl-plugin propose, or check the names."
            raise FileError(str(self.path), got, f"{name}.png, .npz or .json", hint)
        labels = read_regions(file)
        if labels.shape != size:
            hint = "Make the region maps from the same images."
            if labels.shape == size[::-1]:
                hint += " " + TURNED_HINT
            raise ShapeError(str(file), f"size {labels.shape}", f"the image's, {size}", hint)
        return labels

    @property
    def source(self) -> str:
        """What `load_proposer` takes to give this proposer."""
        return str(self.path)

    def identity(self) -> str:
        """The same for every folder; a job compares each file with the output that was made from it."""
        return STORED_REGIONS

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return f"RegionMapFolder({str(self.path)!r}, {len(self)} region maps)"
