"""The Ray recipe of examples/, run as a user runs it, with a worker that is killed in the middle."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from csl_plugin.batch import Fuser

SCRIPT = Path(__file__).parents[2] / "examples" / "ray_batches.py"
COUNT = 2000


def workers_of(process):
    import psutil

    found = {}
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if "MapWorker" in " ".join(child.cmdline()):
                found[child.pid] = child
        except psutil.Error:  # it has just ended
            continue
    return found


def kill_one(process, out):
    """Kill a worker once some of the results are written, and not all."""
    while process.poll() is None:
        workers = workers_of(process)
        if len(workers) == 2 and any(out.glob("*.parquet")):
            killed = next(iter(workers))
            os.kill(killed, signal.SIGKILL)
            return killed, len(list(out.glob("*.parquet")))
        time.sleep(0.1)
    raise AssertionError("the recipe ended before a worker could be killed")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_killed_worker_costs_nothing_but_time(tmp_path):
    pytest.importorskip("ray.data", reason="a large package, the extra `ray`")
    parquet = pytest.importorskip("pyarrow.parquet", reason="a large package, the extra `ray`")
    out = tmp_path / "fused"
    command = [sys.executable, str(SCRIPT), "--out", str(out), "--images", str(COUNT), "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            _, written = kill_one(process, out)
            said = process.communicate(timeout=300)[0]
        finally:
            process.terminate()  # Ray ends its processes with it
    assert process.returncode == 0, said
    assert f"{COUNT} images fused" in said
    files = list(out.glob("*.parquet"))
    assert written < len(files)
    table = parquet.read_table(files).sort_by("id")
    assert table["id"].to_pylist() == list(range(COUNT))

    recipe = load(SCRIPT)
    direct = Fuser(proposer=recipe.SEGMENTS)(recipe.rows({"id": np.arange(COUNT)}))["fused"]
    stored = table["fused"].combine_chunks()
    values = np.asarray(getattr(stored, "storage", stored).flatten())
    np.testing.assert_array_equal(values.reshape(direct.shape), direct)


def load(script):
    spec = importlib.util.spec_from_file_location(script.stem, script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
