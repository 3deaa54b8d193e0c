"""The teacher of the demonstration: a small segmenter, trained on drawn streets without unseen things.

    python examples/train_street_teacher.py --out csl_plugin/demo/street

It draws the streets, trains the segmenter with the cross-entropy of the classes, and writes its weights to
OUT/teacher.safetensors in half precision. Then it fits OUT/threshold.json, the threshold of the fused score
that gives at most one false object in ten other streets. The same arguments give the same streets and
batches. The IoU of the classes on these other streets is printed. Ten minutes on one CPU core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save
from torch import Tensor
from tqdm import tqdm

from csl_plugin import Threshold, fuse, load_proposer
from csl_plugin.demo import STREET_CLASSES, Street, StreetTeacher, draw_street
from csl_plugin.demo.street.scoring import teacher_score
from csl_plugin.io import atomic_path
from csl_plugin.metrics import SemanticMetric
from csl_plugin.proposers.on_files import propose_regions

FIRST_SEED, FIRST_HELD_OUT = 1_000_000, 2_000_000  # the seeds from 0 on are those of the measured streets
PEAK, WARM_UP, DECAY = 2e-3, 50, 0.02
CROP, SMALLEST, LARGEST = (192, 288), 0.6, 1.25
RARE = 0.35  # a class with a tenth of the pixels of another weighs 2.2 times as much


def drawn(first: int, count: int, note: str) -> list[Street]:
    seeds = tqdm(range(first, first + count), desc=note, unit="street", disable=None)
    return [draw_street(seed, unseen=False) for seed in seeds]


def batch(streets: list[Street], size: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
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
        images.append((image * tint).clamp(0, 1))
        classes.append(label)
    return torch.stack(images), torch.stack(classes)


def class_weights(streets: list[Street]) -> Tensor:
    """Mild weights for rare classes, 1 on average over the classes."""
    counts = sum(np.bincount(street.classes.ravel(), minlength=len(STREET_CLASSES)) for street in streets)
    weights = (counts / counts.sum()).clip(1e-4) ** -RARE
    return torch.from_numpy(weights / weights.mean()).float()


def train(streets: list[Street], steps: int, size: int) -> StreetTeacher:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    draw, weight = np.random.default_rng(0), class_weights(streets)
    model = StreetTeacher().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARM_UP, 0.5 * (1 + np.cos(np.pi * step / steps)))
    )
    progress = tqdm(range(steps), desc="train", unit="step", disable=None)
    for _ in progress:
        images, classes = batch(streets, size, draw)
        logits = model.coarse(images.to(memory_format=torch.channels_last))
        half = F.interpolate(logits, scale_factor=2, mode="bilinear", align_corners=False)
        loss = F.cross_entropy(half, classes[:, ::2, ::2], weight)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        rate.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model.eval()


def in_half_precision(model: StreetTeacher) -> dict[str, Tensor]:
    weights = {name: value.detach().contiguous() for name, value in model.state_dict().items()}
    return {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}


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
    """At most 0.1 false objects each, with the regions of the default proposer."""
    proposer, maps = load_proposer(), []
    for street in tqdm(streets, desc="threshold", unit="street", disable=None):
        regions = propose_regions(proposer, street.image, "")
        maps.append((fuse(teacher_score(model, street.image), regions), regions))
    return Threshold.fit_objects(maps, per_image=0.1)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--streets", type=int, default=100, help="to train on (%(default)s)")
    parser.add_argument("--steps", type=int, default=700, help="(%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="(%(default)s)")
    parser.add_argument("--others", type=int, default=30, help="streets to fit and evaluate on (%(default)s)")
    options = parser.parse_args()
    streets = drawn(FIRST_SEED, options.streets, "streets")
    model = train(streets, options.steps, options.batch_size)
    weights = in_half_precision(model)
    with atomic_path(options.out / "teacher.safetensors") as temporary:
        temporary.write_bytes(save(weights))
    model.load_state_dict(weights)
    others = drawn(FIRST_HELD_OUT, options.others, "other streets")
    print_iou(model, others)
    threshold = fitted(model, others)
    threshold.save(options.out / "threshold.json")
    print(threshold)
    return 0


if __name__ == "__main__":
    sys.exit(main())
