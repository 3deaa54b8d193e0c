"""The hierarchy as a graph gives the labels of the proposers' own code."""

from __future__ import annotations

import pytest
import torch

from csl_plugin import load_proposer
from csl_plugin.export.hierarchy.basins import numbered_basins
from csl_plugin.export.hierarchy.graph import compacted, contracted, open_graph
from csl_plugin.export.sources import Regions
from csl_plugin.proposers.hierarchy.region_graph import contracted as plainly_contracted
from csl_plugin.proposers.hierarchy.region_graph import region_graph
from csl_plugin.proposers.hierarchy.terrain import Terrain
from csl_plugin.proposers.hierarchy.watershed import basins, flow
from csl_plugin.proposers.superpixels import terrain_of


def picture(height, width, seed=0):
    """An image of patches and noise."""
    draw = torch.Generator().manual_seed(seed)
    small = torch.rand(1, 3, height // 8 + 1, width // 8 + 1, generator=draw)
    wide = torch.nn.functional.interpolate(small, (height, width), mode="bilinear")
    return (0.9 * wide + 0.1 * torch.rand(1, 3, height, width, generator=draw)).clamp(0, 1)


def columns(graph):
    return [graph.first, graph.second, graph.lengths, graph.edges]


@pytest.fixture
def _eager(monkeypatch):
    """Loops in Python: the same functions, without the compiler that torch.while_loop starts."""

    def looped(more, body, state):
        state = tuple(state)
        while more(*state):
            state = body(*state)
        return state

    for module in ("basins", "merging", "partitions"):
        monkeypatch.setattr(f"csl_plugin.export.hierarchy.{module}.looped", looped)


@pytest.mark.usefixtures("_eager")
@pytest.mark.parametrize("size", [(40, 56), (33, 90)])
def test_basins_and_their_graph(size):
    terrain = terrain_of(picture(*size)[0])
    expected = basins(flow(terrain.relief))
    found, sizes = numbered_basins(terrain.relief)
    assert found.equal(expected.long())
    assert sizes.equal(torch.bincount(expected.flatten().long()).double())
    graph = open_graph(found, terrain.color, terrain.strength, sizes)
    plain = region_graph(expected, Terrain(terrain.relief, terrain.color, terrain.strength))
    used = int(graph.boundaries)
    assert used == len(plain.first)
    assert all(one[:used].equal(two) for one, two in zip(columns(graph), columns(plain), strict=True))
    assert graph.colors.equal(plain.colors)
    group = torch.arange(len(sizes)) // 3
    count = int(group[-1]) + 1
    smaller = compacted(contracted(graph, group, torch.tensor(count)))
    plain = plainly_contracted(plain, group, count)
    used = int(smaller.boundaries)
    assert used == len(plain.first)
    assert len(smaller.first) == used + 1
    assert smaller.sizes.equal(plain.sizes)
    assert smaller.colors.equal(plain.colors)
    assert all(one[:used].equal(two) for one, two in zip(columns(smaller), columns(plain), strict=True))


@pytest.mark.usefixtures("_eager")
@pytest.mark.parametrize("name", ["csl-tiny:auto,5", "superpixels:150,80,40,20", "csl-tiny:20+superpixels"])
@pytest.mark.parametrize("size", [(60, 84), (210, 300)])
def test_partitions(name, size):
    """The second size has more basins than a tree may have leaves."""
    regions = Regions(load_proposer(name))
    image = picture(*size)
    with torch.no_grad():
        found = regions(image)
    expected = regions.plain(image)
    assert len(found) == len(expected)
    for one, two in zip(found, expected, strict=True):
        assert one.labels.equal(two.labels.long())
        assert one.num_regions >= two.num_regions


@pytest.mark.usefixtures("_eager")
def test_an_image_without_any_edge_is_one_region():
    regions = Regions(load_proposer("superpixels"))
    (found,) = regions(torch.full((1, 3, 40, 40), 0.5))
    assert found.labels.unique().tolist() == [0]
