"""A recipe carried out: from data and settings to a network's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch

from csl_plugin.errors import FileError
from csl_plugin.models import CSLNetwork
from csl_plugin.models.hub.safetensors_io import write_network
from csl_plugin.training.batches import batches
from csl_plugin.training.data.scene import Batch
from csl_plugin.training.loop import train
from csl_plugin.training.processes import Processes
from csl_plugin.training.recipe import Recipe


def train_recipe(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    weights: str | None = None,
    workers: int = 1,
    device: str = "cpu",
    processes: Processes | None = None,
) -> Path:
    """Train the network of a recipe, or go on where a run in `out` stopped.

    Args:
        recipe: What to train, on what, how long.
        data: The folder that the recipe's paths are relative to.
        out: The run's folder.
        weights: A network to begin with, a folder or OWNER/NAME on the Hub; of the recipe's configuration.
            The recipe's `backbone` is then not asked for.
        workers: Processes that draw batches ahead.
        device: Where to train.
        processes: Those that train together; each draws its own part of every batch.

    Returns:
        OUT/network, with the moving average of the weights in float16.

    Raises:
        FileError: The data, the weights or the folder is not what it should be.
        OptionError: The recipe is not one that can be carried out, or not by so many processes.
        CSLError: The loss became no number.
    """
    processes = processes or Processes()
    share = processes.share(recipe.settings.batch_size)
    torch.manual_seed(recipe.settings.seed)
    network = CSLNetwork(recipe.network)
    if weights is None:
        recipe.load_backbone(network, data)
    else:
        begun = CSLNetwork.from_pretrained(weights)
        if begun.config != recipe.network:
            hint = "Begin with a network of the recipe's configuration."
            raise FileError(weights, f"{begun.config}", f"{recipe.network}", hint)
        network = begun
    network = cast("CSLNetwork", network.to(processes.device or device).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    mixture, settings = recipe.mixture(data), recipe.settings

    def batches_from(start: int) -> Iterator[Batch]:
        return batches(
            mixture, len(share), start=start, stop=settings.steps, first=share.start, workers=workers
        )

    average = train(
        network,
        batches_from,
        settings,
        out,
        teacher="saved" if mixture.taught_classes else None,
        validation=recipe.validation(data) if processes.rank == 0 else None,
        processes=processes,
    )
    if processes.rank == 0:
        stored = {
            name: value.half() if value.is_floating_point() else value for name, value in average.items()
        }
        write_network(out / "network", recipe.network, stored)
    return out / "network"
