"""Every region of a map split into its 8-connected components."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.speed.contestants import Agreement, Case, Contestant, Spec
from benchmarks.speed.peers import labeling
from benchmarks.speed.stages.subject import Subject, installed
from csl_plugin import RegionMap, ops, split_components


def build(spec: Spec) -> Case:
    """The contestants of the component split."""
    subject = Subject(spec)
    region_map = RegionMap(subject.labels, subject.count)
    labels = subject.labels[0].numpy()

    def agrees(found: Any) -> Agreement:
        other = found.labels[0].numpy() if isinstance(found, RegionMap) else found
        same = labeling.same_partition(labeling.scipy_per_region(labels), other)
        return Agreement(same, "same partition" if same else "another partition")

    def peer(name: str, function: Any, role: Any = "peer") -> Contestant:
        return Contestant(name, role, partial(function, labels), verify=agrees)

    contestants = [
        Contestant("read the labels once", "floor", labels.sum),
        peer("scipy.ndimage.label per region", labeling.scipy_per_region, "naive"),
        peer("scipy.ndimage.label per box", labeling.scipy_per_box, "simple"),
        peer("cv2.connectedComponents per box", labeling.opencv_per_box, "simple"),
    ]
    missing: list[str] = []
    if installed("skimage", missing):
        contestants.append(peer("skimage.measure.label", labeling.skimage_label))
    if installed("cc3d", missing):
        contestants.append(peer("cc3d", labeling.cc3d_label))
    contestants += [
        Contestant("ours", "ours", partial(split_components, region_map), verify=agrees),
        Contestant(
            "ours, as runs", "ours", partial(ops.partition, subject.labels, subject.count, split=True)
        ),
    ]
    regions, parts = len(np.unique(labels)), split_components(region_map).num_regions
    return Case(contestants, [f"{regions} regions in {parts} components"], missing)
