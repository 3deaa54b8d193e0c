"""Reading, computing and writing at the same time, with few frames in flight."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from csl_plugin.errors import FileError

Item = TypeVar("Item")
Read = TypeVar("Read")
Made = TypeVar("Made")


def overlap(
    items: Iterable[Item],
    read: Callable[[Item], Read],
    compute: Callable[[Item, Read], Made],
    finish: Callable[[Item, Made], None],
    *,
    failed: Callable[[Item, Exception], None],
    done: Callable[[Item], None],
    ahead: int = 2,
) -> None:
    """Run read, compute and finish over items: reading and finishing in threads, computing in this one.

    While an item is computed the next `ahead` are read and the last `ahead` are finished, so memory holds at
    most 2 x ahead + 1 items however fast the disk is. Items are computed in their order.

    Args:
        items: What to work on.
        read: In a thread; an error fails the item alone.
        compute: In the calling thread; an error fails the item alone.
        finish: In a thread; an error fails the item alone, but a FileError ends the run: a folder that
            cannot be written once cannot be written for the next item either.
        failed: Told of an item that failed, in the calling thread.
        done: Told of an item that is finished, in the calling thread.
        ahead: At least 1.

    Raises:
        FileError: The first of `finish`, after the items in flight are finished.

    Example:
        >>> squares = []
        >>> overlap([1, 2], lambda x: x, lambda _, x: x * x, lambda _, y: squares.append(y),
        ...         failed=print, done=lambda x: None)
        >>> sorted(squares)
        [1, 4]
    """
    waiting = iter(items)
    reads: deque[tuple[Item, Future[Read]]] = deque()
    writes: deque[tuple[Item, Future[None]]] = deque()

    def settle(keep: int) -> None:
        while len(writes) > keep:
            item, future = writes.popleft()
            try:
                future.result()
            except FileError:
                raise
            except Exception as error:  # as for compute
                failed(item, error)
            else:
                done(item)

    with (
        ThreadPoolExecutor(ahead, thread_name_prefix="read") as readers,
        ThreadPoolExecutor(ahead, thread_name_prefix="finish") as writers,
    ):
        try:
            while True:
                while len(reads) < ahead and (item := next(waiting, None)) is not None:
                    reads.append((item, readers.submit(read, item)))
                if not reads:
                    break
                item, coming = reads.popleft()
                try:
                    made = compute(item, coming.result())
                except Exception as error:  # one bad frame, whatever is wrong with it, must not end the run
                    failed(item, error)
                    continue
                finally:
                    del coming
                writes.append((item, writers.submit(finish, item, made)))
                del made
                settle(ahead - 1)
            settle(0)
        except BaseException:
            for _, pending in reads:
                pending.cancel()
            for _, unwritten in writes:
                unwritten.cancel()
            raise
