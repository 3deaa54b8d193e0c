"""MVTec AD: the anomaly maps of one category, such as PatchCore's, before and after fusion.

    python examples/mvtec_ad.py --data mvtec_anomaly_detection --split bottle --scores scores/bottle

Data: www.mvtec.com/company/research/datasets/mvtec-ad, unpacked. A category of your own in its layout is
passed as the folder itself: --data gear, which holds test/ and ground_truth/.

Scores: one .npy, .npz, .hdf5 or .png of the size of each picture, higher for more anomalous, in the folders
of the test pictures (scores/bottle/good/000.npy) or named after both (scores/bottle/good_000.npy). In [0, 1]
as anomalib normalizes them, or with --kind raw distances from 0 on; docs/guide/inspection.md writes them.

Measured: pixel AP, AUROC and FPR95, AUPRO up to false positive rates of 0.3 and 0.05, AUROC of the images.
"""

from __future__ import annotations

import sys

from published import reproduce

if __name__ == "__main__":
    sys.exit(reproduce(__doc__, "mvtec-ad", method="PatchCore"))
