"""Graphs in torch.export: of one size and of any, strict and not."""

from __future__ import annotations

import pytest
import torch

from csl_plugin import RegionMap, RegionProposals, load_proposer
from csl_plugin.errors import CSLError, DTypeError, OptionError, ShapeError
from csl_plugin.export import FusionGraph, NetworkGraph, StageGraph, exported
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkProposals

pytestmark = pytest.mark.filterwarnings("ignore")
RULES = ("adaptive", "product", "geometric", "mean")
MODES = pytest.mark.parametrize(
    ("size", "strict"),
    [
        (None, False),
        pytest.param(None, True, marks=pytest.mark.slow),
        ((48, 64), False),
        pytest.param((48, 64), True, marks=pytest.mark.slow),
    ],
)


def check(graph, size, strict):
    program = exported(graph, size, strict=strict).module()
    draw = torch.Generator().manual_seed(1)
    for sides in ((33, 96), (64, 50), (81, 130)) if size is None else (size,):
        given = graph.draw(sides, draw)
        found = program(*given)
        found = found if isinstance(found, tuple) else (found,)
        torch.testing.assert_close(found, graph.plain(*given), atol=1e-5, rtol=0)


@MODES
@pytest.mark.parametrize(
    ("rule", "classes"), [("adaptive", 1), *(pytest.param(rule, 3, marks=pytest.mark.slow) for rule in RULES)]
)
def test_the_fusion(rule, classes, size, strict):
    check(FusionGraph(rule, classes), size, strict)


def test_labels_of_any_size_need_no_more_memory_than_their_regions():
    program = exported(FusionGraph("mean")).module()
    found = program(torch.full((1, 1, 40, 40), 0.5), torch.full((1, 40, 40), -1))
    assert found.unique().tolist() == [0.5]


@pytest.mark.slow
@MODES
@pytest.mark.parametrize("backbone", ["compact", "resnet50"])
def test_a_network(backbone, size, strict):
    config = NetworkConfig(backbone, num_queries=6, boundary=True, finer_boundary=backbone == "compact")
    check(NetworkGraph(CSLNetwork(config)), size, strict)


@pytest.mark.slow
def test_a_network_of_one_size():
    check(NetworkGraph(CSLNetwork(NetworkConfig(num_queries=6, num_layers=1))), (50, 70), False)


@pytest.mark.slow
@pytest.mark.parametrize(("size", "strict"), [(None, False), ((48, 64), False), ((48, 64), True)])
@pytest.mark.parametrize("name", ["csl-tiny:auto,5", "superpixels:80,20"])
def test_the_stage(name, size, strict):
    check(StageGraph(load_proposer(name)), size, strict)


def test_the_stage_as_it_is_without_a_graph(monkeypatch):
    """The reference of the comparisons is what a user gets on a processor whose networks are in float32."""
    from contextlib import nullcontext

    monkeypatch.setattr("csl_plugin.proposers.csl_network.in_bfloat16_where_fast", lambda _: nullcontext())
    draw = torch.Generator().manual_seed(0)
    for name in ("csl-tiny:auto,5", "superpixels"):
        proposer = load_proposer(name)
        stage = StageGraph(proposer, classes=2)
        images, _ = stage.draw((96, 120), draw)
        for one, two in zip(stage.regions.plain(images), proposer(images), strict=True):
            assert (one.labels != two.labels).float().mean() < 1e-3


def test_what_is_no_graph_is_named():
    for proposer in (
        lambda images: RegionMap(images[:, 0].int()),
        NetworkProposals(CSLNetwork(NetworkConfig())),
    ):
        with pytest.raises(OptionError, match=r"proposer: got a .*csl-plugin export fuse"):
            StageGraph(proposer)
    with pytest.raises(OptionError, match="rule"):
        FusionGraph("product2")
    with pytest.raises(OptionError, match="classes"):
        FusionGraph(classes=0)
    with pytest.raises(DTypeError, match="network"):
        NetworkGraph(torch.nn.Conv2d(3, 1, 1))
    with pytest.raises(ShapeError, match="size"):
        exported(FusionGraph(), (0, 4))
    for graph, size in ((FusionGraph(), (40_000, 40_000)), (FusionGraph(classes=10**11), None)):
        with pytest.raises(ShapeError, match="maps of"):
            exported(graph, size)


def test_a_graph_does_not_change_the_network():
    network = CSLNetwork(NetworkConfig(num_queries=4)).half().train()
    NetworkGraph(network)
    assert network.training
    assert {each.dtype for each in network.parameters()} == {torch.float16}
    assert all(each.requires_grad for each in network.parameters())


def test_logits_are_taken_unread():
    bad = torch.full((1, 2, 4, 4), torch.nan)
    with pytest.raises(CSLError, match="finite logits"):
        RegionProposals.from_logits(bad, bad[..., 0, 0])
    assert RegionProposals.from_logits(bad, bad[..., 0, 0], check=False).holds_logits
