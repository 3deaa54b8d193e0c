"""A recipe carried out: from data and settings to a network's folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import torch

from csl_plugin.errors import FileError
from csl_plugin.models import CSLNetwork
from csl_plugin.models.storage import write_network
from csl_plugin.training.batches import batches
from csl_plugin.training.loop import train
from csl_plugin.training.recipe import Recipe
from csl_plugin.training.scene import Batch


def train_recipe(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    weights: str | None = None,
    workers: int = 1,
    device: str = "cpu",
) -> Path:
    """Train the network of a recipe, or go on where a run in `out` stopped.

    Args:
        recipe: What to train, on what, how long.
        data: The folder that the recipe's paths are relative to.
        out: The run's folder.
        weights: A network to begin with, a folder or OWNER/NAME on the Hub; of the recipe's configuration.
        workers: Processes that draw batches ahead.
        device: Where to train.

    Returns:
        OUT/network, with the moving average of the weights in float16.

    Raises:
        FileError: The data, the weights or the folder is not what it should be.
        CSLError: The loss became no number.
    """
    torch.manual_seed(recipe.settings.seed)
    network = CSLNetwork(recipe.network)
    if weights is not None:
        begun = CSLNetwork.from_pretrained(weights)
        if begun.config != recipe.network:
            mend = "Begin with a network of the recipe's configuration."
            raise FileError(weights, f"{begun.config}", f"{recipe.network}", mend)
        network = begun
    network = cast("CSLNetwork", network.to(device).to(memory_format=torch.channels_last))  # type: ignore[call-overload]
    mixture, settings = recipe.mixture(data), recipe.settings

    def batches_from(start: int) -> Iterator[Batch]:
        return batches(mixture, settings.batch_size, start=start, stop=settings.steps, workers=workers)

    average = train(network, batches_from, settings, out)
    stored = {name: value.half() if value.is_floating_point() else value for name, value in average.items()}
    write_network(out / "network", recipe.network, stored)
    return out / "network"
