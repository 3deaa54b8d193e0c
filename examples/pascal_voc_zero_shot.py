"""Table 5: PASCAL VOC 2012, 15 seen and 5 unseen classes, a zero-shot segmenter with and without regions.

    python examples/pascal_voc_zero_shot.py --data VOCdevkit --scores scores/zegclip --method ZegCLIP

Data: VOCtrainval_11-May-2012.tar of host.robots.ox.ac.uk/pascal/VOC/voc2012. Background counts as void.

Scores: one .npy or .npz per image, (20, h, w) probabilities (or `--kind logits`), aeroplane first; any
resolution.
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "pascal-voc", method="ZegCLIP"))
