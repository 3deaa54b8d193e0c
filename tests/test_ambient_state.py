"""A call does what it does without ambient state: default device and dtype, modes, numpy's errors."""

from __future__ import annotations

import copy
import locale
import os
import random
import signal
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext

import cv2
import numpy as np
import pytest
import torch

from csl_plugin import (
    Calibration,
    Objects,
    RegionMap,
    RegionProposals,
    Threshold,
    find_objects,
    fuse,
    fuse_labels,
    hard_assignment,
    load_proposer,
    soft_assignment,
    split_components,
)
from csl_plugin.arrays import resize_nearest
from csl_plugin.io import (
    image_batch,
    read_image,
    read_region_map,
    read_scores,
    write_png,
    write_region_map,
    write_scores,
)
from csl_plugin.metrics import (
    ANOMALY_TRACK,
    OBSTACLE_TRACK,
    ComponentMetric,
    InstanceAP,
    ObjectMetric,
    PerImageAnomaly,
    PooledAnomaly,
    RegionQuality,
    RegionVoteMetric,
    Reliability,
    SemanticMetric,
    SmiycAnomaly,
    bootstrap_difference,
)
from csl_plugin.proposers import NetworkProposals, regions_from_masks
from csl_plugin.proposers.hierarchy.color import color_tables
from csl_plugin.viz import fusion_picture

