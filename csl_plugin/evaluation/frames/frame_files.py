"""The files of a data set's frames in a folder of scores or of region maps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from csl_plugin.datasets import Frame
from csl_plugin.errors import FileError
from csl_plugin.io import stem_key


def files_of_frames(
    folder: Path,
    found: Mapping[str, Path],
    frames: Sequence[Frame],
    *,
    kind: str,
    suffixes: Sequence[str],
    hint: str,
) -> dict[str, Path]:
    """The file of every frame: its stem is the frame's name, or the stem of the frame's image.

    The latter where no other frame's image has it: MVTec AD numbers the pictures of each defect anew.

    Args:
        folder: Where the files are, for the error.
        found: The folder's files by stem.
        frames: The frames.
        kind: What a file holds, for the error.
        suffixes: Of the files, for the error.
        hint: How to fix a missing file, a sentence.

    Raises:
        FileError: A frame has no file.
    """
    stems = Counter(stem_key(frame.image.stem) for frame in frames)
    chosen = {
        frame.name: found.get(stem_key(frame.name))
        or (found.get(stem) if stems[stem := stem_key(frame.image.stem)] == 1 else None)
        for frame in frames
    }
    missing = [name for name, file in chosen.items() if file is None]
    if missing:
        got = f"no {kind} for {len(missing)} of {len(frames)} frames, such as {missing[0]}"
        raise FileError(str(folder), got, f"{missing[0]} with the suffix " + " or ".join(suffixes), hint)
    return {name: file for name, file in chosen.items() if file is not None}
