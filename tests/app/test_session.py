"""What is kept of a visitor: each step is done once, and nothing of one visitor reaches another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from csl_plugin import find_objects, fuse, load_proposer
from csl_plugin.app import session as sessions
from csl_plugin.app.photographs import EXAMPLES, OWN
from csl_plugin.app.region_sources import SOURCES, STEPS
from csl_plugin.app.scores import OWN_MAP, SCORES
from csl_plugin.app.session import Session, Sessions, highest_share
from csl_plugin.app.settings import Settings
from csl_plugin.demo.rx import rx_score
from csl_plugin.errors import CSLError, OptionError, ShapeError
from csl_plugin.io.images import image_batch

RX = "RX, no training"


@pytest.fixture
def photograph(tmp_path):
    """A gray picture with one colored disc."""
    image = np.random.default_rng(0).normal(120, 5, (60, 80, 3))
    cv2.circle(image, (50, 30), 12, (200, 60, 40), -1)
    image = image.clip(0, 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "disc.png"), image[..., ::-1])
    return tmp_path / "disc.png", image


def settings_of(path, **changes):
    usual = Settings(OWN, path, RX, None, "superpixels", 3, "adaptive", None, 16)
    return replace(usual, **changes)


def counted(monkeypatch, name):
    calls = []
    original = getattr(sessions, name)

    def count(*arguments, **options):
        calls.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(sessions, name, count)
    return calls


@pytest.mark.parametrize("regions", ["csl-tiny", "superpixels"])
def test_a_result_is_what_the_library_gives(photograph, regions):
    path, image = photograph
    shown = Session().result(settings_of(path, regions=regions, fineness=4, rule="geometric", threshold=0.4))
    score = rx_score(image).astype(np.float32)
    partitions = load_proposer(shown.regions)(image_batch(image))
    fused = fuse(score, partitions, rule="geometric")
    assert np.array_equal(shown.score, score)
    assert np.array_equal(shown.fused, fused)
    (objects,) = find_objects(fused, 0.4, partitions, min_area=16)
    assert shown.objects.boxes.tolist() == objects.boxes.tolist()
    assert shown.objects.scores.tolist() == objects.scores.tolist()


@pytest.mark.parametrize("regions", ["csl-tiny", "superpixels"])
def test_regions_become_finer_step_by_step(regions):
    shown = Session()
    counts = [
        int(
            shown.result(settings_of(None, photograph="A cat", regions=regions, fineness=step))
            .partitions[1]
            .labels.max()
        )
        for step in range(1, STEPS + 1)
    ]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_slider_asks_no_network_again(photograph, monkeypatch):
    path, _ = photograph
    asked = {
        name: counted(monkeypatch, name)
        for name in ("own_photograph", "all_partitions", "fuse", "find_objects")
    }
    session = Session()
    for threshold in (0.2, 0.5, 0.8):
        session.result(settings_of(path, threshold=threshold))
    assert {name: len(calls) for name, calls in asked.items()} == {
        "own_photograph": 1,
        "all_partitions": 1,
        "fuse": 1,
        "find_objects": 3,
    }
    session.result(settings_of(path, fineness=5))
    assert (len(asked["all_partitions"]), len(asked["fuse"])) == (1, 2)
    session.result(settings_of(path, regions="csl-tiny"))
    session.result(settings_of(path))  # the last two are kept
    assert len(asked["all_partitions"]) == 2


def test_what_is_kept_is_bounded(photograph):
    path, _ = photograph
    session = Session()
    for regions in SOURCES:
        for fineness in (1, STEPS):
            session.result(settings_of(path, regions=regions, fineness=fineness))
    assert {len(kept) for kept in session._kept.values()} <= {1, 2}


def test_a_refused_file_leaves_the_session_as_it_was(photograph, tmp_path):
    path, _ = photograph
    session = Session()
    before = session.result(settings_of(path))
    np.save(tmp_path / "map.npy", np.zeros((9, 9), np.float32))
    with pytest.raises(ShapeError, match=r"map\.npy"):
        session.result(settings_of(path, score=OWN_MAP, own_map=tmp_path / "map.npy"))
    assert session.result(settings_of(path)).fused is before.fused


def test_a_map_takes_the_place_of_the_score(photograph, tmp_path):
    path, _ = photograph
    values = np.random.default_rng(1).random((60, 80)).astype(np.float32)
    np.save(tmp_path / "map.npy", values)
    shown = Session().result(settings_of(path, score=OWN_MAP, own_map=tmp_path / "map.npy"))
    assert np.array_equal(shown.score, values)


def test_two_visitors_at_once_see_their_own(tmp_path):
    visitors = Sessions(8)
    paths = {}
    for visitor in range(4):
        image = np.random.default_rng(visitor).integers(0, 256, (40 + visitor, 50, 3)).astype(np.uint8)
        paths[visitor] = tmp_path / f"{visitor}.png"
        cv2.imwrite(str(paths[visitor]), image[..., ::-1])

    def visit(turn):
        visitor = turn % 4
        shown = visitors.of(str(visitor)).result(settings_of(paths[visitor], threshold=0.1 + turn / 100))
        return visitor, shown

    with ThreadPoolExecutor(8) as pool:
        for visitor, shown in pool.map(visit, range(24)):
            assert shown.photograph.name == f"{visitor}.png"
            assert shown.fused.shape == (40 + visitor, 50)
            assert np.array_equal(shown.score, rx_score(shown.photograph.image).astype(np.float32))


def test_the_visitor_that_was_longest_away_is_forgotten():
    visitors = Sessions(2)
    first = visitors.of("a")
    visitors.of("b")
    assert visitors.of("a") is first
    visitors.of("c")
    assert visitors.of("a") is first
    assert len(visitors) == 2
    visitors.drop("a")
    visitors.drop("a")
    assert visitors.of("a") is not first


@pytest.mark.parametrize(
    "change",
    [
        {"photograph": "/etc/passwd"},
        {"score": "x"},
        {"regions": "x"},
        {"rule": "x"},
        {"fineness": 0},
        {"fineness": 6},
    ],
)
def test_what_the_page_does_not_offer_is_refused(change):
    with pytest.raises(OptionError):
        settings_of(None, **change)


def test_a_threshold_is_suggested_that_some_pixels_pass():
    for fused in (np.zeros((9, 9), np.float32), np.ones((9, 9), np.float32)):
        assert 0 < highest_share(fused) <= 1
    fused = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(100, 100)
    assert (fused >= highest_share(fused)).mean() == pytest.approx(0.03, abs=0.003)


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_shown_with_every_score(example):
    for score in SCORES:
        shown = Session().result(settings_of(None, photograph=example, score=score))
        assert shown.fused.shape == shown.photograph.size
        assert 0 <= shown.fused.min() <= shown.fused.max() <= 1
        assert (shown.quality is None) == (shown.photograph.truth is None)


def test_errors_are_of_the_package(tmp_path):
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(CSLError):
        Session().result(settings_of(tmp_path / "a.png"))
