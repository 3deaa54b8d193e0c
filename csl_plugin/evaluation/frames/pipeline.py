"""Read, compute and write in parallel, with few frames in memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
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
    ahead: int = 2,
) -> Generator[tuple[Item, Exception | None], None, None]:
    """Call read and finish for every item in threads, and compute in the calling thread.

    While an item is computed, the next `ahead` are read and the last `ahead` are finished. So memory holds at
    most 2 x ahead + 1 items. Items are computed in their order.

    Args:
        items: The items; each is drawn when it is to be read.
        read: Called in a thread; an error fails only this item.
        compute: Called in the calling thread; an error fails only this item.
        finish: Called in a thread; an error fails only this item, but a FileError ends the loop: if a folder
            cannot be written once, the next item fails too.
        ahead: At least 1.

    Yields:
        Each item that is finished or has failed, with its error or None.

    Raises:
        FileError: The first of `finish`, after the started items are finished.

    Example:
        >>> squares = []
        >>> list(overlap([1, 2], lambda x: x, lambda _, x: x * x, lambda _, y: squares.append(y)))
        [(1, None), (2, None)]
        >>> sorted(squares)
        [1, 4]
    """
    waiting = iter(items)
    reads: deque[tuple[Item, Future[Read]]] = deque()
    writes: deque[tuple[Item, Future[None]]] = deque()

    def settled(keep: int) -> Iterator[tuple[Item, Exception | None]]:
        while len(writes) > keep:
            item, future = writes.popleft()
            try:
                future.result()
            except FileError:
                raise
            except Exception as error:  # one bad item must not stop the others
                yield item, error
            else:
                yield item, None

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
                except Exception as error:  # one bad item must not stop the others
                    yield item, error
                    continue
                finally:
                    del coming
                writes.append((item, writers.submit(finish, item, made)))
                del made
                yield from settled(ahead - 1)
            yield from settled(0)
        except BaseException:
            for _, pending in reads:
                pending.cancel()
            for _, unwritten in writes:
                unwritten.cancel()
            raise
