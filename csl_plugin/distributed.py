"""Several processes on one job, as `torchrun` starts them: how they divide it, and sums over all of them.

They exchange tensors by `torch.distributed`: over nccl where each computes on a CUDA device, else over gloo.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, nn

from csl_plugin._devices import checked_device
from csl_plugin.errors import FileError, OptionError

__all__ = ["SINGLE", "Processes", "joined"]

Item = TypeVar("Item")

# The slowest process may be hours behind the first; torchrun ends the others when one of them fails.
_TIMEOUT = timedelta(days=7)
_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""Variables in which torchrun and the MPI launchers give the number of processes."""
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """The processes of a job, and which of them this is.

    Attributes:
        rank: Of this process, 0 ... count - 1.
        count: Number of processes.
        device: CUDA device of this process; None where the launcher assigns none.

    Example:
        >>> second = Processes(rank=1, count=3)
        >>> second.share("abcdefg"), second.batch_slice(6)
        (['b', 'e'], range(2, 4))
    """

    rank: int = 0
    count: int = 1
    device: torch.device | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is rank 0, which writes the files that the job has once."""
        return self.rank == 0

    def share(self, items: Sequence[Item]) -> list[Item]:
        """The items of this process: every `count`-th."""
        return list(items[self.rank :: self.count])

    def batch_slice(self, size: int) -> range:
        """The samples of this process in a batch of `size`; every process has as many.

        Raises:
            OptionError: `size` is no multiple of the number of processes.
        """
        if size % self.count:
            hint = "Choose a batch size that is a multiple of the number of processes."
            raise OptionError("batch_size", str(size), f"a multiple of {self.count} processes", hint)
        own = size // self.count
        return range(self.rank * own, (self.rank + 1) * own)

    def total(self, value: Tensor) -> Tensor:
        """The sum of `value` over all processes, without gradient; all must call this in the same order."""
        if self.count == 1:
            return value
        summed = value.detach().to(self.device or "cpu", copy=True).contiguous()
        torch.distributed.all_reduce(summed)
        return summed.to(value.device)

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes; one that no process has stays None."""
        if self.count == 1:
            return
        given = list(parameters)
        flat = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in given]
        present = torch.tensor(
            [p.grad is not None for p in given], device=flat[0].device, dtype=flat[0].dtype
        )
        # One message rather than one for each parameter.
        whole = self.total(torch.cat([*flat, present]))
        *summed, present = torch.split(whole, [*map(len, flat), len(given)])
        for parameter, gradient, has_one in zip(given, summed, present.tolist(), strict=True):
            parameter.grad = gradient.view(parameter.shape) if has_one else None

    def broadcast(self, values: Sequence[float]) -> list[float]:
        """The values of rank 0, in every process; each passes as many."""
        # A sum in which the other processes add 0; nan and infinities arrive as they are.
        own = [*values] if self.is_first else [0.0] * len(values)
        return [float(value) for value in self.total(torch.tensor(own, dtype=torch.float64))]

    def wait(self) -> None:
        """Return when every process has called this."""
        self.total(torch.zeros(1))

    def check_step(self, step: int, folder: str) -> None:
        """Make sure that all processes continue from one step.

        Raises:
            FileError: They found different states in `folder`.
        """
        place = torch.tensor([step, step * step], dtype=torch.float64)
        mean, square = (self.total(place) / self.count).tolist()
        if square != mean * mean:
            hint = "Put the job's folder where all processes can read it."
            raise FileError(
                folder, f"step {step} in process {self.rank}", "the same step in every process", hint
            )


SINGLE = Processes()
"""One process that shares its job with no other."""


@contextmanager
def joined(device: str = "cpu") -> Iterator[Processes]:
    """Join the processes that `torchrun` started, and leave them at the end; without a launcher, `SINGLE`.

    Args:
        device: Where each process computes. For "cuda" each takes the device of its LOCAL_RANK.

    Yields:
        The processes of the job.

    Raises:
        OptionError: The device is not there, the environment names several processes but not how they
            connect, or this machine has no CUDA device for one of them.
    """
    launcher = next((name for name in _SIZES if os.environ.get(name, "1") != "1"), None)
    if launcher is None:
        yield SINGLE
        return
    on_cuda = device.partition(":")[0] == "cuda"
    if not on_cuda:
        checked_device(device)
    missing = [name for name in (*_NEEDED, *(["LOCAL_RANK"] * on_cuda)) if name not in os.environ]
    if missing:
        got = f"{launcher}={os.environ[launcher]} without " + ", ".join(missing)
        hint = f"Start the processes with torchrun, or unset {launcher} for a single one."
        raise OptionError("environment", got, "what torchrun sets", hint)
    own = _cuda_device(int(os.environ["LOCAL_RANK"])) if on_cuda else None
    starts = not torch.distributed.is_initialized()
    if starts:
        torch.distributed.init_process_group("nccl" if on_cuda else "gloo", timeout=_TIMEOUT)
    try:
        yield Processes(torch.distributed.get_rank(), torch.distributed.get_world_size(), own)
    finally:
        if starts:
            torch.distributed.destroy_process_group()


def _cuda_device(local_rank: int) -> torch.device:
    count = torch.cuda.device_count()
    if local_rank >= count:
        hint = "Start at most as many processes on a machine as it has CUDA devices."
        raise OptionError(
            "device", f"LOCAL_RANK {local_rank} of {count} devices", "one for each process", hint
        )
    torch.cuda.set_device(local_rank)
    return torch.device("cuda", local_rank)
