"""Out-of-distribution scores from a segmenter's logits, fused and evaluated: AUROC, AP and FPR95 of both.

Street frames with unseen objects pasted in, and the logits of a real segmenter for them:

    python examples/pasted_objects.py --images pasted/images --labels pasted/labels \
        --logits teacher/pasted --statistics teacher/statistics.json --out pasted_out

writes the score maps to OUT/scores/<score>, runs `csl-plugin fuse` on them (fused maps and overlays in
OUT/fused/<score>) and prints a table. IMAGES holds RGB pictures, LABELS 8-bit PNGs (0 normal, 1 anomaly,
255 void), LOGITS one npz per image with `logits` (C, h, w), STATISTICS the mean and variance of the maximal
logit by predicted class on training images (`max_logit_mean`, `max_logit_var`). Needs scikit-learn.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from tqdm import tqdm

from csl_plugin import Calibration
from csl_plugin.files import files_by_stem, list_images, read_image, read_scores, write_scores


def energy(logits: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """Free energy, -logsumexp, mapped by one sigmoid for all classes (Liu et al. 2020)."""
    calibration = Calibration.sigmoid(float(mean.mean()), -float(deviation.mean()))
    return calibration(logits.logsumexp(0))


def standardised_max_logit(logits: torch.Tensor, mean: torch.Tensor, deviation: torch.Tensor) -> torch.Tensor:
    """SML: the maximal logit, standardised by the statistics of the class it predicts (Jung et al. 2021)."""
    maximum, predicted = logits.max(0)
    return Calibration.sigmoid(0.0, -1.0)((maximum - mean[predicted]) / deviation[predicted])


SCORES = {"energy": energy, "sml": standardised_max_logit}


def write_score_maps(images: dict[str, Path], logits: Path, statistics: Path, out: Path) -> None:
    numbers = json.loads(statistics.read_text())
    mean = torch.tensor(numbers["max_logit_mean"])
    deviation = torch.tensor(numbers["max_logit_var"]).sqrt()
    for stem, image in tqdm(images.items(), desc="scores", unit="image", disable=None):
        low = torch.from_numpy(np.load(logits / f"{stem}.npz", allow_pickle=False)["logits"]).float()
        size = read_image(image).shape[:2]
        full = F.interpolate(low[None], size, mode="bilinear", align_corners=False)[0]
        for name, score in SCORES.items():
            write_scores(out / name / f"{stem}.npy", score(full, mean, deviation).numpy(), dtype=np.float32)


def evaluate(scores: Path, labels: dict[str, Path]) -> tuple[float, float, float]:
    """AUROC, AP and FPR at the first threshold with TPR >= 95 %, pooled over all pixels that are not void."""
    truths, values = [], []
    for stem, path in labels.items():
        truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        counted = truth != 255
        truths.append(truth[counted] == 1)
        values.append(read_scores(scores / f"{stem}.npy")[counted])
    truth, value = np.concatenate(truths), np.concatenate(values)
    false_positives, true_positives, _ = roc_curve(truth, value, drop_intermediate=False)
    at_95 = false_positives[np.searchsorted(true_positives, 0.95)]
    return float(roc_auc_score(truth, value)), float(average_precision_score(truth, value)), float(at_95)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in ("images", "labels", "logits", "statistics", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--proposer", help="as for csl-plugin fuse")
    options = parser.parse_args()

    images, labels = list_images(options.images), files_by_stem(options.labels, (".png",))
    write_score_maps(images, options.logits, options.statistics, options.out / "scores")
    rows = []
    for name in SCORES:
        command = [sys.executable, "-m", "csl_plugin", "fuse", "--overlays"]
        command += ["--proposer", options.proposer] if options.proposer else []
        folders = [options.images, options.out / "scores" / name, options.out / "fused" / name]
        subprocess.run([*command, *map(str, folders)], check=True)
        rows.append((name, "base", evaluate(options.out / "scores" / name, labels)))
        rows.append((name, "+CSL", evaluate(options.out / "fused" / name, labels)))

    print(f"\n{len(images)} images, percent   AUROC     AP  FPR95")
    for name, kind, figures in rows:
        print(f"{name:10} {kind:12} " + " ".join(f"{100 * figure:7.2f}" for figure in figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
