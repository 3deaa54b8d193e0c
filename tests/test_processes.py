"""Processes that share items: what is sent, the order of results, and what is left of the processes."""

import multiprocessing
import os
import time
from functools import partial

import pytest
import torch

from csl_plugin._opencv import opencv
from csl_plugin._processes import available_cores, in_processes
from csl_plugin.errors import CSLError, FileError

pytestmark = pytest.mark.slow


def meeting(folder):
    """What each process prepares: at its first item it waits for the other one."""
    (folder / str(os.getpid())).touch()
    end = time.monotonic() + 100
    while len(list(folder.iterdir())) < 2 and time.monotonic() < end:
        time.sleep(0.01)
    return threads


def threads(item):
    time.sleep(0.05 * (item % 3 == 0))  # later items are done earlier
    return os.getpid(), torch.get_num_threads(), opencv().getNumThreads()


def failing(fault):
    return partial(fail, fault)


def fail(fault, item):
    if item == 3:
        raise fault
    return item


def unprepared():
    raise FileError("weights", "nothing there", "a file", "Restore it.")


def echo():
    return abs


class Unsendable:
    def __reduce__(self):
        raise TypeError("a local object")


def check_alone():
    assert multiprocessing.active_children() == []


def test_two_processes_share_items_in_order_and_cores(tmp_path):
    before = torch.get_num_threads(), opencv().getNumThreads()
    results = list(in_processes(2, partial(meeting, tmp_path), range(20)))
    assert [item for item, _ in results] == list(range(20))
    assert {str(pid) for _, (pid, _, _) in results} == {pid.name for pid in tmp_path.iterdir()}
    assert len(list(tmp_path.iterdir())) == 2
    assert os.getpid() not in {pid for _, (pid, _, _) in results}
    share = max(1, available_cores() // 2)
    assert all(1 <= count <= share for _, (_, *counts) in results for count in counts)
    assert (torch.get_num_threads(), opencv().getNumThreads()) == before
    check_alone()


@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (FileError("a.png", "nothing there", "a file", "Restore it."), FileError, "a.png: got nothing"),
        (ZeroDivisionError("by zero"), CSLError, "jobs: got ZeroDivisionError: by zero"),
        (SystemExit(7), SystemExit, "7"),
    ],
)
def test_an_error_of_an_item_arrives_as_it_is(fault, kind, said):
    with pytest.raises(kind, match=said):
        list(in_processes(2, partial(failing, fault), range(10**6)))
    check_alone()


def test_an_error_of_the_preparation_arrives_as_it_is():
    with pytest.raises(FileError, match="weights"):
        list(in_processes(2, unprepared, range(3)))
    check_alone()


def test_items_are_drawn_as_they_are_needed_and_the_processes_end_with_the_generator():
    drawn = iter(range(10**9))
    results = in_processes(2, echo, drawn)
    assert next(results) == (0, 0)
    results.close()
    assert next(drawn) <= 6
    check_alone()


def test_what_cannot_be_sent_is_told():
    with pytest.raises(CSLError, match="jobs: got TypeError: a local object"):
        list(in_processes(2, echo, [1, Unsendable()]))
    check_alone()
