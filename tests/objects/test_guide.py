"""The pages "From a model to a list of objects" and "From logits to an anomaly score", run as they are."""

import re
from pathlib import Path

import numpy as np
import torch

from csl_plugin.adapters.presets.anomaly_scores import (
    energy,
    entropy,
    negative_max_logit,
    one_minus_max_probability,
    standardized_max_logit,
)
from csl_plugin.adapters.presets.class_statistics import ClassStatistics
from csl_plugin.objects.formats import read_coco

GUIDE = Path(__file__).parents[2] / "docs" / "guide"


def blocks_of(page):
    return re.findall(r"```python\n(.*?)```", (GUIDE / page).read_text(encoding="utf-8"), re.DOTALL)


def test_the_page_runs_in_twelve_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_ins, twelve, *further = blocks_of("objects.md")
    assert len([line for line in twelve.splitlines() if line.strip()]) == 12
    names = {}
    exec(stand_ins, names)
    exec(twelve, names)
    found = read_coco("coco.json")
    assert {name: len(objects) for name, objects in found.items()} == {"a.png": 1, "b.png": 0, "c.png": 1}
    box = found["a.png"].boxes[0]
    assert abs(box - [30, 20, 60, 44]).max() <= 4
    for block in further:
        exec(block, names)
    assert names["found"]["a.png"].areas[0] > 400
    assert len(names["on_road"]) == 0
    assert names["road_threshold"].images == 8
    for batch in (names["batch"], names["batch_of_logits"]):
        assert [len(objects) for objects in batch] == [1, 0, 1]
        assert abs(batch[0].boxes[0] - [30, 20, 60, 44]).max() <= 8


def test_scores_of_logits_are_those_of_the_presets_and_have_the_direction_of_the_table():
    names = {}
    for block in blocks_of("scores.md"):
        exec(block, names)
    logits = names["upsampled"](names["frame"])
    scores = names["scores_of"](logits)
    statistics = ClassStatistics(tuple(names["mean"].tolist()), tuple((names["deviation"] ** 2).tolist()))
    presets = {
        "msp": one_minus_max_probability(logits),
        "entropy": entropy(logits),
        "max_logit": -negative_max_logit(logits),
        "energy": energy(logits),
        "sml": -standardized_max_logit(logits, statistics),
    }
    page = (GUIDE / "scores.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| .* \| (high|low) \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) == len(scores) == 5
    thing = np.zeros((96, 128), bool)
    thing[36:60, 52:84] = True
    for (name, score), (direction, needs) in zip(scores.items(), rows, strict=True):
        torch.testing.assert_close(score[:, None], presets[name])
        assert (score[0][thing].mean() > score[0][~thing].mean()) == (direction == "high")
        assert ("--lower-is-anomalous" in needs) == (direction == "low")
        assert (needs == "nothing") == (name not in names["calibrations"])
        assert needs != "nothing" or 0 <= score.min() <= score.max() <= 1
        fused = names["fused"][name][0, 0]
        assert fused[thing].mean() > fused[~thing].mean() + 0.2, "high for what is unusual"
