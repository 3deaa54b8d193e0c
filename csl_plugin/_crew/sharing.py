"""The items of one pass after the other, given out one by one, and what comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any

from csl_plugin._crew.messages import NoMore, Take

_PAUSE = 1.0  # where Ctrl-C does not wake a thread that waits


class Sharing:
    """Items for the loops of several processes; each process has a thread here that draws them."""

    def __init__(self) -> None:
        self._loop: Callable[..., Any] | None = None
        self._items: Sequence[Any] = ()
        self._given = 0
        self._at_work = 0
        self._closed = False
        self._changed = threading.Condition()
        self._arrived: SimpleQueue[Any] = SimpleQueue()

    def begin(self, loop: Callable[..., Any], items: Sequence[Any]) -> None:
        """Give out these items, to processes that run this loop."""
        with self._changed:
            self._loop, self._items, self._given = loop, items, 0
            self._changed.notify_all()

    def wait(self) -> Callable[..., Any] | None:
        """The loop to run, when there are items for it; the caller is at work until it calls `rest`.

        Returns:
            The loop, or None if there will be none.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._given < len(self._items))
            if self._closed:
                return None
            self._at_work += 1
            return self._loop

    def take(self) -> Take | NoMore:
        """The next item."""
        with self._changed:
            if self._given >= len(self._items):
                return NoMore()
            self._given += 1
            return Take(self._given - 1, self._items[self._given - 1])

    def end(self) -> None:
        """Give out no more items of this pass."""
        with self._changed:
            self._given = len(self._items)

    def close(self) -> None:
        """End this pass, and begin no other."""
        with self._changed:
            self._closed = True
            self._given = len(self._items)
            self._changed.notify_all()

    def rest(self) -> None:
        """The caller of `wait` has no item any more."""
        with self._changed:
            self._at_work -= 1

    def put(self, message: Any) -> None:
        """Pass on what a process says."""
        self._arrived.put(message)

    def arrived(self, *, wait: bool) -> Any | None:
        """The next message; None if there is none, and with `wait` if none will come."""
        while True:
            expected = wait and self._at_work > 0  # before the look into the queue: `put` comes before `rest`
            try:
                return self._arrived.get(timeout=_PAUSE) if expected else self._arrived.get_nowait()
            except Empty:
                if not expected:
                    return None
