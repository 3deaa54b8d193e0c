"""What only a GPU can show of the Triton kernels: graphs, no waiting, the same bits, large images."""

from __future__ import annotations

import contextlib

import pytest
import torch
import torch.nn.functional as F

if not torch.cuda.is_available():
    pytest.skip("no GPU here", allow_module_level=True)
pytest.importorskip("triton", reason="Triton is not installed")

from csl_plugin import RegionMap, RegionProposals, fuse, fuse_labels, ops
from csl_plugin.ops import Partition, planewise
from csl_plugin.ops import triton as kernels

SIGMOIDS = ["none", "before", "after"]
RULES = ["product", "geometric", "mean"]


@pytest.fixture(scope="module")
def frame():
    """Proposals and scores of a 512 x 1024 image with 100 regions and 19 classes."""
    generator = torch.Generator().manual_seed(7)
    coarse = torch.randn(1, 100, 8, 16, generator=generator) * 6 - 4
    logits = F.interpolate(coarse, (128, 256), mode="bicubic") + torch.randn(
        1, 100, 128, 256, generator=generator
    )
    validity = torch.rand(1, 100, generator=generator)
    scores = torch.rand(1, 19, 512, 1024, generator=generator)
    return logits, validity, scores / scores.sum(1, keepdim=True)


@contextlib.contextmanager
def without_waiting():
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def stage(values, validity, scores, size=(512, 1024), rule="product"):
    labels = kernels.assign(values, validity, size, "before")
    maps = [Partition(values.shape[1], labels)]
    table = kernels.means(scores, maps, roots=False)
    out = torch.empty_like(scores)
    kernels.apply(scores, maps, table, rule, out)
    return labels, table, out, kernels.labels(scores, maps, table, rule)


def three_maps(height=512, width=1024, gaps=True):
    """Three partitions from coarse to fine, with 6, 50 and 2048 regions; the last one has gaps."""
    maps = []
    for side in (256, 96, 16):
        rows, columns = torch.arange(height) // side, torch.arange(width) // side
        maps.append((rows[:, None] * (int(columns[-1]) + 1) + columns[None])[None].int())
    if gaps:
        maps[2][0, 100:140, 300:500] = -1
    return maps


def maps_on_gpu(maps):
    return [RegionMap(labels.cuda(), int(labels.max()) + 1) for labels in maps]


def on_gpu(*tensors):
    return tuple(tensor.cuda() for tensor in tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_assigns_as_the_cpu_engine(frame, sigmoid, dtype):
    values = frame[0].sigmoid().to(dtype) if sigmoid == "none" else frame[0].to(dtype)
    size = (512, 1024)
    found = kernels.assign(values.cuda(), frame[1].cuda(), size, sigmoid).cpu()
    expected = ops.assign(values, frame[1], size, sigmoid)
    differ = (found != expected).nonzero()
    for _, y, x in differ.tolist():
        pair = [int(found[0, y, x]), int(expected[0, y, x])]
        planes = values[:, pair].float()
        planes = planes.sigmoid() if sigmoid == "before" else planes
        raised = F.interpolate(planes.double(), size, mode="bilinear")[0, :, y, x]
        raised = raised.sigmoid() if sigmoid == "after" else raised
        first, second = (raised * frame[1][0, pair].double()).tolist()
        assert abs(first - second) <= 1e-6 * max(first, second)
    assert len(differ) < 20


@pytest.mark.parametrize("size", [(300, 700), (97, 31), (128, 256)])
@pytest.mark.parametrize("sigmoid", SIGMOIDS)
def test_white_noise_is_exact_at_any_size(sigmoid, size):
    values = torch.randn(2, 40, 128, 256, generator=torch.Generator().manual_seed(1)).cuda() * 3
    values = values.sigmoid() if sigmoid == "none" else values
    validity = torch.rand(2, 40, generator=torch.Generator().manual_seed(2)).cuda()
    found = kernels.assign(values, validity, size, sigmoid)
    planes = values.sigmoid() if sigmoid == "before" else values
    planes = F.interpolate(planes, size, mode="bilinear").double()
    planes = planes.sigmoid() if sigmoid == "after" else planes
    everything = planes * validity.double()[:, :, None, None]
    chosen = everything.gather(1, found.long()[:, None])[:, 0]
    best = everything.amax(1)
    # An interpolated logit of size 10 is itself rounded by 1e-6.
    assert (best - chosen <= (3e-6 if sigmoid == "after" else 1e-6) * best).all()


@pytest.mark.parametrize("classes", [1, 19])
@pytest.mark.parametrize("rule", RULES)
def test_fuses_as_the_cpu_engine(frame, rule, classes):
    values, validity, scores = frame[0], frame[1], frame[2][:, :classes].contiguous()
    labels, table, out, winners = (t.cpu() for t in stage(*on_gpu(values, validity, scores), rule=rule))
    regions = ops.partition(labels, 100, split=False)
    torch.testing.assert_close(table, ops.means(scores, regions), rtol=5e-7, atol=0)
    fused = ops.apply(scores, regions, table, rule)
    torch.testing.assert_close(out, fused, rtol=5e-7, atol=0)
    if rule != "geometric":
        assert torch.equal(winners, fused.argmax(1))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8])
