"""Finding a data set's files, and the one error that says what is missing and where to get it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from csl_plugin.datasets.dataset import Frame
from csl_plugin.errors import FileError

if TYPE_CHECKING:
    from csl_plugin.datasets.dataset import DatasetInfo


def find_root(info: DatasetInfo, path: Path, needed: Sequence[str], folders: Sequence[str] = ()) -> Path:
    """The folder that holds all that is needed: the path itself, or one of its named subfolders.

    Raises:
        FileError: None does; the error lists what the likeliest one lacks.
    """
    candidates = [path, *(path / folder for folder in folders)]
    lacks = {
        candidate: [name for name in needed if not (candidate / name).exists()] for candidate in candidates
    }
    best = min(candidates, key=lambda candidate: len(lacks[candidate]))
    if not path.is_dir():
        raise incomplete(info, path, "a file" if path.exists() else "nothing there")
    if lacks[best]:
        raise incomplete(info, best, "no " + ", no ".join(lacks[best]))
    return best


def listed(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """The files of a folder whose names have one of the endings, by the rest of the name, sorted by it.

    Where a stem is there with several endings, the first ending counts. Hidden files are left out; a folder
    that does not exist has no files.

    Raises:
        FileError: The folder cannot be read.
    """
    files = _entries(folder)
    found: dict[str, Path] = {}
    for ending in endings:
        for file in files:
            if file.name.endswith(ending) and not file.name.startswith("."):
                found.setdefault(file.name[: -len(ending)], file)
    return dict(sorted(found.items()))


def listed_below(folder: Path, endings: Sequence[str]) -> dict[str, Path]:
    """As `listed`, over the folder's direct subfolders: a city or a scene each."""
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
    """The frames of these images in their order.

    Args:
        info: Of the data set, for errors.
        root: Where it lies, for errors.
        images: By frame name.
        labels: By frame name.
        labeled: Whether every frame must have labels.

    Raises:
        FileError: There is no image, or a label is missing that must be there.
    """
    if not images:
        raise incomplete(info, root, "no image of this split")
    without = [name for name in images if name not in labels]
    if labeled and without:
        raise incomplete(info, root, f"no labels of {some(without)}, {len(without)} of {len(images)} frames")
    return tuple(Frame(name, image, labels.get(name)) for name, image in images.items())


def incomplete(info: DatasetInfo, path: Path, got: str) -> FileError:
    """The error of a data set that is not, or not wholly, where it should be."""
    hint = f"Get {info.title} from {info.where} and unpack it there."
    return FileError(str(path), got, info.layout, hint)


def some(names: Sequence[str]) -> str:
    """The first few names, for an error."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        got = error.strerror or str(error)
        raise FileError(str(folder), got, "a readable folder", "Check its permissions.") from error
