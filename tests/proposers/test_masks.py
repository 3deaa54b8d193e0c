"""Regions from masks that something else made, in objects and files, and proposers of other packages."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from csl_plugin import RegionProposals, fuse, hard_assignment, load_proposer
from csl_plugin.errors import (
    CSLError,
    DTypeError,
    FileError,
    MissingExtraError,
    OptionError,
    ScoreRangeError,
    ShapeError,
)
from csl_plugin.io import write_region_map
from csl_plugin.io.coco_rle import read_run_lengths
from csl_plugin.proposers import Proposer, regions_from_masks
from csl_plugin.proposers.mask_files import read_regions

# Run lengths


def run_lengths(mask):
    """Down the columns, outside first."""
    flat = mask.T.ravel()
    changes = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0)).tolist()
    return np.diff([0, *changes, flat.size]).tolist()


def compressed(counts):
    """COCO's text: differences from the last but one, five bits a character, low ones first."""
    text = ""
    for index, count in enumerate(counts):
        number = count - counts[index - 2] if index > 2 else count
        more = True
        while more:
            bits = number & 31
            number >>= 5
            more = number != (-1 if bits & 16 else 0)
            text += chr(bits + (32 if more else 0) + 48)
    return text


def decoded(record):
    (height, width), counts = read_run_lengths(record)
    inside = np.arange(len(counts)) % 2 == 1
    return np.repeat(inside, counts).reshape(width, height).T


MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=40))


@given(MASKS)
def test_run_lengths_come_back_in_both_forms(mask):
    counts = run_lengths(mask)
    for form in (counts, compressed(counts), compressed(counts).encode()):
        assert np.array_equal(decoded({"size": list(mask.shape), "counts": form}), mask)


@given(st.integers(1, 3000), st.integers(1, 3000), st.lists(st.integers(0, 9_000_000), max_size=30))
def test_long_runs_come_back_compressed(height, width, cuts):
    bounds = sorted({0, height * width, *(cut for cut in cuts if cut < height * width)})
    counts = np.diff(bounds).tolist()
    size, found = read_run_lengths({"size": [height, width], "counts": compressed(counts)})
    assert size == (height, width)
    assert found.tolist() == counts


def test_pycocotools_text_is_read():
    mask = np.zeros((300, 400), bool)
    mask[20:250, 33:333] = True
    counts = run_lengths(mask)
    text = compressed(counts)
    assert text.startswith("Pf9V7V20000")  # as pycocotools 2.0 begins this mask
    assert np.array_equal(decoded({"size": [300, 400], "counts": text}), mask)
    small = {"size": [5, 7], "counts": "3110001020O0N31M11O"}
    assert decoded(small).sum() == 13  # as pycocotools counts it


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"size": [2, 3], "counts": [1, 2]}, "counts of 3 pixels for a mask of 6"),
        ({"size": [2, 3], "counts": [1, 2, 30]}, "beyond the mask"),
        ({"size": [2, 3], "counts": [1, -2, 7]}, "negative"),
        ({"size": [2, 3], "counts": [10**30]}, "beyond the mask"),
        ({"size": [2, 3], "counts": [1.5, 4.5]}, "no integers"),
        ({"size": [2, 3], "counts": [0] * 100}, "more than pixels"),
        ({"size": [2, 3], "counts": ""}, "truncated"),
        ({"size": [2, 3], "counts": "P"}, "truncated"),
        ({"size": [2, 3], "counts": "PPPPPPPPPPPP0"}, "beyond any image"),
        ({"size": [2, 3], "counts": "00000000000"}, "more counts than pixels"),
        ({"size": [2, 3], "counts": "O7"}, "negative"),
        ({"size": [2, 3], "counts": "1\x00"}, "COCO's 64"),
        ({"size": [2, 3], "counts": "1é"}, "COCO's 64"),
        ({"size": [2, 3], "counts": "7"}, "beyond the mask"),
        ({"size": [2, 3], "counts": None}, "counts as NoneType"),
        ({"size": [1 << 20, 1 << 20], "counts": [1 << 40]}, "1 to 100000000 pixels"),
        ({"size": [0, 3], "counts": []}, "pixels"),
        ({"size": [-2, -3], "counts": [6]}, "pixels"),
        ({"size": [2.0, 3], "counts": [6]}, "size"),
        ({"size": [2, 3, 1], "counts": [6]}, "size"),
        ({"counts": [6]}, "size None"),
        ([[1, 2, 3, 4, 5, 6]], "a list"),
    ],
)
def test_damaged_run_lengths_are_refused(record, said):
    with pytest.raises((FileError, DTypeError), match=said):
        read_run_lengths(record)