draw = torch.Generator().manual_seed(0)
SCORES = torch.rand(2, 3, 24, 32, generator=draw)
LOGITS = torch.randn(2, 3, 6, 8, generator=draw)
IDS = torch.arange(24 * 32).reshape(1, 24, 32).div(64, rounding_mode="floor").expand(2, -1, -1).contiguous()
THREE = [IDS, IDS // 3, IDS % 5 - 1]
PROPOSALS = RegionProposals(
    torch.rand(2, 5, 6, 8, generator=draw).half(), torch.rand(2, 5, generator=draw).half()
)
TINY = RegionProposals(PROPOSALS.scores.float() * 1e-30, PROPOSALS.validity.float() * 1e-25)
IMAGE = torch.rand(1, 3, 40, 56, generator=draw)
PROPOSERS = {name: load_proposer(name) for name in ("superpixels", "csl-tiny", "csl-tiny:10")}
CALIBRATION = Calibration.fit_quantile([np.linspace(0, 1, 50)])


MAPS = [SCORES[0, 0], SCORES[1, 0].half()]


def objects_at(threshold):
    """Boxes, areas and scores of the objects of two maps."""
    found = find_objects(SCORES[:, :1], threshold, IDS, min_area=2)
    columns = [np.column_stack([each.boxes, each.areas, each.scores]) for each in found]
    return torch.from_numpy(np.concatenate(columns))


def value_of(threshold):
    return torch.from_numpy(np.array([float(threshold)]))


@contextmanager
def default_device():
    torch.set_default_device("meta")  # stands for any device on which the data do not lie
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_half():
    torch.set_default_dtype(torch.float16)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def deterministic():
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def no_subnormal_numbers():
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


STATES = {
    "default device": default_device,
    "default dtype": default_dtype,
    "default dtype half": default_half,
    "deterministic algorithms": deterministic,
    "three threads": three_threads,
    "no subnormal numbers": no_subnormal_numbers,
    "no gradients": torch.no_grad,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "inference mode": torch.inference_mode,
    "numpy raises": lambda: np.errstate(all="raise"),
    "nothing": nullcontext,
}

CALLS = {
    "fuse": lambda: fuse(SCORES, IDS),
    "fuse without split": lambda: fuse(SCORES, IDS, split=False),
    "fuse half": lambda: fuse(SCORES.half(), IDS, rule="geometric"),
    "fuse one score": lambda: fuse(SCORES[:, :1], THREE),
    "fuse an array": lambda: torch.from_numpy(fuse(SCORES.numpy(), IDS.numpy())),
    "fuse three": lambda: fuse(SCORES, THREE),
    "fuse three by product": lambda: fuse(SCORES, THREE, rule="product"),
    "fuse proposals": lambda: fuse(SCORES, PROPOSALS),
    "fuse logits": lambda: fuse(LOGITS, IDS, size=(24, 32), logits=True),
    "fuse tiny numbers": lambda: fuse(SCORES * 1e-30, IDS),
    "fuse tiny numbers by three": lambda: fuse(SCORES * 1e-33, THREE),
    "fuse one number by three": lambda: fuse(torch.zeros_like(SCORES, device="cpu"), THREE),
    "assign by tiny numbers": lambda: soft_assignment(TINY, (24, 32)).labels,
    "paint by tiny numbers": lambda: hard_assignment(TINY, (24, 32), 0.5).labels,
    "labels": lambda: fuse_labels(SCORES, IDS),
    "labels of logits": lambda: fuse_labels(LOGITS, THREE, size=(24, 32), logits=True),
    "labels of logits, split": lambda: fuse_labels(LOGITS, IDS, size=(24, 32), logits=True),
    "soft": lambda: soft_assignment(PROPOSALS, (24, 32)).labels,
    "hard": lambda: hard_assignment(PROPOSALS, (24, 32), 0.5).labels,
    "components": lambda: split_components(RegionMap(IDS % 7)).labels,
    "resize": lambda: RegionMap(IDS).resize((7, 9)).labels,
    "resize an array": lambda: torch.from_numpy(resize_nearest(IDS.numpy(), (7, 9))),
    "calibration": lambda: CALIBRATION(SCORES),
    "fit": lambda: Calibration.fit_quantile([SCORES, torch.zeros(3, device="cpu")])(SCORES),
    "fit a sigmoid": lambda: Calibration.fit_sigmoid([SCORES.half()])(SCORES),
    "objects": lambda: objects_at(0.5),
    "objects at a huge threshold": lambda: objects_at(1e300),
    "fit a threshold to objects": lambda: value_of(Threshold.fit_objects(MAPS, 1, min_area=2)),
    "fit a threshold at zero": lambda: value_of(Threshold.fit_pixels([(MAPS[0] - 0.5).clamp(max=0)], 0)),
    "fit a threshold to labels": lambda: value_of(Threshold.fit_f1(MAPS, [IDS[0] % 2] * 2)),
    "keep a threshold": lambda: value_of(Threshold(np.float32(0.5))),
    "superpixels": lambda: PROPOSERS["superpixels"](IMAGE)[0].labels,
    "masks": lambda: regions_from_masks(IDS[:1] > torch.tensor([[[3]], [[5]]], device="cpu")).labels,
    "picture": lambda: torch.from_numpy(
        fusion_picture(
            np.zeros((24, 32, 3), np.uint8), IDS[0].numpy(), SCORES[0, 0].numpy(), SCORES[1, 0].numpy()
        )
    ),
    "picture of unknowns": lambda: torch.from_numpy(
        fusion_picture(np.zeros((2, 3, 3), np.uint8), IDS[0, :2, :3].numpy(), UNKNOWN, UNKNOWN_HALF)
    ),
    "picture of classes": lambda: torch.from_numpy(
        fusion_picture(np.zeros((24, 32, 3), np.uint8), IDS[0].numpy(), SCORES[0].numpy(), SCORES[1].numpy())
    ),
}
UNKNOWN = np.array([[0.0, np.nan, np.inf], [-np.inf, 1e-320, 3.0]])
UNKNOWN_HALF = UNKNOWN.astype(np.float16)
TRUTH = (IDS[0] % 3 - 1).clamp(-1, 1).numpy().astype(np.int64)
NOTHING = np.zeros((24, 32), np.int64)


def measured(metric, *frames):
    for frame in frames:
        metric.update(*frame)
    other = type(metric).__new__(type(metric))
    other.__dict__ = copy.deepcopy(metric.__dict__)
    metric.merge(other)
    values = metric.compute()
    return {name: np.asarray(value) for name, value in vars(values).items()}


def state_of(frame):
    metric = PooledAnomaly()
    metric.update(*frame)
    return metric.state()


FOUND = find_objects(SCORES[0, 0], 0.7, IDS[0], min_area=1)[0]
DETECTED = [(SCORES[b, c], truth) for b, c, truth in ((0, 0, TRUTH), (1, 1, TRUTH), (1, 2, NOTHING))]
EXTREME = [(np.array([[0.0, 1e-300, 1e300, np.inf, -np.inf]]), np.array([[0, 1, 1, 0, 1]]))]
SPANS = [  # from subnormal numbers to the largest
    (
        np.array([[0.0, info.tiny, info.tiny / 2, info.eps, 1.0, info.max]], info.dtype),
        np.array([[0, 1, 0, 1, 0, 1]]),
    )
    for info in map(np.finfo, (np.float16, np.float32, np.float64))
]
METRICS = {
    **{
        f"{kind.__name__} of {frame[0].dtype}": lambda kind=kind, frame=frame: measured(kind(), frame)
        for kind in (PooledAnomaly, PerImageAnomaly, SmiycAnomaly)
        for frame in SPANS
    },
    **{
        f"components of {frame[0].dtype}": lambda frame=frame: measured(
            ComponentMetric(OBSTACLE_TRACK, 1e-300), frame
        )
        for frame in SPANS
    },
    "bootstrap": lambda: {
        name: np.array([interval.low, interval.high])
        for name, interval in bootstrap_difference(
            PooledAnomaly(), list(map(state_of, DETECTED)), list(map(state_of, DETECTED[::-1])), draws=20
        ).items()
    },
    "pooled": lambda: measured(PooledAnomaly(), *DETECTED),
    "pooled half": lambda: measured(PooledAnomaly(), *[(s.half(), t) for s, t in DETECTED]),
    "pooled extremes": lambda: measured(PooledAnomaly(fpr_rule="linear"), *EXTREME),
    "pooled nothing": lambda: measured(PooledAnomaly(fpr_rule="nearest"), DETECTED[2]),
    "pooled no frame": lambda: measured(PooledAnomaly()),
    "per image": lambda: measured(PerImageAnomaly(), *DETECTED),
    "per image nothing": lambda: measured(PerImageAnomaly(), DETECTED[2]),
    "smiyc": lambda: measured(SmiycAnomaly(), *DETECTED),
    "smiyc extremes": lambda: measured(SmiycAnomaly(), (EXTREME[0][0][:, :3], EXTREME[0][1][:, :3])),
    "smiyc nothing": lambda: measured(SmiycAnomaly(), DETECTED[2]),
    "components": lambda: measured(ComponentMetric(ANOMALY_TRACK, 0.5), *DETECTED),
    "components of halves": lambda: measured(
        ComponentMetric(ANOMALY_TRACK, 1e-9), (SCORES[0, 0].half(), TRUTH)
    ),
    "components, none": lambda: measured(ComponentMetric(ANOMALY_TRACK, 0.5), DETECTED[2]),
    "instances": lambda: measured(InstanceAP(), (FOUND, TRUTH)),
    "instances, none": lambda: measured(InstanceAP(), (FOUND, NOTHING)),
    "objects": lambda: measured(ObjectMetric(OBSTACLE_TRACK), (FOUND, TRUTH)),
    "objects, none": lambda: measured(ObjectMetric(OBSTACLE_TRACK), (FOUND.take([]), NOTHING)),
    "calibration error": lambda: measured(Reliability(), *DETECTED),
    "calibration error, none": lambda: measured(Reliability()),
    "semantic": lambda: measured(SemanticMetric(3, unseen=[2]), (TRUTH, abs(TRUTH))),
    "semantic, none": lambda: measured(SemanticMetric(3, unseen=[2])),
    "regions": lambda: measured(RegionQuality(), (IDS[0], IDS[1] % 5)),
    "regions, none": lambda: measured(RegionQuality(), (IDS[0], NOTHING - 1)),
    "vote": lambda: measured(RegionVoteMetric(3), (IDS[0], abs(TRUTH))),
}


def files(folder):
    """What each kind of file gives after it was written and read."""
    write_scores(folder / "scores.npy", SCORES[0].numpy())
    write_scores(folder / "scores.npz", SCORES[0, 0].numpy())
    write_scores(folder / "halves.npy", np.array([[1e-12, 1.0, 60000.0]]), dtype=np.float16)
    write_region_map(folder / "map.png", IDS[0].numpy())
    write_png(folder / "image.png", np.full((5, 6, 3), 7, np.uint8))
    CALIBRATION.save(folder / "calibration.json")
    return [
        read_scores(folder / "scores.npy"),
        read_scores(folder / "scores.npz"),
        read_scores(folder / "halves.npy"),
        read_region_map(folder / "map.png"),
        image_batch(read_image(folder / "image.png")),
        Calibration.load(folder / "calibration.json")(SCORES),
    ]


NETWORK_CALLS = {
    name: (lambda name=name: PROPOSERS[name](IMAGE)[0].labels) for name in ("csl-tiny", "csl-tiny:10")
}


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("call", CALLS)
def test_a_call_does_what_it_does_without(call, state):
    expected = CALLS[call]()
    with STATES[state]():
        found = CALLS[call]()
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("metric", METRICS)
def test_so_does_a_metric(metric, state):
    expected = METRICS[metric]()
    with STATES[state]():
        found = METRICS[metric]()
    assert found.keys() == expected.keys()
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("state", STATES)
def test_so_do_files(state, tmp_path):
    expected = files(tmp_path)
    with STATES[state]():
        found = files(tmp_path)
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(torch.as_tensor(one, device="cpu"), torch.as_tensor(other))


@pytest.mark.parametrize("calls", [CALLS, METRICS])
def test_a_call_changes_no_ambient_state(calls):
    before = ambient_state()
    for call in calls.values():
        call()
    assert ambient_state() == before


def ambient_state():
    """What other calls of a program may rely on."""
    return (
        torch.get_rng_state().tolist(),
        repr(np.random.get_state()),  # noqa: NPY002
        random.getstate(),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        np.get_printoptions(),
        os.environ.copy(),
        os.getcwd(),  # noqa: PTH109
        locale.setlocale(locale.LC_ALL),
        sys.getrecursionlimit(),
        signal.getsignal(signal.SIGINT),
        list(warnings.filters),
        cv2.getNumThreads(),
    )


def test_an_inference_tensor_is_written_where_torch_allows_it():
    expected = fuse(SCORES, IDS)
    with torch.inference_mode():
        out = torch.empty_like(SCORES)
    assert torch.equal(fuse(SCORES, IDS, out=out), expected)
    with torch.inference_mode():
        mine = SCORES.clone()
        assert torch.equal(fuse(mine, IDS, out=mine), expected)
    assert torch.equal(fuse(mine, IDS), fuse(expected, IDS))
    weights = SCORES.clone().requires_grad_()
    fuse(weights, IDS.clone(), rule="mean").sum().backward()
    with torch.inference_mode():
        ids = IDS.clone()
    other = SCORES.clone().requires_grad_()
    fuse(other, ids, rule="mean").sum().backward()
    assert torch.equal(other.grad, weights.grad)


@pytest.mark.slow
def test_many_threads_at_once():
    rng = torch.Generator().manual_seed(5)
    cases = []
    for number in range(32):
        shape = (1 + number % 3, 20 + number, 30 + number % 7)
        scores = torch.rand(shape, generator=rng)
        partitions = [torch.randint(-1, 6, shape[1:], generator=rng) for _ in range(1 + number % 2)]
        cases.append((scores, partitions))

    def work(case):
        scores, partitions = case
        regions = RegionProposals(scores[None], scores[None].mean((2, 3)))
        return (
            fuse(scores, partitions),
            fuse_labels(scores, partitions, rule="product"),
            soft_assignment(regions, (41, 53)).labels,
            PROPOSERS["superpixels"](scores[:1].expand(3, -1, -1)[None])[0].labels,
            CALIBRATION(scores),
        )

    expected = [work(case) for case in cases]
    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(work, cases * 3))
    for number, results in enumerate(found):
        for one, other in zip(results, expected[number % 32], strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("call", NETWORK_CALLS)
def test_so_does_a_network(call, state):
    expected = NETWORK_CALLS[call]()
    with STATES[state]():
        found = NETWORK_CALLS[call]()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("state", ["default device", "default dtype", "default dtype half", "autocast"])
def test_a_network_is_loaded_as_it_is_stored(state):
    with STATES[state]():
        labels = load_proposer("csl-tiny")(IMAGE)[0].labels
    assert torch.equal(labels, NETWORK_CALLS["csl-tiny"]())


def test_a_network_of_another_dtype_proposes_nearly_the_same():
    network = load_proposer("csl-tiny").network
    expected = NetworkProposals(network)(IMAGE)[0].scores
    for dtype, tolerance in ((torch.float64, 1e-4), (torch.float16, 0.05), (torch.bfloat16, 0.2)):
        found = NetworkProposals(copy.deepcopy(network).to(dtype))(IMAGE)[0].scores
        torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("state", STATES)
def test_what_all_calls_share_does_not_depend_on_the_state_of_the_first(state):
    expected = CALLS["superpixels"]()
    color_tables.cache_clear()
    with STATES[state]():
        CALLS["superpixels"]()
    assert torch.equal(CALLS["superpixels"](), expected)


def test_a_score_of_subnormal_numbers_is_no_error_where_numpy_raises():
    found = Objects.from_masks(np.ones((1, 3, 5), bool), np.array([1e-310]))
    expected = found.image_score
    with np.errstate(all="raise"):
        assert found.image_score == expected > 0
