"""The slider of two pictures: its HTML, its files, and what a browser makes of them."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from shutil import which

import cv2
import numpy as np
import pytest
import torch

from csl_plugin.errors import DTypeError, FileError, ShapeError
from csl_plugin.viz import BeforeAfter, before_after
from csl_plugin.viz.colors import heat_colors

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
SCORE = np.random.default_rng(1).random((90, 120))
HOSTILE = '"><script>alert(1)</script>&'


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def every(self, name):
        return [attributes for tag, attributes in self.found if tag == name]


def test_both_pictures_are_in_it_as_they_are():
    slider = before_after(IMAGE, IMAGE[:, ::-1])
    sources = [tag["src"] for tag in Tags(slider._repr_html_()).every("img")]
    for source, picture in zip(sources, (IMAGE, IMAGE[:, ::-1]), strict=True):
        data = np.frombuffer(base64.b64decode(source.removeprefix("data:image/png;base64,")), np.uint8)
        assert np.array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], picture)


def test_nothing_comes_from_outside():
    tags = Tags(before_after(IMAGE, SCORE)._repr_html_())
    assert {tag for tag, _ in tags.found} == {"style", "div", "img", "span", "input"}
    assert all(tag["src"].startswith("data:") for tag in tags.every("img"))
    assert not re.search(r"https?:|url\(|@import", before_after(IMAGE, SCORE)._repr_html_())


def test_titles_are_escaped_everywhere(tmp_path):
    slider = before_after(IMAGE, IMAGE, titles=(HOSTILE, "After"))
    slider.save(tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    tags = Tags(page)
    assert not tags.every("script")
    assert HOSTILE not in page
    assert HOSTILE in tags.text
    assert tags.every("img")[0]["alt"] == HOSTILE
    assert HOSTILE in tags.every("input")[0]["aria-label"]


def test_an_empty_title_is_no_plate():
    assert not Tags(before_after(IMAGE, IMAGE, titles=("", ""))._repr_html_()).every("span")


def test_two_scores_have_one_scale():
    slider = before_after(SCORE, torch.from_numpy(SCORE / 4))
    assert np.array_equal(slider.before, heat_colors(SCORE, 0, 1))
    assert np.array_equal(slider.after, heat_colors(SCORE / 4, 0, 1))


def test_a_large_picture_is_made_smaller_and_a_small_one_is_kept():
    assert before_after(np.zeros((3000, 2000, 3), np.uint8), np.zeros((3000, 2000))).before.shape == (
        1200,
        800,
        3,
    )
    assert before_after(SCORE, SCORE > 0.5).after.shape == (90, 120, 3)
    assert repr(before_after(SCORE, SCORE)) == "BeforeAfter(size=(90, 120), titles=('Before', 'After'))"


def test_saving_is_atomic_and_of_pages_only(tmp_path):
    slider = before_after(IMAGE, SCORE)
    assert isinstance(slider, BeforeAfter)
    for name in ("a.html", "new/b.HTM"):
        slider.save(tmp_path / name)
        assert (tmp_path / name).read_text(encoding="utf-8").startswith("<!doctype html>")
    for name in ("a.png", "a"):
        with pytest.raises(FileError, match=r"\.html"):
            slider.save(tmp_path / name)
    (tmp_path / "c.html").mkdir()
    with pytest.raises(FileError):
        slider.save(tmp_path / "c.html")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.html", "c.html", "new"]


@pytest.mark.parametrize("titles", ["ab", ("a",), ("a", 1), None])
def test_titles_are_two_texts(titles):
    with pytest.raises(DTypeError, match="two texts"):
        before_after(IMAGE, IMAGE, titles=titles)


def test_sizes_are_equal():
    with pytest.raises(ShapeError, match="after"):
        before_after(IMAGE, SCORE[:80])


@pytest.mark.slow
def test_a_browser_shows_it_and_moves_it_by_keyboard_mouse_and_touch(tmp_path):
    sync_api = pytest.importorskip("playwright.sync_api")
    found = which("chromium") or which("chromium-browser") or which("google-chrome")
    if found is None:
        pytest.skip("no Chromium")
    black, white = np.zeros((300, 400, 3), np.uint8), np.full((300, 400, 3), 255, np.uint8)
    before_after(black, white, titles=("", HOSTILE)).save(tmp_path / "a.html")
    errors = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 600, "height": 400}, has_touch=True).new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.goto(Path(tmp_path, "a.html").as_uri())

        def dark_share():
            picture = cv2.imdecode(np.frombuffer(page.screenshot(), np.uint8), cv2.IMREAD_GRAYSCALE)
            return float((picture[300, 100:500] < 40).mean())  # a row below the handle and the plates

        assert dark_share() == pytest.approx(0.5, abs=0.02)
        page.keyboard.press("Tab")
        for _ in range(20):
            page.keyboard.press("ArrowRight")
        assert dark_share() == pytest.approx(0.7, abs=0.02)
        page.keyboard.press("Home")
        assert dark_share() == pytest.approx(0, abs=0.02)
        page.mouse.click(100 + 300, 100)
        assert dark_share() == pytest.approx(0.75, abs=0.03)
        page.touchscreen.tap(100 + 80, 200)
        assert dark_share() == pytest.approx(0.2, abs=0.03)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        page.set_viewport_size({"width": 320, "height": 400})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        browser.close()
    assert errors == []
