"""Metrics of one frame of anomaly scores: the official tool's pixel and component metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from benchmarks.speed.contestants import Agreement, Case, Contestant, Role, Spec
from csl_plugin.metrics import ANOMALY_TRACK, ComponentMetric, PooledAnomaly, SmiycAnomaly

_STRIDE = 8  # of the imitated network
_THRESHOLD = 0.5
_EVERYWHERE = np.ones((3, 3))
_STORED = ("float16", "float32")


@dataclass(frozen=True)
class Frame:
    """A street frame: scores like those of a network, upsampled, and labels with a few objects.

    Attributes:
        scores: (H, W) in [0, 1].
        labels: (H, W) uint8: 0 normal, 1 anomaly, 255 void.
    """

    scores: NDArray[Any]
    labels: NDArray[np.uint8]

    @classmethod
    def drawn(cls, size: tuple[int, int], dtype: str) -> Frame:
        """The same frame on every machine."""
        height, width = size
        rng = np.random.default_rng(0)
        labels = np.zeros(size, np.uint8)
        for row, column, high, wide in (
            (0.5, 0.2, 0.2, 0.15),
            (0.6, 0.6, 0.08, 0.05),
            (0.4, 0.8, 0.05, 0.02),
        ):
            top, left = int(row * height), int(column * width)
            labels[top : top + int(high * height), left : left + int(wide * width)] = 1
        raw = cv2.resize((labels == 1).astype(np.float32), (width // _STRIDE, height // _STRIDE))
        raw = 5 * raw - 3 + 1.2 * rng.standard_normal(raw.shape).astype(np.float32)
        logits = cv2.resize(raw, (width, height), interpolation=cv2.INTER_LINEAR)
        logits += 0.02 * rng.standard_normal(size).astype(np.float32)
        labels[: height // 10] = 255
        return cls((1 / (1 + np.exp(-logits))).astype(dtype), labels)


def build_pixels(spec: Spec) -> Case:
    """The contestants of the pixel metrics."""
    contestants = [Contestant("read the labels once", "floor", Frame.drawn(spec.size, "float32").labels.sum)]
    for dtype in _STORED:
        frame = Frame.drawn(spec.size, dtype)
        expected = official_bins(frame)
        contestants += [
            _entry("numpy, as defined", "naive", dtype, partial(official_bins, frame), expected, _same_bins),
            _entry("ours", "ours", dtype, partial(_our_bins, frame), expected, _same_bins),
            _entry("ours, exact", "ours", dtype, partial(_our_pixels, frame), None, None),
        ]
    share = float((frame.labels == 1).mean())
    return Case(contestants, [f"{100 * share:.1f} % of the pixels are anomalous"])


def build_components(spec: Spec) -> Case:
    """The contestants of the component metrics."""
    contestants = [Contestant("read the labels once", "floor", Frame.drawn(spec.size, "float32").labels.sum)]
    for dtype in _STORED:
        frame = Frame.drawn(spec.size, dtype)
        expected = official_components(frame, counted=True)
        contestants += [
            _entry(
                name, role, dtype, partial(official_components, frame, counted), expected, _same_components
            )
            for name, role, counted in _SCIPY
        ]
        ours = partial(_our_components, frame)
        contestants.append(_entry("ours", "ours", dtype, ours, expected, _same_components))
    _, count = ndimage.label((frame.scores > _THRESHOLD) & (frame.labels < 2), _EVERYWHERE)
    note = f"{count} components above the threshold, {len(expected[1])} of them large enough"
    return Case(contestants, [note])


_SCIPY: tuple[tuple[str, Role, bool], ...] = (
    ("scipy, mask by mask", "naive", False),
    ("scipy, sizes by bincount, then mask by mask", "simple", True),
)

Bins = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]
Components = tuple[list[float], list[float]]


def official_bins(frame: Frame) -> Bins:
    """The definition of the pixel metric, step by step: quantiles of both sides are the bins' edges."""
    positive, negative = frame.scores[frame.labels == 1], frame.scores[frame.labels == 0]
    low = float(min(positive.min(), negative.min()))
    high = float(max(positive.max(), negative.max()))
    margin = max(0.01 * (high - low), 0.01)
    edges = [np.array([low - margin, high + margin])]
    edges += [np.quantile(side, np.linspace(0, 1, min(384, side.size))) for side in (positive, negative)]
    bins = np.unique(np.concatenate(edges))
    counts = [np.histogram(side, bins)[0][::-1] for side in (positive, negative)]
    return bins[-2::-1], counts[0], counts[1]


def official_components(frame: Frame, counted: bool) -> Components:
    """The definition of the component metric: sIoU of labeled and PPV of predicted components."""
    roi = frame.labels < 2
    predicted = _large(ndimage.label((frame.scores > _THRESHOLD) & roi, _EVERYWHERE), 500, counted)
    truths = ndimage.label(frame.labels == 1, _EVERYWHERE)
    kept = _large(truths, 100, counted)
    for mask in _masks(truths):
        if np.count_nonzero(mask) < 100:
            roi &= ~mask
    everything = np.any(kept, axis=0) if kept else np.zeros_like(roi)
    predicted = [mask & roi for mask in predicted]
    siou = []
    for mask in kept:
        touching = np.zeros_like(roi)
        for other in predicted:
            if (other & mask).any():
                touching |= other
        elsewhere = np.count_nonzero(touching & everything & ~mask)
        siou.append(np.count_nonzero(mask & touching) / (np.count_nonzero(mask | touching) - elsewhere))
    shares = [np.count_nonzero(m & everything) / np.count_nonzero(m) for m in predicted if m.any()]
    return siou, shares


def _masks(labeled: tuple[NDArray[Any], int]) -> list[NDArray[np.bool_]]:
    return [labeled[0] == index for index in range(1, labeled[1] + 1)]


def _large(labeled: tuple[NDArray[Any], int], least: int, counted: bool) -> list[NDArray[np.bool_]]:
    found, count = labeled
    if counted:
        sizes = np.bincount(found.reshape(-1))
        return [found == index for index in range(1, count + 1) if sizes[index] >= least]
    masks = (found == index for index in range(1, count + 1))
    return [mask for mask in masks if np.count_nonzero(mask) >= least]


def _our_bins(frame: Frame) -> Bins:
    metric = SmiycAnomaly()
    metric.update(frame.scores, frame.labels)
    state = metric.state()
    return state["threshold"], state["positive"], state["negative"]


def _our_pixels(frame: Frame) -> PooledAnomaly:
    metric = PooledAnomaly()
    metric.update(frame.scores, frame.labels)
    return metric


def _our_components(frame: Frame) -> Components:
    metric = ComponentMetric(ANOMALY_TRACK, _THRESHOLD)
    metric.update(frame.scores, frame.labels)
    state = metric.state()
    return state["siou_gt"].tolist(), state["ppv"].tolist()


def _entry(
    name: str, role: Role, dtype: str, call: Callable[[], Any], expected: Any, same: Any
) -> Contestant:
    verify = None if same is None else partial(_agreement, same, expected)
    return Contestant(f"{name}, {dtype}", role, call, verify=verify)


def _agreement(same: Callable[[Any, Any], bool], expected: Any, found: Any) -> Agreement:
    holds = same(found, expected)
    return Agreement(holds, "same values" if holds else "other values")


def _same_bins(found: Bins, expected: Bins) -> bool:
    return all(np.array_equal(mine, other) for mine, other in zip(found, expected, strict=True))


def _same_components(found: Components, expected: Components) -> bool:
    return all(np.allclose(sorted(f), sorted(e), 0, 1e-12) for f, e in zip(found, expected, strict=True))
