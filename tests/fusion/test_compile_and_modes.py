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
