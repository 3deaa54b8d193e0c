"""A crew as its first process sees it: it works on the items too, beside its workers."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Generic, TypeVar

from csl_plugin._crew.cores import shared_cores
from csl_plugin._crew.endings import how_it_ended
from csl_plugin._crew.link import Link, Lost
from csl_plugin._crew.messages import Done, Failed, Take, Warned
from csl_plugin._crew.sharing import Sharing
from csl_plugin._crew.signals import uninterrupted
from csl_plugin.errors import CSLError

ToolT = TypeVar("ToolT")
ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")

_PATIENCE = 10.0  # seconds until a process that was asked to end is killed


class LostError(CSLError):
    """A process ended before its work was done, as where memory runs out.

    Attributes:
        items: What it had at that time.
    """

    items: tuple[Any, ...] = ()


class Crew(Generic[ToolT]):
    """Processes that share items; `crew` starts them.

    Attributes:
        tool: What this process loaded.
    """

    def __init__(self, tool: ToolT, sharing: Sharing, links: list[Link]) -> None:
        self.tool = tool
        self._sharing = sharing
        self._links = links

    def over(
        self,
        loop: Callable[[ToolT, Iterator[ItemT]], Generator[tuple[ItemT, ResultT], None, None]],
        items: Sequence[ItemT],
    ) -> Generator[tuple[ItemT, ResultT], None, None]:
        """Run a loop over the items in every process, this one included.

        Each process draws an item when its loop asks for one, so memory holds as many as the loops hold.
        After an error, or when this is closed before its end, the other processes are gone.

        Args:
            loop: Called with what the process loaded and the items that it draws, in their order; yields each
                with its result. What it raises ends the pass. A function that can be pickled.
            items: What can be pickled.

        Yields:
            Each item with its result, as they are done.

        Raises:
            LostError: A process ended; the others give up.
            CSLError: What a loop, or the loading in a process, raised; its text if it is no error of this
                package.
        """
        self._sharing.begin(loop, items)

        def drawn() -> Iterator[ItemT]:
            while isinstance(given := self._sharing.take(), Take):
                yield items[given.position]

        try:
            with closing(loop(self.tool, drawn())) as own:
                for done in own:
                    yield done
                    yield from self._arrived(items, wait=False)
            yield from self._arrived(items, wait=True)
        except BaseException:
            _stop(self._links, self._sharing)
            raise

    def _arrived(self, items: Sequence[ItemT], *, wait: bool) -> Iterator[tuple[ItemT, Any]]:
        while (message := self._sharing.arrived(wait=wait)) is not None:
            match message:
                case Done(position, result):
                    yield items[position], result
                case Warned(text, category):
                    warnings.warn(text, category, stacklevel=2)
                case Failed(error):
                    raise error
                case Lost(code, positions):
                    raise _lost(code, tuple(items[position] for position in positions))


@contextmanager
def crew(load: Callable[[], ToolT], jobs: int) -> Iterator[Crew[ToolT]]:
    """Start the processes of a job; they end with the block, and with this process.

    On any error, Ctrl-C included, they give up what they are at. Where several compute at the same time, each
    uses its share of the cores.

    Args:
        load: Called in every process, this one included: it loads what cannot be sent, such as a network.
        jobs: Number of processes, this one included.

    Raises:
        OptionError: A process cannot be started.

    Example:
        >>> def halves(by, numbers):
        ...     for number in numbers:
        ...         yield number, number / by
        >>> with crew(lambda: 2, jobs=1) as alone:
        ...     list(alone.over(halves, [1, 2]))
        [(1, 0.5), (2, 1.0)]
    """
    sharing, links = Sharing(), []
    try:
        if jobs > 1:
            pickled = pickle.dumps(load)
            for _ in range(jobs - 1):
                with uninterrupted():  # else one may be started that is not in the list
                    links.append(Link(pickled, jobs, sharing))
        with shared_cores(jobs):
            yield Crew(load(), sharing, links)
    finally:
        _stop(links, sharing)


def _stop(links: list[Link], sharing: Sharing) -> None:
    """End all workers; a second Ctrl-C kills them."""
    sharing.close()
    end = time.monotonic() + _PATIENCE
    try:
        for link in links:
            link.stop()
        while links:
            links[-1].join(end)
            links.pop()
    finally:
        while links:
            links.pop().kill()


def _lost(code: int | None, items: tuple[Any, ...]) -> LostError:
    hint = (
        "The system ends processes where memory runs out: use fewer jobs. What is finished is kept; the same "
        "call goes on with the rest."
    )
    error = LostError("jobs", f"a process that {how_it_ended(code)}", "processes that run to their end", hint)
    error.items = items
    return error
