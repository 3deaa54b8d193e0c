"""COCO-Stuff 164k with the zero-shot split of 156 seen and 15 unseen classes."""

from __future__ import annotations

from pathlib import Path

from csl_plugin.datasets.dataset import Dataset, DatasetInfo
from csl_plugin.datasets.ids import VOID, IdTable
from csl_plugin.datasets.layout import find_root, frames_of, incomplete, listed
from csl_plugin.datasets.tables import read_table

_RAW_VALUES = 182
_SPACES = ("raw", "contiguous", "zegformer")
_TRAIN_IDS = "_labelTrainIds.png"


def class_names() -> tuple[str, ...]:
    """The names of the 171 classes, in the order of the evaluation ids."""
    return tuple(read_table("coco_stuff")["names"])


def unseen_classes() -> tuple[int, ...]:
    """The 15 unseen classes of the zero-shot split, as evaluation ids."""
    return tuple(read_table("coco_stuff")["unseen"])


def raw_values() -> tuple[int, ...]:
    """The value of each class in the published PNGs: the label id minus 1."""
    unused = set(read_table("coco_stuff")["unused_png_values"])
    return tuple(value for value in range(_RAW_VALUES) if value not in unused)


def zegformer_order() -> tuple[int, ...]:
    """The evaluation id of each class in ZegFormer's order: seen classes, then unseen classes."""
    unseen = unseen_classes()
    return (*(index for index in range(len(class_names())) if index not in unseen), *unseen)


def cityscapes_named_classes() -> tuple[int, ...]:
    """The 15 classes with a Cityscapes name, probably the in-distribution group of Table 7.

    The paper prints no list. Its values fit 15 classes, and these are the direct matches of names.
    """
    return tuple(read_table("coco_stuff")["cityscapes_named"])


def open_coco_stuff(path: Path, subset: str, *, labels: str | None = None) -> Dataset:
    """Open COCO-Stuff 164k; evaluation ids are 0 to 170 in the order of the raw values.

    Args:
        path: The folder with images/ and annotations/, or with images/ and annotations_detectron2/.
        subset: "val2017" (5000 frames) or "train2017" (118287).
        labels: The values in the label files: "raw", the published values 0 to 181; "contiguous", 0 to 170;
            or "zegformer", 0 to 170 with the unseen classes last. None to detect them by the layout:
            annotations/<split>/<frame>.png is raw, `<frame>_labelTrainIds.png` there is contiguous, and
            annotations_detectron2/ is ZegFormer's.

    Raises:
        FileError: Images or labels are missing.
    """
    root = find_root(INFO, path, (f"images/{subset}",), ("coco_stuff164k", "coco_stuff", "coco"))
    plain = root / "annotations" / subset
    zegformer = root / "annotations_detectron2" / ("val2017_all" if subset == "val2017" else subset)
    files = {
        "raw": {name: file for name, file in listed(plain, (".png",)).items() if not _is_converted(name)},
        "contiguous": listed(plain, (_TRAIN_IDS,)),
        "zegformer": listed(zegformer, (".png",)),
    }
    space = labels or next((space for space in _SPACES if files[space]), None)
    if space is None:
        raise incomplete(INFO, root, f"no labels in annotations/{subset} or annotations_detectron2")
    return Dataset(
        name="coco-stuff",
        task="semantic",
        subset=subset,
        frames=frames_of(
            INFO, root, listed(root / "images" / subset, (".jpg",)), files[space] or files["raw"]
        ),
        ids=_ids(space),
        output_name=f"COCO-Stuff-{subset}",
        classes=class_names(),
        unseen=unseen_classes(),
        num_published=INFO.num_published[subset],
    )


def _is_converted(name: str) -> bool:
    return name.endswith(_TRAIN_IDS.removesuffix(".png"))


def _ids(space: str) -> IdTable:
    order = {"raw": raw_values(), "contiguous": range(len(class_names()))}
    if space == "zegformer":
        values = dict(enumerate(zegformer_order()))
    else:
        values = {value: index for index, value in enumerate(order[space])}
    hint = f"The files were read as {space}: another label space is an option, such as labels=contiguous."
    return IdTable(values | {VOID: VOID}, hint=hint)


INFO = DatasetInfo(
    title="COCO-Stuff 164k (val2017.zip and stuffthingmaps_trainval2017.zip)",
    where="github.com/nightrome/cocostuff",
    license="annotations CC BY 4.0, images Flickr terms",
    layout="images/val2017/<frame>.jpg and annotations/val2017/<frame>.png",
    subsets=("val2017", "train2017"),
    default_subset="val2017",
    table="5, 7",
    open=open_coco_stuff,
    options={"labels": "raw, contiguous, zegformer"},
    num_published={"val2017": 5000, "train2017": 118287},
    measured="classes",
)
