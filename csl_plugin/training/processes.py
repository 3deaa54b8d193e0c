"""Several processes that train one network: each has its slice of every batch, sums are taken over all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor, nn

from csl_plugin.errors import FileError, MissingExtraError, OptionError

_SIZES = ("WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE")
"""How many processes there are, as torchrun and the MPI launchers say it."""

Total: TypeAlias = Callable[[Tensor], Tensor]
"""From a process's own sum to the sum over all processes; every process has to ask in the same order."""


def alone(value: Tensor) -> Tensor:
    """The sum over all processes where there is one."""
    return value


@dataclass(frozen=True)
class Processes:
    """The processes of a run, and which of them this is.

    Their losses are parts of one sum, each divided by counts over the whole batch, so the sum of their
    gradients is the gradient of one process that has the whole batch.

    Attributes:
        count: How many there are.
        rank: Which this is, from 0. Rank 0 writes.
        total: Sums a tensor over all of them.
        device: Where this one trains, where the launcher decides; else None.

    Example:
        >>> Processes(count=2, rank=1).share(8)  # of a batch of 8
        range(4, 8)
    """

    count: int = 1
    rank: int = 0
    total: Total = alone
    device: torch.device | None = field(default=None, compare=False)

    @staticmethod
    def launched(device: str) -> Processes:
        """Those that `torchrun` or `accelerate launch` started; one where neither did.

        Args:
            device: "cpu", or the kind of device of which each process takes its own.

        Raises:
            MissingExtraError: Several processes without the package accelerate.
        """
        launcher = next((name for name in _SIZES if os.environ.get(name, "1") != "1"), None)
        if launcher is None:
            return Processes()
        try:
            from accelerate import Accelerator
        except ImportError as error:
            hint = "Install it with: pip install 'csl-plugin[distributed]', or train in one process."
            got = f"{os.environ[launcher]} processes, no module accelerate"
            raise MissingExtraError(launcher, got, "the extra `distributed`", hint) from error
        # Precision stays what the recipe says, whatever the launcher was configured with.
        engine = Accelerator(cpu=torch.device(device).type == "cpu", mixed_precision="no")

        def total(value: Tensor) -> Tensor:
            summed: Tensor = engine.reduce(value, "sum")
            return summed

        return Processes(engine.num_processes, engine.process_index, total, engine.device)

    def close(self) -> None:
        """Let go of the others, at the end of a run; a single process has none to let go of."""
        if self.count > 1:
            from accelerate import PartialState

            PartialState().destroy_process_group()

    def share(self, size: int) -> range:
        """Which samples of a batch of `size` this process has.

        Raises:
            OptionError: The processes cannot have equally many.
        """
        if size % self.count:
            hint = "Choose a batch size that is a multiple of the number of processes."
            raise OptionError("batch_size", str(size), f"a multiple of {self.count} processes", hint)
        own = size // self.count
        return range(self.rank * own, (self.rank + 1) * own)

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

    def agree(self, step: int, where: str) -> None:
        """Make sure that all of them go on from one step.

        Raises:
            FileError: They do not see the same folder.
        """
        place = torch.tensor([step, step * step], dtype=torch.float64, device=self.device)
        mean, square = (self.total(place) / self.count).tolist()
        if square != mean * mean:
            hint = "Put the run's folder where all processes can read it."
            raise FileError(where, f"step {step} in process {self.rank}", f"{mean:g} in all of them", hint)
