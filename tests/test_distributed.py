"""Processes of one job: how they divide work, what they exchange, how they join and leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from csl_plugin.distributed import SINGLE, Processes, joined
from csl_plugin.errors import OptionError

HELPER = Path(__file__).parent / "helpers" / "distributed_exchange.py"
TORCHRUN = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_RANK": "1", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}


def test_items_and_batches_are_divided():
    parts = [Processes(rank, 3) for rank in range(3)]
    assert [part.share("abcdefg") for part in parts] == [["a", "d", "g"], ["b", "e"], ["c", "f"]]
    assert [list(part.batch_slice(6)) for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert [part.is_first for part in parts] == [True, False, False]
    with pytest.raises(OptionError, match="batch_size: got 3, expected a multiple of 2 processes"):
        Processes(count=2).batch_slice(3)


def test_a_single_process_exchanges_nothing():
    value, parameter = torch.ones(2), torch.nn.Parameter(torch.zeros(2))
    assert SINGLE.total(value) is value
    assert SINGLE.broadcast([0.5, float("inf")]) == [0.5, float("inf")]
    SINGLE.sum_gradients([parameter])
    assert parameter.grad is None
    SINGLE.check_step(3, "job")
    SINGLE.wait()
    with joined() as processes:
        assert processes == SINGLE
        assert not torch.distributed.is_initialized()


def test_two_processes_exchange_sums(tmp_path):
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [sys.executable, *launcher, str(HELPER), str(tmp_path)],
        check=True,
        capture_output=True,
        timeout=300,
    )
    for rank in (0, 1):
        found = json.loads((tmp_path / f"{rank}.json").read_text())
        assert found["total"] == [2, 10]
        assert found["value"] == [1, 10 * rank]  # not modified
        assert found["integer"] == 4
        assert found["broadcast"] == [0.1, float("inf"), 3]
        assert found["gradients"] == [[[1, 2], [3, 4]], None]
        assert found["refused"].startswith(f"job: got step {2 + rank} in process {rank}")


@pytest.fixture
def launched(monkeypatch):
    """The environment of rank 1 of two processes, and what is called to join and leave."""
    for name, value in TORCHRUN.items():
        monkeypatch.setenv(name, value)
    calls = []
    for owner, name, result in (
        (torch.distributed, "is_initialized", False),
        (torch.distributed, "get_rank", 1),
        (torch.distributed, "get_world_size", 2),
        (torch.cuda, "device_count", 2),
    ):
        monkeypatch.setattr(owner, name, lambda result=result: result)
    monkeypatch.setattr(torch.distributed, "init_process_group", lambda kind, timeout: calls.append(kind))
    monkeypatch.setattr(torch.distributed, "destroy_process_group", lambda: calls.append("left"))
    monkeypatch.setattr(torch.cuda, "set_device", lambda index: calls.append(index))
    return calls


def test_each_process_takes_the_cuda_device_of_its_local_rank(launched):
    with joined("cuda:0") as processes:
        assert processes == Processes(1, 2, torch.device("cuda", 1))
        assert launched == [1, "nccl"]
    assert launched == [1, "nccl", "left"]


def test_processes_leave_after_an_error(launched):
    def fail():
        with joined():
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert launched == ["gloo", "left"]


def test_a_group_that_exists_is_used_and_kept(launched, monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    with joined() as processes:
        assert processes == Processes(1, 2)
    assert launched == []


def test_more_processes_than_cuda_devices_are_refused(launched, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(OptionError, match="device: got LOCAL_RANK 1 of 1 devices"), joined("cuda"):
        pass
    assert launched == []


@pytest.mark.parametrize("missing", ["RANK", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK"])
def test_an_environment_that_is_not_torchruns_is_refused(launched, monkeypatch, missing):
    monkeypatch.delenv(missing)
    with pytest.raises(OptionError, match=f"WORLD_SIZE=2 without {missing}.*torchrun"), joined("cuda"):
        pass


def test_mpi_launchers_are_refused(monkeypatch):
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "4")
    with pytest.raises(OptionError, match=r"OMPI_COMM_WORLD_SIZE=4 without RANK.*torchrun"), joined():
        pass
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "1")
    with joined() as processes:
        assert processes == SINGLE
