"""Cityscapes fine annotations: 19 classes in the order of the train ids."""

from __future__ import annotations

from pathlib import Path

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import VOID, IdTable
from csl_plugin.datasets.layout import find_root, frames_of, incomplete, listed_below
from csl_plugin.datasets.tables import read_table


def class_names() -> tuple[str, ...]:
    """The names of the 19 classes, by train id."""
    return tuple(read_table("cityscapes")["names"])


def label_ids() -> tuple[int, ...]:
    """The label id of each train id; the official evaluator reads label ids."""
    return tuple(read_table("cityscapes")["label_ids"])


def ids_of_label_ids() -> IdTable:
    """Train ids by stored label id; label ids that are not evaluated are void."""
    return IdTable({value: index for index, value in enumerate(label_ids())}, rest=VOID)


def open_cityscapes(path: Path, subset: str, *, labels: str | None = None) -> Dataset:
    """Open Cityscapes.

    Args:
        path: The folder with leftImg8bit/ and gtFine/.
        subset: "val" (500 frames), "train" (2975) or "test" (1525, without labels: the published ones are
            all void).
        labels: The files to read, "labelIds" or "labelTrainIds". None for the first of the two that exists.

    Raises:
        FileError: Images or labels are missing.
    """
    labeled = subset != "test"
    needed = (f"leftImg8bit/{subset}", *([f"gtFine/{subset}"] if labeled else []))
    root = find_root(INFO, path, needed, ("cityscapes", "Cityscapes"))
    images = listed_below(root / "leftImg8bit" / subset, ("_leftImg8bit.png",))
    kinds = [labels] if labels else ["labelIds", "labelTrainIds"]
    found = {kind: listed_below(root / "gtFine" / subset, (f"_gtFine_{kind}.png",)) for kind in kinds}
    kind = next((kind for kind in kinds if found[kind]), kinds[0])
    if labeled and images and not found[kind]:
        raise incomplete(INFO, root, f"no file _gtFine_{' or '.join(kinds)}.png in gtFine/{subset}")
    trained = IdTable({index: index for index in range(19)} | {VOID: VOID})
    return Dataset(
        name="cityscapes",
        task="semantic",
        subset=subset,
        frames=frames_of(INFO, root, images, found[kind] if labeled else {}, labeled=labeled),
        ids=trained if kind == "labelTrainIds" else ids_of_label_ids(),
        output_name=f"Cityscapes-{subset}",
        classes=class_names(),
        num_published=INFO.num_published[subset],
    )


INFO = DatasetInfo(
    title="Cityscapes (leftImg8bit_trainvaltest and gtFine_trainvaltest)",
    where="www.cityscapes-dataset.com, after registration",
    license="non-commercial, custom terms",
    layout="leftImg8bit/<split>/<city>/<frame>_leftImg8bit.png and "
    "gtFine/<split>/<city>/<frame>_gtFine_labelIds.png",
    subsets=("val", "train", "test"),
    default_subset="val",
    table="6",
    open=open_cityscapes,
    options={"labels": "labelIds, labelTrainIds"},
    num_published={"val": 500, "train": 2975, "test": 1525},
    measured="classes",
)
