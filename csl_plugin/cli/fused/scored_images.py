"""The score maps of images, by stem, and the files that a fused map is made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from csl_plugin.cli.batch_report import Note
from csl_plugin.errors import FileError
from csl_plugin.places import is_file_place

if TYPE_CHECKING:
    from csl_plugin.cli.fused.fused_maps import FusedMaps
    from csl_plugin.cli.fused.large_fusion import LargeFusion
    from csl_plugin.cli.fused.score_fusion import ScoreFusion
    from csl_plugin.places import Place


def scores_of(
    place: Place, images: Mapping[str, Place], *, alone: bool, suffixes: Sequence[str] | None = None
) -> dict[str, Place]:
    """The score maps by the stems of their images.

    Args:
        place: A folder of score maps, or one.
        images: By stem.
        alone: Whether the image was named as a file.
        suffixes: Of score maps; by default all that `read_scores` takes.

    Raises:
        FileError: There is no score map, or none of any image.
    """
    from csl_plugin.io import SCORE_SUFFIXES, files_by_stem, holding

    suffixes = SCORE_SUFFIXES if suffixes is None else suffixes
    scores = files_by_stem(place, suffixes)
    if not scores:
        hint = "Pass the folder that holds the score maps themselves."
        got = holding(place, suffixes, "a score map")
        raise FileError(str(place), got, ", ".join(suffixes), hint)
    if alone and is_file_place(place):
        return dict(zip(images, scores.values(), strict=True))
    if not scores.keys() & images.keys():
        got = f"{len(scores)} score maps, such as {next(iter(scores.values())).name}, and none of any image"
        expected = f"one named after each image, such as {next(iter(images))}{suffixes[0]}"
        raise FileError(str(place), got, expected, "Rename them: files are matched by stem.")
    return scores


def left_out(
    image_place: Place,
    score_place: Place,
    images: Mapping[str, Place],
    scores: Mapping[str, Place],
    suffixes: tuple[Sequence[str], Sequence[str]] | None = None,
) -> dict[str, Note]:
    """What a command does not read of the two places: score maps without an image, and other files.

    Args:
        image_place: The folder of the images, or one.
        score_place: The folder of the score maps, or one.
        images: By stem.
        scores: By stem.
        suffixes: Of images and of score maps; by default all that are read whole.

    Returns:
        "scores_without_image", their number; "unpaired_scores", their names; "skipped_images" and
        "skipped_scores", counts by suffix.
    """
    from csl_plugin.io import IMAGE_SUFFIXES, SCORE_SUFFIXES, other_suffixes

    unpaired = [score.name for stem, score in scores.items() if stem not in images]
    together = image_place == score_place
    of_images, of_scores = (IMAGE_SUFFIXES, SCORE_SUFFIXES) if suffixes is None else suffixes
    of_images = (*of_images, *of_scores) if together else of_images
    return {
        "scores_without_image": len(unpaired),
        "unpaired_scores": unpaired,
        "skipped_images": other_suffixes(image_place, of_images),
        "skipped_scores": {} if together else other_suffixes(score_place, of_scores),
    }


def read_files(
    source: ScoreFusion | LargeFusion | FusedMaps, stem: str, image: Place, score: Place | None
) -> tuple[Place, ...]:
    """What the fused map of an image is made from: the image, its score map, its region maps and its mask."""
    from csl_plugin.cli.fused.valid_masks import mask_files
    from csl_plugin.proposers.on_files import region_files

    scores = [] if score is None else [score]
    return (image, *scores, *region_files(source.proposer, stem), *mask_files(source.valid, stem))