@given(st.binary(max_size=40), st.integers(1, 8), st.integers(1, 8))
def test_any_text_is_a_mask_or_an_error(text, height, width):
    try:
        _, counts = read_run_lengths({"size": [height, width], "counts": text})
    except FileError:
        return
    assert counts.sum() == height * width
    assert (counts >= 0).all()


# Masks of one image


@st.composite
def scored_masks(draw):
    shape = draw(st.tuples(st.integers(0, 5), st.integers(1, 6), st.integers(1, 6)))
    masks = draw(arrays(np.bool_, shape))
    scores = draw(arrays(np.float32, shape[:1], elements=st.sampled_from([0.25, 0.5, 0.75, 1.0])))
    return masks, scores


@given(scored_masks())
def test_overlaps_follow_hard_assignment(given_masks):
    masks, scores = given_masks
    regions = regions_from_masks({"masks": masks, "scores": scores}, masks.shape[1:])
    proposals = RegionProposals(masks[None].astype(np.float32), scores[None])
    assert torch.equal(regions.labels, hard_assignment(proposals, masks.shape[1:]).labels)
    assert regions.labels.dtype == torch.int32
    assert regions.num_regions == len(masks)
    assert torch.equal((regions.labels[0] == -1), torch.from_numpy(~masks.any(0)))


@given(scored_masks())
def test_the_smallest_mask_can_be_on_top(given_masks):
    masks, scores = given_masks
    labels = regions_from_masks({"masks": masks, "scores": scores}, masks.shape[1:], on_top="smallest").labels
    areas = masks.sum((1, 2))
    for y, x in np.ndindex(*masks.shape[1:]):
        here = np.flatnonzero(masks[:, y, x])
        assert labels[0, y, x] == (-1 if not len(here) else labels[0, y, x])
        if len(here):
            assert areas[labels[0, y, x]] == areas[here].min()
            assert masks[labels[0, y, x], y, x]


@given(scored_masks())
def test_every_container_says_the_same(given_masks):
    masks, scores = given_masks
    size = masks.shape[1:]
    expected = regions_from_masks({"masks": masks, "scores": scores}, size).labels
    dense = [
        {"segmentation": mask, "predicted_iou": float(score), "area": int(mask.sum())}
        for mask, score in zip(masks, scores, strict=True)
    ]
    sparse = [
        {"segmentation": {"size": list(size), "counts": form(run_lengths(mask))}, "score": float(score)}
        for form, mask, score in zip([list, compressed] * 3, masks, scores, strict=False)
    ]
    tensors = torch.from_numpy(masks)
    instances = SimpleNamespace(pred_masks=tensors.float(), scores=torch.from_numpy(scores), image_size=size)
    data = SimpleNamespace(data=tensors.to(torch.uint8))
    result = SimpleNamespace(
        masks=data if len(masks) else None,
        boxes=SimpleNamespace(conf=torch.from_numpy(scores)),
        orig_shape=size,
    )
    listed = {"masks": list(tensors), "scores": torch.from_numpy(scores)}
    for container in (dense, sparse, instances, {"instances": instances}, [{"instances": instances}], listed):
        assert torch.equal(regions_from_masks(container, size).labels, expected)
    for container in (instances, result, [result]):
        assert torch.equal(regions_from_masks(container).labels, expected)


def test_plain_masks_and_no_masks():
    masks = torch.tensor([[[1, 1, 0]], [[0, 2, 0]]], dtype=torch.uint8)
    assert regions_from_masks(masks).labels.tolist() == [[[0, 0, -1]]]
    assert regions_from_masks(masks, (2, 6)).labels.tolist() == [[[0, 0, 0, 0, -1, -1]] * 2]
    for nothing in (None, [], {"masks": [], "scores": []}, torch.zeros(0, 2, 3), [None]):
        regions = regions_from_masks(nothing, (2, 3))
        assert (regions.num_regions, regions.labels.tolist()) == (0, [[[-1] * 3] * 2])
        scores = torch.rand(2, 3)
        assert fuse(scores, regions).equal(scores)
    with pytest.raises(OptionError, match=r"size=\(H, W\)"):
        regions_from_masks([])


