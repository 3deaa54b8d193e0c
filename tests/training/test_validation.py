"""Validation against the same metrics by hand; the log, and the picture of it."""

from __future__ import annotations

import json
import math
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from csl_plugin import fuse, soft_assignment
from csl_plugin.errors import FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.io import write_png, write_scores
from csl_plugin.metrics import PooledAnomaly, RegionQuality
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from csl_plugin.training import AnomalyScores, LabeledFolder, SegmentFolder, Validation, mask_split
from csl_plugin.training.log import TrainingLog
from csl_plugin.training.log_picture import log_svg

SIZE = (48, 64)
NAMES = ["covering", "best_iou", "base_ap", "base_fpr95", "fused_ap", "fused_fpr95"]


@pytest.fixture
def street(tmp_path):
    draw = np.random.default_rng(0)
    for number, stem in enumerate("abcd"):
        labels = np.zeros(SIZE, np.uint8)
        labels[10 + number : 30, 5:40], labels[:3] = 1, 9
        picture = (40 + 150 * (labels == 1))[..., None] + draw.integers(0, 30, (*SIZE, 3))
        write_png(tmp_path / "images" / f"{stem}.png", picture.astype(np.uint8))
        write_png(tmp_path / "labels" / f"{stem}.png", labels)
        coarse = (labels == 1)[::4, ::4] * 0.5 + 0.5 * draw.random((12, 16))
        write_scores(tmp_path / "scores" / f"{stem}.npy", coarse.astype(np.float32))
    return tmp_path


def network_of(*, boundary, seed=0):
    torch.manual_seed(seed)
    sizes = {"embedding_width": 16, "query_width": 16, "num_layers": 1, "feedforward_width": 16}
    return CSLNetwork(NetworkConfig(num_queries=6, boundary=boundary, **sizes))


def classes_of(street):
    return LabeledFolder(street / "images", street / "labels", ignore=[9])


@pytest.mark.parametrize("boundary", [False, True])
def test_it_measures_the_same_as_by_hand(street, boundary):
    source, scores = classes_of(street), AnomalyScores(street / "scores", (1,))
    network = network_of(boundary=boundary).train()
    weights = network_of(boundary=boundary, seed=1).state_dict()
    found = Validation(source, images=range(0, 4, 2), scores=scores).measure(network, weights)
    assert list(found) == NAMES
    assert network.training

    other = network_of(boundary=boundary, seed=1).eval()
    quality, base, fused = RegionQuality(), PooledAnomaly(), PooledAnomaly()
    for index, stem in ((0, "a"), (2, "c")):
        image = torch.from_numpy(source.image(index)).permute(2, 0, 1)[None] / 255
        regions = (
            NetworkRegions(other)(image)[0]
            if boundary
            else soft_assignment(NetworkProposals(other)(image)[0], SIZE)
        )
        labels = source.labels(index)
        quality.update(regions.labels[0], mask_split(labels), labels >= 0)
        coarse = torch.from_numpy(np.load(street / "scores" / f"{stem}.npy"))[None, None]
        score = torch.nn.functional.interpolate(coarse, SIZE, mode="bilinear")
        anomaly = np.where(labels < 0, 255, labels)
        base.update(score[0, 0], anomaly)
        fused.update(fuse(score, regions)[0, 0], anomaly)
    expected = [quality.compute().covering, quality.compute().best_iou]
    for metric in (base, fused):
        expected += [metric.compute().ap, metric.compute().fpr95]
    assert list(found.values()) == pytest.approx(expected)


def test_every_annotator_counts(street):
    (street / "segments").mkdir()
    labels = np.zeros(SIZE, np.uint8)
    labels[:, 30:] = 1
    for stem in "abcd":
        write_png(street / "segments" / f"{stem}_1.png", labels)
        write_png(street / "segments" / f"{stem}_2.png", 0 * labels)
    source = SegmentFolder(street / "images", street / "segments")
    network = network_of(boundary=True).eval()
    found = Validation(source, images=range(1)).measure(network)
    assert list(found) == NAMES[:2]
    quality = RegionQuality()
    image = torch.from_numpy(source.image(0)).permute(2, 0, 1)[None] / 255
    quality.update(NetworkRegions(network)(image)[0].labels[0], np.stack([labels, 0 * labels]))
    assert found["covering"] == pytest.approx(quality.compute().covering)


