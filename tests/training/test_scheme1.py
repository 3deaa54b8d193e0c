"""Scheme 1: scores of a network's own distribution, fused with its own regions or others."""

from __future__ import annotations

import pytest
import torch

from csl_plugin import fuse, load_proposer
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.errors import OptionError, ShapeError
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from examples.train_segmenter import Segmenter

pytestmark = pytest.mark.slow
TINY = NetworkConfig(
    num_queries=6, embedding_width=16, query_width=16, num_layers=1, feedforward_width=32, num_classes=4
)


def fresh(**changes):
    torch.manual_seed(0)
    return CSLNetwork(NetworkConfig(**{**TINY.to_json(), **changes})).eval()


def pictures(batch=2):
    return torch.rand(batch, 3, 40, 52, generator=torch.Generator().manual_seed(1))


def unsure(distribution):
    return 1 - distribution.amax(1, keepdim=True)


def test_a_score_of_the_distribution_is_what_is_fused():
    network, images = fresh(), pictures()
    with torch.inference_mode():
        found = EndToEnd(network, score=unsure, rule="mean")(images)
        distribution = Segmenter(network)(images).softmax(1)
        expected = fuse(unsure(distribution), NetworkProposals(network)(images), rule="mean")
    torch.testing.assert_close(found, expected)


def test_a_network_of_one_class_is_a_score_already():
    network, images = fresh(num_classes=1), pictures()
    with torch.inference_mode():
        found = EndToEnd(network)(images)
        expected = fuse(Segmenter(network)(images).sigmoid(), NetworkProposals(network)(images))
        doubled = EndToEnd(network, score=lambda distribution: 2 * distribution)(images)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(doubled, 2 * expected)


def test_each_of_several_scores_is_fused_by_itself():
    def both(distribution):
        return torch.cat([unsure(distribution), distribution[:, :1] / 2], 1)

    images, network = pictures(), fresh()
    with torch.inference_mode():
        found = EndToEnd(network, score=both)(images)
        alone = [EndToEnd(network, score=lambda d, k=k: both(d)[:, k, None])(images) for k in range(2)]
    torch.testing.assert_close(found, torch.cat(alone, 1))


def test_regions_may_come_from_elsewhere():
    network, images, superpixels = fresh(), pictures(), load_proposer("superpixels")
    with torch.inference_mode():
        found = EndToEnd(network, proposer=superpixels)(images)
        expected = fuse(Segmenter(network)(images).softmax(1), superpixels(images))
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("scale", ["auto", 4.0])
def test_regions_of_the_same_network_take_no_second_pass(scale):
    network, images = fresh(boundary=True), pictures()
    proposer = NetworkRegions(network, scale)
    with torch.inference_mode():
        regions = proposer.of_output(images, network(images))
        expected = fuse(Segmenter(network)(images).softmax(1), regions)
        passes = []
        network.register_forward_hook(lambda *_: passes.append(1))
        found = EndToEnd(network, proposer=proposer)(images)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)
    assert len(passes) == 1
    EndToEnd(network, proposer=proposer)(images).sum().backward()
    assert network.distribution.weight.grad.abs().sum() > 0


def test_an_output_without_boundaries_is_refused():
    images = pictures()
    with torch.inference_mode(), pytest.raises(OptionError, match="output"):
        NetworkRegions(fresh(boundary=True)).of_output(images, fresh()(images))


@pytest.mark.parametrize("score", [None, unsure])
def test_the_level_of_the_logits_means_nothing(score):
    network, images = fresh(), pictures()
    with torch.inference_mode():
        before = EndToEnd(network, score=score)(images)
        network.distribution.bias += 3.0
        torch.testing.assert_close(EndToEnd(network, score=score)(images), before, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("score", [lambda d: d.amax(1), lambda d: d[:, :, ::2], lambda d: d[:1]])
def test_a_score_of_another_shape_is_refused(score):
    with torch.inference_mode(), pytest.raises(ShapeError, match="score"):
        EndToEnd(fresh(), score=score)(pictures())
