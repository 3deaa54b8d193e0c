"""Proposers by name, from a folder or from the Hub."""

from __future__ import annotations

import os
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, cast

import torch

from csl_plugin._devices import checked_device
from csl_plugin._nearest import did_you_mean
from csl_plugin.arrays import describe, shown
from csl_plugin.errors import CSLError, DTypeError, FileError, OptionError
from csl_plugin.places import is_url, local_path
from csl_plugin.places.url import without_secrets
from csl_plugin.proposers.base import ImageProposer, Proposer
from csl_plugin.proposers.bundled import bundled_folder
from csl_plugin.proposers.combine import Scales, Together
from csl_plugin.proposers.entry_points import registered_names, registered_proposer
from csl_plugin.proposers.names import BUILT_IN, DEFAULT
from csl_plugin.proposers.placement import FollowsImages

if TYPE_CHECKING:  # a name alone does not need it
    from csl_plugin.proposers.hierarchy.scales import Scale


def load_proposer(
    source: str | PathLike[str] | None = None,
    *,
    revision: str | None = None,
    variant: str | None = None,
    subfolder: str | None = None,
    device: torch.device | str | None = None,
) -> ImageProposer:
    """Load a region proposer by name, from a folder or from the Hub.

    Names that need no download:

    - "csl-tiny": a small CSL network (`NetworkRegions`). Trained on CamVid (CC BY-NC 4.0) and BSDS500
      (non-commercial research and education), so their terms may restrict a commercial use of the weights.
    - "csl-tiny-strict": the same network, trained on CamVid (CC BY-NC 4.0) and drawn shapes only, so CamVid's
      terms may restrict a commercial use of the weights.
    - "csl-tiny-open": the same network, trained on drawn shapes only. Its weights are CC0 and free of any
      data set's terms.
    - "superpixels": no weights (`Superpixels`), so only this package's own license applies.

    Args:
        source: One of these:
            None for the default, "csl-tiny:auto,5": two partitions of one tree of merged regions, those that
            eq. 2 chooses and those of a fine scale.
            A name above. With ":SCALE" it gives regions of one scale everywhere, such as "csl-tiny:5"; with
            several scales one partition for each, from coarse to fine, such as "superpixels:150,80,40,20".
            "+" joins sources.
            A name that another package registered under the entry-point group "csl_plugin.proposers".
            A folder or a repository on the Hub, OWNER/NAME, with a network that `CSLNetwork.save_pretrained`
            wrote, or with a Mask2Former, MaskFormer, OneFormer, EoMT, VidEoMT, DETR, Conditional DETR or
            RF-DETR (with masks), SAM, SAM-HQ, SAM2, EdgeTAM or SAM3 tracker of transformers. Of a network of
            ours in a folder, scales may follow as above: "run/network:auto,5".
            A folder of precomputed region maps or masks, one file per image, found by the image's stem
            (`RegionMapFolder`).
        revision: A commit, tag or branch of a network on the Hub; other sources have none.
        variant: Of a network's weights, such as "fp16" for `model.fp16.safetensors`; by default none, or the
            only one that is there. Other sources have none.
        subfolder: The folder of a network inside its folder or repository, such as "models/regions". Other
            sources have none.
        device: Where a network computes, images from elsewhere are carried there; None for the device of the
            images, with a copy of the weights on each device that images come from. Superpixels and folders
            need none; a registered proposer takes it as it likes.

    Returns:
        A callable from images to a tuple of partitions, each `RegionProposals` or a `RegionMap`. Images are
        RGB (B, 3, H, W) in [0, 1], or a path, a picture of Pillow, an array: see `Proposer`. A registered one
        takes what its package says, the floats at least, and may also return a single partition.

    Raises:
        OptionError: An empty name (also beside a "+"), a scale that is no positive number (or "auto", for a
            network), a `revision`, `variant` or `subfolder` of a source that has none, a `subfolder` that is
            no path inside, or a `device` that is not there.
        FileError: No such name, folder or repository, or the network in it is damaged.
        MissingExtraError: A package that a model of transformers or a registered proposer needs is not
            installed.

    Example:
        >>> import torch
        >>> from csl_plugin import load_proposer
        >>> load_proposer("superpixels")(torch.zeros(1, 3, 24, 32))
        (RegionMap(batch_size=1, size=(24, 32), num_regions=1),)
    """
    if device is not None:
        checked_device(device)
    name: object = DEFAULT if source is None else source
    name = os.fspath(name) if isinstance(name, PathLike) else name
    if not isinstance(name, str) or not name:
        got = shown(name) if not isinstance(name, str) else "an empty name"
        raise OptionError("source", got, "a name, a folder or OWNER/NAME", "Omit it for the default.")
    if is_url(name):
        name = str(local_path(name, "source"))
    kind, _, scales = name.partition(":")
    is_folder = os.path.isdir(name)  # noqa: PTH112  # no name makes it raise
    options = {"revision": revision, "variant": variant, "subfolder": subfolder}
    if "+" in name and not is_folder:
        _refuse(options, "several sources", "Load each of them by itself.")
        return Together([load_proposer(part, device=device) for part in name.split("+")])
    if kind in BUILT_IN:
        _refuse(options, "a built-in source", "Omit it.")
        if kind == "superpixels":
            from csl_plugin.proposers.superpixels import Superpixels

            return _at_scales(Superpixels(), name, scales)
        return _at_scales(_named(_of_network(bundled_folder(kind), device), kind), name, scales)
    if is_folder:
        _refuse({"revision": revision}, "a folder", "Omit it.")
        if subfolder is None and not (Path(name) / "config.json").exists():
            from csl_plugin.proposers.folder import RegionMapFolder

            _refuse({"variant": variant}, "a folder of region maps", "Omit it.")
            return RegionMapFolder(name)
    elif os.path.isdir(name.rpartition(":")[0]):  # noqa: PTH112
        _refuse(options, "a folder with scales", "Omit it.")
        folder, _, scales = name.rpartition(":")
        return _at_scales(_named(_of_network(folder, device), folder), name, scales)
    elif all(value is None for value in options.values()):
        registered = registered_proposer(name, device)
        if registered is not None:
            return cast("ImageProposer", registered)
    if is_folder or _is_repository(name):
        from csl_plugin.proposers.transformers.load import load_transformers, published

        found = published(name, revision, subfolder)
        if found.kind is not None:
            made = _placed(load_transformers(found, device, variant), device)
        else:
            made = _of_network(name, device, found.revision, variant, subfolder)
        return made if any(value is not None for value in options.values()) else _named(made, name)
    names = (*BUILT_IN, *registered_names())
    hint = "Write region maps with `csl-plugin propose IMAGES OUT`, or pass any callable of your own instead."
    raise FileError(
        "source",
        f"{without_secrets(name[:200])!r}, which is neither a built-in proposer nor a folder here",
        ", ".join(f'"{known}"' for known in names) + ", a folder, or OWNER/NAME on the Hub",
        did_you_mean(kind, names, hint),
    )