def test_fuses_narrow_scores_as_the_streamed_path(frame, dtype):
    scores = (frame[2] * 255).to(dtype) if dtype == torch.uint8 else frame[2].to(dtype)
    values, validity, scores = on_gpu(frame[0], frame[1], scores)
    labels, table, _, _ = stage(values, validity, scores)
    maps = [Partition(100, labels)]
    torch.testing.assert_close(table, planewise.means(scores, maps, roots=False), rtol=5e-7, atol=0)
    for rule in RULES:
        out, expected = torch.empty_like(scores), torch.empty_like(scores)
        kernels.apply(scores, maps, table, rule, out)
        planewise.apply(scores, maps, table, rule, expected)
        # One step of the dtype, for the last bit of a square root.
        step = {torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.uint8: 0.0}[dtype]
        byte = float(dtype == torch.uint8 and rule == "geometric")
        torch.testing.assert_close(out.double(), expected.double(), rtol=step, atol=byte)
        found = kernels.labels(scores, maps, table, rule)
        assert torch.equal(found, planewise.labels(scores, maps, table, rule))


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("classes", [1, 19])
@pytest.mark.parametrize("rule", ["adaptive", *RULES])
def test_fuses_several_partitions_as_the_cpu_engine(frame, rule, classes, gaps):
    scores, maps = frame[2][:, :classes].contiguous(), three_maps(gaps=gaps)
    there = maps_on_gpu(maps)
    for split in (False, True):
        found = fuse(scores.cuda(), there, rule=rule, split=split).cpu()
        expected = fuse(scores, maps, rule=rule, split=split)
        torch.testing.assert_close(found, expected, rtol=2e-6, atol=0)
    if classes > 1:
        labels = fuse_labels(scores.cuda(), there, rule=rule).cpu()
        chosen, best = expected.gather(1, labels[:, None])[:, 0], expected.amax(1)
        torch.testing.assert_close(chosen, best, rtol=5e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.uint8, torch.float64])
@pytest.mark.parametrize("classes", [1, 19])
def test_any_dtype_by_the_default_rule(frame, classes, dtype):
    scores = frame[2][:, :classes]
    scores = ((scores * 255) if dtype == torch.uint8 else scores).to(dtype)
    maps = three_maps()
    found, expected = fuse(scores.cuda(), maps_on_gpu(maps)).cpu(), fuse(scores, maps)
    step = {torch.float16: 1e-3, torch.bfloat16: 8e-3, torch.float64: 1e-12, torch.uint8: 0.0}[dtype]
    byte = float(dtype == torch.uint8)
    torch.testing.assert_close(found.double(), expected.double(), rtol=step, atol=byte)


def test_low_resolution_by_the_default_rule(frame):
    logits, maps = frame[2][:, :5, ::4, ::4].contiguous() * 8, three_maps()
    low = {"size": (512, 1024), "logits": True}
    found, expected = fuse(logits.cuda(), maps_on_gpu(maps), **low).cpu(), fuse(logits, maps, **low)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    labels = fuse_labels(logits.cuda(), maps_on_gpu(maps), **low).cpu()
    assert (labels != expected.argmax(1)).float().mean() < 1e-4


