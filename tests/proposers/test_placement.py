"""Where the network of a proposer computes; "meta" stands for a second device."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch

from csl_plugin import load_proposer
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from csl_plugin.proposers.identity import identity_of

IMAGE = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(0))
ELSEWHERE = torch.zeros(1, 3, 40, 56, device="meta")


def network(**options):
    torch.manual_seed(0)
    return CSLNetwork(NetworkConfig(num_queries=8, **options)).eval()


def device(proposer):
    return {parameter.device.type for parameter in proposer.network.parameters()}


@pytest.fixture
def loaded(tmp_path):
    """Proposers as `load_proposer` gives them by default, of every kind with a CSL network."""
    network().save_pretrained(tmp_path)
    return [load_proposer("csl-tiny:5"), load_proposer("csl-tiny:auto,5").proposer, load_proposer(tmp_path)]


def test_what_is_loaded_follows_the_images_and_stays_what_it_is(loaded):
    for proposer in loaded:
        (before,), named = proposer(IMAGE), identity_of(proposer)
        assert proposer.near(IMAGE) is proposer
        there = proposer.near(ELSEWHERE)
        assert type(there) is type(proposer)
        assert device(there) == {"meta"}
        assert proposer.near(ELSEWHERE) is there  # made once
        assert device(proposer) == {"cpu"}
        assert identity_of(proposer) == named
        (after,) = proposer(IMAGE)
        if hasattr(before, "labels"):
            assert after.labels.equal(before.labels)


@pytest.mark.parametrize(
    "made",
    [
        lambda: load_proposer("csl-tiny", device="cpu"),
        lambda: NetworkRegions(network(boundary=True)),
        lambda: NetworkProposals(network()),
    ],
    ids=["given a device", "regions of a network", "proposals of a network"],
)
def test_a_network_that_was_placed_stays_there(made):
    proposer = made()
    assert proposer.near(ELSEWHERE) is proposer


def test_scales_and_sums_follow_too():
    both = load_proposer("csl-tiny:auto,5+superpixels:40+csl-tiny")
    scales, superpixels, regions = both.proposers
    assert device(scales.proposer.near(ELSEWHERE)) == device(regions.near(ELSEWHERE)) == {"meta"}
    assert superpixels.near(ELSEWHERE) is superpixels
    pinned = load_proposer("csl-tiny:auto,5+csl-tiny", device="cpu")
    assert pinned.proposers[0].proposer.near(ELSEWHERE) is pinned.proposers[0].proposer


def test_copies_and_pickles_follow_and_carry_no_weights_of_other_devices():
    proposer = load_proposer("csl-tiny:5")
    size = len(pickle.dumps(proposer))
    there = proposer.near(ELSEWHERE)
    assert len(pickle.dumps(proposer)) == size
    for other in (copy.deepcopy(proposer), pickle.loads(pickle.dumps(proposer))):  # noqa: S301
        assert other(IMAGE)[0].labels.equal(proposer(IMAGE)[0].labels)
        found = other.near(ELSEWHERE)
        assert found is not there
        assert device(found) == {"meta"}
        assert device(other) == {"cpu"}


def test_a_copy_that_is_made_in_inference_mode_can_be_moved_later():
    with torch.inference_mode():
        proposer = load_proposer("csl-tiny:5")
        there = proposer.near(ELSEWHERE)
    assert not any(parameter.is_inference() for parameter in there.network.parameters())
    assert device(proposer.near(ELSEWHERE)) == {"meta"}


def test_a_model_of_transformers_follows_when_it_is_loaded(tmp_path):
    pytest.importorskip("transformers")
    from csl_plugin.proposers import proposer_from_model
    from tests.adapters.test_transformers_models import model

    plain = model("mask2former")
    plain.save_pretrained(tmp_path)
    loaded = load_proposer(tmp_path)
    assert {p.device.type for p in loaded.near(ELSEWHERE).model.parameters()} == {"meta"}
    assert {p.device.type for p in loaded.model.parameters()} == {"cpu"}
    for placed in (proposer_from_model(plain), load_proposer(tmp_path, device="cpu")):
        assert placed.near(ELSEWHERE) is placed
