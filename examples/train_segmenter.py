"""A small segmenter for CamVid's streets, trained without the classes pedestrian and bicyclist.

    python examples/train_segmenter.py --data camvid --out segmenter

DATA holds images/{train,val} and labels/{train,val} with CamVid's 11 classes (9 pedestrian, 10 bicyclist,
11 void). The segmenter is the backbone, the feature pyramid and the distribution head of `CSLNetwork`. The
first two are initialized from csl-tiny-strict, which was trained on street classes and synthetic shapes only.
The loss is the cross-entropy over the nine other classes; it ignores pixels of 9, 10 and 11. OUT/network
holds the segmenter as safetensors, OUT/statistics.json the statistics that `ood_scores.py` reads. The IoU of
the nine classes on val is printed. 4000 steps take half an hour on one CPU core.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

import csl_plugin
from csl_plugin.io import atomic_path, image_batch, list_images, read_image, read_label_png
from csl_plugin.metrics import SemanticMetric, SemanticValues
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.models.hub.safetensors_io import write_network
from csl_plugin.training import Appearance, Cropping, LabeledFolder, Mixture, Part, batches

CLASSES = ("Sky", "Building", "Pole", "Road", "Pavement", "Tree", "SignSymbol", "Fence", "Car")
UNSEEN, VOID = (9, 10), 11
_INITIAL = Path(csl_plugin.__file__).parent / "weights" / "csl-tiny-strict"
_PEAK, _WARM_UP, _DECAY, _CLIP = 1e-3, 100, 0.02, 5.0
_RARE = 0.35  # a class with a tenth of the pixels of another weighs 2.2 times as much
# One query and one layer: the region decoder exists, costs no time, and gets no gradient.
CONFIG = NetworkConfig(num_queries=1, num_layers=1, num_classes=len(CLASSES))


class Segmenter(torch.nn.Module):
    """Logits at the images' size, from the distribution head of a network."""

    def __init__(self, network: CSLNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) RGB in [0, 1] to (B, C, H, W) logits."""
        logits = self.network(images).distribution
        return F.interpolate(logits.float(), images.shape[2:], mode="bilinear", align_corners=False)


def train(
    images: Path, labels: Path, *, steps: int, size: int, crop: tuple[int, int], workers: int
) -> Segmenter:
    """Train a segmenter; the same arguments give the same batches."""
    torch.manual_seed(0)
    cropping = Cropping(smallest=0.5, largest=1.2)
    folder = LabeledFolder(images, labels, ignore=[VOID], unseen=UNSEEN, cropping=cropping)
    weight = class_weights(folder)
    network, initial = CSLNetwork(CONFIG), CSLNetwork.from_pretrained(_INITIAL)
    network.backbone.load_state_dict(initial.backbone.state_dict())
    network.pixel_decoder.load_state_dict(initial.pixel_decoder.state_dict())
    model = Segmenter(network).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=_PEAK, weight_decay=_DECAY)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / _WARM_UP, 0.5 * (1 + math.cos(math.pi * step / steps))),
    )
    mixture = Mixture([Part(folder)], crop=crop, appearance=Appearance(hue=5, blur=0, noise=0, jpeg=0))
    drawn = batches(mixture, size, stop=steps, workers=workers)
    progress = tqdm(drawn, total=steps, desc="train", unit="step", disable=None)
    for batch in progress:
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(batch.images)
        loss = F.cross_entropy(logits.float(), batch.classes.long(), weight, ignore_index=-1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimizer.step()
        rate.step()
        progress.set_postfix(loss=f"{loss.item():.3f}", refresh=False)
    return model.eval()


def class_weights(folder: LabeledFolder) -> Tensor:
    """Mild weights for rare classes, 1 on average over the pixels' classes."""
    counts = np.zeros(len(CLASSES))
    for index in range(len(folder)):
        labels = folder.labels(index)
        counts += np.bincount(labels[labels >= 0], minlength=len(CLASSES))
    weights = (counts / counts.sum()).clip(1e-4) ** -_RARE
    return torch.from_numpy(weights / weights.mean()).float()


def statistics(model: Callable[[Tensor], Tensor], images: Path, labels: Path) -> dict[str, list[float]]:
    """Mean and variance of the maximal logit by predicted class, over the pixels of known classes."""
    sums = np.zeros((3, len(CLASSES)))
    for stem, path in tqdm(list_images(images).items(), desc="statistics", unit="image", disable=None):
        known = read_label_png(labels / f"{stem}.png") < len(CLASSES)
        with torch.inference_mode():
            maximum, predicted = model(image_batch(read_image(path)))[0].max(0)
        value, index = maximum.numpy()[known].astype(np.float64), predicted.numpy()[known]
        sums += [
            np.bincount(index, values, len(CLASSES)) for values in (np.ones_like(value), value, value**2)
        ]
    count = sums[0].clip(1)
    mean = sums[1] / count
    variance = (sums[2] / count - mean**2).clip(1e-6)
    return {"max_logit_mean": mean.tolist(), "max_logit_var": variance.tolist()}


def seen(label: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Labels in which all but the nine classes are 255."""
    return np.where(label < len(CLASSES), label, 255).astype(np.uint8)


def evaluate(model: Segmenter, images: Path, labels: Path) -> SemanticValues:
    """IoU of the seen classes, at the labels' size."""
    metric = SemanticMetric(len(CLASSES))
    for stem, path in tqdm(list_images(images).items(), desc="val", unit="image", disable=None):
        with torch.inference_mode():
            predicted = model(image_batch(read_image(path)))[0].argmax(0)
        metric.update(predicted, seen(read_label_png(labels / f"{stem}.png")))
    return metric.compute()


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=4000, help="(%(default)s)")
    parser.add_argument("--batch-size", type=int, default=8, help="(%(default)s)")
    parser.add_argument(
        "--crop", type=int, nargs=2, default=(192, 256), help="height and width (%(default)s)"
    )
    parser.add_argument("--workers", type=int, default=0, help="processes that draw batches ahead")
    options = parser.parse_args()
    folders = [options.data / kind / "train" for kind in ("images", "labels")]
    crop = (options.crop[0], options.crop[1])
    model = train(*folders, steps=options.steps, size=options.batch_size, crop=crop, workers=options.workers)
    write_network(options.out / "network", CONFIG, model.network.state_dict())
    with atomic_path(options.out / "statistics.json") as temporary:
        temporary.write_text(json.dumps(statistics(model, *folders)), encoding="utf-8")
    result = evaluate(model, *(options.data / kind / "val" for kind in ("images", "labels")))
    for name, iou in zip(CLASSES, result.per_class, strict=True):
        print(f"{name:12s} {100 * iou:5.1f}")
    print(f"{'mean':12s} {100 * result.miou:5.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
