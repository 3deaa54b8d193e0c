"""Table 3: LostAndFound testNoKnown, a method's anomaly scores before and after fusion.

    python examples/lostandfound_noknown.py --data LostAndFound --scores scores/LostAndFound-test

Data: leftImg8bit.zip and gtCoarse.zip from wwwlehre.dhbw-stuttgart.de/~sgehrig/lostAndFoundDataset, unpacked
into one folder. All 1203 test frames are required, because the 1043 of testNoKnown are selected by their
index in that list.

Scores: one .hdf5 (dataset "value"), .npy, .npz or .png per frame, named as the frame without `_leftImg8bit`,
higher for more anomalous, in [0, 1].
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "lostandfound-noknown", method="NFlowJS"))
