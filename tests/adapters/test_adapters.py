"""What adapters are made of: laws and who breaks them, registration, files, windows, endurance."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from csl_plugin import Calibration, CSLError, CSLWrapper, RegionMap, adapters, fuse
from csl_plugin.adapters import (
    PRESETS,
    ClassStatistics,
    FlipAverage,
    OutputAdapter,
    SlidingWindow,
    check_adapter,
    preset,
    recognize,
)
from csl_plugin.adapters.presets.queries import QuerySum

SAMPLE = SimpleNamespace(seg_logits=SimpleNamespace(data=torch.rand(4, 8, 8)))
ROOT = Path(__file__).parents[2]
PIXELS = torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


def halves(images):
    columns = torch.arange(images.shape[-1]) * 2 // images.shape[-1]
    return RegionMap(columns.expand(len(images), images.shape[-2], -1).contiguous())


def network(channels=4, stride=1):
    torch.manual_seed(0)
    return nn.Conv2d(3, channels, 3, padding=1, stride=stride).eval()


# The laws


class Lawful:
    """An adapter written without any class of the package."""

    direction = "up"

    def images(self, args, kwargs):
        return args[0]

    def read(self, output):
        return output["p"].float()

    def write(self, output, fused):
        return {**output, "p": fused.to(output["p"].dtype)}


def teacher(images):
    return {"p": network()(images.float()).sigmoid().to(images.dtype), "other": torch.zeros(len(images))}


def test_an_adapter_of_ones_own_passes():
    check_adapter(Lawful(), teacher, (PIXELS,))
    check_adapter(Lawful(), teacher(PIXELS), (PIXELS,))


class NoDirection(Lawful):
    direction = None


class NoWrite(Lawful):
    write = None


class Integers(Lawful):
    def images(self, args, kwargs):
        return (args[0] * 255).byte()


class Normalized(Lawful):
    def images(self, args, kwargs):
        return args[0] * 4 - 2


class Signed(Lawful):
    def read(self, output):
        return output["p"].float() - 0.5


class Infinite(Lawful):
    def read(self, output):
        return 1 / (output["p"].float() > 0.5).float()


class Flat(Lawful):
    def read(self, output):
        return output["p"].float().flatten(1)


class FirstOnly(Lawful):
    def read(self, output):
        return output["p"][:1].float()


class PerImageScale(Lawful):
    def read(self, output):
        return output["p"].float() / output["p"].float().amax((0, 2, 3), keepdim=True)


class Random(Lawful):
    def read(self, output):
        return torch.rand(output["p"].shape)


class Forgetful(Lawful):
    def write(self, output, fused):
        return dict(output)


class Reversing(Lawful):
    def write(self, output, fused):
        return {**output, "p": (1 - fused).to(output["p"].dtype)}


class OtherType(Lawful):
    def write(self, output, fused):
        return [fused]

    def read(self, output):
        return (output if isinstance(output, list) else [output["p"]])[0].float()


class InPlace(Lawful):
    def write(self, output, fused):
        written = {**output, "p": output["p"].clone()}
        output["p"].copy_(fused)
        written["p"].copy_(fused)
        return written


class Rescaling(Lawful):
    def write(self, output, fused):
        return {**output, "p": fused.mul_(0.5).to(output["p"].dtype)}


class SinglePrecision(Lawful):
    def write(self, output, fused):
        return {**output, "p": fused.float()}


class HalfSize(Lawful):
    def write(self, output, fused):
        return {**output, "p": fused[..., ::2, ::2].to(output["p"].dtype)}


@pytest.mark.parametrize(
    ("broken", "law"),
    [
        (NoDirection, "direction"),
        (NoWrite, "methods"),
        (Integers, "images"),
        (Normalized, "images"),
        (Signed, "sign"),
        (Infinite, "sign"),
        (Flat, "distribution"),
        (FirstOnly, "batch"),
        (PerImageScale, "batch"),
        (Random, "repeatable"),
        (Forgetful, "round trip"),
        (Reversing, "round trip"),
        (HalfSize, "round trip"),
        (OtherType, "type"),
        (InPlace, "no side effects"),
        (Rescaling, "no side effects"),
        (SinglePrecision, "dtype"),
    ],
)
def test_a_broken_law_is_named(broken, law):
    with pytest.raises(CSLError, match=f'law "{law}"'):
        check_adapter(broken(), teacher, (PIXELS,))


def test_odd_sizes_are_tried_unless_the_model_takes_none():
    def picky(images):
        if images.shape[-1] % 2:
            raise ValueError("even sizes only")
        return teacher(images)

    check_adapter(Lawful(), picky, (PIXELS,), odd_sizes=False)
    with pytest.raises(ValueError, match="even sizes only"):
        check_adapter(Lawful(), picky, (PIXELS,))


# Queries


@given(st.integers(0, 10_000), st.floats(0, 12), st.sampled_from([torch.float32, torch.float16]))
def test_queries_hold_any_fused_map(seed, most, dtype):
    draw = torch.Generator().manual_seed(seed)
    fused = (torch.rand(2, 3, 4, 5, generator=draw) ** 3 * most).to(torch.float32)
    masks, classes = torch.zeros(2, 6, 4, 5, dtype=dtype), torch.zeros(2, 6, 4, dtype=dtype)
    written = [tensor.to(dtype) for tensor in QuerySum().write(fused, masks, classes)]
    again = QuerySum().read(*(tensor.float() for tensor in written))
    tolerance = 2e-6 if dtype == torch.float32 else 0.01
    torch.testing.assert_close(again, fused, atol=tolerance * max(1, most), rtol=tolerance)


@pytest.mark.parametrize(
    ("masks", "classes"),
    [((2, 6, 4), (2, 6, 4)), ((2, 6, 4, 5), (2, 5, 4)), ((2, 6, 4, 5), (2, 6, 1)), ((2, 6, 4, 5), (2, 6))],
)
def test_queries_that_do_not_belong_together_are_refused(masks, classes):
    with pytest.raises(CSLError, match="queries"):
        QuerySum().read(torch.zeros(masks), torch.zeros(classes))


# Recognition


@pytest.mark.parametrize(
    ("output", "fitting", "unfitting"),
    [
        (torch.rand(1, 4, 8, 8), ("logits", "probabilities", "energy", "smp"), ("sml", "rba", "eam")),
        (
            [{"sem_seg": torch.rand(19, 8, 8)}],
            ("rba", "zegformer", "catseg", "detectron2_logits"),
            ("eam", "sml"),
        ),
        ((torch.rand(1, 4, 8, 8), torch.rand(1, 8, 8)), ("sml",), ("logits", "rpl", "advent")),
        ((None, torch.rand(1, 4, 8, 8)), ("advent", "rpl"), ("smp_with_label", "densehybrid")),
        (SAMPLE, ("mmseg1_logits", "mmseg1_probabilities"), ("logits", "ultralytics")),
    ],
)
def test_a_refusal_lists_the_presets_that_fit(output, fitting, unfitting):
    with pytest.raises(CSLError, match="adapter=preset") as caught:
        recognize(output)
    listed = str(caught.value).split("of which these fit: ")[1].rstrip(".").split(", ")
    assert set(fitting) <= set(listed)
    assert not set(unfitting) & set(listed)


@pytest.mark.parametrize("adapter", [None, "auto"])
def test_auto_is_the_default(adapter):
    model = network()
    segment = CSLWrapper(lambda x: {"out": model(x)}, halves, adapter)
    torch.testing.assert_close(segment(PIXELS)["out"], fuse(model(PIXELS).softmax(1), halves(PIXELS)))


# Registration


def test_other_packages_register_presets_and_adapters(tmp_path):
    package = tmp_path / "site"
    info = package / "their_models-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: their-models\nVersion: 1.0\n")
    lines = ["theirs = their_models:PRESET", "made = their_models:make", "gone = their_models:gone"]
    lines += ["twice = their_models:make", "twice = their_models:nothing"]
    lines += ["number = their_models:NUMBER", "nothing = their_models:nothing"]
    (info / "entry_points.txt").write_text("[csl_plugin.adapters]\n" + "\n".join(lines) + "\n")
    (package / "their_models.py").write_text(
        "from csl_plugin.adapters import OutputAdapter, Preset, Sigmoid\n"
        "PRESET = Preset('theirs', 'Their model', 'framework', 'model(x)', Sigmoid())\n"
        "NUMBER = 3\n"
        "def make(item=None):\n    return OutputAdapter('logits', item)\n"
        "def nothing():\n    return None\n"
    )
    program = """