@pytest.mark.parametrize("classes", [1, 19])
def test_the_default_rule_gives_the_same_bits_every_time(frame, classes):
    scores, there = frame[2][:, :classes].contiguous().cuda(), maps_on_gpu(three_maps())
    first = fuse(scores, there)
    for _ in range(20):
        assert torch.equal(fuse(scores, there), first)


@pytest.mark.parametrize("classes", [1, 19])
@pytest.mark.parametrize("rule", ["adaptive", "product"])
def test_several_partitions_wait_for_nothing(frame, rule, classes):
    scores, there = frame[2][:, :classes].contiguous().cuda(), maps_on_gpu(three_maps())
    given = {"rule": rule, "split": False, "check": False}
    fuse(scores, there, **given)
    fuse_labels(scores, there, **given)
    with without_waiting():
        fuse(scores, there, **given)
        fuse_labels(scores, there, **given)


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("classes", [1, 19])
def test_the_split_reads_counts_and_the_check_the_range_of_scores(frame, classes, check):
    scores, there = frame[2][:, :classes].contiguous().cuda(), maps_on_gpu(three_maps())
    fuse(scores, there, check=check)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        fuse(scores, there, check=check)
        torch.cuda.synchronize()
    copies = [event for event in profile.events() if "Memcpy DtoH" in event.name]
    assert len(copies) == len(there) + check


def test_the_default_rule_takes_no_copy_of_the_scores(frame):
    scores, there = frame[2].contiguous().cuda(), maps_on_gpu(three_maps())
    out = torch.empty_like(scores)
    given = {"split": False, "check": False, "out": out}
    fuse(scores, there, **given)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    fuse(scores, there, **given)
    assert torch.cuda.max_memory_allocated() - before <= 8 * 2**20


@pytest.mark.parametrize("classes", [1, 19])
def test_a_graph_captures_the_default_rule(frame, classes):
    scores, there = frame[2][:, :classes].contiguous().cuda(), maps_on_gpu(three_maps())
    given = {"split": False, "check": False}
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        fuse(scores, there, **given)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = fuse(scores, there, **given)
    scores.copy_(scores.flip(3))
    graph.replay()
    assert torch.equal(captured, fuse(scores, there, **given))


@pytest.mark.parametrize("connectivity", [4, 8])
def test_splits_as_the_cpu_engine(frame, connectivity):
    values, validity, _ = frame
    labels = kernels.assign(values.cuda(), validity.cuda(), (512, 1024), "before")
    noise = torch.randint(-1, 3, (1, 512, 1024), generator=torch.Generator().manual_seed(0)).cuda()
    stripes = (torch.arange(512)[:, None] % 2 - 1).expand(512, 1024)[None].contiguous().cuda()
    stripes[:, :, ::512] = 0
    for maps in (labels, noise, stripes, torch.cat([labels, noise.int()])):
        found, counts = kernels.components(maps, connectivity)
        expected, count = ops.components(maps.cpu(), connectivity)
        assert torch.equal(found.cpu(), expected)
        assert counts.tolist() == (expected.flatten(1).amax(1) + 1).tolist()
        assert count == int(counts.max())


def test_the_same_bits_every_time(frame):
    given = on_gpu(*frame)
    noise = torch.randint(-1, 3, (2, 500, 700), generator=torch.Generator().manual_seed(0)).cuda()
    parts = torch.randint(-1, 3000, (1, 512, 1024), generator=torch.Generator().manual_seed(0)).cuda()

    def everything():
        means = kernels.means(given[2], [Partition(3000, parts)], roots=False)
        return [*stage(*given), kernels.components(noise, 8)[0], means]

    first = everything()
    for _ in range(20):
        again = everything()
        assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))


def test_nothing_waits_for_the_device(frame):
    given = on_gpu(*frame)
    stage(*given)
    kernels.components(kernels.assign(given[0], given[1], (64, 96), "after"), 8)
    with without_waiting():
        labels = stage(*given)[0]
        kernels.assign(given[0], given[1], (64, 96), "after")
        kernels.components(labels, 8)


def test_a_graph_captures_the_stage_and_the_split(frame):
    given = on_gpu(*frame)

    def everything():
        results = stage(*given)
        return [*results, *kernels.components(results[0], 8)]

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        everything()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = everything()
    given[0].copy_(given[0].flip(1))
    given[2].copy_(given[2].flip(3))
    for _ in range(3):
        graph.replay()
    torch.cuda.synchronize()
    for one, other in zip(captured, everything(), strict=True):
        assert torch.equal(one, other)


