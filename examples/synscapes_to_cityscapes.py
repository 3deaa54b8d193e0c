"""Table 6: Synscapes to Cityscapes, an adapted segmenter on Cityscapes val, before and after fusion.

    python examples/synscapes_to_cityscapes.py --data cityscapes --scores scores/daformer --method DAFormer

Data: leftImg8bit_trainvaltest.zip and gtFine_trainvaltest.zip of www.cityscapes-dataset.com (registration).
Synscapes (synscapes.on.liu.se) is needed to train a segmenter, not to measure it; `open_dataset("synscapes",
...)` reads it.

Scores: one .npy or .npz per frame, named as the frame without `_leftImg8bit`, (19, h, w) probabilities (or
`--kind logits`) in the order of the train ids; any resolution. The fused label-id PNGs in OUT are what
csEvalPixelLevelSemanticLabeling reads.
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "cityscapes", method="DAFormer"))