def test_letterboxed_masks_come_back_to_the_image():
    inner = torch.zeros(242, 480)
    inner[50:100, 200:300] = 1
    letterboxed = torch.nn.functional.pad(inner, (0, 0, 7, 7))[None]
    result = SimpleNamespace(
        masks=SimpleNamespace(data=letterboxed),
        boxes=SimpleNamespace(conf=torch.tensor([0.9])),
        orig_shape=(242, 480),
    )
    assert torch.equal(regions_from_masks(result).labels[0] == 0, inner.bool())
    half = inner.bool()[::2, ::2]  # 121 rows in 128: three above, four below
    result.masks.data = torch.nn.functional.pad(half.float(), (0, 0, 3, 4))[None]
    found = regions_from_masks(result).labels[0] == 0
    assert (found != inner.bool()).sum() <= 2 * (50 + 100)


@pytest.mark.parametrize(
    ("masks", "error", "said"),
    [
        ("masks.json", DTypeError, "a builtins.str"),
        ([1, 2], DTypeError, "masks of one image"),
        (torch.zeros(2, 1, 4, 4), ShapeError, "without a batch axis"),
        (torch.full((1, 2, 2), 3.0), ScoreRangeError, "from_logits"),
        (torch.full((1, 2, 2), torch.nan), ScoreRangeError, "from_logits"),
        ({"masks": torch.zeros(2, 3, 3), "scores": [0.5]}, ShapeError, "1 scores"),
        ({"masks": torch.zeros(1, 3, 3), "scores": [float("nan")]}, ScoreRangeError, "nan"),
        ({"masks": torch.zeros(1, 3, 3), "scores": ["high"]}, DTypeError, "numbers"),
        ([{"segmentation": [[0, 0, 3, 3, 0, 3]]}], DTypeError, "Polygons"),
        ([{"segmentation": np.zeros((2, 2))}, {"segmentation": np.zeros((2, 3))}], ShapeError, "one size"),
    ],
)
def test_what_is_no_mask_is_refused(masks, error, said):
    with pytest.raises(error, match=said):
        regions_from_masks(masks, (4, 4))


def test_an_unknown_order_is_refused():
    with pytest.raises(OptionError, match="on_top"):
        regions_from_masks([], (2, 2), on_top="largest")


def test_masks_beyond_any_memory_are_refused_before_they_are_painted():
    whole = {"size": [10_000, 10_000], "counts": [0, 100_000_000]}
    with pytest.raises(FileError, match="in all masks"):
        regions_from_masks([{"segmentation": whole}] * 50)


# Files


RECORDS = [
    {"segmentation": {"size": [2, 3], "counts": "132"}, "predicted_iou": 0.5},
    {"segmentation": {"size": [2, 3], "counts": [5, 1]}, "predicted_iou": 0.9},
]
EXPECTED = [[-1, 0, -1], [0, 0, 1]]


def test_files_of_masks(tmp_path):
    for content in (RECORDS, {"image": {"height": 2, "width": 3}, "annotations": RECORDS}):
        (tmp_path / "a.json").write_text(json.dumps(content))
        assert read_regions(tmp_path / "a.json").tolist() == EXPECTED
    (tmp_path / "b.json").write_text('{"image": {"height": 1, "width": 2}, "annotations": []}')
    assert read_regions(tmp_path / "b.json").tolist() == [[-1, -1]]
    entities = np.array([[0, 254, 255]], np.uint8)
    np.savez(tmp_path / "c.npz", mask_id=entities, scores=np.ones(3), ori_scores=np.ones(3))
    assert read_regions(tmp_path / "c.npz").tolist() == [[0, 254, -1]]
    np.savez(tmp_path / "d.npz", mask_id=entities.astype(np.int64) - 1, scores=np.ones(3))
    assert read_regions(tmp_path / "d.npz").tolist() == [[-1, 253, 254]]
    masks = np.array([[[1, 1, 0]], [[0, 1, 0]]], bool)
    np.savez(tmp_path / "e.npz", masks=masks, scores=np.array([0.2, 0.7]))
    assert read_regions(tmp_path / "e.npz").tolist() == [[0, 1, -1]]
    np.savez(tmp_path / "e.npz", masks=masks)
    assert read_regions(tmp_path / "e.npz").tolist() == [[0, 0, -1]]
    write_region_map(tmp_path / "f.png", np.array([[4, -1]]))
    assert read_regions(tmp_path / "f.png").tolist() == [[4, -1]]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        "3",
        "[3]",
        "[]",
        "[{}]",
        "[" * 100_000,
        '{"annotations": 3}',
        '[{"segmentation": 3}]',
        '[{"segmentation": {"size": [1e9, 1e9]}}]',
        '{"image": {"height": -1, "width": 2}, "annotations": []}',
    ],
)
def test_damaged_json_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(CSLError):
        read_regions(tmp_path / "a.json")


