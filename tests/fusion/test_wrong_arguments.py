"""What is handed to `fuse` by mistake: each gets one error that says what to do with it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from csl_plugin import RegionMap, fuse, fuse_labels, load_proposer
from csl_plugin.errors import DTypeError, ShapeError

SCORES = np.linspace(0, 1, 6 * 8, dtype=np.float32).reshape(6, 8)
IDS = np.zeros((6, 8), np.int32)
PICTURE = Image.new("RGB", (8, 6))


@pytest.mark.parametrize(
    ("regions", "kind", "said"),
    [
        (PICTURE, DTypeError, r"PIL\..*load_proposer\(\)\(image\)"),
        ("street.png", DTypeError, r"the text 'street.png'.*load_proposer\(\)\(image\).*read_region_map"),
        (Path("ids.png"), DTypeError, r"load_proposer\(\)\(image\).*read_region_map\(path\)"),
        (load_proposer("superpixels"), DTypeError, r"Call the proposer .*proposer\(image\)"),
        ((lambda images: images), DTypeError, r"Call the proposer .*proposer\(image\)"),
        ([PICTURE], DTypeError, r"load_proposer\(\)\(image\)"),
        (np.zeros((6, 8, 3), np.uint8), ShapeError, r"propose the regions first.*R \+ 256 \* G"),
        ({"masks": []}, DTypeError, "regions_from_masks"),
        (None, DTypeError, "Pass what a proposer gave"),
        (np.zeros((12, 16), np.int32), ShapeError, r"size=\(12, 16\)"),
        (np.zeros((8, 6), np.int32), ShapeError, r"Pillow's size is \(W, H\)"),
    ],
)
@pytest.mark.parametrize("call", [fuse, fuse_labels])
def test_what_is_no_regions(call, regions, kind, said):
    scores = SCORES if call is fuse else SCORES[None]
    with pytest.raises(kind, match=rf"^regions: got .*{said}"):
        call(scores, regions)


@pytest.mark.parametrize(
    ("scores", "said"),
    [
        ("score.npy", r"read_scores\(path\)"),
        (Path("score.npy"), r"read_scores\(path\)"),
        ({"out": torch.zeros(1, 2, 6, 8)}, "tensor in the model's output.*CSLWrapper"),
        (SimpleNamespace(logits=torch.zeros(1, 2, 6, 8)), "tensor in the model's output.*logits=True"),
        (RegionMap(IDS[None]), r"scores first.*fuse\(scores, regions\)"),
        ([[0.5]], r"numpy\.asarray"),
        (PICTURE, r"numpy\.asarray"),
        (None, r"numpy\.asarray"),
    ],
)
def test_what_is_no_scores(scores, said):
    with pytest.raises(DTypeError, match=rf"^distribution: got .*{said}"):
        fuse(scores, IDS)


def test_the_sizes_that_the_hints_name_are_taken():
    fused = fuse(SCORES, np.zeros((12, 16), np.int32), size=(12, 16))
    assert fused.shape == (12, 16)
    assert fuse(SCORES, RegionMap(np.zeros((1, 12, 16), np.int32)).resize((6, 8))).shape == (6, 8)
