"""What the processes of a crew tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Begin:
    """To a worker: run this loop."""

    loop: Callable[..., Any]


@dataclass(frozen=True)
class Take:
    """To a worker: its next item, and the item's position."""

    position: int
    item: Any


@dataclass(frozen=True)
class NoMore:
    """To a worker: there are no items left."""


@dataclass(frozen=True)
class Stop:
    """To a worker: give up what is at work, leave nothing half written, and end."""


@dataclass(frozen=True)
class Ready:
    """From a worker: it waits for a loop."""


@dataclass(frozen=True)
class Wanted:
    """From a worker: its loop draws an item."""


@dataclass(frozen=True)
class Done:
    """From a worker: the result of the item at a position."""

    position: int
    result: Any


@dataclass(frozen=True)
class Warned:
    """From a worker: a warning."""

    text: str
    category: type[Warning]


@dataclass(frozen=True)
class Failed:
    """From a worker: an error that is none of a single item; the worker ends."""

    error: BaseException
