"""The page clicked through in Chromium, against the command that serves it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path"),
    *(
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"{name} is not installed")
        for name in ("gradio", "playwright")
    ),
]

_PATIENCE = 60_000  # milliseconds, on a machine with other work

# Every connection that the server opens is written down: a page that talks to nobody but its visitors.
# A test run in the background ignores Ctrl-C, and so would what it starts.
_WATCH = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)

def note(event, arguments):
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        with open(os.environ["CONNECTIONS"], "a") as file:
            file.write(f"{arguments[1][0]}\\n")

sys.addaudithook(note)
"""


class Server:
    """The command `csl-plugin app` in a process of its own."""

    def __init__(self, folder):
        self.temporary, self.connections = folder / "tmp", folder / "connections"
        self.temporary.mkdir()
        (folder / "sitecustomize.py").write_text(_WATCH)
        root = str(Path(__file__).parents[2])
        environment = {
            **os.environ,
            "TMPDIR": str(self.temporary),
            "CONNECTIONS": str(self.connections),
            "PYTHONPATH": os.pathsep.join([str(folder), root]),
        }
        command = [sys.executable, "-m", "csl_plugin", "app"]
        self.log = folder / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=environment, stderr=log, stdout=log, cwd=root)
        found = None
        while found is None:
            assert self.process.poll() is None, self.log.read_text()
            time.sleep(0.2)
            found = re.search(r"(http\S+) \(stop with Ctrl-C\)", self.log.read_text())
        self.address = found[1]

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(60)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    running = Server(tmp_path_factory.mktemp("server"))
    yield running
    if running.process.poll() is None:
        running.stop()


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


class Visit:
    """One visitor's page."""

    def __init__(self, browser, address, **options):
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(_PATIENCE)
        self.page = self.context.new_page()
        self.hosts = set()
        self.page.on(
            "request", lambda request: self.hosts.add(request.url.partition("//")[2].partition("/")[0])
        )
        self.errors = []
        self.page.on("pageerror", lambda error: self.errors.append(error))
        self.page.goto(address)
        self.page.wait_for_selector("#comparison img")

    def choose(self, group, name):
        self.page.locator(f"#{group}").get_by_role("radio", name=name, exact=True).check()

    def drop(self, zone, path):
        """Put a file into a drop zone, in place of the one that is there."""
        remove = self.page.locator(
            f"#{zone} button[aria-label='Remove this file'], #{zone} button[aria-label='Clear']"
        )
        if remove.count():
            remove.first.click()
        self.page.locator(f"#{zone} input[type=file]").set_input_files(str(path))

    def slide(self, name, value):
        number = self.page.locator(f"#{name} input[type=number]")
        number.fill(str(value))
        number.press("Enter")

    def text(self, name):
        return self.page.locator(f"#{name}").inner_text().strip()

    def says(self, name, text):
        from playwright.sync_api import expect

        expect(self.page.locator(f"#{name}")).to_contain_text(text, timeout=_PATIENCE)

    def pictures(self, name):
        return self.page.locator(f"#{name} img").evaluate_all("images => images.map(image => image.src)")

    def changes(self, name, before):
        self.page.wait_for_function(
            "([name, before]) => { const image = document.querySelector(`#${name} img:last-of-type`);"
            " return image && image.src !== before; }",
            arg=[name, before[-1]],
        )


@pytest.fixture
def visit(server, browser):
    opened = Visit(browser, server.address)
    yield opened
    assert opened.errors == []
    opened.context.close()


@pytest.fixture
def photograph(tmp_path):
    image = np.random.default_rng(0).normal(120, 5, (120, 160, 3))
    cv2.circle(image, (100, 60), 22, (200, 60, 40), -1)
    cv2.imwrite(str(tmp_path / "disc.png"), image.clip(0, 255).astype(np.uint8)[..., ::-1])
    return tmp_path / "disc.png"


def test_an_example_then_regions_rule_and_threshold(visit):
    assert visit.text("notice") == ""
    visit.says("original", "which no training street has")
    table = visit.page.locator("#comparison tbody").inner_text()
    figures = [float(number) for number in re.findall(r"([\d.]+) %", table)]
    assert len(figures) == 4
    assert figures[1] > figures[0]
    visit.choose("photograph", "A cat")
    visit.says("comparison", "The street teacher has seen drawn streets only")
    visit.says("comparison", "No ground truth is known")
    visit.says("original", "451 x 300")
    visit.says("regions-view", 'load_proposer("csl-tiny:auto,5")')
    visit.choose("score", "RX, no training")
    before = visit.pictures("comparison")
    visit.choose("regions", "superpixels")
    visit.says("regions-view", 'load_proposer("superpixels:150,20")')
    visit.changes("comparison", before)
    few = int(re.search(r"(\d+) fine", visit.text("regions-view"))[1])
    visit.slide("fineness", 5)
    visit.says("regions-view", "superpixels:150,5")
    assert int(re.search(r"(\d+) fine", visit.text("regions-view"))[1]) > few
    before = visit.pictures("comparison")
    visit.choose("rule", "mean of the region")
    visit.changes("comparison", before)
    visit.slide("threshold", 0.995)
    visit.says("objects-view", "at the threshold 0.995")
    assert visit.page.locator("#objects-view tbody tr").count() >= 1
    visit.slide("min-area", 1000)
    visit.says("objects-view", "No object at the threshold 0.995")
    visit.slide("threshold", 0.4)
    visit.says("objects-view", "at the threshold 0.400")
    assert visit.page.locator("#objects-view tbody tr").count() >= 1
    assert visit.text("notice") == ""


