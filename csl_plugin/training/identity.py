"""What a training's result depends on: stored with every checkpoint, compared where a job continues."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from csl_plugin.errors import FileError
from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, list_images
from csl_plugin.io.file_states import file_states
from csl_plugin.io.json_schema import in_json
from csl_plugin.io.json_values import as_stored, differences
from csl_plugin.models import CSLNetwork
from csl_plugin.models.hub.safetensors_io import weights_digest
from csl_plugin.training.data.folders import labeled_pairs, segment_pairs
from csl_plugin.training.recipe import Recipe
from csl_plugin.training.recipe_entries import SourceEntry
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.state import Facts

_MOST_NAMED = 8
_FREE = {"settings.save_every"}


def job_identity(recipe: Recipe, data: Path, network: CSLNetwork, weights: str | None) -> dict[str, Any]:
    """A recipe with its data and the weights it starts from, as JSON values.

    Files count by name, size and time, in the order in which they are drawn from.

    Args:
        recipe: Of the job.
        data: The folder that the recipe's paths are relative to.
        network: With the weights that the job starts from.
        weights: Where they come from; None for new ones and the recipe's backbone.

    Raises:
        FileError: A folder or a file is missing.
    """
    entries = asdict(recipe.entries)
    backbone = entries.pop("backbone")  # its content counts, wherever it is
    if entries["validation"] is not None:
        del entries["validation"]["every"]  # it changes no weight
    start: dict[str, str | None] = {"weights": None, "backbone": None}
    if weights is not None:
        start["weights"] = f"sha256 {weights_digest(network.state_dict())}"
    elif backbone is not None:
        start["backbone"] = f"sha256 {weights_digest(network.backbone.state_dict())}"
    files = {name: _described(paths) for name, paths in _files(recipe, data)}
    return {"recipe": entries, "files": files, "start": start}


def check_continued(
    path: Path, before: Facts, settings: TrainingSettings, network: CSLNetwork, job: Any
) -> None:
    """Compare a checkpoint's job with the one that is to continue it.

    Args:
        path: Of the checkpoint.
        before: Its facts; what an older version did not record is not compared.
        settings: Of the present job.
        network: Of the present job.
        job: What else its result depends on, as JSON values.

    Raises:
        FileError: They differ; every difference is named.
    """
    now: dict[str, Any] = {"settings": settings.to_json()}
    then: dict[str, Any] = {"settings": dict(before.settings)}
    if before.network is not None:
        now["network"], then["network"] = network.config.to_json(), dict(before.network)
    if before.job is not None:
        now["job"], then["job"] = job, dict(before.job)
    found = [change for change in differences(then, as_stored(now)) if change[0] not in _FREE]
    if found:
        named = found[:_MOST_NAMED]
        more = f" and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
        got = ", ".join(f"{name} {in_json(after)}" for name, _, after in named) + more
        expected = ", ".join(f"{name} {in_json(first)}" for name, first, _ in named) + more
        hint = "Continue with what the job was started with, or use another folder."
        if any(name.startswith("job.files") for name, *_ in named):
            hint += " Files count by name, size and time: copy data with cp -p or rsync -a."
        raise FileError(str(path), got, f"{expected}, as the job was started with", hint)


def _files(recipe: Recipe, data: Path) -> Iterator[tuple[str, list[Path]]]:
    """The files that a recipe uses, by what for."""
    entries = recipe.entries
    pairs = {name: _pairs(source, data) for name, source in entries.sources.items()}
    for name, found in pairs.items():
        yield f"sources.{name}", _flat(found)
    for name in entries.textures:
        if name not in pairs:
            yield f"textures.{name}", list(list_images(data / name).values())
    if entries.teacher is not None and entries.taught is not None:
        stems = [image.stem for image, _ in pairs[entries.taught]]
        yield "teacher.maps", _of_stems(data / entries.teacher.maps, stems)
    if entries.validation is not None:
        measured = _pairs(entries.validation.source, data)[entries.validation.chosen]
        yield "validation.source", _flat(measured)
        if entries.validation.scores is not None:
            stems = [image.stem for image, _ in measured]
            yield "validation.scores", _of_stems(data / entries.validation.scores, stems)


def _pairs(source: SourceEntry, data: Path) -> list[tuple[Path, list[Path]]]:
    pairs = labeled_pairs if source.labels_of == "classes" else segment_pairs
    return list(pairs(data / source.images, data / source.labels).items())


def _flat(pairs: Sequence[tuple[Path, list[Path]]]) -> list[Path]:
    return [file for image, labels in pairs for file in (image, *labels)]


def _of_stems(folder: Path, stems: Sequence[str]) -> list[Path]:
    """The score maps of these images; those that are missing are refused where they are opened."""
    found = files_by_stem(folder, SCORE_SUFFIXES)
    return [found[stem] for stem in stems if stem in found]


def _described(paths: Sequence[Path]) -> str:
    try:
        states = file_states(paths)
    except OSError as error:
        got = error.strerror or str(error)
        raise FileError(str(error.filename), got, "a file of the data", "Restore it.") from error
    return f"{len(paths)} files, sha256 {hashlib.sha256(states.encode()).hexdigest()[:32]}"
