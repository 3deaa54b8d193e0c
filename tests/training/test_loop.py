"""Losses against plain loops; training that learns, stops and continues."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from csl_plugin import RegionProposals, soft_assignment
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.models import CSLNetwork, NetworkConfig, NetworkOutput, RegionPrediction
from csl_plugin.models.former_names import former_name
from csl_plugin.training import TrainingSettings, train
from csl_plugin.training.criterion import (
    WEIGHTS,
    boundary_loss,
    boundary_targets,
    distillation_loss,
    finer_boundary_loss,
    losses,
    match,
    region_targets,
)

TINY = NetworkConfig(
    num_queries=8,
    embedding_width=32,
    query_width=32,
    num_heads=2,
    num_layers=3,
    feedforward_width=64,
    points=True,
    boundary=True,
)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _regions(seed: int, batch: int = 2, height: int = 16, width: int = 24, count: int = 4) -> Tensor:
    """Blocks of 3 x 3 pixels, which cells of 4 x 4 cut through; one in five is ignored."""
    draw = _generator(seed)
    ids = torch.randint(-1, count, (batch, -(-height // 3), -(-width // 3)), generator=draw)
    return ids.repeat_interleave(3, 1).repeat_interleave(3, 2)[:, :height, :width].int()


def _output(seed: int, regions: Tensor, queries: int = 5, layers: int = 2, points: int = 0) -> NetworkOutput:
    draw = _generator(seed)
    batch, height, width = regions.shape

    def predictions(count):
        return [
            RegionPrediction(
                3 * torch.randn(batch, count, height // 4, width // 4, generator=draw),
                torch.randn(batch, count, generator=draw),
            )
            for _ in range(layers)
        ]

    boundary = torch.randn(batch, 1, height // 2, width // 2, generator=draw)
    return NetworkOutput(predictions(queries), predictions(points) if points else None, None, boundary)


def _bce(logit: float, target: float) -> float:
    return -target * math.log(_sigmoid(logit)) - (1 - target) * math.log(_sigmoid(-logit))


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


# Targets


def test_region_targets_are_shares_of_the_pixels_that_are_not_ignored():
    regions = _regions(0)
    targets = region_targets(regions, 4)
    for image, row, column in itertools.product(range(2), range(4), range(6)):
        cell = regions[image, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4]
        counted = int((cell >= 0).sum())
        place = row * 6 + column
        assert float(targets.counted[image, place]) == counted / 16
        for region in range(targets.shares.shape[1]):
            share = int((cell == region).sum()) / counted if counted else 0.0
            assert float(targets.shares[image, region, place]) == pytest.approx(share)
    for image, region in itertools.product(range(2), range(targets.shares.shape[1])):
        assert bool(targets.present[image, region]) == bool((regions[image] == region).any())


def test_boundary_targets_match_the_definition():
    regions = _regions(1, height=12, width=18)
    target, counted = boundary_targets(regions)
    _, height, width = regions.shape
    for image, row, column in itertools.product(range(2), range(height // 2), range(width // 2)):
        touches = unknown = False
        for y, x in itertools.product((2 * row, 2 * row + 1), (2 * column, 2 * column + 1)):
            for v, u in itertools.product((y - 1, y, y + 1), (x - 1, x, x + 1)):
                if 0 <= v < height and 0 <= u < width:
                    unknown |= bool(regions[image, v, u] < 0)
                    beside = abs(v - y) + abs(u - x) == 1
                    touches |= beside and bool(regions[image, v, u] != regions[image, y, x])
        assert bool(target[image, 0, row, column]) == touches
        assert bool(counted[image, 0, row, column]) == (not unknown)


# Matching


def _cost(logits: Tensor, validity: float, shares: Tensor, counted: Tensor) -> float:
    """Of one query and one region, cell by cell."""
    entropy = both = own = inside = 0.0
    for logit, share, weight in zip(logits.tolist(), shares.tolist(), counted.tolist(), strict=True):
        entropy += weight * _bce(logit, share)
        both += weight * _sigmoid(logit) * share
        own += weight * _sigmoid(logit)
        inside += weight * share
    dice = 1 - (2 * both + 1) / (own + inside + 1)
    return 5 * entropy / max(float(counted.sum()), 1e-6) + 5 * dice - 2 * _sigmoid(validity)


@pytest.mark.parametrize(("seed", "queries"), [(0, 5), (1, 4), (2, 3), (3, 2)])
def test_matching_has_the_least_cost_of_all_assignments(seed, queries):
    regions = _regions(seed, count=3)
    regions[1][regions[1] == 1] = -1  # an image that lacks a region
    targets, output = region_targets(regions, 4), _output(seed, regions, queries, layers=1)
    logits, validity = output.regions[0].mask_logits.flatten(2), output.regions[0].validity_logits
    cells = torch.arange(0, targets.counted.shape[1], 2)
    (found,) = match(logits[None], validity[None], targets, cells)
    for image in range(2):
        costs = [
            [
                _cost(
                    logits[image, query, cells],
                    float(validity[image, query]),
                    targets.shares[image, region, cells],
                    targets.counted[image, cells],
                )
                for region in range(3)
            ]
            for query in range(queries)
        ]
        present = [region for region in range(3) if targets.present[image, region]]
        assert all(int(found[image, region]) == -1 for region in range(3) if region not in present)
        pairs = min(len(present), queries)
        best = min(
            sum(costs[query][region] for query, region in zip(chosen, of, strict=True))
            for chosen in itertools.permutations(range(queries), pairs)
            for of in itertools.combinations(present, pairs)
        )
        chosen = {region: int(found[image, region]) for region in present if found[image, region] >= 0}
        assert len(set(chosen.values())) == len(chosen) == pairs
        assert sum(costs[query][region] for region, query in chosen.items()) == pytest.approx(best, abs=1e-4)


# Losses


def _spelled_out(output: NetworkOutput, regions: Tensor, seed: int) -> dict[str, float]:
    """Validity, region and dice loss of the learned queries, by loops."""
    targets = region_targets(regions, 4)
    num_cells = targets.counted.shape[1]
    order = torch.randperm(num_cells, generator=_generator(seed))
    compared = order[: num_cells // 2]
    validity = region_loss = dice_loss = 0.0
    for prediction in output.regions:
        logits = prediction.mask_logits.flatten(2)
        matched = match(
            logits[None], prediction.validity_logits[None], targets, order[: max(1, num_cells // 4)]
        )[0]
        above = below = 0.0
        for image, query in itertools.product(range(len(regions)), range(logits.shape[1])):
            real = bool((matched[image] == query).any())
            labeled = float((regions[image] >= 0).float().mean())
            weight = 1.0 if real else 0.5 * labeled
            above += weight * _bce(float(prediction.validity_logits[image, query]), float(real))
            below += weight
        validity += 2 * above / below
        pairs = (matched >= 0).nonzero().tolist()
        for image, region in pairs:
            counted = targets.counted[image, compared].tolist()
            shares = targets.shares[image, region, compared].tolist()
            own = logits[image, matched[image, region], compared].tolist()
            entropy = sum(w * _bce(o, s) for w, o, s in zip(counted, own, shares, strict=True))
            both = sum(w * _sigmoid(o) * s for w, o, s in zip(counted, own, shares, strict=True))
            sums = sum(w * (_sigmoid(o) + s) for w, o, s in zip(counted, own, shares, strict=True))
            region_loss += 5 * entropy / max(sum(counted), 1.0) / len(pairs)
            dice_loss += 5 * (1 - (2 * both + 1) / (sums + 1)) / len(pairs)
    return {"validity": validity, "region": region_loss, "dice": dice_loss}


@pytest.mark.parametrize(("seed", "queries"), [(0, 5), (1, 3)])
def test_the_losses_match_plain_loops(seed, queries):
    regions = _regions(seed)
    output = _output(seed, regions, queries)
    found = losses(output, regions, generator=_generator(7))
    expected = _spelled_out(output, regions, 7)
    for name, value in expected.items():
        assert float(found[name]) == pytest.approx(value, rel=1e-4), name
    assert float(found["boundary"]) == pytest.approx(4 * float(boundary_loss(output.boundary, regions)))
    assert found.keys() == {*expected, "boundary"}


def test_finer_boundaries_learn_the_mean_of_both_passes():
    draw = torch.Generator().manual_seed(0)
    finer, boundary = torch.randn(2, 2, 1, 4, 6, generator=draw)
    halved = torch.randn(2, 1, 2, 3, generator=draw)
    regions = torch.zeros(2, 8, 12, dtype=torch.int32)
    regions[0, :, 7:] = -1  # so nothing counts from column 6 on, which lies beside it
    wide = F.interpolate(halved.sigmoid(), (4, 6), mode="bilinear", align_corners=False)
    total, count = 0.0, 0
    for image, row, column in itertools.product(range(2), range(4), range(6)):
        if image == 0 and column >= 3:
            continue
        cell = image, 0, row, column
        target = (float(boundary[cell].sigmoid()) + float(wide[cell])) / 2
        value = float(finer[cell].sigmoid())
        total -= target * math.log(value) + (1 - target) * math.log(1 - value)
        count += 1
    found = finer_boundary_loss(finer, halved, boundary, regions)
    assert float(found) == pytest.approx(4 * total / count, rel=1e-5)


def test_finer_boundaries_teach_the_rest_of_the_network_nothing():
    torch.manual_seed(0)
    network = CSLNetwork(NetworkConfig(num_queries=4, num_layers=1, boundary=True, finer_boundary=True))
    images = torch.rand(1, 3, 32, 32)
    network.boundaries(images, finer=torch.rand(1, 3, 64, 64)).finer_boundary.sum().backward()
    learned = {name for name, value in network.named_parameters() if value.grad is not None}
    assert learned == {name for name, _ in network.named_parameters() if name.startswith("finer_boundary.")}


def test_a_point_is_compared_with_the_region_under_it():
    regions = torch.zeros(1, 16, 16, dtype=torch.int32)
    regions[:, :, 8:] = 1
    regions[:, 12:] = -1
    points = torch.tensor([[[0.1, 0.1], [0.1, 0.9], [0.9, 0.5]]])  # the last on ignored pixels
    output = _output(0, regions, points=3)
    right = torch.full((1, 3, 4, 4), -20.0)
    right[0, 0, :, :2] = right[0, 1, :, 2:] = 20.0
    pointed = [prediction._replace(mask_logits=right) for prediction in output.pointed]
    found = losses(output._replace(pointed=pointed), regions, points, generator=_generator(0))
    assert float(found["point_region"]) < 1e-6
    assert float(found["point_dice"]) < 1e-6
    sure = [p._replace(validity_logits=torch.full((1, 3), 20.0)) for p in pointed]
    found = losses(output._replace(pointed=sure), regions, points, generator=_generator(0))
    assert float(found["point_validity"]) < 1e-6
    swapped = [p._replace(mask_logits=right[:, [1, 0, 2]]) for p in pointed]
    found = losses(output._replace(pointed=swapped), regions, points, generator=_generator(0))
    assert float(found["point_region"]) > WEIGHTS["point_region"] * 10


def test_distillation_is_the_mean_huber_loss():
    distribution, teacher = torch.randn(1, 3, 2, 2), torch.rand(1, 3, 2, 2)
    own = distribution.softmax(1)
    expected = torch.where((own - teacher).abs() < 1, 0.5 * (own - teacher) ** 2, (own - teacher).abs() - 0.5)
    torch.testing.assert_close(distillation_loss(distribution, teacher), expected.mean())
    counted = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(
        distillation_loss(distribution, teacher, counted), expected[:, :, 0, 0].mean(), atol=1e-6, rtol=1e-5
    )
    one = torch.randn(1, 1, 2, 2)
    torch.testing.assert_close(distillation_loss(one, one.sigmoid()), torch.zeros(()))


@settings(max_examples=15)
@given(seed=st.integers(0, 99), value=st.floats(-1e30, 1e30))
def test_ignored_pixels_change_nothing(seed, value):
    regions = _regions(seed)
    regions[:, :8, :12] = -1
    points = torch.rand(2, 3, 2, generator=_generator(seed))
    output = _output(seed, regions, points=3)
    inside = torch.zeros(4, 6, dtype=torch.bool)
    inside[:2, :3] = True  # cells of ignored pixels

    def changed(predictions):
        return [
            p._replace(mask_logits=torch.where(inside, torch.tensor(value), p.mask_logits))
            for p in predictions
        ]

    boundary = output.boundary.clone()
    boundary[:, :, :4, :6] = value
    other = NetworkOutput(changed(output.regions), changed(output.pointed), None, boundary)
    before = losses(output, regions, points, generator=_generator(1))
    after = losses(other, regions, points, generator=_generator(1))
    for name, loss in before.items():
        assert float(after[name]) == pytest.approx(float(loss), rel=1e-5), name


def test_what_is_not_labeled_may_be_a_region():
    """The fewer pixels are labeled, the less a query without a region is told that it is none."""
    regions = torch.full((1, 16, 24), -1, dtype=torch.int32)
    regions[:, :4, :4] = 0
    output = _output(0, regions, layers=1)
    (prediction,) = output.regions
    cells = torch.full((1, 5, 4, 6), -9.0)
    cells[0, 0, 0, 0] = 9.0  # the query of the region
    prediction = prediction._replace(mask_logits=cells)

    def validity_loss(labels: Tensor) -> float:
        sure = prediction._replace(validity_logits=torch.full((1, 5), 9.0))
        found = losses(output._replace(regions=[sure]), labels, generator=_generator(11))
        return float(found["validity"])

    labeled = torch.where(regions < 0, 1, regions)
    few, none = validity_loss(regions), validity_loss(torch.full_like(regions, -1))
    assert none == 0
    assert 0 < few < 0.2 * validity_loss(labeled)


@pytest.mark.parametrize("kind", ["all ignored", "one region", "one pixel", "half empty"])
def test_sparse_targets_give_finite_losses_and_gradients(kind):
    regions = torch.full((2, 64, 64), 0 if kind == "one region" else -1, dtype=torch.int32)
    if kind == "one pixel":
        regions[0, 10, 10] = 0
    if kind == "half empty":
        regions[0] = _regions(0, 1, 64, 64)[0]
    torch.manual_seed(0)
    network = CSLNetwork(TINY)
    points = torch.rand(2, 3, 2)
    found = losses(network(torch.rand(2, 3, 64, 64), points=points), regions, points, generator=_generator(0))
    torch.stack(list(found.values())).sum().backward()
    assert all(bool(loss.isfinite()) for loss in found.values())
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or bool(parameter.grad.isfinite().all()), name
    if kind == "all ignored":
        assert all(found[name].item() == 0 for name in ("region", "dice", "boundary"))


# The loop


class _Batch(NamedTuple):
    images: Tensor
    regions: Tensor


class _Drawn:
    """A batch per step, the same whenever asked for; the step `broken` holds nan, `cut` is never made."""

    def __init__(self, broken: int | None = None, cut: int | None = None) -> None:
        self.broken, self.cut = broken, cut

    def __call__(self, start: int) -> Iterator[_Batch]:
        for step in itertools.count(start):
            if step == self.cut:
                raise KeyboardInterrupt
            images = torch.rand(2, 3, 32, 32, generator=_generator(step))
            if step == self.broken:
                images[0, 0, 0, 0] = torch.nan
            yield _Batch(images, _regions(step, height=32, width=32))


def _settings(**changes) -> TrainingSettings:
    values = {"steps": 6, "batch_size": 2, "crop": (32, 32), "warm_up": 2, "points": 3, "save_every": 2}
    return TrainingSettings(**{**values, **changes})


def _fresh(seed: int = 0) -> CSLNetwork:
    torch.manual_seed(seed)
    return CSLNetwork(TINY)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """A trained network, its average and the job's folder."""
    whole, folder = _fresh(), tmp_path_factory.mktemp("whole")
    return whole, train(whole, _Drawn(), _settings(), folder), folder