def as_proposer(proposer: Proposer | str | PathLike[str] | None) -> Proposer:
    """The `proposer` argument of a call: a callable as it is, anything else as `load_proposer` takes it.

    Raises:
        DTypeError: A class, or neither a callable nor a name.
        CSLError: As `load_proposer`, of the argument "proposer".

    Example:
        >>> as_proposer("superpixels:40")
        Superpixels(scale=40)
    """
    if isinstance(proposer, type):
        hint = f'Make one: {proposer.__name__}(...), or pass a name, such as "superpixels".'
        raise DTypeError("proposer", f"the class {proposer.__name__}", "a proposer", hint)
    if callable(proposer):
        return proposer
    if proposer is not None and not isinstance(proposer, (str, PathLike)):
        hint = 'Pass a name, such as "superpixels", or load_proposer(...); omit it for the default.'
        raise DTypeError("proposer", describe(proposer), "a callable, or a name of one", hint)
    try:
        return load_proposer(proposer)
    except CSLError as error:
        if error.argument != "source":
            raise
        raise type(error)("proposer", error.got, error.expected, error.hint) from error


def _refuse(options: Mapping[str, str | None], source: str, hint: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise OptionError(name, shown(value), f"no {name} of {source}", hint)


def _is_repository(name: str) -> bool:
    from csl_plugin.models.hub.names import is_repository

    return is_repository(name)


def _of_network(
    source: str | PathLike[str],
    device: torch.device | str | None,
    revision: str | None = None,
    variant: str | None = None,
    subfolder: str | None = None,
) -> ImageProposer:
    from csl_plugin.models import CSLNetwork
    from csl_plugin.proposers.csl_network import NetworkProposals, NetworkRegions

    network = CSLNetwork.from_pretrained(
        source, revision=revision, variant=variant, subfolder=subfolder, device=device
    )
    maker = NetworkRegions if network.config.boundary else NetworkProposals
    return _placed(maker(network), device)


def _named(proposer: ImageProposer, source: str) -> ImageProposer:
    """The proposer of a source, which shows as it."""
    if isinstance(proposer, FollowsImages):
        proposer.loaded_as = source
    return proposer


def _placed(proposer: ImageProposer, device: torch.device | str | None) -> ImageProposer:
    """The proposer of a network that was loaded for a device, or for that of the images."""
    if device is None and isinstance(proposer, FollowsImages):
        proposer.follow_images()
    return proposer


def _at_scales(proposer: ImageProposer, source: str, scales: str) -> ImageProposer:
    """The proposer at the scales after the colon, if there are any."""
    if not scales:
        return proposer
    from csl_plugin.proposers.hierarchy.scales import HierarchicalRegions

    if not isinstance(proposer, HierarchicalRegions):
        raise OptionError("source", source, "a source that has scales", "Omit the scale.")
    numbers = [_read_scale(source, text) for text in scales.split(",")]
    if len(numbers) > 1:
        return Scales(proposer, numbers)
    proposer.scale = proposer.checked_scale(numbers[0])
    return proposer


def _read_scale(source: str, text: str) -> Scale:
    if text == "auto":
        return "auto"
    try:
        return float(text)
    except ValueError:
        name = source.partition(":")[0]
        hint = f"For example {name}:20."
        raise OptionError("source", source, f"{name}:SCALE with a number", hint) from None
