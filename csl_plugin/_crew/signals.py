"""Ctrl-C and SIGTERM in the processes of a crew."""

from __future__ import annotations

import signal
import threading
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_STOPS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Both wait until the block is left; a process that is started in it gets neither until `take_stops`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else the first process starts it, which lets both through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def take_stops() -> None:
    """In a worker: Ctrl-C is for the first process, which ends this one; SIGTERM ends it at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)


def interrupt_on_stop() -> None:
    """From here on SIGTERM raises KeyboardInterrupt, once."""
    signal.signal(signal.SIGTERM, _interrupted)


def stop_main_thread() -> None:
    """SIGTERM for the main thread, from another one."""
    if hasattr(signal, "pthread_kill"):  # it wakes a system call too
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    else:
        interrupt_main(signal.SIGTERM)


def _interrupted(number: int, frame: FrameType | None) -> None:
    del frame
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
