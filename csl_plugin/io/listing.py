"""The files of a folder by stem: an image, its scores, its regions and its output share one stem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import overload
from unicodedata import normalize

from csl_plugin.errors import FileError
from csl_plugin.io.job_settings import SETTINGS_NAME
from csl_plugin.io.journal import JOURNAL_NAME
from csl_plugin.places import AnyPath, Place, RemotePath, place_of

_WINDOWED = (".npy", ".tif", ".tiff")
_TILES = (
    "Convert it; or pass --tile 2048, which reads images and scores as .npy or GeoTIFF, window by window."
)


def known_suffix(path: Place, suffixes: Sequence[str], hint: str) -> str:
    """The file's suffix in lower case.

    Args:
        path: The file.
        suffixes: In lower case, with the dot.
        hint: How to fix another suffix, a sentence.

    Raises:
        FileError: It is not one of `suffixes`.
    """
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        expected = "one of " + ", ".join(suffixes)
        raise FileError(str(path), f"the suffix {path.suffix!r}", expected, hint)
    return suffix


def stem_key(stem: str) -> str:
    r"""A stem as files are matched by it: in Unicode's composed form (NFC).

    macOS and some archives store names decomposed (NFD), which look the same and differ in their bytes.

    Example:
        >>> stem_key("e\u0301") == stem_key("\u00e9") == "\u00e9"
        True
    """
    return normalize("NFC", stem)


@overload
def files_by_stem(path: Path, suffixes: Sequence[str]) -> dict[str, Path]: ...
@overload
def files_by_stem(path: AnyPath, suffixes: Sequence[str]) -> dict[str, Place]: ...
def files_by_stem(path: AnyPath, suffixes: Sequence[str]) -> Mapping[str, Place]:
    """The files of a folder, or the single file, with one of the suffixes.

    Hidden files and files in subfolders are omitted. All other names with such a suffix are listed, readable
    or not, so that none is dropped silently; `other_suffixes` counts the rest.

    Args:
        path: A folder or a file.
        suffixes: Lower case, with the dot; the case of a file's suffix is ignored.

    Returns:
        Paths by `stem_key` of the stem (the name without its last suffix), sorted by it; empty when there are
        none.

    Raises:
        FileError: The path does not exist, the file has another suffix, or two files have the same stem.
    """
    path = place_of(path)
    by_stem: dict[str, Place] = {}
    for file in _listed(path):
        if isinstance(file, RemotePath) and _is_folder(file):  # of files here a reader says what they are
            continue
        if file.suffix.lower() not in suffixes or (file.name.startswith(".") and file != path):
            if file == path:
                wanted = "one of " + ", ".join(suffixes)
                got = f"a file {path.suffix or 'without a suffix'}"
                hint = "Convert it." if path.suffix.lower() not in _WINDOWED else _TILES
                raise FileError(str(path), got, wanted, hint)
            continue
        key = stem_key(file.stem)
        if key in by_stem:
            other = by_stem[key]
            names, hint = f"{other.name} and {file.name}", "Move one of the two to another folder."
            if other.stem != file.stem:
                names = f"{other.name!a} and {file.name!a}, equal but for their Unicode form"
                hint = "Rename one of the two: such names cannot be told apart."
            raise FileError(str(path), names, "one file of each stem", hint)
        by_stem[key] = file
    return dict(sorted(by_stem.items()))


def other_suffixes(path: AnyPath, suffixes: Sequence[str]) -> dict[str, int]:
    """How many files of a folder have none of the suffixes, by their suffix, the most frequent first.

    Hidden files, folders and the files in which a command keeps its settings and its journal are not counted,
    and of a single file there is none.

    Raises:
        FileError: The path does not exist or cannot be read.
    """
    path = place_of(path)
    found = Counter(
        file.suffix.lower() or "without a suffix"
        for file in _listed(path)
        if file != path
        and file.suffix.lower() not in suffixes
        and not file.name.startswith(".")
        and file.name not in (SETTINGS_NAME, JOURNAL_NAME)
        and not _is_folder(file)
    )
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def holding(path: AnyPath, suffixes: Sequence[str], wanted: str) -> str:
    """What a folder without a wanted file holds, for an error.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     Path(folder, "a.gif").touch()
        ...     holding(folder, (".png",), "an image")
        'a folder without an image (it holds 1 .gif)'
    """
    found = [f"{count} {suffix}" for suffix, count in other_suffixes(path, suffixes).items()]
    folders = sum(_is_folder(file) and not file.name.startswith(".") for file in _listed(place_of(path)))
    if folders:
        found.append("1 folder" if folders == 1 else f"{folders} folders")
    others = ", ".join(found)
    return f"a folder without {wanted}" + (f" (it holds {others})" if others else "")


def _is_folder(path: Place) -> bool:
    if isinstance(path, RemotePath):
        return path.listed is not None and path.listed.is_folder
    try:
        return path.is_dir()
    except OSError:
        return False


def _listed(path: Place) -> Sequence[Place]:
    """The entries of a folder in order, or the file itself."""
    if isinstance(path, RemotePath):
        return [path] if path.names_a_file else _listed_there(path)
    try:
        if path.is_dir():
            return sorted(path.iterdir())
        path.stat()
    except FileNotFoundError as error:
        hint = "Check the name; a relative path starts at the current folder."
        raise FileError(str(path), "nothing there", "a folder or a file", hint) from error
    except (OSError, ValueError) as error:
        got = getattr(error, "strerror", None) or str(error)
        hint = "Check the name and the permissions."
        raise FileError(str(path), got, "a readable folder or file", hint) from error
    return [path]


def _listed_there(path: RemotePath) -> Sequence[RemotePath]:
    from csl_plugin.io.remote import list_folder

    found = list_folder(path)
    if not found:
        hint = "Check the URL: a store has no folders but the names of its objects."
        raise FileError(str(path), "nothing there", "a folder or a file", hint)
    return found