def test_damaged_arrays_are_refused(tmp_path):
    path = tmp_path / "a.npz"
    for held in (
        {"mask_id": np.zeros((1, 2, 3), np.uint8)},
        {"mask_id": np.zeros((2, 3))},
        {"mask_id": np.full((2, 3), -7)},
        {"masks": np.full((1, 2, 3), 9.0)},
        {"masks": np.zeros((1, 2, 3), bool), "scores": np.zeros(4)},
        {"masks": np.array([None, {}], dtype=object)},
    ):
        np.savez(path, **held)
        with pytest.raises(CSLError):
            read_regions(path)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(FileError):
        read_regions(path)
    with pytest.raises(FileError):
        read_regions(tmp_path / "missing.json")


def test_a_folder_of_masks_is_a_proposer(tmp_path):
    (tmp_path / "street.json").write_text(json.dumps(RECORDS))
    proposer = load_proposer(tmp_path)
    assert proposer(torch.rand(1, 3, 2, 3), names=["street"])[0].labels[0].tolist() == EXPECTED
    with pytest.raises(FileError, match="no region map named 'lane'"):
        proposer(torch.rand(1, 3, 2, 3), names=["lane"])
    np.savez(tmp_path / "lane.npz", mask_id=np.zeros((2, 3), np.uint8), scores=np.ones(1))
    mixed = load_proposer(tmp_path)  # where there are maps, JSON files are somebody's notes
    assert len(mixed) == 1
    assert mixed(torch.rand(1, 3, 2, 3), names=["lane"])[0].labels[0].tolist() == [[0] * 3] * 2


# Proposers of other packages


def _register(tmp_path, monkeypatch, **points):
    for index, (distribution, lines) in enumerate(points.items()):
        folder = tmp_path / f"{distribution}-1.{index}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.{index}\n")
        (folder / "entry_points.txt").write_text("[csl_plugin.proposers]\n" + lines)
    (tmp_path / "halves_of_a_stranger.py").write_text(
        "import torch\n"
        "from csl_plugin import RegionMap\n"
        "class Halves:\n"
        "    def __init__(self, device): self.device = device\n"
        "    def __call__(self, images):\n"
        "        half = torch.arange(images.shape[3]) >= images.shape[3] // 2\n"
        "        return RegionMap(half.int().expand(len(images), *images.shape[2:]))\n"
        "def make(device=None): return Halves(device)\n"
        "def broken(device=None): return 3\n"
        "number = 3\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_a_registered_proposer_is_loaded_by_name(tmp_path, monkeypatch):
    _register(tmp_path, monkeypatch, stranger="halves = halves_of_a_stranger:make\n")
    proposer = load_proposer("halves", device="cpu")
    assert isinstance(proposer, Proposer)
    assert proposer.device == "cpu"
    assert proposer(torch.rand(1, 3, 2, 4)).labels.tolist() == [[[0, 0, 1, 1]] * 2]  # as it returns it
    with pytest.raises(FileError, match='"halves"'):
        load_proposer("quarters")


def test_what_is_registered_wrongly_is_said(tmp_path, monkeypatch):
    lines = (
        "broken = halves_of_a_stranger:broken\n"
        "number = halves_of_a_stranger:number\n"
        "gone = no_such_module_anywhere:make\n"
        "renamed = halves_of_a_stranger:made\n"
        "twice = halves_of_a_stranger:make\n"
        "superpixels = halves_of_a_stranger:make\n"
    )
    _register(tmp_path, monkeypatch, one=lines, two="twice = halves_of_a_stranger:broken\n")
    for name, error in (("broken", DTypeError), ("number", DTypeError), ("twice", OptionError)):
        with pytest.raises(error):
            load_proposer(name)
    for name in ("gone", "renamed"):
        with pytest.raises(MissingExtraError, match="Install the package again"):
            load_proposer(name)
    assert "Superpixels" in repr(load_proposer("superpixels"))
