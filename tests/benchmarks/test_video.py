"""What docs/results/video.md is computed from: memories over frames, motion, flicker."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.effect import video as command
from benchmarks.effect.frames.motion import Motion, dense_inverse_search, farneback
from benchmarks.effect.frames.video import Video, VideoFrame
from benchmarks.effect.rows.memories import BASELINES, NONE, REGIONS, same_region
from benchmarks.effect.states.flicker import (
    MapFlicker,
    ObjectFlicker,
    count_false,
    threshold_at,
    true_labels,
    unmatched,
)
from benchmarks.effect.states.video_measures import blocks
from csl_plugin import RegionMap

SIZE = (64, 80)
ALL = (NONE, *REGIONS, *BASELINES)


def _texture(shift: int = 0) -> np.ndarray:
    """Smooth noise, (H, W) uint8; a shift moves it to the right."""
    noise = np.random.default_rng(0).random((SIZE[0], SIZE[1] + 20), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return smooth[:, 20 - shift : 20 - shift + SIZE[1]].astype(np.uint8)


def _frame(score: np.ndarray, label: np.ndarray | None = None, shift: int = 0) -> VideoFrame:
    """Regions: the whole frame, and five vertical stripes of it."""
    column = np.broadcast_to(np.arange(SIZE[1]), SIZE)
    maps = [RegionMap((column // width).astype(np.int32)[None]) for width in (80, 16)]
    marks = np.zeros(SIZE, np.uint8) if label is None else label
    return VideoFrame(_texture(shift), marks, {"a score": score.astype(np.float32)}, tuple(maps))


def _video(scores: Sequence[np.ndarray]) -> Video:
    return Video([_frame(score) for score in scores])


def _noise(count: int) -> list[np.ndarray]:
    return list(np.random.default_rng(1).random((count, *SIZE)))


# Memories


@pytest.mark.parametrize("memory", ALL, ids=lambda memory: memory.title)
def test_the_first_frame_and_a_constant_sequence_stay(memory):
    score = _noise(1)[0]
    video = _video([score] * 3)
    expected = video.frames[0].fused(score.astype(np.float32))
    maps = memory.maps(video, "a score", range(3))
    np.testing.assert_array_equal(maps[0], expected)
    for found in maps[1:]:
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("memory", ALL[1:], ids=lambda memory: memory.title)
def test_noise_of_a_scene_that_does_not_move_gets_less(memory):
    video, part = _video([0.5 + 0.3 * place + 0.1 * each for place, each in enumerate(_noise(2))]), range(2)
    plain, found = (each.maps(video, "a score", part) for each in (NONE, memory))
    change = [maps[1].mean() - maps[0].mean() for maps in (plain, found)]
    assert change[1] == pytest.approx((1 - memory.decay) * change[0], rel=0.1)


def test_a_state_of_regions_keeps_what_stands_inside_of_them():
    video = _video(_noise(2))
    plain, found = (each.maps(video, "a score", range(2))[1] for each in (NONE, REGIONS[3]))
    shift = (found - plain)[:, :16]
    np.testing.assert_allclose(shift, shift.mean(), atol=1e-6)


def test_a_past_starts_with_its_part():
    video = _video(_noise(4))
    for memory in (REGIONS[0], BASELINES[3]):
        whole, half = (memory.maps(video, "a score", part) for part in (range(4), range(2, 4)))
        np.testing.assert_array_equal(half[0], NONE.maps(video, "a score", range(2, 3))[0])
        assert not np.array_equal(whole[2], half[0])


def test_a_region_is_the_one_before_that_overlaps_most():
    before = np.array([[0, 0, 0, 1, 1, 1, 1, 1]])
    now = np.array([[0, 0, 1, 1, 1, 1, 2, 2]])
    found = same_region(now, before)
    assert before.ravel()[found.first].tolist() == [0, 1, 1]
    assert found.same.tolist() == [True, True, False]  # IoU 2/3, 3/6, 2/5


# Motion


@pytest.mark.parametrize("flow", [dense_inverse_search, farneback])
def test_motion_finds_where_pixels_were(flow):
    motion = Motion.between(_texture(), _texture(3), flow)
    inner = np.s_[12:-12, 16:-16]
    assert np.median(np.abs(motion.places[inner][..., 0] - (np.arange(SIZE[1])[None, 16:-16] - 3))) < 0.3
    assert motion.trusted[inner].mean() > 0.9
    moved = motion.moved(_texture().astype(np.float32))
    assert (
        np.abs(moved - _texture(3))[inner].mean() < 0.3 * np.abs(_texture() - 1.0 * _texture(3))[inner].mean()
    )


def test_what_was_outside_or_does_not_return_is_not_trusted():
    right = np.zeros((*SIZE, 2), np.float32)
    right[..., 0] = 5
    ways = {True: iter((-right, right)), False: iter((-right, -right))}  # back, then forth
    for agree, flows in ways.items():
        motion = Motion.between(_texture(), _texture(), lambda *pictures, flows=flows: next(flows))
        assert motion.trusted[:, 5:].all() == agree
        assert motion.trusted[:, 5:].any() == agree
        assert not motion.trusted[:, :5].any()


# Flicker


def test_flicker_of_a_map_is_in_its_deviations():
    label = np.zeros(SIZE, np.uint8)
    label[10:30, 10:30] = 1
    base = _texture().astype(np.float32) / 255
    video = Video([_frame(base, label), _frame(base, label)])
    maps = [base, base + np.float32(0.5) * (label == 1)]
    found = MapFlicker.of(maps, video, range(2))
    assert found.change_on_anomalies[0] / found.pixels_on_anomalies[0] == pytest.approx(
        0.5 / np.std(np.stack(maps)), rel=0.02
    )
    assert found.pixels_on_anomalies[0] == 400
    assert found.change[0] == pytest.approx(found.change_on_anomalies[0], rel=0.02)
    wide = MapFlicker.of([7 * each for each in maps], video, range(2))
    np.testing.assert_allclose(wide.change, found.change, rtol=1e-5)


def test_objects_that_share_a_quarter_of_the_smaller_are_the_same():
    one, other = np.zeros((2, *SIZE), np.int32)
    one[:8, :8], other[:8, 6:14] = 1, 1
    assert unmatched(one, other) == 0  # 16 of 64 pixels
    other[:] = 0
    other[:8, 7:15] = 1
    assert unmatched(one, other) == 1
    assert unmatched(np.zeros_like(one), one) == 0
    assert unmatched(one, np.zeros_like(one)) == 1


def test_void_is_neither_false_nor_true():
    label = np.zeros(SIZE, np.uint8)
    label[:10, :10], label[20:30, :10] = 1, 255
    found = np.zeros(SIZE, np.int32)
    found[:10, :10], found[20:30, :10], found[40:50, :10] = 1, 2, 3
    assert count_false(found, label) == 1
    assert true_labels(label).max() == 1
    label[60:, :2] = 1  # smaller than 64 pixels
    assert true_labels(label).max() == 1


def test_events_and_the_threshold_of_a_budget():
    label = np.zeros(SIZE, np.uint8)
    label[:40, :16] = 1
    score = np.full(SIZE, 0.1)
    score[:40, :16], score[20:60, 32:48] = 0.9, 0.6
    flat = np.full(SIZE, 0.1)
    flat[:40, :16] = 0.9
    video = Video([_frame(each, label) for each in (score, flat, score)])
    maps = [frame.scores["a score"] for frame in video.frames]
    strict, loose = (threshold_at(maps, video, range(3), budget) for budget in (0.1, 0.7))
    assert 0.61 < strict < 0.91
    assert 0.11 < loose < 0.61
    found = ObjectFlicker.of(maps, video, range(3), loose)
    assert (found.objects, found.false, found.events, found.hits, found.true) == (5, 2, (1, 1), 3, 3)
    assert ObjectFlicker.of(maps, video, range(3), strict).events == (0, 0)


def test_samples_are_of_neighbors():
    weights = blocks(20, 50)
    assert weights.shape == (50, 20)
    assert (weights.sum(1) == 20).all()
    assert weights.max() > 1
    once = (weights == 1) & (np.roll(weights, 1, 1) == 0) & (np.roll(weights, -1, 1) == 0)
    assert not once.any()  # a frame comes with a neighbor


# The page


@pytest.mark.slow
def test_the_page_of_a_small_video(tmp_path):
    draw = np.random.default_rng(0)
    data = tmp_path / "data"
    for place in (
        "camvid/images/val",
        "camvid/labels/val",
        "pasted/images",
        "pasted/labels",
        "teacher/camvid_val",
    ):
        (data / place).mkdir(parents=True)
    numbers = f'{{"max_logit_mean": {[1.5] * 5}, "max_logit_var": {[0.3] * 5}}}'
    (data / "teacher/statistics.json").write_text(numbers, encoding="utf-8")
    for index in range(8):
        label = np.zeros(SIZE, np.uint8)
        label[20:44, 20 + index : 44 + index] = 9
        image = np.repeat(_texture(index)[..., None], 3, 2)
        image[label == 9] = (200, 30, 30)
        logits = (
            draw.normal(size=(5, *SIZE)).astype(np.float16)
            + np.float16(2) * (np.arange(5) == 1)[:, None, None]
        )
        logits[:, label == 9] *= np.float16(0.2)
        for folder in ("camvid/{}/val", "pasted/{}"):
            cv2.imwrite(str(data / folder.format("images") / f"{index}.png"), image)
            cv2.imwrite(str(data / folder.format("labels") / f"{index}.png"), label)
        np.savez(data / "teacher/camvid_val" / f"{index}.npz", logits=logits.astype(np.float16))
    command.main(["--data", str(data), "--out", str(tmp_path / "out"), "--draws", "20"])
    page = (Path(tmp_path) / "out" / "video.md").read_text(encoding="utf-8")
    assert "8 frames of CamVid val" in page
    assert all(f"| {memory.title} |" in page for memory in ALL)
    assert "By the protocol a state of regions" in page
    assert "nan" not in page
