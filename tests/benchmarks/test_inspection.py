"""The made pictures of inspection: their layout, their score, and the page of their values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.inspection import textures
from benchmarks.inspection.measuring import ALL, BASE, SETTINGS
from benchmarks.inspection.page import PAGE, page
from benchmarks.inspection.patches import PatchMemory
from csl_plugin.datasets import open_dataset
from csl_plugin.metrics import PooledAnomaly


@pytest.mark.parametrize("kind", textures.KINDS)
def test_a_memory_of_good_patches_finds_the_defects(kind):
    draw = np.random.default_rng(4)
    tensors = [textures.normal(kind, draw).picture for _ in range(2)]
    memory = PatchMemory(kept=500)
    memory.fit([torch.from_numpy(one).movedim(-1, 0) / 255 for one in tensors])
    sample = textures.defective(kind, "hole", draw)
    maps = memory(torch.from_numpy(sample.picture).movedim(-1, 0)[None] / 255)
    assert maps.shape == (1, 1, textures.SIZE, textures.SIZE)
    assert maps.min() >= 0
    metric = PooledAnomaly()
    metric.update(maps[0, 0], sample.defect.astype(np.uint8))
    assert metric.compute().auroc > 0.9


def test_a_category_is_in_the_layout_of_mvtec_ad(tmp_path):
    textures.write_layout(tmp_path / "grain", "grain", 0, train=1, good=1, each=1)
    dataset = open_dataset("mvtec-ad", tmp_path / "grain")
    assert len(dataset.frames) == 1 + len(textures.DEFECTS)
    areas = {frame.name: int(dataset.read_label(frame).sum()) for frame in dataset.frames}
    assert areas.pop("good_000") == 0
    assert all(area >= 8 for area in areas.values())
    assert areas["speck_000"] < 80 < areas["hole_000"] < areas["stain_000"]


def test_the_page_holds_changes_with_intervals_and_is_the_generated_one():
    names = [BASE, *(setting.name for setting in SETTINGS)]
    groups = [ALL, *textures.DEFECTS]
    values = [
        {"patch memory": {name: {g: [0.5 + step * (name != BASE)] * 4 for g in groups} for name in names}}
        for step in (0.1, 0.2, 0.3)
    ]
    text = page(values)
    assert "| base | 50.0 | 50.0 |" in text
    assert "70.0 (+20.0, -4.8 to +44.8)" in text
    head = text.split("##")[0].replace("3 categories", "")
    written = PAGE.read_text(encoding="utf-8")
    assert written.split("##")[0].replace("18 categories", "") == head
