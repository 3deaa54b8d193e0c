"""What methods of nn.Module do to a wrapper: to the model all, to the proposer nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from csl_plugin import CSLError, CSLWrapper, RegionMap, load_proposer
from csl_plugin.adapters import OutputAdapter
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkRegions

IMAGES = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(0))


class Threshold(nn.Module):
    """A proposer with weights, dropout and a mode."""

    def __init__(self):
        super().__init__()
        self.offset = nn.Parameter(torch.full((1, 3, 1, 1), 0.1))
        self.score = nn.Sequential(nn.Conv2d(3, 1, 3, padding=1), nn.Dropout(0.5))

    def forward(self, images):
        return RegionMap((self.score(images - self.offset)[:, 0] > 0).int())


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.Dropout(0.5))


def around(proposer):
    return CSLWrapper(model().eval(), proposer, OutputAdapter("logits"))


def end_to_end(proposer):
    torch.manual_seed(0)
    network = CSLNetwork(NetworkConfig(num_queries=8, num_classes=5, boundary=True)).eval()
    return EndToEnd(network, proposer=proposer(network) if proposer is NetworkRegions else proposer)


def weights(proposer):
    network = proposer if isinstance(proposer, nn.Module) else proposer.network
    return [(value.dtype, value.device, value.requires_grad, value.clone()) for value in network.parameters()]


def unchanged(proposer, before):
    for (dtype, device, grad, value), (old_dtype, old_device, old_grad, old) in zip(
        weights(proposer), before, strict=True
    ):
        assert (dtype, device, grad) == (old_dtype, old_device, old_grad)
        assert value.equal(old)


CALLS = {
    "half": lambda module: module.half(),
    "double": lambda module: module.double(),
    "to": lambda module: module.to("meta", torch.bfloat16),
    "train": lambda module: module.train(),
    "requires_grad_": lambda module: module.requires_grad_(False),
    "apply": lambda module: module.apply(
        lambda each: [nn.init.zeros_(p) for p in each.parameters(recurse=False)]
    ),
    "to_empty": lambda module: module.to_empty(device="meta"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("proposer", [Threshold, lambda: load_proposer("csl-tiny:5", device="cpu")])
def test_no_method_of_the_wrapper_changes_the_regions(call, proposer):
    proposer = proposer().eval() if proposer is Threshold else proposer()
    expected, before = proposer(IMAGES), weights(proposer)
    segment = around(proposer)
    CALLS[call](segment)
    unchanged(proposer, before)
    found = proposer(IMAGES)
    for one, other in zip(
        (found,) if isinstance(found, RegionMap) else found,
        (expected,) if isinstance(expected, RegionMap) else expected,
        strict=True,
    ):
        assert one.labels.equal(other.labels)


@pytest.mark.parametrize("proposer", [None, "csl-tiny:5", Threshold()], ids=["default", "name", "module"])
def test_what_a_wrapper_trains_saves_and_replicates_is_the_model(proposer):
    segment = around(load_proposer(proposer) if isinstance(proposer, str) else proposer)
    plain = segment.eject()
    assert [id(p) for p in segment.parameters()] == [id(p) for p in plain.parameters()]
    assert [name for name, _ in segment.named_children()] == ["model"]
    assert list(segment.state_dict()) == [f"model.{name}" for name in plain.state_dict()]
    other = around(load_proposer("superpixels:40"))
    other.load_state_dict(segment.state_dict())
    bare = model()
    bare.load_state_dict({name.removeprefix("model."): value for name, value in segment.state_dict().items()})
    segment.proposer = Threshold()  # replaced later, it is none either
    assert len(list(segment.modules())) == 1 + len(list(plain.modules()))
    assert isinstance(segment.proposer, Threshold)


def test_a_copy_has_a_proposer_of_its_own():
    segment = around(Threshold().eval())
    expected = segment(IMAGES)
    other = copy.deepcopy(segment)
    assert other.proposer is not segment.proposer
    assert other(IMAGES).equal(expected)
    nn.init.zeros_(other.proposer.score[0].weight)
    assert segment(IMAGES).equal(expected)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-5), (torch.float16, 5e-3), (torch.bfloat16, 4e-2)]
)
def test_a_converted_wrapper_has_the_same_regions(dtype, tolerance):
    images = (IMAGES * 255).round() / 256  # that all dtypes can hold
    segment = around(load_proposer("csl-tiny:5"))
    expected, regions = segment(images), segment.proposer(images)
    segment.to(dtype)
    found = segment(images.to(dtype))
    assert found.dtype == dtype
    assert segment.proposer(images.to(dtype))[0].labels.equal(regions[0].labels)
    torch.testing.assert_close(found.float(), expected, atol=tolerance, rtol=0)


@pytest.mark.parametrize("made", [around, end_to_end])
def test_a_module_on_another_device_is_named(made):
    with pytest.raises(
        CSLError, match=r"proposer: got a Threshold on meta, expected one on cpu.*\.to\('cpu'\)"
    ):
        made(Threshold().to("meta"))(IMAGES)


@pytest.mark.parametrize("made", [around, end_to_end])
def test_its_other_errors_are_its_own(made):
    def fails(images):
        raise RuntimeError("of the proposer")

    module = Threshold()
    module.forward = fails
    for proposer in (fails, module):
        with pytest.raises(RuntimeError, match="of the proposer"):
            made(proposer)(IMAGES)


def test_end_to_end_trains_and_saves_its_network_alone():
    plain = end_to_end(None)
    for proposer in (NetworkRegions, Threshold()):
        module = end_to_end(proposer)
        assert list(module.state_dict()) == list(plain.state_dict())
        assert len(list(module.parameters())) == len(list(module.network.parameters()))
    own = copy.deepcopy(end_to_end(NetworkRegions))
    assert own.proposer.network is own.network
    assert own.half().proposer.network.query_features.dtype == torch.float16
