"""The score maps of images, by stem."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from csl_plugin.errors import FileError


def scores_of(place: Path, images: Mapping[str, Path], *, alone: bool) -> dict[str, Path]:
    """The score maps by the stems of their images.

    Args:
        place: A folder of score maps, or one.
        images: By stem.
        alone: Whether the image was named as a file.

    Raises:
        FileError: There is no score map, or none of any image.
    """
    from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, holding

    scores = files_by_stem(place, SCORE_SUFFIXES)
    if not scores:
        hint = "Pass the folder that holds the score maps themselves."
        got = holding(place, SCORE_SUFFIXES, "a score map")
        raise FileError(str(place), got, ", ".join(SCORE_SUFFIXES), hint)
    if alone and place.is_file():
        return dict(zip(images, scores.values(), strict=True))
    if not scores.keys() & images.keys():
        got = f"{len(scores)} score maps, such as {next(iter(scores.values())).name}, and none of any image"
        expected = f"one named after each image, such as {next(iter(images))}{SCORE_SUFFIXES[0]}"
        raise FileError(str(place), got, expected, "Rename them: files are matched by stem.")
    return scores
