"""MVTec AD, MVTec AD 2 and VisA: one category of parts, its test pictures with and without a defect."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from csl_plugin.datasets.dataset import Dataset, DatasetInfo, Frame
from csl_plugin.datasets.ids import IdTable
from csl_plugin.datasets.layout import find_root, first_few, incomplete, listed
from csl_plugin.errors import FileError
from csl_plugin.io.images import IMAGE_SUFFIXES

_GOOD, _TRUTH = "good", "ground_truth"
_MASKS = ("_mask.png", "_mask.PNG"), (".png", ".PNG")
_IDS = IdTable({0: 0}, rest=1)  # 255 in all three

_MVTEC_TEST = {
    "bottle": 83, "cable": 150, "capsule": 132, "carpet": 117, "grid": 78, "hazelnut": 110, "leather": 124,
    "metal_nut": 115, "pill": 167, "screw": 160, "tile": 117, "toothbrush": 42, "transistor": 100,
    "wood": 79, "zipper": 151,
}  # fmt: skip


@dataclass(frozen=True)
class _Layout:
    """Where a category has its test pictures and their masks; the name of its data set; folders around it."""

    name: str
    test: str
    truth: str
    folders: tuple[str, ...]


def open_mvtec(path: Path, subset: str | None) -> Dataset:
    """Open a category of MVTec AD."""
    return _open(MVTEC_AD, _MVTEC_AD, path, subset)


def open_mvtec_2(path: Path, subset: str | None) -> Dataset:
    """Open the public test pictures of a category of MVTec AD 2."""
    return _open(MVTEC_AD_2, _MVTEC_AD_2, path, subset)


def open_visa(path: Path, subset: str | None) -> Dataset:
    """Open a category of VisA as its authors' `prepare_data.py --split-type 1cls` writes it."""
    return _open(VISA, _VISA_1CLS, path, subset)


def _open(info: DatasetInfo, layout: _Layout, path: Path, category: str | None) -> Dataset:
    root = _root(info, layout, path, category)
    frames: list[Frame] = []
    for folder in sorted(each for each in (root / layout.test).iterdir() if each.is_dir()):
        if folder.name != _TRUTH and not folder.name.startswith("."):
            frames += _frames(info, root, folder, root / layout.truth / folder.name)
    if not frames:
        raise incomplete(info, root, f"no image in the folders of {layout.test}/")
    named: dict[str, Frame] = {}
    for frame in frames:
        if frame.name in named:
            got = f"{frame.image} and {named[frame.name].image}, both of which are {frame.name}"
            hint = "Rename one of the folders: a picture is named by its folder and its stem."
            raise FileError(str(root), got, "one picture of each name", hint)
        named[frame.name] = frame
    return Dataset(
        name=layout.name,
        task="anomaly",
        subset=root.resolve().name,
        frames=tuple(frames),
        ids=_IDS,
        output_name=root.resolve().name,
        num_published=info.num_published.get(root.resolve().name),
        notes=tuple(_left_out(root / layout.truth, frames)),
        inspection=True,
    )


def _left_out(truth: Path, frames: Sequence[Frame]) -> Iterator[str]:
    """Masks whose pictures are not there, as in a part of the data set."""
    used = {frame.label for frame in frames}
    folders = sorted(each for each in truth.iterdir() if each.is_dir() and not each.name.startswith("."))
    masks = [mask for folder in folders for mask in _masks(folder).values()]
    alone = [f"{mask.parent.name}/{mask.name}" for mask in masks if mask not in used]
    if alone:
        yield f"Masks without a picture: {len(alone)}, such as {alone[0]}."


def _root(info: DatasetInfo, layout: _Layout, path: Path, category: str | None) -> Path:
    """The folder of the category: the path, or one below it."""
    needed = (layout.test, layout.truth)
    below = [each for folder in (".", *layout.folders) for each in _categories(path / folder, layout)]
    if category is not None and path.resolve().name != category:  # else it is the category's own folder
        places = [path / folder / category for folder in (".", *layout.folders)]
        place = next((each for each in places if each.is_dir()), None)
        if place is None:
            got = f"no folder {category}" + (f" beside {first_few(below)}" if below else "")
            raise incomplete(info, path, got)
        path = place
    elif below and not (path / layout.test).is_dir():
        got = f"{len(below)} categories: {first_few(below)}"
        hint = f"Choose one with subset, --split on the command line, such as {below[0]}."
        raise FileError(str(path), got, "the folder of one category", hint)
    return find_root(info, path, needed)


def _categories(folder: Path, layout: _Layout) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(each.name for each in folder.iterdir() if (each / layout.test).is_dir())


def _frames(info: DatasetInfo, root: Path, folder: Path, truth: Path) -> list[Frame]:
    """The frames of a folder of test pictures; those without a defect have no mask."""
    images = _images(folder)
    if folder.name == _GOOD:
        return [Frame(f"{_GOOD}_{stem}", image, None, normal=True) for stem, image in images.items()]
    masks = _masks(truth)
    without = [f"{folder.name}/{stem}" for stem in images if stem not in masks]
    if without:
        got = f"no mask of {first_few(without)}, {len(without)} of {len(images)} pictures"
        raise incomplete(info, root, got)
    return [Frame(f"{folder.name}_{stem}", image, masks[stem]) for stem, image in images.items()]


def _images(folder: Path) -> Mapping[str, Path]:
    endings = [spelled for suffix in IMAGE_SUFFIXES for spelled in (suffix, suffix.upper())]
    return listed(folder, endings)


def _masks(folder: Path) -> Mapping[str, Path]:
    return next(filter(None, (listed(folder, endings) for endings in _MASKS)), {})


_CATEGORY = "<category>/{}/good/*.png, <category>/{}/<defect>/*.png and <category>/{}/<defect>/{}"
_MVTEC_AD = _Layout("mvtec-ad", "test", _TRUTH, ("mvtec_anomaly_detection", "mvtec_ad"))
_MVTEC_AD_2 = _Layout("mvtec-ad-2", "test_public", f"test_public/{_TRUTH}", ("mvtec_ad_2",))
_VISA_1CLS = _Layout("visa", "test", _TRUTH, ("1cls", "visa_pytorch/1cls"))

MVTEC_AD = DatasetInfo(
    title="MVTec AD",
    where="www.mvtec.com/company/research/datasets/mvtec-ad",
    license="CC BY-NC-SA 4.0",
    layout=_CATEGORY.format("test", "test", _TRUTH, "*_mask.png"),
    subsets=(),
    default_subset=None,
    table="",
    open=open_mvtec,
    num_published=_MVTEC_TEST,
    measured="inspection",
)
MVTEC_AD_2 = DatasetInfo(
    title="MVTec AD 2, public test pictures",
    where="www.mvtec.com/company/research/datasets/mvtec-ad-2",
    license="CC BY-NC-SA 4.0",
    layout=_CATEGORY.format("test_public", "test_public", f"test_public/{_TRUTH}", "*_mask.png"),
    subsets=(),
    default_subset=None,
    table="",
    open=open_mvtec_2,
    measured="inspection",
)
VISA = DatasetInfo(
    title="VisA, split 1cls",
    where="github.com/amazon-science/spot-diff, whose prepare_data.py writes the split",
    license="CC BY 4.0",
    layout=_CATEGORY.format("test", "test", _TRUTH, "*.png"),
    subsets=(),
    default_subset=None,
    table="",
    open=open_visa,
    measured="inspection",
)