@pytest.mark.parametrize("cut", [1, 4, 5])
def test_an_interrupted_job_continues_exactly(tmp_path, uninterrupted, cut):
    whole, average, folder = uninterrupted
    parts = _fresh()
    with pytest.raises(KeyboardInterrupt):
        train(parts, _Drawn(cut=cut), _settings(), tmp_path / "parts")
    resumed = _fresh(
        0 if cut < 2 else 5
    )  # before the first save nothing remains, so the start has to be equal
    torch.rand(cut)
    again = train(resumed, _Drawn(), _settings(), tmp_path / "parts")
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
        assert torch.equal(again[name], average[name]), name
    one, other = (load_file(run / "state.safetensors") for run in (folder, tmp_path / "parts"))
    assert one.keys() == other.keys()
    assert all(torch.equal(other[name], value) for name, value in one.items())
    logs = [(run / "log.jsonl").read_text() for run in (folder, tmp_path / "parts")]
    assert logs[0] == logs[1]
    pictures = [(run / "log.svg").read_text() for run in (folder, tmp_path / "parts")]
    assert pictures[0] == pictures[1]
    assert [json.loads(line)["step"] for line in logs[0].splitlines()] == [1, 2, 3, 4, 5, 6]


def test_a_job_from_before_weights_were_renamed_continues(tmp_path):
    whole, parts = _fresh(), _fresh()
    train(whole, _Drawn(), _settings(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(parts, _Drawn(cut=4), _settings(), tmp_path / "parts")
    path = tmp_path / "parts" / "state.safetensors"
    with safe_open(path, "pt") as stored:
        facts = stored.metadata()
    state = {former_name(name): value for name, value in load_file(path).items()}
    assert {"weights.content", "average.place", "optimiser.exp_avg.region_decoder.level"} <= state.keys()
    save_file(state, path, facts)
    resumed = _fresh(5)
    train(resumed, _Drawn(), _settings(), tmp_path / "parts")
    assert all(torch.equal(resumed.state_dict()[name], value) for name, value in whole.state_dict().items())


def test_a_finished_job_is_not_trained_again(tmp_path):
    first = train(_fresh(), _Drawn(), _settings(steps=2), tmp_path)
    second = train(_fresh(1), _Drawn(cut=0), _settings(steps=2), tmp_path)
    assert all(torch.equal(second[name], value) for name, value in first.items())


def test_a_loss_that_is_not_finite_stops_and_keeps_the_checkpoint(tmp_path):
    with pytest.raises(CSLError, match=r"loss: got nan at step 3.*state\.safetensors"):
        train(_fresh(), _Drawn(broken=3), _settings(), tmp_path)
    stored = load_file(tmp_path / "state.safetensors")
    assert all(bool(value.isfinite().all()) for value in stored.values())
    train(_fresh(1), _Drawn(), _settings(), tmp_path)  # the failed step is repeated
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 6
    with pytest.raises(CSLError, match="Nothing has been saved"):
        train(_fresh(), _Drawn(broken=0), _settings(), tmp_path / "other")


def test_a_gradient_that_is_not_finite_changes_nothing(tmp_path):
    network = _fresh()
    network.query_features.register_hook(lambda gradient: gradient * math.inf)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    average = train(network, _Drawn(), _settings(steps=2), tmp_path)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(bool(value.isfinite().all()) for value in average.values())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [("loss" in line, "gradient" in line) for line in lines] == [(True, False)] * 2


@pytest.mark.parametrize("kind", ["no valid pixel", "one region", "one of each"])
def test_images_with_little_to_learn_are_trained_on(tmp_path, kind):
    regions = torch.full((2, 32, 32), -1 if kind == "no valid pixel" else 0, dtype=torch.int32)
    if kind == "one of each":
        regions[0] = -1
    images = torch.rand(2, 3, 32, 32, generator=_generator(0))
    network = CSLNetwork(NetworkConfig(**{**TINY.to_json(), "num_classes": 2}))
    settings = _settings(steps=4, bfloat16=False)
    average = train(
        network, lambda _: itertools.repeat(_Batch(images, regions)), settings, tmp_path, teacher=_teacher
    )
    assert all(bool(value.isfinite().all()) for value in average.values())
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert all({"loss", "gradient"} <= line.keys() for line in lines)
    if kind == "no valid pixel":
        # It learns nothing: any of its queries may hold what is not labeled.
        assert all(line["region"] == line["validity"] == line["distillation"] == 0 for line in lines)
    else:
        assert all(line["region"] > 0 for line in lines)


def test_another_job_in_the_folder_is_refused(tmp_path):
    train(_fresh(), _Drawn(), _settings(steps=2), tmp_path)
    with pytest.raises(FileError, match="learning_rate"):
        train(_fresh(), _Drawn(), _settings(steps=2, learning_rate=1e-4), tmp_path)
    with pytest.raises(FileError, match=r"network.num_queries 48.*expected network.num_queries 8"):
        train(CSLNetwork(NetworkConfig()), _Drawn(), _settings(steps=2), tmp_path)
    (tmp_path / "state.safetensors").write_bytes(b"damaged")
    with pytest.raises(FileError, match="cannot be read"):
        train(_fresh(), _Drawn(), _settings(steps=2), tmp_path)


@pytest.mark.parametrize(
    "values", [{"steps": 0}, {"crop": (30, 32)}, {"average": 1.0}, {"learning_rate": 0.0}, {"save_every": 0}]
)
def test_settings_out_of_bounds_are_refused(values):
    with pytest.raises(OptionError, match=next(iter(values))):
        _settings(**values)


@pytest.mark.slow
def test_it_overfits_one_image(tmp_path):
    regions = torch.zeros(1, 64, 64, dtype=torch.int32)
    regions[:, 8:40, 4:28], regions[:, 20:60, 36:60], regions[:, 48:60, 8:28] = 1, 2, 3
    colors = torch.tensor([[0.2, 0.2, 0.3], [0.9, 0.3, 0.2], [0.3, 0.8, 0.4], [0.9, 0.9, 0.2]])
    image = colors[regions[0].long()].permute(2, 0, 1)[None]
    image = (image + 0.05 * torch.randn(image.shape, generator=_generator(0))).clamp(0, 1)
    network = _fresh()
    steps = _settings(steps=160, crop=(64, 64), warm_up=10, learning_rate=2e-3, save_every=160)
    train(network, lambda _: itertools.repeat(_Batch(image, regions)), steps, tmp_path)
    with torch.inference_mode():
        answer = network(image).regions[-1]
    proposals = RegionProposals.from_logits(answer.mask_logits, answer.validity_logits)
    labels = soft_assignment(proposals, (64, 64)).labels[0].numpy()
    for region in range(4):
        truth = regions[0].numpy() == region
        best = max(
            np.sum(truth & (labels == label)) / np.sum(truth | (labels == label))
            for label in np.unique(labels)
        )
        assert best > 0.9, region


# Scheme 1


def _teacher(images: Tensor) -> Tensor:
    """Two classes by brightness, at half the resolution."""
    bright = torch.nn.functional.avg_pool2d(images.mean(1, keepdim=True), 2)
    return torch.cat([bright, 1 - bright], 1)


@pytest.mark.slow
def test_a_network_follows_its_teacher(tmp_path):
    torch.manual_seed(0)
    network = CSLNetwork(NetworkConfig(**{**TINY.to_json(), "num_classes": 2}))
    settings = _settings(steps=60, warm_up=5, learning_rate=3e-3, save_every=60)
    train(network, _Drawn(), settings, tmp_path, teacher=_teacher)
    log = [json.loads(line)["distillation"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert np.mean(log[-5:]) < 0.5 * np.mean(log[:5])


def test_a_teacher_of_other_classes_is_refused(tmp_path):
    with pytest.raises(OptionError, match="2 classes"):
        train(_fresh(), _Drawn(), _settings(), tmp_path, teacher=_teacher)


def test_end_to_end_is_both_equations_after_one_network():
    torch.manual_seed(0)
    network = CSLNetwork(NetworkConfig(**{**TINY.to_json(), "num_classes": 3})).eval()
    images = torch.rand(2, 3, 40, 52, generator=_generator(1))
    with torch.inference_mode():
        fused = EndToEnd(network, rule="product", split=False)(images)
        output = network(images)
        scores = torch.nn.functional.interpolate(
            output.distribution, (40, 52), mode="bilinear", align_corners=False
        ).softmax(1)
        proposals = RegionProposals.from_logits(*output.regions[-1][:2])
        labels = soft_assignment(proposals, (40, 52)).labels
    for image in range(2):
        for region in labels[image].unique():
            inside = labels[image] == region
            expected = scores[image][:, inside].mean(1, keepdim=True) * scores[image][:, inside]
            torch.testing.assert_close(fused[image][:, inside], expected, atol=1e-6, rtol=1e-5)


def test_end_to_end_needs_a_distribution():
    with pytest.raises(OptionError, match="without classes"):
        EndToEnd(_fresh())
