"""A wrapper on a GPU, as a user moves it there."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from csl_plugin import CSLWrapper, fuse, load_proposer
from csl_plugin.adapters import OutputAdapter
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkRegions

if not torch.cuda.is_available():
    pytest.skip("no GPU here", allow_module_level=True)

IMAGES = torch.rand(2, 3, 96, 128, generator=torch.Generator().manual_seed(0))


def model():
    torch.manual_seed(0)
    return nn.Conv2d(3, 5, 3, padding=1).eval()


def network_of(proposer):
    return getattr(proposer, "proposer", proposer).network


@pytest.mark.parametrize("source", [None, "csl-tiny", "csl-tiny:5"])
@pytest.mark.parametrize("first", ["wrapper", "model"])
def test_the_network_computes_where_the_images_are(source, first):
    proposer = load_proposer(source)
    segment = CSLWrapper(model().cuda() if first == "model" else model(), proposer, OutputAdapter("logits"))
    segment = segment.cuda()
    used = []
    there = getattr(proposer, "proposer", proposer).near(IMAGES.cuda())
    handle = there.network.register_forward_pre_hook(lambda _, args: used.append(args[0].device.type))
    with torch.inference_mode():
        fused = segment(IMAGES.cuda())
    handle.remove()
    assert fused.device.type == "cuda"
    assert network_of(there).query_features.device.type == "cuda"
    assert network_of(proposer).query_features.device.type == "cpu"
    if source != "csl-tiny:5":  # which needs boundaries alone, not a whole pass
        assert set(used) == {"cuda"}
    assert proposer(IMAGES)[0].labels.device.type == "cpu"  # the same proposer, on either


def test_a_proposer_that_was_loaded_there_stays_there():
    proposer = load_proposer("csl-tiny:5", device="cuda")
    assert network_of(proposer).query_features.device.type == "cuda"
    (labels,) = (found.labels for found in proposer(IMAGES))
    assert labels.device.type == "cpu"
    assert proposer(IMAGES.cuda())[0].labels.cpu().equal(labels)


def test_fusion_there_takes_the_regions_of_the_same_call():
    scores = torch.rand(2, 5, 96, 128, generator=torch.Generator().manual_seed(1)).cuda()
    regions = load_proposer()(IMAGES.cuda())
    assert {each.labels.device.type for each in regions} == {"cuda"}
    assert fuse(scores, regions).device.type == "cuda"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_the_models_alone(dtype):
    images = ((IMAGES * 255).round() / 256).cuda()
    segment = CSLWrapper(model(), load_proposer("csl-tiny:5"), OutputAdapter("logits")).cuda()
    regions = segment.proposer(images)[0].labels
    segment.to(dtype)
    assert segment(images.to(dtype)).dtype == dtype
    assert segment.proposer(images.to(dtype))[0].labels.equal(regions)


def test_copies_move_by_themselves():
    segment = CSLWrapper(model(), load_proposer("csl-tiny:5"), OutputAdapter("logits")).cuda()
    expected = segment(IMAGES.cuda())
    assert copy.deepcopy(segment)(IMAGES.cuda()).equal(expected)
    back = copy.deepcopy(segment).cpu()(IMAGES)
    assert back.device.type == "cpu"


@pytest.mark.parametrize("sharp", [False, True])
def test_end_to_end_moves_as_one(sharp):
    torch.manual_seed(0)
    network = CSLNetwork(NetworkConfig(num_queries=8, num_classes=5, boundary=True)).eval()
    module = EndToEnd(network, proposer=NetworkRegions(network) if sharp else None).cuda()
    assert module.proposer.network is module.network
    with torch.inference_mode():
        assert module(IMAGES.cuda()).device.type == "cuda"
