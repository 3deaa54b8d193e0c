"""Several processes on one run, as `torchrun` starts them: who does which frames, and when all are there."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from csl_plugin.errors import OptionError

Item = TypeVar("Item")

# The slowest process may be hours behind the first; torchrun ends the others when one of them dies.
_PATIENCE = timedelta(days=7)
_NEEDED = ("RANK", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """This process among those of the run.

    Args:
        rank: 0 ... count - 1.
        count: 1 where there is no other.

    Example:
        >>> Processes(1, 3).share("abcdefg")
        ['b', 'e']
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes what there is one of."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """This process's part of the items: every `count`-th."""
        return list(items[self.rank :: self.count])

    def wait(self) -> None:
        """Return when every process has called this."""
        self.agree([])

    def agree(self, values: Sequence[float]) -> list[float]:
        """The first process's values, in every process; as many must be passed by each."""
        if self.count == 1:
            return list(values)
        import torch
        from torch import distributed

        shared = torch.tensor(
            [*values, 0.0] if self.first else [0.0] * (len(values) + 1), dtype=torch.float64
        )
        distributed.all_reduce(shared)  # a sum in which all others are 0; waits for everyone, as a barrier
        return [float(value) for value in shared[:-1]]


@contextmanager
def joined() -> Iterator[Processes]:
    """Join the processes that `torchrun` started; outside of torchrun, this one alone.

    Tensors of a few numbers are all that is exchanged, over gloo; everything else goes through the files of
    the run's folder, which all processes must see.

    Raises:
        OptionError: The environment speaks of several processes and not of how they meet.
    """
    count = os.environ.get("WORLD_SIZE", "1")
    if count == "1":
        yield Processes()
        return
    missing = [name for name in _NEEDED if name not in os.environ]
    if missing:
        got = f"WORLD_SIZE={count} without " + ", ".join(missing)
        hint = "Start the processes with torchrun, or unset WORLD_SIZE for one alone."
        raise OptionError("environment", got, "what torchrun sets", hint)
    from torch import distributed

    own = not distributed.is_initialized()
    if own:
        distributed.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Processes(distributed.get_rank(), distributed.get_world_size())
    finally:
        if own:
            distributed.destroy_process_group()
