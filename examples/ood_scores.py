"""Five out-of-distribution scores from the logits of a segmenter, each mapped onto [0, 1]."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from csl_plugin import Calibration
from csl_plugin.io import list_images, read_image, write_scores

Score = Callable[[Tensor], Tensor]


def ood_scores(statistics: Path) -> dict[str, Score]:
    """Scores by name; (C, H, W) logits to (H, W), higher for more anomalous.

    STATISTICS is a JSON file with the mean and the variance of the maximal logit by predicted class on
    training images (`max_logit_mean`, `max_logit_var`). None of these maps has seen an anomaly.
    """
    numbers = json.loads(statistics.read_text())
    mean, deviation = torch.tensor(numbers["max_logit_mean"]), torch.tensor(numbers["max_logit_var"]).sqrt()
    overall = Calibration.sigmoid(float(mean.mean()), -float(deviation.mean()))
    return {
        "msp": lambda logits: 1 - logits.softmax(0).amax(0),
        "entropy": lambda logits: torch.special.entr(logits.softmax(0)).sum(0) / math.log(len(logits)),
        "max_logit": lambda logits: overall(logits.amax(0)),
        "energy": lambda logits: overall(logits.logsumexp(0)),
        "sml": partial(standardized_max_logit, mean=mean, deviation=deviation),
    }


def standardized_max_logit(logits: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """SML: the maximal logit, standardized by the statistics of the class it predicts (Jung et al. 2021)."""
    maximum, predicted = logits.max(0)
    return Calibration.sigmoid(0.0, -1.0)((maximum - mean[predicted]) / deviation[predicted])


def write_score_maps(images: Path, logits: Path, scores: dict[str, Score], out: Path) -> None:
    """OUT/<score>/<stem>.npy for every image, from LOGITS/<stem>.npz: `logits` (C, h, w), any resolution."""
    for stem, image in tqdm(list_images(images).items(), desc="scores", unit="image", disable=None):
        low = torch.from_numpy(np.load(logits / f"{stem}.npz", allow_pickle=False)["logits"]).float()
        size = read_image(image).shape[:2]
        full = F.interpolate(low[None], size, mode="bilinear", align_corners=False)[0]
        for name, score in scores.items():
            write_scores(out / name / f"{stem}.npy", score(full).numpy(), dtype=np.float32)
