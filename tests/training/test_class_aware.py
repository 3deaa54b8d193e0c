"""The class-aware variant that the paper compares with: its losses, its V, training and files."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from csl_plugin import soft_assignment
from csl_plugin.errors import FileError, OptionError
from csl_plugin.models import CSLNetwork, NetworkConfig, NetworkOutput, RegionPrediction
from csl_plugin.models.validity import class_validity_logits
from csl_plugin.proposers import NetworkProposals
from csl_plugin.training import TrainingSettings, train
from csl_plugin.training.criterion import losses, match, region_targets

TINY = NetworkConfig(
    num_queries=8,
    embedding_width=32,
    query_width=32,
    num_heads=2,
    num_layers=3,
    feedforward_width=64,
    region_classes=3,
)


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _labels(seed: int) -> tuple[Tensor, Tensor]:
    """Regions (2, 16, 24) of 4 x 4 blocks, some ignored, and their classes, some without one."""
    draw = _generator(seed)
    regions = torch.randint(-1, 4, (2, 4, 6), generator=draw)
    of_region = torch.randint(-1, 3, (2, 5), generator=draw)
    classes = of_region.gather(1, regions.flatten(1) % 5).view_as(regions)
    regions, classes = (x.repeat_interleave(4, 1).repeat_interleave(4, 2).int() for x in (regions, classes))
    return regions, classes


def _output(seed: int, queries: int, layers: int = 2) -> NetworkOutput:
    draw = _generator(seed)
    found = []
    for _ in range(layers):
        class_logits = 2 * torch.randn(2, queries, 4, generator=draw)
        mask_logits = 3 * torch.randn(2, queries, 4, 6, generator=draw)
        found.append(RegionPrediction(mask_logits, class_validity_logits(class_logits), class_logits))
    return NetworkOutput(found, None, None, None)


# V


@given(values=st.lists(st.floats(-30, 30), min_size=2, max_size=6))
def test_validity_is_the_largest_class_probability(values):
    logits = torch.tensor(values, dtype=torch.float64)
    expected = logits.softmax(0)[:-1].max()
    torch.testing.assert_close(class_validity_logits(logits).sigmoid(), expected, atol=1e-9, rtol=1e-6)


def test_eq_2_multiplies_with_it():
    torch.manual_seed(0)
    network = CSLNetwork(TINY).eval()
    image = torch.rand(1, 3, 40, 56, generator=_generator(1))
    with torch.inference_mode():
        answer = network(image).regions[-1]
    assert answer.class_logits.shape == (1, 8, 4)
    expected = answer.class_logits.softmax(-1)[..., :3].amax(-1)
    torch.testing.assert_close(NetworkProposals(network)(image)[0].validity, expected)


# Matching and losses


def _log_probability(logits: list[float], place: int) -> float:
    largest = max(logits)
    return logits[place] - largest - math.log(sum(math.exp(value - largest) for value in logits))


@pytest.mark.parametrize("seed", range(6))
def test_the_matching_cost_holds_the_probability_of_the_class(seed):
    """With the same masks for all queries, only classes decide."""
    regions, classes = _labels(seed)
    regions = torch.where(classes < 0, -1, regions)
    targets = region_targets(regions, 4, classes)
    class_logits = _output(seed, queries=5, layers=1).regions[0].class_logits
    masks = torch.zeros(1, 2, 5, 24)
    (found,) = match(masks, torch.zeros(1, 2, 5), targets, torch.arange(24), class_logits[None])
    for image in range(2):
        present = [region for region in range(targets.shares.shape[1]) if targets.present[image, region]]
        chance = {
            (query, region): math.exp(
                _log_probability(class_logits[image, query].tolist(), int(targets.classes[image, region]))
            )
            for query, region in itertools.product(range(5), present)
        }
        best = max(
            (
                sum(chance[pair] for pair in zip(chosen, present, strict=True))
                for chosen in itertools.permutations(range(5), len(present))
            ),
            default=0.0,
        )
        assert sum(chance[int(found[image, region]), region] for region in present) == pytest.approx(best)


@pytest.mark.parametrize(("seed", "queries"), [(0, 5), (1, 2), (2, 5)])
def test_the_loss_is_a_cross_entropy_over_classes_and_none(seed, queries):
    regions, classes = _labels(seed)
    output = _output(seed, queries)
    counted = torch.where(classes < 0, -1, regions)
    targets = region_targets(counted, 4, classes)
    order = torch.randperm(24, generator=_generator(7))
    expected = 0.0
    for prediction in output.regions:
        given = prediction.mask_logits.flatten(2), prediction.validity_logits, prediction.class_logits
        (matched,) = match(given[0][None], given[1][None], targets, order[:6], given[2][None])
        above = below = 0.0
        for image, query in itertools.product(range(2), range(queries)):
            region = [r for r in range(matched.shape[1]) if matched[image, r] == query]
            wanted, weight = 3, 0.5 * float((counted[image] >= 0).float().mean())
            if region:
                inside = counted[image] == region[0]
                (wanted,), weight = set(classes[image][inside].tolist()), 1.0
            above -= weight * _log_probability(prediction.class_logits[image, query].tolist(), wanted)
            below += weight
        expected += 2 * above / below
    found = losses(output, regions, classes=classes, generator=_generator(7))
    assert float(found["validity"]) == pytest.approx(expected, rel=1e-5)
    without = losses(output, counted, classes=classes.clamp(min=0), generator=_generator(7))
    assert {name: float(loss) for name, loss in without.items()} == pytest.approx(
        {name: float(loss) for name, loss in found.items()}
    )


def test_classes_have_to_be_given_and_known():
    regions, classes = _labels(0)
    output = _output(0, 5)
    with pytest.raises(OptionError, match="classes: got none"):
        losses(output, regions)
    with pytest.raises(OptionError, match=r"a class 3, expected class ids up to 2"):
        losses(output, regions, classes=classes.clamp(min=3))


# The network


def test_what_an_image_gets_does_not_depend_on_its_batch():
    torch.manual_seed(0)
    network = CSLNetwork(TINY).eval()
    images, sizes = torch.rand(2, 3, 64, 75, generator=_generator(0)), torch.tensor([[40, 56], [64, 75]])
    with torch.inference_mode():
        together = network(images, sizes).regions
        for number, (height, width) in enumerate(sizes.tolist()):
            single = network(images[number : number + 1, :, :height, :width]).regions
            for one, other in zip(single, together, strict=True):
                for name in ("class_logits", "validity_logits"):
                    torch.testing.assert_close(
                        getattr(other, name)[number], getattr(one, name)[0], atol=1e-5, rtol=1e-5
                    )


def test_it_compiles_without_graph_breaks():
    torch.manual_seed(0)
    network = CSLNetwork(TINY).eval()
    images = torch.rand(1, 3, 40, 56, generator=_generator(0))
    torch._dynamo.reset()
    with torch.no_grad():
        expected = network(images).regions[-1]
        found = torch.compile(network, fullgraph=True, backend="eager")(images).regions[-1]
    for one, other in zip(expected, found, strict=True):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-5)
    torch._dynamo.reset()


def test_it_is_stored_and_loaded_strictly(tmp_path):
    torch.manual_seed(0)
    network = CSLNetwork(TINY).eval()
    network.save_pretrained(tmp_path)
    again = CSLNetwork.from_pretrained(tmp_path)
    assert again.config == TINY
    assert all(torch.equal(again.state_dict()[name], value) for name, value in network.state_dict().items())
    stored = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**stored, "region_classes": 4}))
    with pytest.raises(FileError, match="validity"):
        CSLNetwork.from_pretrained(tmp_path)


def test_a_configuration_from_before_still_loads():
    before = {name: value for name, value in NetworkConfig().to_json().items() if name != "region_classes"}
    config = NetworkConfig.from_json(before)
    assert config == NetworkConfig()
    assert CSLNetwork(config).region_decoder.validity.out_features == 1


@pytest.mark.parametrize("values", [{"region_classes": -1}, {"region_classes": 2, "points": True}])
def test_invalid_configurations_are_refused(values):
    with pytest.raises(OptionError, match="region_classes"):
        NetworkConfig(**values)


# Learning


class _Batch(NamedTuple):
    images: Tensor
    regions: Tensor
    classes: Tensor


@pytest.mark.slow
def test_it_overfits_classes_and_regions_of_one_image(tmp_path):
    classes = torch.zeros(1, 64, 64, dtype=torch.int32)
    classes[:, 8:40, 4:28], classes[:, 20:60, 36:60], classes[:, 48:60, 4:24] = 1, 2, 1
    colors = torch.tensor([[0.2, 0.2, 0.3], [0.9, 0.3, 0.2], [0.3, 0.8, 0.4]])
    image = colors[classes[0].long()].permute(2, 0, 1)[None]
    image = (image + 0.05 * torch.randn(image.shape, generator=_generator(0))).clamp(0, 1)

    def batches(_: int) -> Iterator[_Batch]:
        return itertools.repeat(_Batch(image, classes, classes))  # a class is one region, in pieces or not

    torch.manual_seed(0)
    network = CSLNetwork(TINY)
    settings = TrainingSettings(
        steps=160, batch_size=1, crop=(64, 64), warm_up=10, learning_rate=2e-3, save_every=160
    )
    train(network, batches, settings, tmp_path)
    with torch.inference_mode():
        answer = network(image).regions[-1]
    labels = soft_assignment(NetworkProposals(network)(image)[0], (64, 64)).labels[0].numpy()
    for number in range(3):
        truth = classes[0].numpy() == number
        overlaps = {
            label: np.sum(truth & (labels == label)) / np.sum(truth | (labels == label))
            for label in np.unique(labels).tolist()
        }
        query = max(overlaps, key=lambda label: overlaps[label])
        assert overlaps[query] > 0.9, number
        assert int(answer.class_logits[0, query].argmax()) == number
