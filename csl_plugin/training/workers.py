"""Processes that draw ahead, in order, each at its own pipe.

There is no shared memory and no queue: where either runs out of room, the receiver waits for ever.
"""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar

import torch

from csl_plugin._opencv import opencv
from csl_plugin.errors import CSLError

Drawn = TypeVar("Drawn")

_PATIENCE = 5.0  # seconds until a process that was asked to end is killed
_FEWER = "Use fewer workers, or workers=0 to draw in this process"


def draw_ahead(draw: Callable[[int], Drawn], steps: Sequence[int], workers: int) -> Iterator[Drawn]:
    """What `draw` gives for every step, drawn by processes while the caller is busy.

    Each process has one result ready. The processes end with the iterator, and with this process.

    Args:
        draw: Pickled where processes are not forked.
        steps: In the order of the results.
        workers: Number of processes, at least 1.

    Raises:
        CSLError: A process cannot be started, or ended before its work was done; or what `draw` raised, as
            its text if it is no error of this package.
    """
    crew: list[_Worker[Drawn]] = []
    try:
        for number in range(min(workers, len(steps))):
            crew.append(_started(draw, steps[number::workers]))  # noqa: PERF401 - an error stops them all
        for index in range(len(steps)):
            yield crew[index % workers].receive()
    finally:
        for worker in crew:
            worker.stop()


@dataclass(frozen=True)
class _Worker(Generic[Drawn]):
    process: BaseProcess
    results: Connection

    def receive(self) -> Drawn:
        # The pipe is readable at its end too; the process is watched as another may hold that end open.
        ready = wait([self.results, self.process.sentinel])
        try:
            if self.results not in ready and not self.results.poll():
                raise EOFError
            drawn, error = self.results.recv()
        except (EOFError, OSError) as broken:
            raise self._lost() from broken
        if error is not None:
            raise error
        result: Drawn = drawn
        return result

    def stop(self) -> None:
        self.results.close()
        self.process.terminate()
        self.process.join(_PATIENCE)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()

    def _lost(self) -> CSLError:
        self.process.join(_PATIENCE)
        code = self.process.exitcode
        ended = "stopped answering" if code is None else f"ended with the code {code}"
        if code is not None and code < 0:
            names = {known.value: known.name for known in signal.Signals}
            ended = f"was ended by {names.get(-code, f'signal {-code}')}"
        hint = f"The system ends processes where memory runs out: smaller batches or crops help. {_FEWER}."
        return CSLError("workers", f"a process that {ended}", "processes that draw batches", hint)


def _started(draw: Callable[[int], Drawn], steps: Sequence[int]) -> _Worker[Drawn]:
    ends: tuple[Connection, ...] = ()
    try:
        ends = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.Process(target=_work, args=(draw, steps, *ends), daemon=True)
        process.start()
    except (OSError, pickle.PicklingError, AttributeError, TypeError) as error:
        for end in ends:
            end.close()
        got = f"a process that cannot be started ({error})"
        hint = f"{_FEWER}; or raise the limit that is named (see `ulimit -a`)."
        raise CSLError("workers", got, "processes that draw batches", hint) from error
    ends[1].close()  # so that the end of the process is the end of the pipe
    return _Worker(process, ends[0])


def _work(draw: Callable[[int], Any], steps: Sequence[int], unread: Connection, results: Connection) -> None:
    unread.close()  # so that the end of the first process is the end of the pipe here
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the first process, which ends this one
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    opencv().setNumThreads(0)  # its threads do not survive a fork
    for step in steps:
        drawn, error = None, None
        try:
            drawn = draw(step)
        except Exception as raised:
            error = _sendable(raised, step)
        try:
            results.send((drawn, error))
        except OSError:  # nobody listens any more
            return
        if error is not None:
            return


def _sendable(error: Exception, step: int) -> Exception:
    """The error if it is one of this package, which can be sent, or its text."""
    expected = "a batch"
    if isinstance(error, MemoryError):
        hint = f"Use smaller batches or crops. {_FEWER}."
        return CSLError("workers", f"no memory left at step {step}", expected, hint)
    if isinstance(error, CSLError) and type(error).__init__ is CSLError.__init__:
        return error
    got = f"{type(error).__name__}: {error}, at step {step}"
    return CSLError("workers", got, expected, "Correct the source that the batch is drawn from.")
