"""Memory over calls of changing sizes."""

import ctypes
import gc
import subprocess
import sys

import pytest
import torch
from torch import nn

from benchmarks.speed.memory import heap_in_use
from csl_plugin import CSLWrapper
from csl_plugin.adapters import OutputAdapter

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33"),
]

SIZES = [(40 + 16 * step, 150 - 12 * step) for step in range(8)]


def test_no_call_leaves_memory_behind():
    segment = CSLWrapper(nn.Conv2d(3, 19, 3, padding=1).eval(), adapter=OutputAdapter("logits"))

    def after(rounds):
        for number in range(rounds):
            for height, width in SIZES:
                generator = torch.Generator().manual_seed(number)
                with torch.inference_mode():
                    segment(torch.rand(1, 3, height, width, generator=generator))
        gc.collect()
        return heap_in_use(), len(gc.get_objects())

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the count is of the main thread's heap
    try:
        after(2)  # the sizes' code in oneDNN's cache
        heap, objects = after(1)
        later, more = after(8)
    finally:
        torch.set_num_threads(threads)
    # Python keeps some freed tuples, 0.2 MB here. 64 calls that keep a plane of floats each hold 1.9 MB.
    assert later - heap < 1_000_000
    assert more - objects < 100


@pytest.mark.parametrize("options", [[], ["--give-back"]])
def test_the_benchmark_prints_a_row_for_every_few_calls(options, tmp_path):
    out = tmp_path / "steady.md"
    words = ["--calls", "4", "--every", "2", "--sides", "40", "60", "--out", str(out), *options]
    subprocess.run([sys.executable, "-m", "benchmarks.speed.steady", *words], check=True, capture_output=True)
    text = out.read_text()
    assert [row.split("|")[1].strip() for row in text.splitlines() if row.startswith("| ")][1:] == ["2", "4"]
    assert ("returned at once" in text) == bool(options)