def test_invalid_validation_is_refused(street):
    source = classes_of(street)
    for wrong in ({"images": range(0)}, {"images": range(5)}, {"every": 0}):
        with pytest.raises(OptionError, match="validation"):
            Validation(source, **{"images": range(4), **wrong})
    scores = AnomalyScores(street / "scores", (1,))
    segments = SegmentFolder(street / "images", street / "labels")
    with pytest.raises(OptionError, match="scores with segments"):
        Validation(segments, images=range(2), scores=scores)
    write_scores(street / "scores/a.npy", np.full((2, 2), -1, np.float32))
    with pytest.raises(ScoreRangeError):
        scores.read("a")
    write_scores(street / "scores/a.npy", np.zeros((2, 2, 2), np.float32))
    with pytest.raises(ShapeError):
        scores.read("a")
    (street / "scores/d.npy").unlink()
    with pytest.raises(FileError, match="no scores of 'd'"):
        Validation(source, images=range(4), scores=scores)


# The log


def test_a_log_keeps_finite_values_and_is_cut_where_a_job_continues(tmp_path):
    log = TrainingLog(tmp_path / "job")
    log.cut(3)
    assert log.read() == []
    for step in range(1, 6):
        log.add(step, {"loss": 1 / step, "gradient": math.inf if step == 2 else 1.0})
    with (tmp_path / "job/log.jsonl").open("a") as file:
        file.write('{"step": 6, "lo')  # the machine stopped here
    assert [line["step"] for line in log.read()] == [1, 2, 3, 4, 5]
    assert "gradient" not in log.read()[1]
    log.cut(4)
    log.add(5, {"loss": 0.1})
    assert [line["step"] for line in log.read()] == [1, 2, 3, 4, 5]
    assert log.read()[-1]["loss"] == 0.1
    log.draw()
    assert "Loss" in (tmp_path / "job/log.svg").read_text()


def titles(picture):
    root = ElementTree.fromstring(picture)  # noqa: S314
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    return [text.text for text in texts if text.get("class") == "title"]


def curves(picture):
    root = ElementTree.fromstring(picture)  # noqa: S314
    lines = root.iter("{http://www.w3.org/2000/svg}polyline")
    return [np.array([place.split(",") for place in line.get("points").split()], float) for line in lines]


def test_the_picture_has_a_panel_for_what_was_measured():
    steps = [{"step": n, "loss": 30.0 / n, "dice": 2.0, "gradient": 3.0, "rate": 1e-3} for n in range(1, 9)]
    assert titles(log_svg(steps)) == ["Loss", "Parts of the loss", "Norm of the gradient", "Learning rate"]
    steps[3] |= dict.fromkeys(NAMES, 0.5)
    assert titles(log_svg(steps))[4:] == ["Validation: regions", "Validation: AP", "Validation: FPR95"]
    (loss, *_) = curves(log_svg(steps))
    assert len(loss) == 8
    assert (np.diff(loss[:, 0]) > 0).all()
    assert (np.diff(loss[:, 1]) > 0).all()  # downwards
    assert titles(log_svg([])) == []


def test_long_logs_are_averaged():
    steps = [{"step": n, "rate": float(n)} for n in range(1, 10_001)]
    (rate,) = curves(log_svg(steps))
    assert 250 <= len(rate) <= 300
    assert np.ptp(np.diff(rate[:, 1])[:-1]) <= 0.2  # still a straight line, to the tenth that is written


@given(
    values=st.lists(
        st.one_of(st.floats(), st.floats(1e-12, 1e12), st.just(0.0), st.just("?"), st.none()), max_size=12
    )
)
@example(values=[1.7e308, -1.7e308])
@example(values=[5e-324])
def test_any_values_can_be_drawn(values):
    steps = [
        {"step": n, "loss": value, "rate": value, "covering": value, "best_iou": 0.5}
        for n, value in enumerate(values)
    ]
    for curve in curves(log_svg(json.loads(json.dumps(steps)))):
        assert np.isfinite(curve).all()
        assert (curve >= -1).all()
        assert (curve <= 561).all()
