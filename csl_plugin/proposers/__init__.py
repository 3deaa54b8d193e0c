"""Where regions come from: anything that turns images into region proposals or a region map."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from csl_plugin.errors import FileError, OptionError
from csl_plugin.region_map import RegionMap
from csl_plugin.region_proposals import RegionProposals

__all__ = ["Proposer", "load_proposer"]


@runtime_checkable
class Proposer(Protocol):
    """A callable from RGB images (B, 3, H, W), float in [0, 1], to the regions of those images.

    Any function of that signature is one. Proposals may have any resolution; a map has the images'.
    """

    def __call__(self, images: Tensor) -> RegionProposals | RegionMap:
        """Propose the regions of a batch of images, on the images' device."""
        ...


def load_proposer(
    source: str | PathLike[str] | None = None,
    *,
    revision: str | None = None,
    device: torch.device | str | None = None,
) -> Proposer:
    """Load a region proposer by name or from a folder.

    Args:
        source: None, the best that is built in (at present "superpixels"); "superpixels", or
            "superpixels:SCALE" for larger or smaller ones; or a folder of precomputed region maps,
            one png or npz per image, found by the image's stem (`RegionMapFolder`).
        revision: A commit, tag or branch of a model on the Hub; built-in sources have none.
        device: Where the proposer's weights live. A proposer without weights works where the images lie.

    Returns:
        A callable from RGB images (B, 3, H, W) in [0, 1] to `RegionProposals` or a `RegionMap`.

    Raises:
        OptionError: A scale that is not a positive number, a `revision` of a source that has none, or a
            `device` that torch does not know.
        FileError: Neither a known name nor a folder of region maps.

    Example:
        >>> import torch
        >>> from csl_plugin import load_proposer
        >>> load_proposer("superpixels")(torch.zeros(1, 3, 24, 32))
        RegionMap(batch_size=1, size=(24, 32), num_regions=1)
    """
    if revision is not None:
        raise OptionError(
            "revision", repr(revision), "None for a built-in source or a folder", "Leave it away."
        )
    if device is not None:
        _check_device(device)
    name = "superpixels" if source is None else os.fspath(source)
    kind, _, scale = name.partition(":")
    if kind == "superpixels":
        from csl_plugin.proposers.superpixels import Superpixels

        return Superpixels(_read_scale(scale)) if scale else Superpixels()
    if Path(name).is_dir():
        from csl_plugin.proposers.folder import RegionMapFolder

        return RegionMapFolder(name)
    raise FileError(
        "source",
        f"{name!r}, which is neither a built-in proposer nor a folder here",
        '"superpixels", "superpixels:SCALE", or a folder of region maps',
        "Write region maps with `csl-plugin propose IMAGES OUT`, or pass any callable of your own instead.",
    )


def _check_device(device: torch.device | str) -> None:
    try:
        torch.device(device)
    except (RuntimeError, TypeError):
        raise OptionError(
            "device", repr(device), "a device torch knows", 'For example "cpu" or "cuda:0".'
        ) from None


def _read_scale(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise OptionError(
            "source", f"superpixels:{text}", "superpixels:SCALE with a number", "For example superpixels:200."
        ) from None
