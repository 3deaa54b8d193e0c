"""The option that the commands which need regions share."""

from __future__ import annotations

from csl_plugin.proposers import DEFAULT

PROPOSER_HELP = (
    "where the regions come from: `csl-tiny` or `superpixels`, either with :SCALE for coarser or finer ones; "
    "a network, ours or a segmentation model of transformers: its folder, or OWNER/NAME on the Hub; a folder "
    "of region maps, .png or .npz, or of masks, .json, by image stem; a name that another package registered"
)
SEVERAL_HELP = f"{PROPOSER_HELP}; several with :SCALE,SCALE and + between them (default: {DEFAULT})"
