"""Run by `torchrun`: the gradient of a batch that the processes share."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from csl_plugin.distributed import Processes, joined
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.training import Batch, TrainingSettings, take_gradient

CONFIG = NetworkConfig(
    num_queries=6,
    embedding_width=16,
    query_width=16,
    num_heads=2,
    num_layers=2,
    feedforward_width=16,
    num_classes=3,
    points=True,
    boundary=True,
    finer_boundary=True,
)
SETTINGS = TrainingSettings(steps=3, batch_size=4, crop=(32, 32), points=3, bfloat16=False)


def gradient(part: range, processes: Processes, teacher: bool, empty: bool):
    """Losses and gradients by name for a slice of one fixed batch of four very different images."""
    draw = torch.Generator().manual_seed(3)
    regions = torch.randint(-1, 5, (4, 8, 8), generator=draw).int()
    regions[2] = 0
    regions[3, :6] = -1
    if empty:  # the second process has ignored pixels only
        regions[2:] = -1
    regions = regions.repeat_interleave(4, 1).repeat_interleave(4, 2)
    images = torch.rand(4, 3, 32, 32, generator=draw)
    scores = torch.rand(4, 3, 8, 8, generator=draw)
    mask = torch.rand(4, 32, 32, generator=draw) < torch.tensor([0.9, 0.5, 0.1, 1.0])[:, None, None]
    whole = Batch(images, regions, torch.full_like(regions, -1), scores, mask)
    batch = Batch(*(tensor[part.start : part.stop] for tensor in whole))
    torch.manual_seed(0)
    network = CSLNetwork(CONFIG).train()
    values = take_gradient(network, batch, SETTINGS, 7, "saved" if teacher else None, processes)
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return values, gradients


if __name__ == "__main__":
    with joined() as processes:
        for name, teacher, empty in (("plain", False, False), ("taught", True, False), ("empty", True, True)):
            values, gradients = gradient(processes.batch_slice(4), processes, teacher, empty)
            if processes.rank == processes.count - 1:
                arrays = {key: value.numpy() for key, value in gradients.items()}
                losses = {f"loss {key}": value for key, value in values.items()}
                np.savez(Path(sys.argv[1]) / f"{name}.npz", **arrays, **losses)