def test_the_stage_takes_four_kernels_and_a_fill(frame):
    given = on_gpu(*frame)
    stage(*given)
    torch.cuda.synchronize()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profile:
        labels = kernels.assign(given[0], given[1], (512, 1024), "before")
        maps = [Partition(100, labels)]
        table = kernels.means(given[2], maps, roots=False)
        kernels.apply(given[2], maps, table, "product", given[2])
        torch.cuda.synchronize()
    names = [event.name for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    ours = [name for name in names if name.startswith("_")]
    assert ours == ["_find_winners", "_assign_pixels", "_add_up", "_fuse"]
    assert len(names) <= 5


def test_extra_memory_is_small(frame):
    given = on_gpu(*frame)
    stage(*given)
    torch.cuda.synchronize()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    results = stage(*given)
    outputs = sum(result.numel() * result.itemsize for result in results)
    assert torch.cuda.max_memory_allocated() - before <= outputs + 8 * 2**20


def test_more_than_two_to_the_31_scores():
    height, width, classes = 8192, 8192, 36
    needed = height * width * (classes * 2 + 8 + 24)
    if torch.cuda.mem_get_info()[0] < 2 * needed:
        pytest.skip(f"needs {2 * needed >> 30} GiB of GPU memory")
    labels = (torch.arange(height * width, device="cuda") // (width * 512)).view(1, height, width).int()
    scores = torch.empty(1, classes, height, width, dtype=torch.float16, device="cuda")
    assert scores.numel() > 2**31
    for c in range(classes):
        scores[:, c] = (labels % 7 + 1) * (c + 1) / 1024
    maps = [Partition(16, labels)]
    table = kernels.means(scores, maps, roots=False)
    regions, planes = torch.arange(16, device="cuda"), torch.arange(classes, device="cuda")
    expected = (regions[None] % 7 + 1) * (planes[:, None] + 1) / 1024
    torch.testing.assert_close(table[0], expected, rtol=5e-7, atol=0)
    assert (kernels.labels(scores, maps, table, "product") == classes - 1).all()
    kernels.apply(scores, maps, table, "product", scores)
    for c in (0, classes - 1):
        means = table[0, c][labels.long()]
        assert torch.equal(scores[:, c], (means * means).half())
    found, counts = kernels.components(labels, 8)
    assert counts.tolist() == [16]
    assert torch.equal(found, labels)


def test_more_than_two_to_the_31_proposals():
    if torch.cuda.mem_get_info()[0] < 24 * 2**30:
        pytest.skip("needs 24 GiB of GPU memory")
    values = torch.zeros(2, 1100, 1024, 1024, dtype=torch.float16, device="cuda")
    assert values.numel() > 2**31
    values[0, 1000], values[1, 1099] = 0.5, 0.5
    values[1, 1099, :, 512:] = 0.0
    values[1, 3, :, 512:] = 0.25
    labels = kernels.assign(values, torch.ones(2, 1100, device="cuda"), (2048, 2048), "none")
    assert (labels[0] == 1000).all()
    assert (labels[1, :, :1000] == 1099).all()
    assert (labels[1, :, 1030:] == 3).all()


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("rule", ["product", "adaptive"])
def test_the_public_functions_take_this_path(frame, split, rule, monkeypatch):
    values, validity, scores = frame
    given = RegionProposals.from_logits(values, torch.logit(validity))
    there = RegionProposals.from_logits(values.cuda(), torch.logit(validity).cuda())
    called = []
    for name in ("assign", "means", "apply"):
        original = getattr(kernels, name)
        monkeypatch.setattr(
            kernels, name, lambda *a, f=original, n=name, **k: (called.append(n), f(*a, **k))[1]
        )
    for classes in (1, 19):
        called.clear()
        found = fuse(scores[:, :classes].cuda(), there, rule=rule, split=split)
        assert called == ["assign", "means", "apply"]
        expected = fuse(scores[:, :classes], given, rule=rule, split=split)
        # A pixel or two may tie, and then be in another region.
        assert ((found.cpu() - expected).abs() > 1e-6).sum() < 20 * classes
