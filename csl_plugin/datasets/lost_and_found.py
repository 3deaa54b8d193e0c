"""LostAndFound in the subsets of the SegmentMeIfYouCan tool: testNoKnown and the valid frames."""

from __future__ import annotations

from pathlib import Path

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import VOID, IdTable
from csl_plugin.datasets.layout import find_root, frames_of, incomplete, listed_below
from csl_plugin.datasets.tables import read_table

IMAGE_ENDINGS = ("_leftImg8bit.png", "_leftImg8bit.webp", "_leftImg8bit.jpg")

_LABELS = {
    "labelIds": IdTable({1: 0} | dict.fromkeys(range(2, 201), 1), rest=VOID),
    "labelTrainIds": IdTable({1: 0, 2: 1}, rest=VOID),
}


def open_lost_and_found(path: Path, subset: str, *, labels: str = "labelIds") -> Dataset:
    """Open LostAndFound. Frames are excluded by their index in the sorted list of all frames.

    Args:
        path: The folder with leftImg8bit/ and gtCoarse/.
        subset: "testNoKnown" (1043 frames), "testValid" (1186) or "trainValid" (1030).
        labels: "labelIds", as the official tool reads; or "labelTrainIds", in which some objects are not
            obstacles and are void.

    Raises:
        FileError: The layout is missing, or the number of frames differs from the published one, so that the
            indices would select other frames.
    """
    table = read_table("lost_and_found")
    part = "train" if subset == "trainValid" else "test"
    root = find_root(INFO, path, (f"leftImg8bit/{part}", f"gtCoarse/{part}"), ("dataset_LostAndFound",))
    every = listed_below(root / "leftImg8bit" / part, IMAGE_ENDINGS)
    total = table[f"{part}_total"]
    if len(every) != total:
        got = f"{len(every)} frames in leftImg8bit/{part} instead of {total}, and the subset needs them all"
        raise incomplete(INFO, root, got)
    invalid = set(table[f"{part}_invalid"])
    known = tuple(table["known_prefixes"]) if subset == "testNoKnown" else ()
    images = {
        name: file
        for index, (name, file) in enumerate(every.items())
        if index not in invalid and not name.startswith(known)
    }
    found = listed_below(root / "gtCoarse" / part, (f"_gtCoarse_{labels}.png",))
    return Dataset(
        name="lostandfound-noknown",
        task="anomaly",
        subset=subset,
        frames=frames_of(INFO, root, images, found),
        ids=_LABELS[labels],
        output_name=f"LostAndFound-{part}",
        components="obstacle",
        num_published=INFO.num_published[subset],
    )


INFO = DatasetInfo(
    title="LostAndFound (leftImg8bit and gtCoarse)",
    where="wwwlehre.dhbw-stuttgart.de/~sgehrig/lostAndFoundDataset",
    license="non-commercial research",
    layout="leftImg8bit/test/<scene>/<frame>_leftImg8bit.png and gtCoarse/test/<scene>/<frame>_gtCoarse_"
    "labelIds.png, 1203 frames (train: 1036)",
    subsets=("testNoKnown", "testValid", "trainValid"),
    default_subset="testNoKnown",
    table="3",
    open=open_lost_and_found,
    options={"labels": "labelIds, labelTrainIds"},
    num_published={"testNoKnown": 1043, "testValid": 1186, "trainValid": 1030},
)
