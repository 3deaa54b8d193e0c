"""The options for images that are larger than memory."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.fused.options import fusion_of
from csl_plugin.errors import OptionError
from csl_plugin.places import RemotePath

if TYPE_CHECKING:
    from csl_plugin.cli.fused.large_fusion import LargeFusion


def add_tile_options(parser: Any) -> None:
    """Add --tile and --overlap.

    Args:
        parser: Of a command.
    """
    parser.add_argument(
        "--tile",
        metavar="N",
        type=int,
        help="for images larger than memory: work in windows of N x N pixels, such as 2048. IMAGES and "
        "SCORES may then be .npy or GeoTIFF (extra `raster`) of one size",
    )
    parser.add_argument(
        "--overlap",
        metavar="M",
        type=int,
        help="pixels that neighboring windows have in common (default: an eighth of N)",
    )


def tiles_chosen(arguments: argparse.Namespace) -> dict[str, str]:
    """What the options say, for the text of an answer; nothing without --tile."""
    if arguments.tile is None:
        return {}
    overlap = {} if arguments.overlap is None else {"overlap": str(arguments.overlap)}
    return {"tile": str(arguments.tile), **overlap}


def suffixes_of(arguments: argparse.Namespace) -> tuple[Sequence[str], Sequence[str]] | None:
    """The suffixes of images and of score maps that are read by parts; None without --tile."""
    if arguments.tile is None:
        return None
    from csl_plugin.io import IMAGE_SUFFIXES
    from csl_plugin.tiles.raster import RASTER_SUFFIXES

    return tuple(dict.fromkeys((*RASTER_SUFFIXES, *IMAGE_SUFFIXES))), RASTER_SUFFIXES


def large_fusion_of(arguments: argparse.Namespace) -> LargeFusion | None:
    """The fusion in tiles that the options name; None without --tile.

    Raises:
        CSLError: As `fusion_of`; or an option that goes with --tile alone, or does not go with it.
    """
    if arguments.tile is None:
        if arguments.overlap is not None:
            hint = "Add --tile, such as --tile 2048, or omit --overlap."
            raise OptionError("--overlap", str(arguments.overlap), "--tile beside it", hint)
        return None
    from csl_plugin.cli.fused.large_fusion import MASK_SUFFIXES, LargeFusion

    if arguments.overlays:
        hint = "Omit --overlays: a picture of the whole image needs memory for it."
        raise OptionError("--tile, --overlays", "both", "one of them", hint)
    for place in (arguments.images, arguments.scores, arguments.out, arguments.valid):
        if isinstance(place, RemotePath):
            hint = "Copy the files first: tiles are read from files of this machine."
            raise OptionError("--tile", f"it with {place}", "paths of this machine", hint)
    return LargeFusion(fusion_of(arguments, MASK_SUFFIXES), arguments.tile, arguments.overlap)
