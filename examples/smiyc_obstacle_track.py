"""Table 2: SegmentMeIfYouCan ObstacleTrack, a method's anomaly scores before and after fusion.

    python examples/smiyc_obstacle_track.py --data dataset_ObstacleTrack --scores scores/ObstacleTrack-all

Data: dataset_ObstacleTrack.zip, linked in the README of github.com/SegmentMeIfYouCan/road-anomaly-benchmark.
Labels are public for the 30 validation frames only: that is what is measured here. For the paper's 327 test
frames add `--split all`; the fused maps in OUT/scores are what the organizers' tool reads, and they can score
them.

Scores: one .hdf5 (dataset "value"), .npy, .npz or .png per frame, higher for more anomalous, in [0, 1].
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "smiyc-obstacle-track", method="DaCUP"))
