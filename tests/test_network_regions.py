"""Regions from a network: what eq. 2 takes, and what is gathered along its boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from csl_plugin import RegionProposals, fuse, soft_assignment
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers.network_regions import NetworkProposals, NetworkRegions

SMALL = {"num_queries": 6, "embedding_width": 16, "query_width": 16, "num_layers": 2, "feedforward_width": 16}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CSLNetwork(NetworkConfig(**SMALL, boundary=True)).eval()


def pictures(batch=2, height=50, width=70):
    images = torch.full((batch, 3, height, width), 0.2)
    images[:, 0, 10:30, 20:50] = 0.9
    return images + 0.02 * torch.rand(images.shape, generator=torch.Generator().manual_seed(1))


def test_proposals_are_the_network_s_last_prediction(network):
    images = pictures()
    proposals = NetworkProposals(network)(images)
    assert isinstance(proposals, RegionProposals)
    with torch.inference_mode():
        answer = network(images).regions[-1]
    torch.testing.assert_close(proposals.scores, answer.mask_logits.sigmoid())
    torch.testing.assert_close(proposals.validity, answer.validity_logits.sigmoid())
    assert soft_assignment(proposals, (50, 70)).labels.shape == (2, 50, 70)


def test_regions_cover_the_image_are_connected_and_numbered_in_reading_order(network):
    labels = NetworkRegions(network)(pictures()).labels.numpy()
    for image in labels:
        assert image.min() == 0
        for region in range(image.max() + 1):
            assert ndimage.label(image == region)[1] == 1
        first = [np.flatnonzero(image.ravel() == region)[0] for region in range(image.max() + 1)]
        assert first == sorted(first)


def test_an_image_has_the_same_regions_alone_and_in_a_batch(network):
    images, proposer = pictures(), NetworkRegions(network)
    together = proposer(images).labels
    for index in range(len(images)):
        assert torch.equal(proposer(images[index : index + 1]).labels[0], together[index])


def test_a_larger_scale_never_divides(network):
    images = pictures(1)
    fine = NetworkRegions(network, 0.5)(images).labels[0].numpy()
    coarse = NetworkRegions(network, 50.0)(images).labels[0].numpy()
    assert len(np.unique(coarse)) <= len(np.unique(fine))
    for region in np.unique(fine):
        assert len(np.unique(coarse[fine == region])) == 1


def test_large_images_are_shrunk_for_the_network_alone(network):
    regions = NetworkRegions(network)(torch.rand(1, 3, 40, 1500, generator=torch.Generator().manual_seed(0)))
    assert regions.labels.shape == (1, 40, 1500)


def test_what_it_proposes_fuses(network):
    images = pictures(1)
    scores = torch.rand(1, 2, 50, 70, generator=torch.Generator().manual_seed(0))
    assert fuse(scores, NetworkRegions(network)(images)).shape == scores.shape


@pytest.mark.parametrize("kind", [NetworkProposals, NetworkRegions])
def test_bad_images_are_refused(network, kind):
    with pytest.raises(DTypeError):
        kind(network)(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with pytest.raises(ShapeError):
        kind(network)(torch.zeros(3, 8, 8))
    with pytest.raises(ScoreRangeError):
        kind(network)(torch.full((1, 3, 8, 8), 2.0))


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), "15", True])
def test_a_scale_that_makes_no_sense_is_refused(network, scale):
    with pytest.raises(OptionError, match="scale"):
        NetworkRegions(network, scale)


def test_a_network_without_boundaries_is_refused():
    with pytest.raises(OptionError, match="boundary"):
        NetworkRegions(CSLNetwork(NetworkConfig(**SMALL)))
