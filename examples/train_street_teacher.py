"""The teacher of the demonstration: a small segmenter, trained on drawn streets without unseen things.

    python examples/train_street_teacher.py --out csl_plugin/demo/street

It draws streets and trains the segmenter on them in three stages: with the cross-entropy of the classes;
with rare classes weighing more (deferred re-weighting: Cao et al., "Learning Imbalanced Datasets with
Label-Distribution-Aware Margin Loss", 2019); and with pasted blobs of one color each, where all classes are
to be equally likely (outlier exposure: Hendrycks et al., "Deep Anomaly Detection with Outlier Exposure",
2019). It writes the weights to OUT/teacher.safetensors in half precision, and OUT/threshold.json, the
threshold of the fused score that gives at most one false object in four other streets. The IoU of the classes
on these is printed. A quarter of an hour on one CPU core; a stopped run goes on after the last stage that it
did.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save
from torch import Tensor
from tqdm import tqdm

from csl_plugin import Threshold, fuse, load_proposer
from csl_plugin.demo import STREET_CLASSES, Street, StreetTeacher, draw_street
from csl_plugin.demo.street.scoring import teacher_score
from csl_plugin.io import atomic_path
from csl_plugin.metrics import SemanticMetric
from csl_plugin.proposers.on_files import propose_regions

FIRST_SEED, FIRST_HELD_OUT = 1_000_000, 2_000_000  # the seeds from 0 on are those of the measured streets
WARM_UP, DECAY, BATCH, OTHERS = 50, 0.02, 8, 30
CROP, SMALLEST, LARGEST = (192, 288), 0.6, 1.25
EXPOSED = 0.5
RARE = 0.35  # a class with a tenth of the pixels of another weighs 2.2 times as much


@dataclass(frozen=True)
class Stage:
    """A part of the training: with rare classes weighing more, with blobs that are no class."""

    streets: int
    steps: int
    peak: float
    weighted: bool
    seed: int
    blobs: bool = False


STAGES = (
    Stage(120, 1200, 2e-3, weighted=False, seed=0),
    Stage(120, 300, 1e-3, weighted=True, seed=0),
    Stage(120, 500, 1e-3, weighted=True, seed=1, blobs=True),
)


def drawn(first: int, count: int, note: str) -> list[Street]:
    seeds = tqdm(range(first, first + count), desc=note, unit="street", disable=None)
    return [draw_street(seed, unseen=False) for seed in seeds]


def batch(
    streets: list[Street], size: int, draw: np.random.Generator, *, blobs: bool
) -> tuple[Tensor, Tensor]:
    """Random crops at random scales, some mirrored, some brighter, darker or of another tint."""
    images, classes = [], []
    for _ in range(size):
        street = streets[draw.integers(len(streets))]
        height, width = street.classes.shape
        scale = np.exp(draw.uniform(np.log(SMALLEST), np.log(LARGEST)))
        high, wide = (
            min(round(side / scale), whole) for side, whole in zip(CROP, (height, width), strict=True)
        )
        top, left = draw.integers(height - high + 1), draw.integers(width - wide + 1)
        image = torch.from_numpy(street.image[top : top + high, left : left + wide]).permute(2, 0, 1) / 255
        label = torch.from_numpy(street.classes[top : top + high, left : left + wide])
        image = F.interpolate(image[None], CROP, mode="bilinear", align_corners=False, antialias=scale < 1)[0]
        label = F.interpolate(label[None, None].float(), CROP, mode="nearest")[0, 0].long()
        if draw.random() < 0.5:
            image, label = image.flip(2), label.flip(1)
        tint = torch.from_numpy(draw.normal(draw.uniform(0.8, 1.2), 0.05, (3, 1, 1))).float()
        image = (image * tint).clamp(0, 1)
        if blobs:
            image, label = image.contiguous(), label.contiguous()
            pasted(image, label, draw)
        images.append(image)
        classes.append(label)
    return torch.stack(images), torch.stack(classes)


def pasted(image: Tensor, label: Tensor, draw: np.random.Generator) -> None:
    """Paste blobs of one color, in place: of no class, -1, and like no thing that `draw_street` knows."""
    height, width = label.shape
    for _ in range(draw.integers(0, 3)):
        angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        reach = np.exp(draw.uniform(np.log(6), np.log(45))) * draw.uniform(0.5, 1.3, 12)
        middle = draw.uniform((0, 0.35 * height), (width, height))
        corners = middle + (reach * [np.cos(angle) * draw.uniform(0.6, 1.6), np.sin(angle)]).T
        mask = cv2.fillPoly(np.zeros((height, width), np.uint8), [corners.astype(np.int32)], 1)
        shade = np.linspace(draw.uniform(0.8, 1.2), draw.uniform(0.5, 1.1), height)[None, :, None]
        grain = draw.normal(1, draw.uniform(0.02, 0.2), (1, height, width))
        color = draw.uniform(0.05, 0.95, (3, 1, 1)) * shade * cv2.GaussianBlur(grain[0], (0, 0), 1.2)
        inside = torch.from_numpy(mask > 0)
        image[:, inside] = torch.from_numpy(color).float()[:, inside].clamp(0, 1)
        label[inside] = -1


def class_weights(streets: list[Street]) -> Tensor:
    """Mild weights for rare classes, 1 on average over the classes."""
    counts = sum(np.bincount(street.classes.ravel(), minlength=len(STREET_CLASSES)) for street in streets)
    weights = (counts / counts.sum()).clip(1e-4) ** -RARE
    return torch.from_numpy(weights / weights.mean()).float()


def train(model: StreetTeacher, streets: list[Street], plan: Stage) -> None:
    """Train in place; the same arguments give the same batches."""
    torch.set_num_threads(1)
    draw, weight = np.random.default_rng(plan.seed), class_weights(streets) if plan.weighted else None
    model.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=plan.peak, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP, 0.5 * (1 + np.cos(np.pi * step / plan.steps)))
    )
    progress = tqdm(range(plan.steps), desc="train", unit="step", disable=None)
    for _ in progress:
        images, classes = batch(streets, BATCH, draw, blobs=plan.blobs)
        logits = model(images.to(memory_format=torch.channels_last))["out"]
        loss = F.cross_entropy(logits, classes, weight, ignore_index=-1)
        if plan.blobs:  # there the classes are to be equally likely
            outside = logits.log_softmax(1).mean(1)[classes < 0]
            loss = loss - EXPOSED * outside.sum() / max(1, outside.numel())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        rate.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    model.eval()


def write(path: Path, model: StreetTeacher) -> None:
    """The weights in half precision, whole or not at all."""
    weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    stored = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    with atomic_path(path) as temporary:
        temporary.write_bytes(save(stored))


def print_iou(model: StreetTeacher, streets: list[Street]) -> None:
    metric = SemanticMetric(len(STREET_CLASSES))
    for street in streets:
        with torch.inference_mode():
            logits = model(torch.from_numpy(street.image).permute(2, 0, 1)[None] / 255)["out"]
        metric.update(logits[0].argmax(0), street.classes.astype(np.uint8))
    result = metric.compute()
    for name, iou in zip(STREET_CLASSES, result.per_class, strict=True):
        print(f"{name:12s} {100 * iou:5.1f}")
    print(f"{'mean':12s} {100 * result.miou:5.1f}")


def fitted(model: StreetTeacher, streets: list[Street]) -> Threshold:
    """At most 0.25 false objects each, with the regions of the default proposer."""
    proposer, maps = load_proposer(), []
    for street in tqdm(streets, desc="threshold", unit="street", disable=None):
        regions = propose_regions(proposer, street.image, "")
        maps.append((fuse(teacher_score(model, street.image), regions), regions))
    return Threshold.fit_objects(maps, per_image=0.25)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    paths = [options.out / f"stage-{number}.safetensors" for number in range(1, len(STAGES))]
    paths.append(options.out / "teacher.safetensors")
    done = max((number for number, path in enumerate(paths[:-1], 1) if path.is_file()), default=0)
    streets = drawn(FIRST_SEED, max(stage.streets for stage in STAGES[done:]), "streets")
    torch.manual_seed(0)
    model = StreetTeacher()
    if done:
        model.load_state_dict(load_file(paths[done - 1]))
    for stage, path in zip(STAGES[done:], paths[done:], strict=True):
        train(model, streets[: stage.streets], stage)
        write(path, model)
        model.load_state_dict(load_file(path))
    others = drawn(FIRST_HELD_OUT, OTHERS, "other streets")
    print_iou(model, others)
    threshold = fitted(model, others)
    threshold.save(options.out / "threshold.json")
    for path in paths[:-1]:
        path.unlink(missing_ok=True)
    print(threshold)
    return 0


if __name__ == "__main__":
    sys.exit(main())
