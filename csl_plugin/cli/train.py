"""`csl-plugin train`: a CSL network from a recipe."""

from __future__ import annotations

import argparse
from typing import Any

from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.arguments import name, path


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "train",
        help="train a network that proposes regions",
        description="Train the network of a recipe. Writes OUT/state.safetensors, from which the same "
        "command continues, OUT/log.jsonl and OUT/log.svg, and at the end OUT/network, which --proposer "
        "takes. OUT is new, empty, or of a training of the same recipe, data and first weights. Under "
        "torchrun several processes, each on its own device, share every batch.",
        examples=[
            "csl-plugin train recipe.json --data data --out run",
            "csl-plugin propose images regions --proposer run/network",
            "torchrun --nproc-per-node 2 -m csl_plugin train recipe.json --data data --out run",
        ],
    )
    parser.add_argument(
        "recipe",
        metavar="RECIPE",
        type=path,
        help="a JSON file; csl_plugin.training.Recipe says what is in it",
    )
    parser.add_argument(
        "--data",
        metavar="DIR",
        type=path,
        required=True,
        help="the folder that the paths in the recipe are relative to",
    )
    parser.add_argument("--out", metavar="DIR", type=path, required=True, help="the job's folder")
    parser.add_argument(
        "--weights",
        metavar="SOURCE",
        type=name,
        help="start from a network: a built-in one such as csl-tiny, a folder, or OWNER/NAME on the Hub",
    )
    parser.add_argument(
        "--workers",
        metavar="N",
        type=int,
        default=1,
        help="processes that draw batches; 0 for this one (default: %(default)s)",
    )
    parser.add_argument(
        "--device", metavar="D", default="cpu", help="where to train, such as cuda (default: %(default)s)"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command.

    Raises:
        CSLError: The recipe, the data or the job's folder is invalid, the loss is not finite, or several
            processes cannot be joined.
    """
    from csl_plugin.distributed import joined
    from csl_plugin.training import Recipe, train_recipe

    recipe = Recipe.read(arguments.recipe)
    with joined(arguments.device) as processes:
        folder = train_recipe(
            recipe,
            arguments.data,
            arguments.out,
            weights=arguments.weights,
            workers=arguments.workers,
            device=arguments.device,
            processes=processes,
        )
    if not processes.is_first:
        return Answer(SUCCESS, {})
    facts = {"command": "train", "steps": recipe.settings.steps, "network": str(folder)}
    return Answer(SUCCESS, facts, [f"{recipe.settings.steps} steps -> {folder}"])
