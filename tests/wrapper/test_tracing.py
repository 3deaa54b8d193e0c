"""The wrapper and fuse in torch.compile, torch.export, torch.func and torch.jit: right, or refused."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, hessian, jacrev, jvp, linearize, vmap
from torch.fx.experimental.proxy_tensor import make_fx

from csl_plugin import (
    CSLError,
    CSLWrapper,
    RegionMap,
    RegionProposals,
    fuse,
    fuse_labels,
    hard_assignment,
    load_proposer,
    soft_assignment,
    split_components,
)
from csl_plugin.adapters import Items, OutputAdapter, QuerySum
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.errors import DeviceError, OptionError
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import regions_from_masks
from csl_plugin.proposers.names import BUILT_IN as NAMES

pytestmark = pytest.mark.filterwarnings("ignore")
BEFORE_2_7 = pytest.mark.skipif(
    not hasattr(torch.compiler, "is_exporting"), reason="the error is torch's own before 2.7"
)
draw = torch.Generator().manual_seed(0)
D = torch.rand(1, 4, 24, 32, generator=draw).softmax(1)
L = torch.randint(-1, 20, (1, 24, 32), generator=draw)
IMAGES = torch.rand(1, 3, 24, 32, generator=draw)
MODEL = nn.Conv2d(3, 5, 3, padding=1).eval()
BUILT_IN = {name: load_proposer(name) for name in (None, "superpixels:40", "csl-tiny")}
OPEN = {"check": False, "split": False}


def columns(images):
    """A proposer of tensor operations only."""
    labels = (torch.arange(images.shape[3]) // 8).expand(len(images), *images.shape[2:])
    return RegionMap(labels.contiguous(), 4096)


def wrapper(proposer="superpixels:40", **options):
    return CSLWrapper(MODEL, BUILT_IN.get(proposer, proposer), OutputAdapter("logits"), **options)


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    warnings.simplefilter("ignore")


# torch.compile


@pytest.mark.parametrize("proposer", [*BUILT_IN, "csl-tiny-strict", "csl-tiny-open", columns])
def test_a_compiled_wrapper_gives_the_same(proposer):
    segment = wrapper(load_proposer(proposer) if proposer in NAMES else proposer)
    assert torch.compile(segment, backend="eager")(IMAGES).equal(segment(IMAGES))


@pytest.mark.slow
@pytest.mark.parametrize("proposer", [*BUILT_IN, columns])
def test_so_does_inductor(proposer):
    segment = wrapper(proposer)
    torch.testing.assert_close(torch.compile(segment)(IMAGES), segment(IMAGES))


def test_the_model_is_compiled_once_and_for_all_sizes():
    graphs = []

    def backend(graph, _):
        graphs.append([node.target for node in graph.graph.nodes if node.op == "call_function"])
        return graph.forward

    segment = wrapper()
    compiled = torch.compile(segment, backend=backend)
    for size in ((24, 32), (24, 32), (40, 24), (32, 64), (48, 80)):
        images = torch.rand(1, 3, *size, generator=draw)
        assert compiled(images).equal(segment(images))
    assert len(graphs) == 2  # of the first size, and of any
    assert all("conv" in str(nodes) and len(nodes) <= 3 for nodes in graphs)


@BEFORE_2_7
def test_a_full_graph_says_why_there_is_none():
    with pytest.raises(Exception, match="csl_plugin finds regions") as caught:
        torch.compile(wrapper(), backend="eager", fullgraph=True)(IMAGES)
    assert "CSLWrapper(torch.compile(model), ...)" in str(caught.value)


def test_a_compiled_model_in_the_wrapper():
    segment = CSLWrapper(
        torch.compile(MODEL, backend="eager", fullgraph=True), columns, OutputAdapter("logits")
    )
    assert segment(IMAGES).equal(wrapper(columns)(IMAGES))


def test_a_compiled_wrapper_learns():
    model = nn.Conv2d(3, 5, 3, padding=1)
    segment = CSLWrapper(model, BUILT_IN["superpixels:40"], OutputAdapter("logits"))
    gradients = []
    for call in (segment, torch.compile(segment, backend="aot_eager")):
        model.zero_grad()
        call(IMAGES).square().sum().backward()
        gradients.append(model.weight.grad.clone())
    torch.testing.assert_close(*gradients)


@pytest.mark.slow
@pytest.mark.parametrize(
    "call",
    [
        lambda d, lab: fuse(d, lab),
        lambda d, lab: fuse(d, [lab, lab // 2]),
        lambda d, lab: fuse(d, RegionProposals(d, d.mean((2, 3)))),
        lambda d, lab: fuse(d, lab, out=torch.empty_like(d)),
        lambda d, lab: fuse_labels(d, lab),
        lambda d, lab: split_components(RegionMap(lab)).labels,
        lambda d, lab: BUILT_IN["superpixels:40"](d[:, :3])[0].labels,
        lambda d, lab: grad(lambda x: fuse(x, lab).sum())(d),
        lambda d, lab: vmap(lambda x: fuse(x[None], lab))(d),
    ],
)
def test_functions_compile_with_their_defaults(call):
    torch.testing.assert_close(torch.compile(call, backend="eager")(D, L), call(D, L))


# torch.export


class Stage(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, d, labels):
        return self.call(d, labels)


EXPORTED = {
    "labels": lambda d, lab: fuse(d, lab, **OPEN),
    "two": lambda d, lab: fuse(d, [lab, lab // 2], **OPEN),
    "one score": lambda d, lab: fuse(d[:, :1], lab, **OPEN),
    "product": lambda d, lab: fuse(d, [lab, lab // 2], rule="product", **OPEN),
    "valid": lambda d, lab: fuse(d, lab, valid=lab != 3, **OPEN),
    "map": lambda d, lab: fuse(d, RegionMap(lab, 50), **OPEN),
    "proposals": lambda d, lab: fuse(d, RegionProposals(d, d.mean((2, 3)), check=False), **OPEN),
    "logits": lambda d, lab: fuse(d, RegionProposals.from_logits(d, d.mean((2, 3)), check=False), **OPEN),
    "size": lambda d, lab: fuse(d[..., ::2, ::2], lab, size=(d.shape[2], d.shape[3]), **OPEN),
    "out": lambda d, lab: fuse(d, lab, out=torch.empty_like(d), **OPEN),
    "classes": lambda d, lab: fuse_labels(d, lab, **OPEN),
}


@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", EXPORTED)
def test_fuse_is_exported_for_any_size(case, strict):
    height, width = torch.export.Dim("height", min=8, max=512), torch.export.Dim("width", min=8, max=512)
    shapes = ({2: 2 * height, 3: 2 * width}, {1: 2 * height, 2: 2 * width})
    stage = Stage(EXPORTED[case])
    program = torch.export.export(stage, (D, L), dynamic_shapes=shapes, strict=strict).module()
    for size in ((24, 32), (40, 26)):
        d = torch.rand(1, 4, *size, generator=draw).softmax(1)
        labels = torch.randint(-1, 40, (1, *size), generator=draw)
        torch.testing.assert_close(program(d, labels), stage(d, labels))


@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "call",
    [
        lambda d, lab: fuse(d, lab, check=False),
        lambda d, lab: fuse(d, lab, split=False),
        lambda d, lab: fuse(d, RegionMap(lab), **OPEN),
        lambda d, lab: fuse(d, RegionProposals(d, d.mean((2, 3))), **OPEN),
        lambda d, lab: split_components(RegionMap(lab, 50)).labels,
        lambda d, lab: BUILT_IN["superpixels:40"](d[:, :3])[0].labels,
    ],
    ids=["split", "check", "ids", "proposals", "components", "proposer"],
)
def test_what_needs_values_is_not_exported(call, strict):
    with pytest.raises(Exception, match="csl_plugin reads values" if strict else "torch.export") as caught:
        torch.export.export(Stage(call), (D, L), strict=strict)
    assert strict or isinstance(caught.value, CSLError)


@pytest.mark.parametrize("strict", [False, pytest.param(True, marks=BEFORE_2_7)])
def test_a_wrapper_is_exported_if_its_proposer_is_traceable(strict):
    segment = wrapper(columns, **OPEN)
    shapes = ({2: torch.export.Dim("h", min=8, max=512), 3: torch.export.Dim("w", min=8, max=512)},)
    program = torch.export.export(segment, (IMAGES,), dynamic_shapes=shapes, strict=strict).module()
    other = torch.rand(1, 3, 40, 56, generator=draw)
    torch.testing.assert_close(program(other), segment(other))
    for refused in (wrapper(columns), wrapper(**OPEN)):
        with pytest.raises(Exception, match="csl_plugin reads values" if strict else "torch.export"):
            torch.export.export(refused, (IMAGES,), strict=strict)


class Queries(nn.Module):
    """Masks and class logits, as mask-classification models give them."""

    def __init__(self):
        super().__init__()
        self.masks = nn.Conv2d(3, 5, 4, 4)
        self.classes = nn.Parameter(torch.randn(1, 5, 4, generator=torch.Generator().manual_seed(0)))

    def forward(self, images):
        return self.masks(images), self.classes.expand(len(images), -1, -1)


@BEFORE_2_7
def test_a_model_of_queries_is_compiled_and_differentiated_and_refused_by_name_elsewhere():
    def proposer(images):
        return RegionMap(torch.zeros(len(images), *images.shape[2:], dtype=torch.int32), 1)

    adapter = OutputAdapter(QuerySum(), item=Items(((0,), (1,))))
    options = {"rule": "geometric", "check": False, "split": False}
    wrapper = CSLWrapper(Queries().eval(), adapter=adapter, proposer=proposer, **options)
    images = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    plain = wrapper(images)
    torch.compiler.reset()
    compiled = torch.compile(wrapper, backend="eager")(images)
    assert all(map(torch.equal, compiled, plain))
    assert grad(lambda moved: wrapper(moved)[0].sum())(images).abs().max() > 0
    with pytest.raises(DeviceError, match="How many queries a fused map takes"):
        torch.export.export(wrapper, (images,), strict=False)
    stacked = {name: torch.stack([value, value]) for name, value in wrapper.named_parameters()}
    with pytest.raises(OptionError, match="vmap maps over"):
        vmap(lambda given: functional_call(wrapper, given, (images,)))(stacked)


@BEFORE_2_7
def test_padding_is_not_exported():
    segment = CSLWrapper(lambda x, pixel_mask: MODEL(x), columns, OutputAdapter("logits"), **OPEN)
    with pytest.raises(CSLError, match="mask of padding"):
        torch.export.export(segment, (IMAGES,), {"pixel_mask": torch.ones(1, 24, 32)})


# torch.func

FUSIONS = {
    "plain": {},
    "open": OPEN,
    "product": {"rule": "product"},
    "logits": {"logits": True},
    "valid": {"rule": "mean", "valid": L % 3 != 0},
}


def gradient(function, at):
    leaf = at.clone().requires_grad_()
    return torch.autograd.grad(function(leaf), leaf)[0]


@pytest.mark.parametrize("options", FUSIONS)
@pytest.mark.parametrize(
    "regions", [L, RegionProposals(torch.rand(1, 5, 12, 16, generator=draw), torch.rand(1, 5))]
)
def test_fuse_in_transforms(options, regions):
    def total(d):
        return fuse(d, regions, **FUSIONS[options]).square().sum()

    expected = gradient(total, D)
    torch.testing.assert_close(grad(total)(D), expected)
    direction = torch.rand_like(D)
    slope = (expected * direction).sum()
    torch.testing.assert_close(jvp(total, (D,), (direction,))[1], slope, rtol=1e-4, atol=1e-5)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(total(forward_ad.make_dual(D, direction))).tangent
    torch.testing.assert_close(tangent, slope, rtol=1e-4, atol=1e-5)
    several = torch.stack([D, D.flip(1)])
    torch.testing.assert_close(vmap(total)(several), torch.stack([total(d) for d in several]))
    torch.testing.assert_close(vmap(grad(total))(several), torch.stack([gradient(total, d) for d in several]))


def test_higher_transforms():
    assert jacrev(lambda d: fuse(d, L).mean((2, 3)))(D).shape == (1, 4, *D.shape)
    # Eq. 3 is quadratic in a common factor, the default linear.
    second = hessian(lambda factor: fuse(D * factor, L, rule="product").sum())(torch.ones(()))
    torch.testing.assert_close(second, 2 * fuse(D, L, rule="product").sum())
    first = grad(lambda factor: fuse(D * factor, L).sum())(torch.ones(()))
    torch.testing.assert_close(first, fuse(D, L).sum())
    torch.testing.assert_close(
        grad(lambda d: fuse(d, d.argmax(1)).sum())(D), gradient(lambda d: fuse(d, d.argmax(1)).sum(), D)
    )


def test_what_vmap_cannot_map_is_named():
    two = torch.stack([D, D])
    with pytest.raises(CSLError, match=r"regions: got a tensor that torch\.func\.vmap"):
        vmap(lambda d, lab: fuse(d, lab))(two, torch.stack([L, L]))
    with pytest.raises(CSLError, match=r"proposals: got a tensor that torch\.func\.vmap"):
        vmap(lambda d: fuse(d, RegionProposals(d, d.mean((2, 3)))))(two)
    with pytest.raises(CSLError, match="negative"):
        vmap(lambda d: fuse(d - 1, L))(two)
    for transformed in (
        grad(lambda d: fuse(d, L, out=torch.empty_like(d)).sum()),
        vmap(lambda d: fuse(d, L[0], out=d)),
    ):
        with pytest.raises(CSLError, match="out: got a call that records gradients"):
            transformed(D)
    with pytest.raises(CSLError, match=r"model input: got a tensor that torch\.func\.vmap"):
        vmap(lambda image: wrapper()(image[None]))(torch.cat([IMAGES, IMAGES]))
    with pytest.raises(CSLError, match=r"images: got a call within a transform"):
        grad(lambda x: x.sum() * BUILT_IN["superpixels:40"](x)[0].num_regions)(IMAGES)


@pytest.mark.parametrize("proposer", BUILT_IN)
def test_the_wrapper_in_transforms(proposer):
    segment = wrapper(proposer)

    def total(images):
        return segment(images).square().sum()

    torch.testing.assert_close(grad(total)(IMAGES), gradient(total, IMAGES))
    parameters = dict(segment.named_parameters())
    assert functional_call(segment, parameters, (IMAGES,)).equal(segment(IMAGES))
    found = grad(lambda given: functional_call(segment, given, (IMAGES,)).sum())(parameters)
    expected = torch.autograd.grad(segment(IMAGES).sum(), list(parameters.values()))
    torch.testing.assert_close(list(found.values()), list(expected))
    ensemble = {name: torch.stack([value, 2 * value]) for name, value in parameters.items()}
    both = vmap(lambda given: functional_call(segment, given, (IMAGES,)))(ensemble)
    torch.testing.assert_close(both[0], segment(IMAGES))
    doubled = functional_call(segment, {name: 2 * value for name, value in parameters.items()}, (IMAGES,))
    torch.testing.assert_close(both[1], doubled)


# torch.jit

NETWORK = CSLNetwork(NetworkConfig(num_queries=4, boundary=True)).eval()
JIT = {
    "fuse": (lambda d: fuse(d, L), D),
    "fuse open": (lambda d: fuse(d, L, **OPEN), D),
    "size": (lambda d: fuse(d[..., ::2, ::2], L, size=(24, 32), **OPEN), D),
    "out": (lambda d: fuse(d, L, out=torch.empty_like(d), **OPEN), D),
    "fuse_labels": (lambda d: fuse_labels(d, L), D),
    "soft": (lambda d: soft_assignment(RegionProposals(d, d.mean((2, 3)), check=False), (24, 32)).labels, D),
    "hard": (lambda d: hard_assignment(RegionProposals(d, d.mean((2, 3)), check=False), (24, 32)).labels, D),
    "components": (lambda lab: split_components(RegionMap(lab, 50)).labels, L),
    "superpixels": (lambda x: BUILT_IN["superpixels:40"](x)[0].labels, IMAGES),
    "csl-tiny": (lambda x: BUILT_IN["csl-tiny"](x)[0].labels, IMAGES),
    "wrapper": (wrapper(), IMAGES),
    "wrapper open": (wrapper(columns, **OPEN), IMAGES),
    "masks": (lambda x: regions_from_masks(x[0] > 0.5).labels, IMAGES),
    "end to end": (EndToEnd(CSLNetwork(NetworkConfig(num_queries=4, num_classes=3)).eval()), IMAGES),
    "network": (lambda x: NETWORK(x).regions[-1].mask_logits, IMAGES),
    "boundaries": (lambda x: NETWORK.boundaries(x).boundary, IMAGES),
}


@pytest.mark.parametrize("case", JIT)
def test_a_trace_is_refused(case):
    call, example = JIT[case]
    with pytest.raises(CSLError, match=r"torch\.jit\.trace"):
        torch.jit.trace(call, (example,), check_trace=False)


class One(nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, given):
        return self.call(given)


def test_so_are_a_script_and_the_legacy_exporter(tmp_path):
    with pytest.raises(CSLError, match=r"model: got a CSLWrapper in torch\.jit\.script"):
        torch.jit.script(wrapper())
    for case in ("fuse open", "network", "superpixels", "csl-tiny", "wrapper", "wrapper open"):
        call, example = JIT[case]
        module = call if isinstance(call, nn.Module) else One(call)
        with pytest.raises(CSLError, match=r"torch\.onnx\.export\(dynamo=False\).*docs/guide/export"):
            torch.onnx.export(module, (example,), tmp_path / "model.onnx", dynamo=False)
    assert not list(tmp_path.iterdir())


def test_scripted_and_traced_models_are_wrapped():
    for model in (torch.jit.script(MODEL), torch.jit.trace(MODEL, (IMAGES,))):
        segment = CSLWrapper(model, columns, OutputAdapter("logits"))
        torch.testing.assert_close(segment(IMAGES), wrapper(columns)(IMAGES))


# torch.fx

REGIONS = RegionMap(L, 20)
RECORDED = {
    "fuse": lambda d: fuse(d, REGIONS, **OPEN),
    "fuse three": lambda d: fuse(d, [REGIONS, RegionMap(L // 2, 10), RegionMap(L // 5, 4)], **OPEN),
    "fuse_labels": lambda d: fuse_labels(d, REGIONS, **OPEN),
    "soft": JIT["soft"][0],
    "size": lambda d: fuse(d[..., ::2, ::2], REGIONS, size=(24, 32), **OPEN),
}


@pytest.mark.parametrize("call", RECORDED)
def test_a_recorded_call_is_that_of_other_values_too(call):
    graph, other = make_fx(RECORDED[call])(D), D.flip(1)
    torch.testing.assert_close(graph(other), RECORDED[call](other), atol=1e-5, rtol=1e-4)


NOT_RECORDED = {
    name: JIT[name] for name in ("fuse", "components", "superpixels", "csl-tiny", "wrapper", "masks")
}


@pytest.mark.parametrize("case", NOT_RECORDED)
def test_what_reads_values_is_not_recorded(case):
    call, example = NOT_RECORDED[case]
    with pytest.raises(CSLError, match="values"):
        make_fx(call)(example)


def test_linearize_is_right_or_refused():
    ones = torch.ones_like(D)
    value, derivative = linearize(lambda d: fuse(d, REGIONS, **OPEN).square().sum(), D)
    expected = jvp(lambda d: fuse(d, REGIONS, **OPEN).square().sum(), (D,), (ones,))
    torch.testing.assert_close((value, derivative(ones)), expected)
    with pytest.raises(CSLError, match="values"):
        linearize(lambda d: fuse(d, L).sum(), D)


def test_a_symbolic_trace_is_refused():
    with pytest.raises(CSLError, match=r"torch\.fx\.symbolic_trace"):
        torch.fx.symbolic_trace(wrapper())


def test_masks_without_values_are_refused():
    with pytest.raises(CSLError, match="tensor without values"):
        regions_from_masks(torch.zeros(2, 4, 5, device="meta"))
