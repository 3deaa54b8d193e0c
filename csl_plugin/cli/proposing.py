"""The option that the commands which need regions share."""

from __future__ import annotations

PROPOSER_HELP = (
    "where the regions come from: `superpixels`, `superpixels:SCALE` for coarser or finer ones, or a folder "
    "of region maps, .png or .npz, one per image stem (default: the best built-in)"
)
