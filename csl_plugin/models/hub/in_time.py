"""Exchanges with a server that may be slow, but not endless."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

_Answer = TypeVar("_Answer")

GRACE = 30.0
"""Seconds that an exchange may take however little comes."""

RATE = 32 << 10
"""Bytes; each such number that came allows one more second."""


class SlowServerError(Exception):
    """The server sends less than `RATE` bytes in each second."""


class Clock:
    """The time that an exchange has left: `GRACE` seconds, and more for what came."""

    def __init__(self) -> None:
        self._start, self._received = time.monotonic(), 0
        self.stopped = False

    @property
    def is_late(self) -> bool:
        """Whether the exchange takes longer than what came allows."""
        return time.monotonic() - self._start > GRACE + self._received / RATE

    def count(self, received: int) -> None:
        """Count bytes that came.

        Raises:
            SlowServerError: Nobody waits for the exchange any more: it must write nothing.
        """
        if self.stopped:
            raise SlowServerError
        self._received += received


class _Exchange(Thread, Generic[_Answer]):
    def __init__(self, exchange: Callable[[Clock], _Answer]) -> None:
        super().__init__(name="csl-plugin: an exchange with the Hub", daemon=True)
        self.clock = Clock()
        self.answers: list[_Answer] = []
        self.error: BaseException | None = None
        self._exchange = exchange

    def run(self) -> None:
        try:
            self.answers.append(self._exchange(self.clock))
        except BaseException as error:  # raised again where the answer is awaited
            self.error = error


def in_time(exchange: Callable[[Clock], _Answer]) -> _Answer:
    """The result of an exchange that takes at most `GRACE` seconds and one for every `RATE` bytes.

    It runs in a thread of its own, because a timeout of a socket starts anew with every byte. When the time
    is over, or on Ctrl-C, the thread is left alone: it ends with the next byte, and the process does not
    wait for it.

    Args:
        exchange: Called with the clock, to which it reports what came.

    Raises:
        SlowServerError: The time is over.

    Example:
        >>> in_time(lambda clock: clock.count(5) or "answer")
        'answer'
    """
    thread = _Exchange(exchange)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(0.5)
            if thread.is_alive() and thread.clock.is_late:
                raise SlowServerError(f"fewer than {RATE} bytes in a second, after {GRACE:.0f} seconds")
    finally:
        thread.clock.stopped = True
    if thread.error is not None:
        raise thread.error
    return thread.answers[0]
