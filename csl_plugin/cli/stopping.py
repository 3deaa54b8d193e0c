"""Ctrl-C and SIGTERM: the work ends, what is half written is removed, and the command still answers."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Stop:
    """The signal that came, if one did."""

    signal: int | None = None

    @property
    def exit_code(self) -> int:
        """As of a program that the signal ended: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """SIGINT and SIGTERM raise KeyboardInterrupt in the block.

    The signal is noted too, because code that it interrupts, such as an import, may raise something else.
    Handlers of a host program stay, and an ignored signal (nohup, a job in the background) stays ignored.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        stop.signal = number
        if number == signal.SIGTERM:
            signal.signal(number, signal.SIG_DFL)  # a second one ends the process at once
        raise KeyboardInterrupt

    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: was for number, was in usual.items() if signal.getsignal(number) is was}
    for number in before:
        signal.signal(number, handle)
    try:
        yield stop
    finally:
        for number, was in before.items():
            signal.signal(number, was)