def test_a_photograph_and_a_map_of_it(visit, photograph, tmp_path):
    visit.choose("photograph", "Your photograph")
    visit.says("notice", "Drop a photograph, or choose an example.")
    assert visit.pictures("comparison") == []
    visit.drop("own-photograph", photograph)
    visit.says("original", "160 x 120 pixels")
    assert visit.text("notice") == ""
    visit.choose("score", "Your map")
    visit.says("notice", "Drop a map of this photograph, or choose another score.")
    values = np.zeros((120, 160), np.float32)
    values[40:80, 80:120] = 2
    np.save(tmp_path / "map.npy", values)
    visit.drop("own-map", tmp_path / "map.npy")
    visit.says("comparison", "divided by its largest value, 2")
    assert len(visit.pictures("comparison")) == 2


def test_hostile_files_are_named_in_one_sentence(visit, photograph, tmp_path):
    visit.drop("own-photograph", photograph)
    visit.says("original", "160 x 120 pixels")
    visit.choose("score", "Your map")
    np.save(tmp_path / "wrong.npy", np.zeros((100, 100), np.float32))
    visit.drop("own-map", tmp_path / "wrong.npy")
    visit.says("notice", "wrong.npy: got size (100, 100), expected the image's (120, 160)")
    np.save(tmp_path / "pickle.npy", np.full((120, 160), None), allow_pickle=True)
    visit.drop("own-map", tmp_path / "pickle.npy")
    visit.says("notice", "pickle.npy: got an array of Python objects, expected an array of numbers.")
    assert visit.pictures("objects-view") == []
    (tmp_path / "text.png").write_bytes(b"no picture")
    visit.drop("own-photograph", tmp_path / "text.png")
    visit.says("notice", "text.png: got 10 bytes with no such header")
    cv2.imwrite(str(tmp_path / "huge.png"), np.zeros((8000, 7000), np.uint8))
    visit.drop("own-photograph", tmp_path / "huge.png")
    visit.says("notice", "huge.png: got 7000 x 8000 pixels, expected at most 50 million pixels.")
    for word in ("Traceback", "Error:", str(tmp_path), "csl-plugin-app-"):
        assert word not in visit.page.inner_text("body")
    visit.choose("score", "RX, no training")
    visit.choose("photograph", "A cat")
    visit.says("original", "451 x 300")
    assert visit.text("notice") == ""


def test_a_file_of_too_many_bytes_is_not_stored(visit, server, tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate((32 << 20) + 1)
    visit.drop("own-photograph", tmp_path / "large.png")
    visit.page.get_by_text(re.compile("size exceed|too large|maximum", re.IGNORECASE)).first.wait_for()
    assert not list(server.temporary.rglob("large.png"))


def test_two_visitors_do_not_see_each_other(visit, server, browser, photograph):
    other = Visit(browser, server.address)
    try:
        visit.drop("own-photograph", photograph)
        other.choose("regions", "superpixels")
        visit.says("original", "160 x 120 pixels")
        other.says("regions-view", "superpixels:150,20")
        other.slide("fineness", 1)
        visit.slide("threshold", 0.9)
        other.says("regions-view", "superpixels:150,80")
        visit.says("objects-view", "threshold 0.900")
        assert "640 x 384" in other.text("original")
        assert "csl-tiny:auto,5" in visit.text("regions-view")
    finally:
        other.context.close()


def test_the_files_are_what_the_page_shows(visit, tmp_path):
    visit.page.locator("#prepare").click()
    visit.page.wait_for_selector("#files a")
    for name in ("fused.npy", "objects.json", "panels.png"):
        with visit.page.expect_download() as download:
            visit.page.locator(f"#files a[download='{name}']").click()
        download.value.save_as(tmp_path / name)
    assert np.load(tmp_path / "fused.npy").shape == (384, 640)
    assert cv2.imread(str(tmp_path / "panels.png")).shape[1] > 1000
    visit.slide("threshold", 0.31)
    visit.page.wait_for_selector("#files a", state="detached")


def test_the_line_between_before_and_after_moves_by_keys(visit):
    line = visit.page.locator("#comparison .line")
    before = line.bounding_box()["x"]
    visit.page.locator("#comparison input[type=range]").focus()
    for _ in range(5):
        visit.page.keyboard.press("ArrowRight")
    assert line.bounding_box()["x"] > before


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_the_window(server, browser, width, scheme):
    seen = Visit(browser, server.address, viewport={"width": width, "height": 844}, color_scheme=scheme)
    try:
        assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
        back = seen.page.evaluate("getComputedStyle(document.body).backgroundColor")
        level = np.mean([int(number) for number in re.findall(r"\d+", back)[:3]])
        assert level < 60 if scheme == "dark" else level > 240
        assert seen.hosts == {server.address.partition("//")[2].strip("/")}
        unnamed = seen.page.evaluate(
            "[...document.querySelectorAll('img')].filter(image => !image.alt).length"
        )
        assert unnamed == 0
    finally:
        seen.context.close()


def test_last_the_server_ends_and_leaves_nothing(server):
    assert server.stop() == 130
    assert list(server.temporary.rglob("*.png")) == []
    assert not [path for path in server.temporary.iterdir() if path.name.startswith(("csl-plugin", "gradio"))]
    spoken = set(server.connections.read_text().split()) if server.connections.exists() else set()
    assert spoken <= {"127.0.0.1"}
    assert "Traceback" not in server.log.read_text()
