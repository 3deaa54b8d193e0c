"""The page "From a model to a list of objects", run as it is."""

import re
from pathlib import Path

from csl_plugin.objects.formats import read_coco

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "objects.md"


def test_the_page_runs_in_twelve_lines(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    stand_ins, twelve = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in twelve.splitlines() if line.strip()]) == 12
    names = {}
    exec(stand_ins, names)
    exec(twelve, names)
    found = read_coco("coco.json")
    assert {name: len(objects) for name, objects in found.items()} == {"a.png": 1, "b.png": 0, "c.png": 1}
    box = found["a.png"].boxes[0]
    assert abs(box - [30, 20, 60, 44]).max() <= 4
