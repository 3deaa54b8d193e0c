"""Find a data set's files; the error names what is missing and where to get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from csl_plugin.datasets.dataset import Frame
from csl_plugin.errors import FileError
from csl_plugin.io.listing import stem_key

if TYPE_CHECKING:
    from csl_plugin.datasets.dataset import DatasetInfo


def find_root(info: DatasetInfo, path: Path, needed: Sequence[str], folders: Sequence[str] = ()) -> Path:
    """The folder that holds all of `needed`: the path itself, or one of its subfolders `folders`.

    Raises:
        FileError: No folder does; the error lists what is missing from the most complete one.
    """
    candidates = [path, *(path / folder for folder in folders)]
    missing = {
        candidate: [name for name in needed if not (candidate / name).exists()] for candidate in candidates
    }
    best = min(candidates, key=lambda candidate: len(missing[candidate]))
    if not path.is_dir():
        raise incomplete(info, path, "a file" if path.exists() else "nothing there")
    if missing[best]:
        raise incomplete(info, best, "no " + ", no ".join(missing[best]))
    return best


def listed(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """The files of a folder with one of the endings, by the rest of the name (`stem_key`), sorted by it.

    If a stem occurs with several endings, the first ending is used. Hidden files are omitted; a folder that
    does not exist has no files.

    Raises:
        FileError: The folder cannot be read.
    """
    files = _entries(folder)
    found: dict[str, Path] = {}
    for ending in endings:
        for file in files:
            if file.name.endswith(ending) and not file.name.startswith("."):
                found.setdefault(stem_key(file.name[: -len(ending)]), file)
    return dict(sorted(found.items()))


def listed_below(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """As `listed`, over the folder's direct subfolders, such as one per city."""
    found: dict[str, Path] = {}
    for below in _entries(folder):
        found |= listed(below, endings)
    return dict(sorted(found.items()))


def frames_of(
    info: DatasetInfo,
    root: Path,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    *,
    labeled: bool = True,
) -> tuple[Frame, ...]:
    """The frames of these images, in their order.

    Args:
        info: The data set, for errors.
        root: Its folder, for errors.
        images: By frame name.
        labels: By frame name.
        labeled: Whether every frame must have labels.

    Raises:
        FileError: There are no images, or a required label is missing.
    """
    if not images:
        raise incomplete(info, root, "no image of this subset")
    without = [name for name in images if name not in labels]
    if labeled and without:
        raise incomplete(
            info, root, f"no labels of {first_few(without)}, {len(without)} of {len(images)} frames"
        )
    return tuple(Frame(name, image, labels.get(name)) for name, image in images.items())


def incomplete(info: DatasetInfo, path: Path, got: str) -> FileError:
    """The error of a data set that is missing or incomplete."""
    hint = f"Get {info.title} from {info.where} and unpack it there."
    return FileError(str(path), got, info.layout, hint)


def first_few(names: Sequence[str]) -> str:
    """The first few names, for an error."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        got = error.strerror or str(error)
        raise FileError(str(folder), got, "a readable folder", "Check its permissions.") from error
