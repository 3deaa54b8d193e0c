"""Table 7: how well regions follow things and stuff they were not trained on, on COCO-Stuff val.

    python examples/cityscapes_to_coco_stuff_regions.py --data coco_stuff164k --proposer my_region_maps

Data: as for coco_stuff_zero_shot.py. No teacher takes part: every region takes the label most of its pixels
have, and what that gives is measured, for the 15 classes that Cityscapes knows too and for the other 156.
Regions come from a proposer of this library or, as a folder of 16-bit PNGs, one per image, from anywhere.
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "coco-stuff-regions"))
