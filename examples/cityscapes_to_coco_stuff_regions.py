"""Table 7: quality of the regions of unseen things and stuff, on COCO-Stuff val.

    python examples/cityscapes_to_coco_stuff_regions.py --data coco_stuff164k --proposer my_region_maps

Data: as for coco_stuff_zero_shot.py. There is no teacher: every region takes its most frequent label, and the
result is measured, for the 15 classes of Cityscapes and for the other 156. Regions come from a proposer of
this library, or from a folder of 16-bit PNGs, one per image.
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "coco-stuff-regions"))
