"""Results that are held keep their memory; the memory of one that was dropped serves the next."""

from __future__ import annotations

import threading

import pytest
import torch

from csl_plugin import fuse
from csl_plugin.ops.cpu import memory

SIZE = (9, 1000, 1000)  # 36 MB


@pytest.fixture(autouse=True)
def nothing_kept():
    memory._kept.clear()
    yield
    memory._kept.clear()


def scores(value):
    return torch.full(SIZE, value), torch.zeros(SIZE[1:], dtype=torch.int32)


def test_a_dropped_result_makes_room_for_the_next():
    first = fuse(*scores(0.25), rule="product")
    place = first.data_ptr()
    del first
    again = fuse(*scores(0.5), rule="product")
    assert again.data_ptr() == place
    assert (again == 0.25).all()


@pytest.mark.parametrize(
    "part",
    [lambda result: result, lambda result: result[3:4], lambda result: result.numpy()[5, 10:]],
    ids=["whole", "view", "array"],
)
def test_what_is_held_stays_as_it_is(part):
    held = part(fuse(*scores(0.25), rule="product"))
    for _ in range(3):
        other = fuse(*scores(0.5), rule="product")
        assert (other == 0.25).all()
    assert (held == 0.0625).all()


def test_an_array_in_gives_an_array_that_is_held():
    distribution, labels = scores(0.25)
    held = fuse(distribution.numpy(), labels.numpy(), rule="product")
    fuse(*scores(0.5), rule="product")
    assert (held == 0.0625).all()


def test_memory_of_another_size_is_freed_first():
    for rows in (1000, 1001, 1002):
        memory.empty((9, rows, 1000), torch.float32)
        assert [kept.nbytes for kept in memory._kept] == [9 * rows * 1000 * 4]
    held = [memory.empty(SIZE, torch.float32) for _ in range(3)]
    assert not memory._kept
    del held
    assert len(memory._kept) == 1


@pytest.mark.parametrize("shape", [(1000, 1000), (1 << 14, 1 << 13)])
def test_small_and_huge_memory_is_not_kept(shape):
    memory.empty(shape, torch.float32)
    assert not memory._kept


def test_threads_never_share_memory():
    found = []

    def work(value):
        for _ in range(4):
            own = memory.empty(SIZE, torch.float32).fill_(value)
            found.append(bool((own == value).all()))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 16
    assert all(found)
