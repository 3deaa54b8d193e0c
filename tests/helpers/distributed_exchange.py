"""Run by `torchrun`: what the processes exchange, as JSON in one file per rank."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import torch

from csl_plugin.distributed import joined
from csl_plugin.errors import FileError

if __name__ == "__main__":
    with joined() as processes:
        value = torch.tensor([1.0, 10.0 * processes.rank])
        total = processes.total(value).tolist()
        found = {"total": total, "value": value.tolist(), "integer": int(processes.total(torch.tensor(2)))}
        found["broadcast"] = processes.broadcast([0.1, math.inf, 3.0 if processes.is_first else math.nan])
        first, second = (torch.nn.Parameter(torch.zeros(2, 2)) for _ in range(2))
        if not processes.is_first:
            first.grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        processes.sum_gradients([first, second])
        found["gradients"] = [None if p.grad is None else p.grad.tolist() for p in (first, second)]
        processes.check_step(7, "job")
        try:
            processes.check_step(2 + processes.rank, "job")
        except FileError as error:
            found["refused"] = str(error)
        processes.wait()
    Path(sys.argv[1], f"{processes.rank}.json").write_text(json.dumps(found))
