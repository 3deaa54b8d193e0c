"""Which rule for classes: mean IoU and thin classes of CamVid's even frames, a section of choice.md."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from tqdm import tqdm

from benchmarks.effect.frames.sets import EVEN
from benchmarks.effect.networks.teachers import StoredLogits
from benchmarks.effect.page.measured import Measured, markdown
from benchmarks.effect.rows.class_candidates import CLASS_RULES
from benchmarks.effect.rows.regions import proposer
from csl_plugin import fuse
from csl_plugin.datasets import open_dataset
from csl_plugin.io import image_batch, read_label_png
from csl_plugin.metrics import SemanticMetric
from csl_plugin.proposers import DEFAULT
from csl_plugin.proposers.base import as_partitions
from examples.train_segmenter import CLASSES, seen

THIN = ("Pole", "SignSymbol", "Fence")
_BASE, _IOU = "base", "iou"


def section(data: Path, draws: int) -> list[str]:
    """The lines of the section.

    Args:
        data: With `camvid` and `teacher`.
        draws: Of the bootstrap.
    """
    measured = _measured(data, draws)
    rows = []
    for name in CLASS_RULES:
        by_class = dict(zip(CLASSES, measured.values(_IOU, name).per_class, strict=True))
        thin = [f"{100 * by_class[each]:.1f}" for each in THIN]
        mean = 100 * sum(by_class[each] for each in THIN) / len(THIN)
        change = "" if name == _BASE else measured.change(_IOU, _BASE, name, "miou")
        rows.append([name, measured.text(_IOU, name, "miou"), change, f"{mean:.1f}", *thin])
    words = (
        f"CamVid val, even frames, the nine classes of the given segmenter, regions {DEFAULT}. IoU in per "
        "cent, the mean's change with its 95 % interval by bootstrap over frames. m is the average of the "
        "region means, n that of the last partition; a is the agreement of a region on a class, the sum of "
        "squares of its normalized mean."
    )
    head = ["rule", "mIoU", "change", "thin", *THIN]
    return ["## More than one class", "", words, "", *markdown(head, rows)]


def _measured(data: Path, draws: int) -> Measured:
    fresh = partial(SemanticMetric, len(CLASSES))
    measured = Measured({_IOU: fresh}, draws)
    dataset = open_dataset("folder", data / "camvid", subset="val")
    teacher = StoredLogits(data / "teacher" / "camvid_val", data / "teacher" / "statistics.json")
    for frame in tqdm(dataset.frames[EVEN], desc="classes", unit="frame", disable=None):
        image = image_batch(dataset.read_image(frame))
        low = teacher(image, frame.name)
        score = F.interpolate(low[None], image.shape[2:], mode="bilinear", align_corners=False).softmax(1)[0]
        regions = as_partitions(proposer(DEFAULT)(image))
        mean, finest = (fuse(score, parts, rule="mean") for parts in (regions, regions[-1:]))
        label = seen(read_label_png(data / "camvid" / "labels" / "val" / f"{frame.name}.png"))
        for name, rule in CLASS_RULES.items():
            metric = fresh()
            metric.update(rule(score, mean, finest).argmax(0).to(torch.int64), label)
            measured.add(_IOU, name, metric.state())
    return measured