import torch
from csl_plugin import CSLError
from csl_plugin.adapters import preset
print(preset("theirs").read(torch.zeros(1, 1, 1, 1)).item())
print(preset("made", item="y").read({"y": torch.zeros(1, 4, 1, 1)}).flatten()[0].item())
for name in ("gone", "number", "nothing", "absent", "twice"):
    try:
        preset(name)
    except CSLError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{package}:{ROOT}", "PATH": ""},
    )
    assert done.returncode == 0, done.stderr
    half, quarter, gone, number, nothing, absent, twice = done.stdout.strip().splitlines()
    assert (half, quarter) == ("0.5", "0.25")
    assert "their_models:gone cannot be loaded" in gone
    assert "is a int" in number
    assert "made NoneType" in nothing
    assert "theirs, made" in absent
    assert "a name of one package" in twice


# Statistics without unpickling


def published(path, values):
    np.save(path, dict(enumerate(values)))
    return path


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30))
def test_published_statistics_are_read(tmp_path_factory, values):
    folder = tmp_path_factory.mktemp("statistics")
    mean = published(folder / "mean.npy", values)
    np.save(folder / "variance.npy", np.ones(len(values)))
    assert ClassStatistics.load(mean, folder / "variance.npy").mean == tuple(values)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


@pytest.mark.parametrize(
    "content",
    [
        {0: Bomb()},
        {0: "text"},
        {0: [1.0]},
        {1: 1.0},
        {},
        {0: 1.0, 2: 1.0},
        [1.0, 2.0],
        {0: 1.0, 1: {0: 2.0}},
        Bomb(),
    ],
)
def test_what_is_no_dictionary_of_numbers_is_refused_and_never_run(tmp_path, content):
    box = np.empty((), object)
    box[()] = content
    np.save(tmp_path / "mean.npy", box)
    np.save(tmp_path / "variance.npy", np.ones(1))
    with pytest.raises(CSLError):
        ClassStatistics.load(tmp_path / "mean.npy", tmp_path / "variance.npy")


