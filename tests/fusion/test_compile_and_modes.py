"""fuse under compilation, export, autocast and inference mode."""

from __future__ import annotations

import shutil

import pytest
import torch

from csl_plugin import RegionMap, RegionProposals, fuse, fuse_labels

RULES = ("adaptive", "product", "geometric", "mean")
WITH_COMPILER = pytest.mark.skipif(
    shutil.which("g++") is None and shutil.which("clang++") is None, reason="no C++ compiler here"
)
CASES = [
    *((kind, rule, "aot_eager") for kind in ("labels", "map", "proposals", "logits") for rule in RULES),
    pytest.param("proposals", "adaptive", "inductor", marks=(WITH_COMPILER, pytest.mark.slow)),
]


@pytest.fixture
def scores():
    return torch.rand(2, 3, 11, 14, generator=torch.Generator().manual_seed(1))


def regions(kind):
    generator = torch.Generator().manual_seed(2)
    labels = torch.randint(-1, 5, (2, 11, 14), generator=generator)
    proposals = torch.rand(2, 4, 6, 7, generator=generator), torch.rand(2, 4, generator=generator)
    return {
        "labels": lambda: labels,
        "map": lambda: RegionMap(labels),
        "proposals": lambda: RegionProposals(*proposals),
        "logits": lambda: RegionProposals.from_logits(*proposals),
    }[kind]()


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("kind", "rule", "backend"), CASES)
def test_compiles_without_a_break(scores, kind, rule, backend):
    torch._dynamo.reset()
    given = regions(kind)

    def call(distribution):
        return fuse(distribution, given, rule=rule, check=False, split=False)

    compiled = torch.compile(call, fullgraph=True, backend=backend)
    torch.testing.assert_close(compiled(scores), call(scores))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_labels_compile_and_regions_may_be_arguments(scores):
    torch._dynamo.reset()

    def call(distribution, labels):
        return fuse_labels(distribution, labels, check=False, split=False)

    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(scores, regions("labels")), call(scores, regions("labels")))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_gradients_flow_through_the_compiled_call(scores):
    torch._dynamo.reset()
    labels = regions("labels")
    gradients = []
    for run in (lambda d: fuse(d, labels, check=False, split=False),):
        for function in (run, torch.compile(run, fullgraph=True, backend="aot_eager")):
            leaf = scores.clone().requires_grad_()
            function(leaf).square().sum().backward()
            gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("rule", RULES)
def test_gradients_of_torch_func_compile_with_breaks(scores, rule, count):
    torch._dynamo.reset()
    given = [regions("labels"), regions("labels") // 2][:count]

    def total(distribution):
        return fuse(distribution, given, rule=rule).square().sum()

    for values in (scores, scores[:, :1]):
        compiled = torch.compile(lambda d: torch.func.grad(total)(d), backend="eager")
        torch.testing.assert_close(compiled(values), torch.func.grad(total)(values))


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.uint8])
@pytest.mark.parametrize("classes", [1, 3])
def test_several_partitions_compile_without_a_break(scores, classes, dtype):
    torch._dynamo.reset()
    given = [RegionMap(regions("labels"), 5), RegionMap(regions("labels") // 2, 5)]
    values = (
        (scores[:, :classes] * 255).round().to(dtype)
        if dtype == torch.uint8
        else scores[:, :classes].to(dtype)
    )

    def call(distribution):
        fused = fuse(distribution, given, check=False, split=False)
        return fused, fuse_labels(distribution, given, check=False, split=False)

    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(values), call(values))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("classes", [1, 3])
def test_exports_any_size(classes):
    class Stage(torch.nn.Module):
        def forward(self, distribution, labels):
            return fuse(distribution, [labels, labels // 2], check=False, split=False)

    def given(height, width):
        generator = torch.Generator().manual_seed(height)
        labels = torch.randint(-1, 9, (2, height, width), generator=generator)
        return torch.rand(2, classes, height, width, generator=generator), labels

    height, width = torch.export.Dim("height", min=4, max=64), torch.export.Dim("width", min=4, max=64)
    sizes = ({2: height, 3: width}, {1: height, 2: width})
    exported = torch.export.export(Stage(), given(11, 14), dynamic_shapes=sizes).module()
    for size in ((11, 14), (20, 9)):
        torch.testing.assert_close(exported(*given(*size)), Stage()(*given(*size)))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")
def test_exports(scores):
    class Stage(torch.nn.Module):
        def forward(self, distribution, proposed, validity):
            proposals = RegionProposals(proposed, validity, check=False)
            return fuse(distribution, proposals, check=False, split=False)

    given = regions("proposals")
    exported = torch.export.export(Stage(), (scores, given.scores, given.validity))
    torch.testing.assert_close(
        exported.module()(scores, given.scores, given.validity), fuse(scores, given, split=False)
    )


def test_modes_change_nothing(scores):
    given = regions("proposals")
    expected = fuse(scores, given)
    with torch.inference_mode():
        assert torch.equal(fuse(scores, given), expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(fuse(scores, given), expected)
    with torch.no_grad():
        assert torch.equal(fuse(scores.requires_grad_(), given), expected)


def test_the_differentiated_path_equals_the_plain_one(scores):
    for rule in RULES:
        recorded = fuse(scores.clone().requires_grad_(), regions("map"), rule=rule)
        assert recorded.requires_grad
        torch.testing.assert_close(recorded.detach(), fuse(scores, regions("map"), rule=rule))


def test_deterministic_algorithms_are_enough(scores):
    torch.use_deterministic_algorithms(True)
    try:
        assert torch.equal(fuse(scores, regions("map")), fuse(scores, regions("map")))
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("split", [True, False])
def test_the_gpu_gives_the_same(scores, split):
    given = regions("proposals")
    on_gpu = RegionProposals(given.scores.cuda(), given.validity.cuda())
    fused = fuse(scores.cuda(), on_gpu, split=split)
    assert fused.is_cuda
    torch.testing.assert_close(fused.cpu(), fuse(scores, given, split=split))
    assert torch.equal(fuse_labels(scores.cuda(), on_gpu).cpu(), fuse_labels(scores, given))
