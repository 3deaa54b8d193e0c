"""Table 4: Road Anomaly (Lis et al. 2019), a method's anomaly scores before and after fusion.

    python examples/road_anomaly.py --data RoadAnomaly_jpg --scores scores/road_anomaly

Data: www.epfl.ch/labs/cvlab/data/road-anomaly, in the layout of its authors; two common copies are
detected too. Values are exact over the pooled pixels of all frames, without void.

Scores: one .npy, .npz, .hdf5 or .png per frame, higher for more anomalous, in [0, 1].
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "road-anomaly", method="ObsNet v2"))