@pytest.mark.parametrize("cut", [0, 5, 64, 140, -10, -1])
def test_damaged_statistics_name_the_file(tmp_path, cut):
    path = published(tmp_path / "mean.npy", [1.0, 2.0])
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CSLError, match=r"mean\.npy"):
        ClassStatistics.load(path, path)


@given(st.binary(max_size=200))
def test_any_bytes_as_a_pickle_are_an_error_of_ours(tmp_path_factory, noise):
    path = published(tmp_path_factory.mktemp("noise") / "mean.npy", [1.0, 2.0])
    path.write_bytes(path.read_bytes()[:128] + noise)
    with pytest.raises(CSLError):
        ClassStatistics.load(path, path)


def test_statistics_must_be_statistics(tmp_path):
    with pytest.raises(CSLError, match="positive variance"):
        ClassStatistics((1.0,), (0.0,))
    with pytest.raises(CSLError, match="mean, variance"):
        ClassStatistics((1.0, 2.0), (1.0,))
    large = tmp_path / "large.npy"
    np.save(large, np.zeros(200_000))
    with pytest.raises(CSLError, match="over 1 MiB"):
        ClassStatistics.load(large, large)


# Images


@pytest.mark.parametrize(
    "argument",
    [
        PIXELS[:1],
        PIXELS[0],
        [PIXELS[0]],
        PIXELS[0].movedim(0, -1).numpy(),
        PIXELS[:1].movedim(1, -1).numpy(),
        {"inputs": [PIXELS[0]], "data_samples": []},
        [{"image": PIXELS[0], "height": 3}],
    ],
    ids=["batch", "image", "list", "array", "array batch", "mmseg", "detectron2"],
)
def test_images_are_found_in_every_form(argument):
    images = OutputAdapter("logits").images((argument,), {})
    torch.testing.assert_close(images, PIXELS[:1])


