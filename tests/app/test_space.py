"""The folder of a Space: what it says agrees with the package."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
SPACE = ROOT / "examples" / "space"


def front_matter():
    _, head, text = (SPACE / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert text.strip()
    return dict(line.split(": ", 1) for line in head.splitlines())


def test_the_front_matter_is_what_the_hub_reads():
    head = front_matter()
    assert head["sdk"] == "gradio"
    assert (SPACE / head["app_file"]).is_file()
    assert len(head["short_description"]) <= 60
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["app"]
    lowest = re.fullmatch(r"gradio>=([\d.]+)", extra[0])[1]
    numbers = [[int(part) for part in text.split(".")] for text in (head["sdk_version"], lowest)]
    assert numbers[0] >= numbers[1]


def test_the_package_comes_from_a_tag():
    lines = (SPACE / "requirements.txt").read_text().splitlines()
    assert re.fullmatch(
        r"csl-plugin\[app\] @ git\+https://github\.com/csl-plugin/csl-plugin@v\d+\.\d+\.\d+", lines[-1]
    )
