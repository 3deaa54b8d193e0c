"""The process of a crew: it loads what the loops need, and runs them on the items that it is given."""

from __future__ import annotations

import multiprocessing
import pickle
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Any

from csl_plugin._crew.cores import shared_cores
from csl_plugin._crew.endings import as_sendable
from csl_plugin._crew.messages import Begin, Done, Failed, NoMore, Ready, Stop, Take, Wanted, Warned
from csl_plugin._crew.signals import interrupt_on_stop, stop_main_thread, take_stops


def serve(connection: Connection, processes: int, *, to_stderr: bool) -> None:
    """Load, then run one loop after another, until the first process says stop or is gone.

    Args:
        connection: To the first process, which sends first the pickled function that loads.
        processes: How many compute at the same time.
        to_stderr: Whether what is printed goes to stderr, as in the first process.
    """
    take_stops()
    multiprocessing.current_process().daemon = False  # a teacher may start processes of its own
    first = _First(connection)
    with suppress(KeyboardInterrupt), ExitStack() as held:
        if to_stderr:
            held.enter_context(redirect_stdout(sys.stderr))
        held.enter_context(first.warned())
        try:
            load = pickle.loads(connection.recv_bytes())  # noqa: S301 - of the first process
            first.listen()
            held.enter_context(shared_cores(processes))
            tool = load()
            # From here on something may be half written; until then SIGTERM ends the process.
            interrupt_on_stop()
            if first.is_gone():
                return
            while True:
                first.send(Ready())
                _run(first, tool)
        except (Exception, SystemExit) as error:
            first.send(Failed(as_sendable(error)))


def _run(first: _First, tool: Any) -> None:
    order = first.order()
    assert isinstance(order, Begin)  # noqa: S101
    drawn: list[Take] = []

    def items() -> Iterator[Any]:
        while True:
            first.send(Wanted())
            given = first.order()
            if isinstance(given, NoMore):
                return
            assert isinstance(given, Take)  # noqa: S101
            drawn.append(given)
            yield given.item

    for item, result in order.loop(tool, items()):
        place = next(place for place, given in enumerate(drawn) if given.item is item)
        first.send(Done(drawn.pop(place).position, result))


class _First:
    """The first process, as a worker sees it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._orders: SimpleQueue[Any] = SimpleQueue()
        self._gone = threading.Event()
        self._guard = threading.Lock()

    def listen(self) -> None:
        """Receive what it says in a thread, from which Stop interrupts the work at any point."""
        threading.Thread(target=self._receive, daemon=True).start()

    def is_gone(self) -> bool:
        """Whether it said stop, or ended."""
        return self._gone.is_set()

    def order(self) -> Any:
        """The next order but Stop, which raises KeyboardInterrupt here."""
        while isinstance(order := self._orders.get(), Stop):
            pass
        if isinstance(order, Failed):
            raise order.error
        return order

    def send(self, message: Any) -> None:
        """Tell it something; nothing if it does not listen any more."""
        with self._guard, suppress(OSError):
            self._connection.send(message)

    @contextmanager
    def warned(self) -> Iterator[None]:
        """It shows the warnings of the block."""

        def show(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
            known = category if category.__module__ == "builtins" else UserWarning
            self.send(Warned(str(message), known))

        with warnings.catch_warnings():
            warnings.showwarning = show
            yield

    def _receive(self) -> None:
        while True:
            try:
                order = self._connection.recv()
            except (EOFError, OSError):  # killed: nobody else will say stop
                order = Stop()
            except Exception as error:  # an item that cannot be unpickled here
                order = Failed(error)
            if isinstance(order, Stop):
                self._gone.set()
                stop_main_thread()  # before it can wake for the order
                self._orders.put(order)
                return
            self._orders.put(order)