def test_pictures_and_bytes_are_images():
    from PIL import Image

    pixels = (PIXELS[0].movedim(0, -1) * 255).byte().numpy()
    for argument in (Image.fromarray(pixels), pixels):
        images = OutputAdapter("logits", mean=(0.4, 0.5, 0.6)).images((argument,), {})
        torch.testing.assert_close(images[0].movedim(0, -1), torch.from_numpy(pixels) / 255)


def test_bgr_with_a_peak_of_255_is_undone():
    mean, std = torch.tensor([104.0, 117.0, 123.0]), torch.tensor([57.0, 58.0, 59.0])
    given_ = ((PIXELS * 255).flip(1) - mean.view(3, 1, 1)) / std.view(3, 1, 1)
    adapter = OutputAdapter("logits", mean=mean.tolist(), std=std.tolist(), order="BGR", peak=255.0)
    torch.testing.assert_close(adapter.images((given_,), {}), PIXELS, atol=1e-5, rtol=0)


@pytest.mark.parametrize("argument", ["street.png", ["street.png"], 3, torch.zeros(2, 4, 8, 8), [], {}])
def test_what_is_no_image_is_named(argument):
    with pytest.raises(CSLError, match="model input: got"):
        OutputAdapter("logits").images((argument,), {})


def test_unknown_orders_are_refused():
    with pytest.raises(CSLError, match="order: got 'GBR'"):
        OutputAdapter("logits", order="GBR")


# Output paths


@dataclass(frozen=True)
class Frozen:
    scores: torch.Tensor
    step: int


def test_frozen_dataclasses_and_paths_of_several_steps():
    output = {"heads": [Frozen(torch.rand(1, 2, 3, 4), 7)], "loss": 1}
    adapter = OutputAdapter("probabilities", ("heads", 0, "scores"))
    before = copy.deepcopy(output)
    written = adapter.write(output, torch.ones(1, 2, 3, 4))
    assert written["heads"][0].scores.eq(1).all()
    assert (written["heads"][0].step, written["loss"]) == (7, 1)
    assert output["heads"][0].scores.equal(before["heads"][0].scores)


@pytest.mark.parametrize("item", ["masks_queries_logits", "pred_masks"])
def test_masks_of_queries_are_no_logits_of_classes(item):
    with pytest.raises(CSLError, match='use the preset "mask2former"'):
        OutputAdapter("logits", item=item)


@pytest.mark.parametrize("shape", [(4, 6), (2, 4, 6), (2, 1, 4, 6)])
def test_a_single_channel_may_have_any_axes(shape):
    adapter = OutputAdapter(Calibration.sigmoid())
    scores = torch.randn(shape)
    assert adapter.read(scores).shape == (shape[0] if len(shape) > 2 else 1, 1, 4, 6)
    # A calibration computes in double precision and rounds once.
    assert adapter.write(scores, adapter.read(scores)).equal(scores.double().sigmoid().float())


# Windows and mirrors


@pytest.mark.parametrize("window", [(12, 16), (40, 40)])
def test_one_window_is_the_plain_call(window):
    model, adapter = network(), OutputAdapter("logits")
    windowed = SlidingWindow(model, adapter, window, (5, 5))
    torch.testing.assert_close(windowed(PIXELS), adapter.read(model(PIXELS)))


@pytest.mark.parametrize(
    ("window", "stride"), [((5, 7), (3, 4)), ((5, 5), (5, 5)), ((1, 1), (1, 1)), ((12, 3), (1, 2))]
)
def test_windows_of_a_pointwise_model_change_nothing(window, stride):
    torch.manual_seed(0)
    model, adapter = nn.Conv2d(3, 4, 1), OutputAdapter("logits")
    expected = adapter.read(model(PIXELS))
    torch.testing.assert_close(SlidingWindow(model, adapter, window, stride)(PIXELS), expected)
    torch.testing.assert_close(FlipAverage(model, adapter)(PIXELS), expected)


def test_windows_are_averaged_where_they_meet():
    """The first column of each window is 1: mmsegmentation's grid, the last window moved inwards."""

    def edges(images):
        scores = torch.zeros(1, 1, *images.shape[-2:])
        scores[..., 0] = 1.0
        return scores

    got = SlidingWindow(edges, OutputAdapter("probabilities"), (1, 4), (1, 3))(torch.zeros(1, 3, 1, 9))
    # Windows begin at columns 0, 3 and 5; 3 and 6 are in two, 5 and 7 too.
    assert got.flatten().tolist() == [1.0, 0.0, 0.0, 0.5, 0.0, 0.5, 0.0, 0.0, 0.0]


