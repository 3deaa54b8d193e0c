"""LostAndFound in the splits of the SegmentMeIfYouCan tool: testNoKnown and the valid frames."""

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


def open_lost_and_found(path: Path, split: str, *, labels: str = "labelIds") -> Dataset:
    """LostAndFound; what is left out is decided by places in the sorted list of all frames of a part.

    Args:
        path: The folder with leftImg8bit/ and gtCoarse/.
        split: "testNoKnown" (1043 frames), "testValid" (1186) or "trainValid" (1030).
        labels: "labelIds", as the official tool reads; or "labelTrainIds", where some objects are no
            obstacles and are void here.

    Raises:
        FileError: The layout is not there, or its part has another number of frames than published: the
            places would mean other frames.
    """
    table = read_table("lost_and_found")
    part = "train" if split == "trainValid" else "test"
    root = find_root(INFO, path, (f"leftImg8bit/{part}", f"gtCoarse/{part}"), ("dataset_LostAndFound",))
    every = listed_below(root / "leftImg8bit" / part, IMAGE_ENDINGS)
    total = table[f"{part}_total"]
    if len(every) != total:
        got = f"{len(every)} frames in leftImg8bit/{part} instead of {total}, and the split needs them all"
        raise incomplete(INFO, root, got)
    invalid = set(table[f"{part}_invalid"])
    known = tuple(table["known_prefixes"]) if split == "testNoKnown" else ()
    images = {
        name: file
        for place, (name, file) in enumerate(every.items())
        if place not in invalid and not name.startswith(known)
    }
    found = listed_below(root / "gtCoarse" / part, (f"_gtCoarse_{labels}.png",))
    return Dataset(
        name="lostandfound-noknown",
        task="anomaly",
        split=split,
        frames=frames_of(INFO, root, images, found),
        ids=_LABELS[labels],
        output_name=f"LostAndFound-{part}",
        components="obstacle",
        published=INFO.published[split],
    )


INFO = DatasetInfo(
    title="LostAndFound (leftImg8bit and gtCoarse)",
    where="wwwlehre.dhbw-stuttgart.de/~sgehrig/lostAndFoundDataset",
    license="non-commercial research",
    layout="leftImg8bit/test/<scene>/<frame>_leftImg8bit.png and gtCoarse/test/<scene>/<frame>_gtCoarse_"
    "labelIds.png, 1203 frames (train: 1036)",
    splits=("testNoKnown", "testValid", "trainValid"),
    default_split="testNoKnown",
    table="3",
    open=open_lost_and_found,
    options={"labels": "labelIds, labelTrainIds"},
    published={"testNoKnown": 1043, "testValid": 1186, "trainValid": 1030},
)
