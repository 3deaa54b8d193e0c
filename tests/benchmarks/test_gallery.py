"""The gallery: its page shows the pictures that its command makes, and the command makes them."""

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("PIL")

from benchmarks.guide.gallery.__main__ import PICTURES, main
from benchmarks.guide.gallery.palette import write_palette_png
from benchmarks.guide.gallery.plot import Plot
from csl_plugin.io import read_image
from csl_plugin.viz.colors import MASK, heat_colors
from csl_plugin.viz.line_plot import Axis

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = "python -m benchmarks.guide.gallery --out docs/images/gallery"


def test_the_page_shows_each_picture_with_its_command():
    text = (DOCS / "gallery.md").read_text(encoding="utf-8")
    sections = text.split("\n## ")[1:]
    assert len(sections) == len(PICTURES) == 12
    for section, name in zip(sections, PICTURES, strict=True):
        assert re.findall(r"!\[[^\]]+\]\(images/gallery/([\w-]+)\.png\)", section) == [name]
        assert section.rstrip().endswith(f"`{COMMAND} --only {name}`")
    assert f"```sh\n{COMMAND}\n```" in text


def test_the_pictures_are_there_and_small():
    files = sorted((DOCS / "images" / "gallery").iterdir())
    assert [file.name for file in files] == sorted(f"{name}.png" for name in PICTURES)
    sizes = {file.name: file.stat().st_size for file in files}
    assert max(sizes.values()) < 250_000, sizes
    assert sum(sizes.values()) < 2_500_000, sizes
    for file in files:
        picture = read_image(file)
        assert 1000 < picture.shape[1] < 1650
        assert (picture[:20] == 255).all(), "a white margin, on dark pages too"


def test_the_command_makes_a_picture_by_name_and_the_same_bytes_again(tmp_path, monkeypatch, capsys):
    made = []
    for folder in ("one", "two"):
        monkeypatch.setattr(sys, "argv", ["gallery", "--out", str(tmp_path / folder), "--only", "rules"])
        main()
        (file,) = (tmp_path / folder).iterdir()
        made.append(file.read_bytes())
    assert made[0] == made[1]
    assert capsys.readouterr().out.count("rules.png") == 2
    picture, kept = read_image(tmp_path / "one" / "rules.png"), read_image(DOCS / "images/gallery/rules.png")
    assert picture.shape == kept.shape
    assert np.abs(picture.astype(int) - kept).mean() < 4, "the picture in docs is another one: make it again"


def test_an_unknown_name_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["gallery", "--out", ".", "--only", "cats"])
    with pytest.raises(SystemExit):
        main()
    assert "structure-hurts" in capsys.readouterr().err


def test_a_palette_keeps_heat_white_and_marks(tmp_path):
    draw = np.random.default_rng(0)
    picture = draw.integers(0, 256, (80, 90, 3), np.uint8)
    heat = heat_colors(np.linspace(0, 1, 90)[None].repeat(20, 0), 0, 1)
    picture[:20], picture[20:30], picture[30:40] = heat, 255, MASK
    write_palette_png(tmp_path / "a.png", picture)
    read = read_image(tmp_path / "a.png").astype(int)
    assert np.abs(read[:20] - heat).max() < 16
    assert (read[20:30] == 255).all()
    assert (read[30:40] == MASK).all()
    assert cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_UNCHANGED).shape[:2] == (80, 90)
    assert (tmp_path / "a.png").stat().st_size < 80 * 90 * 1.3


def test_a_plot_puts_things_where_they_are():
    plot = Plot((200, 300), Axis(0, 10, "across"), Axis(0, 1, "up"))
    empty = plot.picture()
    plot.line([(0, 0.5), (10, 0.5)], (255, 0, 0))
    plot.dots([(5.0, 0.25)], (0, 0, 255), 3)
    drawn = plot.picture()
    red = np.argwhere((drawn[..., 0] > 200) & (drawn[..., 1:] < 60).all(axis=2))
    blue = np.argwhere((drawn[..., 2] > 200) & (drawn[..., :2] < 60).all(axis=2)).mean(axis=0)
    assert np.ptp(red[:, 0]) <= 2
    assert np.ptp(red[:, 1]) > 200
    assert blue[0] > red[:, 0].max() + 20
    assert abs(blue[1] - red[:, 1].mean()) < 2
    assert (empty[-12:] < 150).any(), "the label of the horizontal axis"
