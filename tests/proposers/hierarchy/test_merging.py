"""Region graphs and their trees against loops over pixels and pairs."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from csl_plugin.proposers.hierarchy import basin_tree as basin_tree_module
from csl_plugin.proposers.hierarchy import forest as forest_module
from csl_plugin.proposers.hierarchy import region_graph as region_graph_module
from csl_plugin.proposers.hierarchy import watershed as watershed_module
from csl_plugin.proposers.hierarchy.basin_tree import grow
from csl_plugin.proposers.hierarchy.color import UNIT, opponent_color
from csl_plugin.proposers.hierarchy.merging import merge_tree
from csl_plugin.proposers.hierarchy.region_graph import STRENGTH_STEPS, contracted, region_graph
from csl_plugin.proposers.hierarchy.terrain import Terrain
from csl_plugin.proposers.hierarchy.watershed import basins, flow

SEEDS = st.integers(0, 10**6)


def scene(seed, size):
    """The basins, colors and edge strengths of noise."""
    draw = torch.Generator().manual_seed(seed)
    color = opponent_color(torch.rand((3, *size), generator=draw))
    return basins(flow(torch.rand(size, generator=draw))), color, torch.rand(size, generator=draw)


def graph_of(labels, color, strength):
    """The graph, which does not look at the relief."""
    return region_graph(labels, Terrain(torch.empty(0), color, strength))


def boundaries_of(labels, strength):
    """Length and edge sum of every pair of neighbors, pixel pair by pixel pair."""
    found = defaultdict(lambda: [0.0, 0.0])
    height, width = labels.shape
    for y, x in np.ndindex(height, width):
        for other in ((y, x + 1), (y + 1, x)):
            if other[0] < height and other[1] < width and labels[y, x] != labels[other]:
                pair = tuple(sorted((int(labels[y, x]), int(labels[other]))))
                found[pair][0] += 1
                edge = max(float(strength[y, x]), float(strength[other]))
                found[pair][1] += round(edge * STRENGTH_STEPS)
    return found


@given(seed=SEEDS, size=st.tuples(*[st.integers(1, 14)] * 2))
@settings(max_examples=50, deadline=None)
def test_every_pixel_flows_to_the_lowest_point_below_it(seed, size):
    draw = np.random.default_rng(seed)
    relief = draw.integers(0, 6, size).astype(np.float32)  # with plateaus
    found = basins(flow(torch.from_numpy(relief))).numpy()

    def lowest(y, x):
        around = [(y - 1, x), (y, x - 1), (y, x), (y, x + 1), (y + 1, x)]
        inside = [(i, j) for i, j in around if 0 <= i < size[0] and 0 <= j < size[1]]
        return min(inside, key=lambda place: (relief[place], place))

    ends = {}
    for place in np.ndindex(size):
        end = place
        while lowest(*end) != end:
            end = lowest(*end)
        ends[place] = end
    order = sorted(set(ends.values()))
    assert [order.index(ends[place]) for place in np.ndindex(size)] == found.ravel().tolist()


@given(seed=SEEDS, size=st.tuples(*[st.integers(1, 14)] * 2))
@settings(max_examples=50, deadline=None)
def test_a_graph_counts_what_the_pixels_say(seed, size):
    labels, color, strength = scene(seed, size)
    graph = graph_of(labels, color, strength)
    for region in range(int(labels.max()) + 1):
        inside = labels == region
        assert graph.sizes[region] == inside.sum()
        assert graph.colors[:, region].tolist() == color[:, inside].long().sum(1).tolist()
    expected = boundaries_of(labels.numpy(), strength.numpy())
    pairs = list(zip(graph.first.tolist(), graph.second.tolist(), strict=True))
    assert dict(zip(pairs, graph.lengths.tolist(), strict=True)) == {p: v[0] for p, v in expected.items()}
    assert dict(zip(pairs, graph.edges.tolist(), strict=True)) == {p: v[1] for p, v in expected.items()}


@given(seed=SEEDS, size=st.tuples(*[st.integers(2, 14)] * 2))
@settings(max_examples=50, deadline=None)
def test_a_graph_of_groups_is_the_graph_of_their_pixels(seed, size):
    labels, color, strength = scene(seed, size)
    graph = graph_of(labels, color, strength)
    draw = np.random.default_rng(seed)
    group = torch.from_numpy(draw.integers(0, 3, len(graph.sizes)))
    group = torch.unique(group, return_inverse=True)[1]
    expected = graph_of(group[labels.long()].int(), color, strength)
    for ours, theirs in zip(contracted(graph, group, int(group.max()) + 1), expected, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("elements", [1, 40, 150])
def test_bands_do_not_show(monkeypatch, elements):
    relief = torch.rand(37, 11, generator=torch.Generator().manual_seed(0))
    labels, color, strength = scene(1, (37, 11))

    def grown():
        tree = merge_tree(graph_of(labels, color, strength), max_leaves=30)
        whole = grow(Terrain(relief.clone(), color, strength))
        cuts = [tree.cut(float(height)) for height in tree.heights[30:60:10]]
        return [
            basins(flow(relief)),
            *graph_of(labels, color, strength),
            tree.heights,
            *cuts,
            whole.cut(40.0),
        ]

    expected = grown()
    for module in (basin_tree_module, forest_module, region_graph_module, watershed_module):
        monkeypatch.setattr(module, "_BAND", elements)
    monkeypatch.setattr(region_graph_module, "_BOUNDARIES", elements)
    for ours, theirs in zip(grown(), expected, strict=True):
        assert torch.equal(ours, theirs)


def test_growing_keeps_no_map_of_the_image():
    _, color, strength = scene(1, (20, 30))
    terrain = Terrain(strength.clone(), color, strength)
    grow(terrain)
    assert not vars(terrain)


def greedy(graph):
    """Heights at which each pair of regions is together: the cheapest pair merges, then all costs anew."""
    members = {i: {i} for i in range(len(graph.sizes))}
    sizes = dict(enumerate(graph.sizes.tolist()))
    colors = {i: graph.colors[:, i].numpy() for i in members}
    pairs = {(a, b): np.array(v) for a, b, *v in zip(*(column.tolist() for column in graph[2:]), strict=True)}
    heights = dict.fromkeys(members, 0.0)
    together = {}

    def cost(pair):
        one, two = pair
        length, edge = pairs[pair]
        harmonic = sizes[one] * sizes[two] / (sizes[one] + sizes[two])
        distance = ((colors[one] / sizes[one] - colors[two] / sizes[two]) / UNIT) ** 2
        return harmonic / length * distance.sum() * (edge / length / STRENGTH_STEPS) ** 2

    while pairs:
        best = min(pairs, key=cost)
        one, two = best
        height = max(cost(best), heights[one], heights[two])
        new = max(members) + 1
        for a in members[one]:
            for b in members[two]:
                together[frozenset((a, b))] = height
        members[new] = members.pop(one) | members.pop(two)
        sizes[new], colors[new], heights[new] = sizes[one] + sizes[two], colors[one] + colors[two], height
        moved = defaultdict(lambda: np.zeros(2))
        for (a, b), values in pairs.items():
            a, b = (new if side in best else side for side in (a, b))
            if a != b:
                moved[min(a, b), max(a, b)] = moved[min(a, b), max(a, b)] + values
        pairs = dict(moved)
    return together


@given(seed=SEEDS, size=st.tuples(*[st.integers(2, 8)] * 2))
@settings(max_examples=50, deadline=None)
def test_few_regions_merge_one_pair_at_a_time(seed, size):
    labels, color, strength = scene(seed, size)
    graph = graph_of(labels, color, strength)
    if len(graph.sizes) > 14:  # beyond it a round merges more than one pair
        group = torch.arange(len(graph.sizes)) % 14
        graph = contracted(graph, group, 14)
    together = greedy(graph)
    tree = merge_tree(graph, max_leaves=100)
    for height in sorted(set(together.values())):
        part = tree.cut(height * (1 + 1e-9))
        for a in range(len(graph.sizes)):
            for b in range(a):
                expected = together[frozenset((a, b))] <= height * (1 + 1e-9)
                assert bool(part[a] == part[b]) == expected


@pytest.mark.parametrize("max_leaves", [50, 300, 10_000])
def test_a_tree_of_many_regions_is_nested_connected_and_whole(max_leaves):
    labels, color, strength = scene(3, (90, 110))
    graph = graph_of(labels, color, strength)
    tree = merge_tree(graph, max_leaves)
    leaves = int(tree.leaf_of_region.max()) + 1
    assert leaves <= max_leaves
    assert leaves == len(graph.sizes) or max_leaves < len(graph.sizes)
    parents = tree._parents
    nodes = torch.arange(len(parents))
    assert ((parents > nodes) | (parents == nodes)).all()
    assert int((parents == nodes).sum()) == 1
    assert (tree.heights[parents] >= tree.heights).all()
    counts = tree.totals(torch.bincount(tree.leaf_of_region).double())
    assert counts[-1] == len(graph.sizes)
    heights = torch.quantile(tree.heights[leaves:], torch.linspace(0, 1, 7, dtype=torch.float64))
    finer = tree.cut(-1.0)
    for height in heights.tolist():
        part = tree.cut(height)
        assert len(torch.unique(torch.stack([part, finer]), dim=1).T) == len(torch.unique(finer))
        finer = part
        # A part is connected: every region of it is reached over boundaries within it.
        inside = part[graph.first] == part[graph.second]
        reached = torch.arange(len(part))
        while True:
            before = reached.clone()
            for one, two in ((graph.first, graph.second), (graph.second, graph.first)):
                reached.scatter_reduce_(0, one[inside], reached[two[inside]], "amin")
            if torch.equal(before, reached):
                break
        assert len(torch.unique(reached)) == len(torch.unique(part))
    assert len(torch.unique(finer)) == 1


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_the_best_node_of_a_region_is_the_best_that_contains_it(seed):
    labels, color, strength = scene(seed, (12, 13))
    tree = merge_tree(graph_of(labels, color, strength), max_leaves=10_000)
    draw = np.random.default_rng(seed)
    values = torch.from_numpy(draw.choice([0.1, 0.5, 0.9], len(tree.heights)))
    parents, found = tree._parents.tolist(), tree.best(values).tolist()
    for region, leaf in enumerate(tree.leaf_of_region.tolist()):
        chain = [leaf]
        while parents[chain[-1]] != chain[-1]:
            chain.append(parents[chain[-1]])
        assert found[region] == max(reversed(chain), key=lambda node: float(values[node]))
