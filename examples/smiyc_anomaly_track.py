"""Table 1: SegmentMeIfYouCan AnomalyTrack, a method's anomaly scores before and after fusion.

    python examples/smiyc_anomaly_track.py --data dataset_AnomalyTrack --scores scores/AnomalyTrack-all

Data: dataset_AnomalyTrack.zip, linked in the README of github.com/SegmentMeIfYouCan/road-anomaly-benchmark.
Labels are public for the 10 validation frames only: that is what is measured here. For the paper's 100 test
frames add `--split all`; the fused maps in OUT/scores are what the organizers' tool reads, and they can score
them.

Scores: one .hdf5 (dataset "value", as their tool writes them), .npy, .npz or .png per frame, higher for more
anomalous, in [0, 1]. Scores of another range need `--calibration`; see `csl_plugin.Calibration`.
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "smiyc-anomaly-track", method="ObsNet"))
