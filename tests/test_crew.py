"""Processes that share items: who draws what, what is sent, and what is left as it was."""

import multiprocessing
import os
import time
import warnings
from functools import partial

import pytest
import torch

from csl_plugin._crew import available_cores, crew
from csl_plugin._opencv import opencv
from csl_plugin.errors import CSLError, FileError

IS_WORKER = multiprocessing.parent_process() is not None


def process():
    return os.getpid()


def no_file():
    raise FileError("weights", "nothing there", "a file", "Restore it.")


def meeting(folder, fault, pid, items):
    """Each process waits for the other one at its first item."""
    assert pid == os.getpid()
    for item in items:
        (folder / str(pid)).touch()
        end = time.monotonic() + 100
        while len(list(folder.iterdir())) < 2 and time.monotonic() < end:
            time.sleep(0.01)
        if IS_WORKER:
            warnings.warn("from a worker", stacklevel=1)
            if fault:
                raise fault
        yield item, (pid, torch.get_num_threads(), opencv().getNumThreads())


def test_one_process_draws_an_item_when_its_loop_asks():
    drawn = []

    def loop(tool, items):
        for item in items:
            yield item, tool + item

    class Items(list):
        def __getitem__(self, place):
            drawn.append(place)
            return super().__getitem__(place)

    with crew(lambda: 100, 1) as alone:
        results = alone.over(loop, Items([5, 6, 7]))
        assert next(results) == (5, 105)
        assert set(drawn) == {0}
        assert list(results) == [(6, 106), (7, 107)]
        assert list(alone.over(loop, [])) == []


def test_two_processes_share_items_and_cores_over_two_passes(tmp_path):
    before = torch.get_num_threads(), opencv().getNumThreads()
    for place in ("first", "second"):
        (tmp_path / place).mkdir()
    with crew(process, 2) as both:
        with pytest.warns(UserWarning, match="from a worker"):
            first = list(both.over(partial(meeting, tmp_path / "first", None), range(20)))
        second = list(both.over(partial(meeting, tmp_path / "second", None), range(20, 30)))
    for results, items in ((first, range(20)), (second, range(20, 30))):
        assert sorted(item for item, _ in results) == list(items)
        assert len({pid for _, (pid, _, _) in results}) == 2
    assert {pid for _, (pid, _, _) in first} == {pid for _, (pid, _, _) in second}
    share = max(1, available_cores() // 2)
    assert all(1 <= threads <= share for _, (_, *each) in first for threads in each)
    assert (torch.get_num_threads(), opencv().getNumThreads()) == before
    assert multiprocessing.active_children() == []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:from a worker")
@pytest.mark.parametrize(
    ("fault", "kind", "said"),
    [
        (FileError("a.png", "nothing there", "a file", "Restore it."), FileError, "a.png: got nothing"),
        (ZeroDivisionError("by zero"), CSLError, "jobs: got ZeroDivisionError: by zero"),
        (SystemExit(7), SystemExit, "7"),
    ],
)
def test_an_error_of_a_worker_arrives_as_it_is(tmp_path, fault, kind, said):
    with crew(process, 2) as both, pytest.raises(kind, match=said):
        list(both.over(partial(meeting, tmp_path, fault), range(10**6)))
    assert multiprocessing.active_children() == []


def test_an_error_here_ends_the_workers():
    with pytest.raises(FileError, match="weights"), crew(no_file, 3):
        pass
    assert multiprocessing.active_children() == []


@pytest.mark.slow
def test_what_cannot_be_sent_is_told(tmp_path):
    class Local:
        def __reduce__(self):
            (tmp_path / "tried").touch()  # what this process waits for
            raise TypeError("a local object")

    items = [Local() for _ in range(1000)]
    with crew(process, 2) as both, pytest.raises(CSLError, match="jobs: got TypeError: a local object"):
        list(both.over(partial(meeting, tmp_path, None), items))
    assert multiprocessing.active_children() == []
