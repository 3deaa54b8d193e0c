"""Regions from a network: what eq. 2 takes, and what is gathered along its boundaries."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from csl_plugin import RegionProposals, fuse, load_proposer, soft_assignment
from csl_plugin.errors import DTypeError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkProposals, NetworkRegions
from csl_plugin.proposers.hierarchy.basin_tree import grow
from csl_plugin.proposers.hierarchy.color import (
    color_gradient,
    opponent_color,
    relative_to_surroundings,
)
from csl_plugin.proposers.hierarchy.node_validity import node_validity
from csl_plugin.proposers.hierarchy.terrain import Terrain

SMALL = {"num_queries": 6, "embedding_width": 16, "query_width": 16, "num_layers": 2, "feedforward_width": 16}


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CSLNetwork(NetworkConfig(**SMALL, boundary=True)).eval()


def pictures(batch=2, height=50, width=70):
    images = torch.full((batch, 3, height, width), 0.2)
    images[:, 0, 10:30, 20:50] = 0.9
    return images + 0.02 * torch.rand(images.shape, generator=torch.Generator().manual_seed(1))


def noise_hierarchy(draw, size):
    """The tree of a small noise image."""
    image = torch.from_numpy(draw.random((1, 3, *size), np.float32))
    color = opponent_color(image[0])
    gradient = color_gradient(color)
    return grow(Terrain(gradient, color, relative_to_surroundings(gradient)))


def nodes_of(hierarchy):
    """The pixels of every node, (H, W) bool each, by walking up from each leaf."""
    tree = hierarchy.tree
    leaf = tree.leaf_of_region[hierarchy.basins].numpy()
    parents = tree._parents.tolist()
    members = [np.zeros(leaf.shape, bool) for _ in tree.heights]
    for start in range(leaf.max() + 1):
        node, parent = start, parents[start]
        members[node] |= leaf == start
        while parent != node:
            node, parent = parent, parents[parent]
            members[node] |= leaf == start
    return members


def test_proposals_are_the_network_s_last_prediction(network):
    images = pictures()
    (proposals,) = NetworkProposals(network)(images)
    assert isinstance(proposals, RegionProposals)
    with torch.inference_mode():
        answer = network(images).regions[-1]
    torch.testing.assert_close(proposals.scores, answer.mask_logits.sigmoid())
    torch.testing.assert_close(proposals.validity, answer.validity_logits.sigmoid())
    assert soft_assignment(proposals, (50, 70)).labels.shape == (2, 50, 70)


def test_regions_cover_the_image_are_connected_and_numbered_in_reading_order(network):
    labels = NetworkRegions(network)(pictures())[0].labels.numpy()
    for image in labels:
        assert image.min() == 0
        for region in range(image.max() + 1):
            assert ndimage.label(image == region)[1] == 1
        first = [np.flatnonzero(image.ravel() == region)[0] for region in range(image.max() + 1)]
        assert first == sorted(first)


def test_an_image_has_the_same_regions_alone_and_in_a_batch(network):
    images, proposer = pictures(), NetworkRegions(network)
    together = proposer(images)[0].labels
    for index in range(len(images)):
        assert torch.equal(proposer(images[index : index + 1])[0].labels[0], together[index])


def test_a_larger_scale_never_divides(network):
    images = pictures(1)
    fine = NetworkRegions(network, 0.5)(images)[0].labels[0].numpy()
    coarse = NetworkRegions(network, 50.0)(images)[0].labels[0].numpy()
    assert len(np.unique(coarse)) <= len(np.unique(fine))
    for region in np.unique(fine):
        assert len(np.unique(coarse[fine == region])) == 1


@given(seed=st.integers(0, 10**6), count=st.integers(1, 5), size=st.tuples(*[st.integers(3, 30)] * 2))
@settings(max_examples=40, deadline=None)
def test_every_pixel_goes_by_equation_2_to_the_best_of_the_nodes_that_hold_it(seed, count, size):
    draw = np.random.default_rng(seed)
    hierarchy = noise_hierarchy(draw, size)
    nodes = nodes_of(hierarchy)
    values = draw.choice([0.0, 0.1, 0.5, 0.9], len(nodes))
    labels = hierarchy.assigned(torch.from_numpy(values)).numpy()
    for y, x in np.ndindex(size):
        # n* = arg max over n of R_n(y, x) V_n, R_n is 1 in node n and 0 elsewhere; the largest of equals.
        scores = [
            (member[y, x] * (1 + value), member.sum()) for member, value in zip(nodes, values, strict=True)
        ]
        best = nodes[max(range(len(nodes)), key=scores.__getitem__)]
        assert best[y, x]
        assert not (labels == labels[y, x])[~best].any()


@given(seed=st.integers(0, 10**6), count=st.integers(1, 4), size=st.tuples(*[st.integers(5, 30)] * 2))
@settings(max_examples=40, deadline=None)
def test_a_node_is_as_valid_as_the_formula_says(seed, count, size):
    draw = np.random.default_rng(seed)
    hierarchy = noise_hierarchy(draw, size)
    h, w = -(-size[0] // 4), -(-size[1] // 4)
    logits, validity = draw.normal(0, 4, (count, h, w)), draw.normal(size=count)
    found = node_validity(hierarchy, torch.from_numpy(logits), torch.from_numpy(validity), (4.0, 4.0))
    r, v = 1 / (1 + np.exp(-logits / 3)), 1 / (1 + np.exp(-validity))
    rows = np.minimum(4 * np.arange(h) + 2, size[0] - 1)
    columns = np.minimum(4 * np.arange(w) + 2, size[1] - 1)
    coarsest = 160 / 1000 * np.sqrt(size[0] * size[1]) * 10**2
    for node, member in enumerate(nodes_of(hierarchy)):
        n = member[np.ix_(rows, columns)].astype(float)
        if hierarchy.tree.heights[node] > coarsest:
            assert found[node] == -1
            continue
        jaccard = [(n * r[q]).sum() / (r[q].sum() + n.sum() - (n * r[q]).sum()) for q in range(count)]
        expected = max(v[q] * jaccard[q] for q in range(count)) * max(n.sum(), 1) ** -0.15
        np.testing.assert_allclose(found[node], expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", ["thing", "part"])
def test_what_a_proposal_shows_is_a_region_at_any_size(name):
    things = {"thing": np.s_[24:48, 32:64], "part": np.s_[28:36, 40:48]}  # one lies in the other
    image = torch.full((1, 3, 96, 128), 0.5)
    image[..., 24:48, 32:64] = 0.9
    image[..., 28:36, 40:48] = 0.1
    color = opponent_color(image[0])
    gradient = color_gradient(color)
    hierarchy = grow(Terrain(gradient, color, relative_to_surroundings(gradient)))
    mask = np.zeros((96, 128), bool)
    mask[things[name]] = True
    logits = torch.from_numpy(np.where(mask[2::4, 2::4], 20.0, -20.0))[None]
    validity = node_validity(hierarchy, logits, torch.tensor([4.0]), (4.0, 4.0))
    labels = hierarchy.assigned(validity).numpy()
    found = labels == np.bincount(labels[mask]).argmax()
    assert (found & mask).sum() / (found | mask).sum() > 0.9


def test_large_images_are_shrunk_for_the_network_alone(network):
    image = torch.rand(1, 3, 40, 1500, generator=torch.Generator().manual_seed(0))
    (regions,) = NetworkRegions(network)(image)
    assert regions.labels.shape == (1, 40, 1500)


def test_what_it_proposes_fuses(network):
    images = pictures(1)
    scores = torch.rand(1, 2, 50, 70, generator=torch.Generator().manual_seed(0))
    assert fuse(scores, NetworkRegions(network)(images)).shape == scores.shape


@pytest.mark.parametrize("kind", [NetworkProposals, NetworkRegions])
def test_bad_images_are_refused(network, kind):
    with pytest.raises(DTypeError):
        kind(network)(torch.zeros(1, 3, 8, 8, dtype=torch.int32))
    with pytest.raises(ShapeError):
        kind(network)(torch.zeros(8, 8))
    with pytest.raises(ScoreRangeError):
        kind(network)(torch.full((1, 3, 8, 8), 2.0))


def test_scales_and_equation_2_share_one_tree(network):
    images, proposer = pictures(), NetworkRegions(network)
    own, fine = proposer.at_scales(images, ("auto", 2.0))
    assert torch.equal(own.labels, proposer(images)[0].labels)
    assert torch.equal(fine.labels, NetworkRegions(network, 2.0)(images)[0].labels)


@pytest.mark.parametrize("scale", [0, -1.0, float("nan"), float("inf"), "15", True])
def test_a_scale_that_makes_no_sense_is_refused(network, scale):
    with pytest.raises(OptionError, match="scale"):
        NetworkRegions(network, scale)


def test_auto_is_a_scale_of_networks_alone():
    images = pictures(1)
    own, fine = load_proposer("csl-tiny:auto,5")(images)
    assert torch.equal(own.labels, load_proposer("csl-tiny")(images)[0].labels)
    assert torch.equal(fine.labels, load_proposer("csl-tiny:5")(images)[0].labels)
    with pytest.raises(OptionError, match="got 'auto', expected a positive"):
        load_proposer("superpixels:auto")
    with pytest.raises(OptionError, match='expected "auto" or a positive'):
        load_proposer("csl-tiny:0")


def test_the_network_of_a_folder_takes_scales_as_a_bundled_one(network, tmp_path):
    network.save_pretrained(tmp_path / "own")
    images = pictures(1)
    own, fine = load_proposer(f"{tmp_path}/own:auto,5")(images)
    assert repr(load_proposer(f"{tmp_path}/own:auto,5")) == f"load_proposer('{tmp_path}/own:auto,5')"
    assert torch.equal(own.labels, load_proposer(tmp_path / "own")(images)[0].labels)
    assert torch.equal(fine.labels, NetworkRegions(network, 5)(images)[0].labels)
    with pytest.raises(OptionError, match='expected "auto" or a positive'):
        load_proposer(f"{tmp_path}/own:0")
    with pytest.raises(OptionError, match="got 'main', expected no revision"):
        load_proposer(f"{tmp_path}/own:5", revision="main")
    CSLNetwork(NetworkConfig(**SMALL)).save_pretrained(tmp_path / "proposals")
    with pytest.raises(OptionError, match="expected a source that has scales"):
        load_proposer(f"{tmp_path}/proposals:5")


def test_a_network_without_boundaries_is_refused():
    with pytest.raises(OptionError, match="boundary"):
        NetworkRegions(CSLNetwork(NetworkConfig(**SMALL)))
