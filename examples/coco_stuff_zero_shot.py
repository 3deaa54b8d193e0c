"""Table 5: COCO-Stuff 164k, 156 seen and 15 unseen classes, a zero-shot segmenter with and without regions.

    python examples/coco_stuff_zero_shot.py --data coco_stuff164k --scores scores/zegclip --method ZegCLIP

Data: val2017 of cocodataset.org and stuffthingmaps_trainval2017.zip of github.com/nightrome/cocostuff. Labels
converted by mmsegmentation or ZegFormer are recognized.

Scores: one .npy or .npz per image, (171, h, w) probabilities (or `--kind logits`) in the order of the
published label values; any resolution.
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "coco-stuff", method="ZegCLIP"))
