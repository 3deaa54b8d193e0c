"""What is found: objects, classes and defects."""

from __future__ import annotations

import cv2
import numpy as np
import skimage.data
import torch

from benchmarks.guide.gallery.panels import Easel, ap_of, counted
from benchmarks.guide.gallery.scene import fused, logits_of, partitions, scene
from benchmarks.inspection.patches import PatchMemory
from benchmarks.inspection.textures import defective, normal
from csl_plugin import Calibration, find_objects, fuse
from csl_plugin.demo import STREET_CLASSES
from csl_plugin.io import image_batch
from csl_plugin.metrics import SemanticMetric
from csl_plugin.objects import objects_picture
from csl_plugin.viz.colors import Picture
from csl_plugin.viz.scaling import fit, resize
from csl_plugin.viz.sheet import sheet

_SEED = 7


def objects() -> Picture:
    """Coins by their brightness, as objects with boxes, outlines and scores."""
    small = skimage.data.coins()  # type: ignore[no-untyped-call]
    gray = np.asarray(cv2.resize(small, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)
    image = np.repeat(gray[..., None], 3, axis=2)
    score = 1 / (1 + np.exp((110 - gray.astype(np.float32)) / 12))
    regions = partitions(image)
    after = fused(score, regions)
    (found,) = find_objects(after, 0.5, regions, min_area=400)
    picture = objects_picture(image, found, 0.5)
    # The three lowest bits of the gray photograph are noise.
    return resize(picture, fit(picture.shape[:2], (1040, 1040))) | np.uint8(7)


def classes() -> Picture:
    """Classes of a street with noise that the teacher never saw, per pixel and with regions."""
    street = scene(_SEED).street
    draw = np.random.default_rng(0)
    noise = 6 * draw.standard_normal(street.image.shape)
    image = np.clip(np.rint(street.image + noise), 0, 255).astype(np.uint8)
    before = logits_of(image).softmax(1)
    after = fuse(before, partitions(image))
    easel = Easel(image, 460)
    rows = []
    for values in (before, after):
        labels = values.argmax(1)[0].numpy()
        rows.append(
            (labels, _mean_iou(labels, street.classes), (labels != street.classes) & (street.classes >= 0))
        )
    wrong = [float(mask.mean()) for _, _, mask in rows]
    return sheet(
        [
            [
                easel.picture("Street with noise of a sensor", "the teacher never saw such noise"),
                easel.classes("Classes per pixel", f"mIoU {rows[0][1]:.1f} %", rows[0][0]),
                easel.classes("Classes with regions", f"mIoU {rows[1][1]:.1f} %", rows[1][0]),
            ],
            [
                easel.classes(
                    "True classes", "gray: the unseen thing, which has none", street.classes, STREET_CLASSES
                ),
                easel.mask("Wrong per pixel", f"{100 * wrong[0]:.1f} % of the pixels", rows[0][2]),
                easel.mask("Wrong with regions", f"{100 * wrong[1]:.1f} % of the pixels", rows[1][2]),
            ],
        ],
        text=15.0,
    )


def inspection() -> Picture:
    """A part with a defect: the map of a memory of patches, before and after."""
    draw = np.random.default_rng(3)
    train = [image_batch(normal("part", draw).picture)[0] for _ in range(8)]
    held_out = [image_batch(normal("part", draw).picture) for _ in range(4)]
    samples = [defective("part", defect, draw) for defect in ("stain", "scratch", "hole") for _ in range(3)]
    memory = PatchMemory(0)
    memory.fit(train)
    with torch.inference_mode():
        fitted = Calibration.fit_quantile([memory(each) for each in held_out])
    rows = []
    for name, sample in (("hole", samples[8]), ("scratch", samples[4])):
        with torch.inference_mode():
            before = fitted(memory(image_batch(sample.picture)))[0, 0].numpy()
        regions, easel = partitions(sample.picture), Easel(sample.picture, 330)
        after = fused(before, regions)
        rows.append(
            [
                easel.picture(f"Part, its {name} outlined", "made picture", sample.defect),
                easel.heat("Anomaly map", ap_of(before, sample.defect), before),
                easel.regions("Regions", f"{counted(regions[-1])}, last of {len(regions)}", regions[-1]),
                easel.heat("Fused", ap_of(after, sample.defect), after),
            ]
        )
    return sheet(rows, text=15.0)


def _mean_iou(labels: np.ndarray, truth: np.ndarray) -> float:  # type: ignore[type-arg]
    metric = SemanticMetric(len(STREET_CLASSES))
    metric.update(labels, np.where(truth < 0, 255, truth))
    return 100 * metric.compute().miou