def test_flip_average_is_symmetric_and_upsamples():
    model, adapter = network(stride=4), OutputAdapter("logits")
    averaged = FlipAverage(model, adapter)
    scores = averaged(PIXELS)
    assert scores.shape == (2, 4, 12, 16)
    torch.testing.assert_close(averaged(PIXELS.flip(-1)), scores.flip(-1))
    torch.testing.assert_close(scores.sum(1), torch.ones(2, 12, 16))


def test_windows_go_behind_the_wrapper_and_inside_one_another():
    adapter = OutputAdapter("logits", mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
    normalized = (PIXELS - 0.5) / 0.25
    mirrored = FlipAverage(network(), adapter)
    windowed = SlidingWindow(mirrored, mirrored.adapter, (6, 8), (4, 4))
    segment = CSLWrapper(windowed, halves, windowed.adapter)
    torch.testing.assert_close(segment(normalized), fuse(windowed(normalized), halves(PIXELS)))
    check_adapter(windowed.adapter, windowed, (normalized,))


@pytest.mark.parametrize(("window", "stride"), [((4, 4), (5, 4)), ((4, 4), (0, 4)), ((0, 0), (0, 0))])
def test_windows_with_gaps_are_refused(window, stride):
    with pytest.raises(CSLError, match="stride: got"):
        SlidingWindow(network(), OutputAdapter("logits"), window, stride)


# Endurance


def memory():
    import psutil

    return psutil.Process().memory_info().rss


@torch.no_grad()
def test_hundreds_of_calls_leave_memory_flat():
    pytest.importorskip("psutil")
    masks, classes = network(6), torch.randn(1, 6, 4)

    def queries(pixel_values):
        return {"masks_queries_logits": masks(pixel_values), "class_queries_logits": classes}

    images = torch.rand(1, 3, 64, 64)
    segment = CSLWrapper(queries, halves)
    for _ in range(50):
        segment(images)
    before = memory()
    for _ in range(300):
        segment(images)
    assert memory() - before < 8 << 20  # a leak of one map a call would be 29 MB


@pytest.mark.parametrize("name", ["logits", "max_logit"])
def test_two_threads_get_what_one_gets(name):
    calibration = None if name == "logits" else Calibration.sigmoid(0.0, 1.0)
    segment = CSLWrapper(network(), halves, preset(name, calibration=calibration))
    batches = [torch.rand(1, 3, 24, 32) for _ in range(40)]
    with torch.no_grad():
        expected = [segment(batch) for batch in batches]
    found = [None] * len(batches)

    def work(first):
        with torch.no_grad():
            for index in range(first, len(batches), 2):
                found[index] = segment(batches[index])

    threads = [threading.Thread(target=work, args=(first,)) for first in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def _in_the_worker(segment, images, queue):
    with torch.no_grad():
        queue.put(segment(images).numpy())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_worker_gets_the_same():
    segment = CSLWrapper(network(), halves, "logits")
    with torch.no_grad():
        expected = segment(PIXELS)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    worker = context.Process(target=_in_the_worker, args=(segment, PIXELS, queue))
    worker.start()
    got = queue.get(timeout=60)
    worker.join()
    assert np.array_equal(got, expected.numpy())


def test_presets_travel_to_other_processes():
    for name in PRESETS:
        again = pickle.loads(pickle.dumps(preset(name)))  # noqa: S301 - our own bytes
        assert {key: repr(value) for key, value in vars(again).items()} == {
            key: repr(value) for key, value in vars(preset(name)).items()
        }
        assert repr(again) == f"preset({name!r})"


# The page


def test_the_page_is_what_the_package_declares():
    from benchmarks.guide.adapters import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m benchmarks.guide.adapters"
    assert all(f"| `{name}` |" in page() for name in PRESETS)


@pytest.mark.parametrize("name", sorted(set(adapters.__all__) - {"PRESETS", "Score", "Adapter"}))
def test_public_names_are_documented(name):
    assert getattr(adapters, name).__doc__
