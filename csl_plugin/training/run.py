"""A recipe executed: from data and settings to the folder of a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch

from csl_plugin.arrays import checked_device
from csl_plugin.distributed import SINGLE, Processes
from csl_plugin.errors import FileError
from csl_plugin.models import CSLNetwork
from csl_plugin.models.hub.safetensors_io import write_network
from csl_plugin.training.batches import batches
from csl_plugin.training.data.scene import Batch
from csl_plugin.training.loop import train
from csl_plugin.training.recipe import Recipe


def train_recipe(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    weights: str | None = None,
    workers: int = 1,
    device: str = "cpu",
    processes: Processes = SINGLE,
) -> Path:
    """Train the network of a recipe, or continue the job in `out` if it was interrupted.

    Args:
        recipe: Network, data and settings.
        data: The folder that the recipe's paths are relative to.
        out: The job's folder.
        weights: A network to start from, a folder or OWNER/NAME on the Hub, with the recipe's configuration.
            The recipe's `backbone` is then not loaded.
        workers: Processes that draw batches ahead.
        device: Where to train; `processes.device` has priority.
        processes: Those that share every batch; each draws its own slice.

    Returns:
        OUT/network, with the moving average of the weights in float16.

    Raises:
        FileError: The data or the weights are missing or do not match the recipe, or `out` holds another job.
        OptionError: The recipe has an invalid value, or the processes cannot share a batch evenly.
        CSLError: The loss is not finite.
    """
    where = processes.device or checked_device(device)
    own = processes.batch_slice(recipe.settings.batch_size)
    torch.manual_seed(recipe.settings.seed)
    if weights is None:
        network = CSLNetwork(recipe.network)
        recipe.load_backbone(network, data)
    else:
        network = CSLNetwork.from_pretrained(weights)
        if network.config != recipe.network:
            hint = "Start from a network with the recipe's configuration."
            raise FileError(weights, f"{network.config}", f"{recipe.network}", hint)
    network = cast("CSLNetwork", network.to(where).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    mixture, settings = recipe.mixture(data), recipe.settings

    def batches_from(start: int) -> Iterator[Batch]:
        return batches(mixture, len(own), start=start, stop=settings.steps, first=own.start, workers=workers)

    average = train(
        network,
        batches_from,
        settings,
        out,
        teacher="saved" if mixture.teacher_classes else None,
        validation=recipe.validation(data) if processes.is_first else None,
        processes=processes,
    )
    if processes.is_first:
        stored = {
            name: value.half() if value.is_floating_point() else value for name, value in average.items()
        }
        write_network(out / "network", recipe.network, stored)
    return out / "network"
