"""A recipe executed: from data and settings to the folder of a network."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from csl_plugin._devices import checked_device
from csl_plugin.distributed import SINGLE, Processes
from csl_plugin.errors import FileError
from csl_plugin.io.json_schema import Place, integer
from csl_plugin.models import CSLNetwork
from csl_plugin.models.hub.safetensors_io import write_network
from csl_plugin.proposers.bundled import BUNDLED, bundled_folder
from csl_plugin.training.batches import MOST_WORKERS, batches
from csl_plugin.training.data.scene import Batch
from csl_plugin.training.identity import job_identity
from csl_plugin.training.job_folder import NETWORK, NETWORK_FILES, TRAINING_FILES, job_folder
from csl_plugin.training.loop import take_steps
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

    A job is continued with the recipe, the data and the first weights that it was started with: files count
    by name, size and time, weights by content. The number of workers, the device, and how often a checkpoint
    is saved and the average measured may differ.

    Args:
        recipe: Network, data and settings.
        data: The folder that the recipe's paths are relative to.
        out: The job's folder.
        weights: A network to start from, with the recipe's configuration: "csl-tiny", "csl-tiny-strict",
            "csl-tiny-open", a folder, or OWNER/NAME on the Hub. The recipe's `backbone` is then not loaded.
            Of a network without finer boundaries, where the recipe has them, only that head is trained,
            without labels or teacher; of one with them, where the recipe has none, it is left out.
        workers: Processes that draw batches ahead.
        device: Where to train; `processes.device` has priority.
        processes: Those that share every batch; each draws its own slice.

    Returns:
        OUT/network, with the moving average of the weights in float16.

    Raises:
        FileError: The data or the weights are missing or do not match the recipe; `out` holds another job, of
            which every difference is named, or a damaged checkpoint; or a file cannot be written.
        OptionError: The recipe has an invalid value, the processes cannot share a batch evenly, `out` holds
            what no training made, or another one is at work in it.
        CSLError: The loss is not finite, or a worker was ended or cannot be started.
    """
    where = processes.device or checked_device(device)
    integer(0, MOST_WORKERS)(workers, Place()["workers"])  # before minutes of reading
    own, settings = processes.batch_slice(recipe.settings.batch_size), recipe.settings
    inputs = [Path(given) for given in (data, weights) if given is not None and os.path.isdir(given)]  # noqa: PTH112 - never raises
    taken = job_folder(out, (*TRAINING_FILES, *NETWORK_FILES), inputs, writes=processes.is_first)
    with taken as folder:
        network = _start(recipe, data, weights)
        job = job_identity(recipe, data, network, weights)
        network = network.to(where)
        network = cast("CSLNetwork", network.to(memory_format=torch.channels_last))  # type: ignore[call-overload]
        mixture = recipe.mixture(data)

        def batches_from(start: int) -> Iterator[Batch]:
            return batches(
                mixture, len(own), start=start, stop=settings.steps, first=own.start, workers=workers
            )

        with folder.writing("training", TRAINING_FILES):
            average = take_steps(
                network,
                batches_from,
                settings,
                out,
                "saved" if mixture.teacher_classes else None,
                recipe.validation(data) if processes.is_first else None,
                job,
                processes,
            )
        if processes.is_first:
            stored = {
                name: value.half() if value.is_floating_point() else value for name, value in average.items()
            }
            with folder.writing("network", NETWORK_FILES):
                write_network(out / NETWORK, recipe.network, stored)
    return out / NETWORK


def _start(recipe: Recipe, data: Path, weights: str | None) -> CSLNetwork:
    """The network with the weights that the job starts from."""
    torch.manual_seed(recipe.settings.seed)
    if weights is None:
        network = CSLNetwork(recipe.network)
        recipe.load_backbone(network, data)
        return network
    network = CSLNetwork.from_pretrained(bundled_folder(weights) if weights in BUNDLED else weights)
    if replace(network.config, finer_boundary=False) != replace(recipe.network, finer_boundary=False):
        hint = "Start from a network with the recipe's configuration."
        raise FileError(weights, f"{network.config}", f"{recipe.network}", hint)
    if network.config == recipe.network:
        return network
    given, started = network.state_dict(), CSLNetwork(recipe.network)
    own = started.state_dict()
    started.load_state_dict({name: given.get(name, value) for name, value in own.items()})
    if recipe.network.finer_boundary:
        for name, parameter in started.named_parameters():
            parameter.requires_grad_(name not in given)
    return started
