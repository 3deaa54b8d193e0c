"""The help of the option --proposer."""

from __future__ import annotations

from csl_plugin.proposers import DEFAULT

PROPOSER_HELP = (
    "source of the regions: `csl-tiny` or `superpixels`, both with :SCALE for coarser or finer regions; a "
    "CSL network or a segmentation model of transformers: its folder, or OWNER/NAME on the Hub; a folder of "
    "region maps (.png or .npz) or masks (.json) by image stem; a name that another package registered"
)
PARTITIONS_HELP = (
    f"{PROPOSER_HELP}; several partitions with :SCALE,SCALE and + between them (default: {DEFAULT})"
)
