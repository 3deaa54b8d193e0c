"""What the choice of the default is computed from: candidates, gains, tiny objects."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.effect.frames.sets import FrameSet
from benchmarks.effect.frames.tiny import TinyObjects
from benchmarks.effect.page.gains import gain
from benchmarks.effect.rows.candidates import CANDIDATES, RULES, Candidate
from benchmarks.effect.rows.case import Case
from benchmarks.effect.rows.class_candidates import CLASS_RULES
from benchmarks.effect.rows.regions import FrameRegions
from csl_plugin import RegionMap, fuse
from csl_plugin.metrics import OBSTACLE_TRACK
from csl_plugin.proposers import DEFAULT

CHOSEN, CHOSEN_FOR_CLASSES = "√(h max(D, f))", "√(D (a² n + (1 - a²) D))"


@pytest.fixture(scope="module")
def regions() -> FrameRegions:
    image = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    image[:, :, 10:30, 20:50] *= 0.2
    return FrameRegions(image)


@pytest.mark.parametrize("source", sorted({candidate.regions for candidate in CANDIDATES}))
def test_the_chosen_rule_is_what_the_library_does(regions, source):
    score = np.random.default_rng(0).random((48, 64), dtype=np.float32)
    case = Case(score, regions, RegionMap(torch.zeros(1, 48, 64, dtype=torch.int32)))
    shipped = fuse(score, regions.of(source))
    np.testing.assert_allclose(RULES[CHOSEN](case, source), shipped, rtol=1e-5)


def test_the_chosen_rule_for_classes_is_what_the_library_does(regions):
    score = torch.rand(4, 48, 64, generator=torch.Generator().manual_seed(1)).softmax(0)
    parts = regions.of(DEFAULT)
    means = (fuse(score, each, rule="mean") for each in (parts, parts[-1]))
    chosen = CLASS_RULES[CHOSEN_FOR_CLASSES](score, *means)
    torch.testing.assert_close(chosen, fuse(score, regions.of(DEFAULT)), rtol=1e-5, atol=1e-6)


def test_the_default_is_a_candidate():
    assert Candidate(DEFAULT, CHOSEN) in CANDIDATES


def test_every_rule_keeps_a_constant_map(regions):
    score = np.full((48, 64), 0.25, np.float32)
    case = Case(score, regions, RegionMap(torch.zeros(1, 48, 64, dtype=torch.int32)))
    for candidate in CANDIDATES:
        np.testing.assert_allclose(candidate.row.method(case), score, rtol=1e-5)
    for rule in CLASS_RULES.values():
        flat = torch.full((4, 8, 8), 0.25)
        torch.testing.assert_close(rule(flat, flat, flat), flat)


def test_files_of_candidates_have_names_of_their_own():
    assert len({candidate.row.key for candidate in CANDIDATES}) == len(CANDIDATES)


def test_cost_counts_trees_and_partitions():
    assert Candidate("csl-tiny:auto,10+superpixels:40", CHOSEN).cost == (2, 3)


def test_gain_is_the_mean_of_both_logarithms():
    before, after = SimpleNamespace(ap=0.2, fpr95=0.4), SimpleNamespace(ap=0.4, fpr95=0.1)
    assert gain(after, before) == pytest.approx((math.log(2) + math.log(4)) / 2)


def test_large_objects_are_void_among_the_tiny():
    label = np.zeros((40, 40), np.uint8)
    label[1:5, 1:5], label[10:30, 10:30], label[0] = 1, 1, 255
    dataset = SimpleNamespace(read_label=lambda _: label)
    tiny = TinyObjects.among(FrameSet("k", "t", dataset, (), 1, OBSTACLE_TRACK, {}))
    found = tiny.label(None)
    assert (found[1:5, 1:5] == 1).all()
    assert (found[10:30, 10:30] == 255).all()
    assert (found[0] == 255).all()
    assert (found == 1).sum() == 16
