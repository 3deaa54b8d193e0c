"""What the page shows of a result, read back from its HTML."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from csl_plugin.app.files import file_links, result_files
from csl_plugin.app.notices import notice_of
from csl_plugin.app.session import Session
from csl_plugin.app.settings import Settings
from csl_plugin.app.views import comparison_view, objects_view, photograph_view, regions_view
from csl_plugin.errors import FileError

VIEWS = (photograph_view, comparison_view, regions_view, objects_view, file_links)


class Elements(HTMLParser):
    """The elements of a text, each with its attributes; it has to be closed as it is opened."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.words = [], [], []
        self.feed(text)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in ("img", "input", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    def of(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def result():
    settings = Settings("A cat", None, "RX, no training", None, "superpixels", 4, "adaptive", None, 64)
    return Session().result(settings)


@pytest.mark.parametrize("view", VIEWS)
def test_every_picture_is_described_and_every_control_named(result, view):
    elements = Elements(view(result))
    for image in elements.of("img"):
        assert len(image["alt"]) > 5
        assert image["src"].startswith("data:image/")
        assert int(image["width"]) > 100
    for control in elements.of("input"):
        assert len(control["aria-label"]) > 10


def test_the_table_lists_the_objects(result):
    elements = Elements(objects_view(result))
    rows = "".join(elements.words)
    assert len(result.objects) > 1
    for score, area in zip(result.objects.scores, result.objects.areas, strict=True):
        assert f"{score:.3f}" in rows
        assert f"{area:,}" in rows
    assert len([mark for mark in elements.of("span") if "csl-mark" in mark.get("class", "")]) == len(
        result.objects
    )


def test_the_regions_are_named_as_they_are_loaded(result):
    assert 'load_proposer("superpixels:150,10")' in "".join(Elements(regions_view(result)).words)


def test_a_name_of_a_file_is_no_markup(result):
    from dataclasses import replace

    named = replace(result, photograph=replace(result.photograph, name='"><img src=x onerror=alert(1)>.png'))
    images = Elements(photograph_view(named)).of("img")
    assert len(images) == 1
    assert "onerror" not in images[0]
    hostile = FileError("<script>.png", "<b>", "a <i>", "<u>.")
    assert [tag for tag, _ in Elements(notice_of(hostile)).found] == ["p", "strong"]


def test_the_links_hold_what_the_library_writes(result):
    contents = result_files(result)
    links = Elements(file_links(result)).of("a")
    assert [link["download"] for link in links] == list(contents)
    for link in links:
        assert b64decode(re.sub(r"^data:[\w/-]+;base64,", "", link["href"])) == contents[link["download"]]
    pictures = [
        cv2.imdecode(np.frombuffer(contents[name], np.uint8), 1) for name in ("panels.png", "objects.png")
    ]
    assert all(picture.shape[1] > 500 for picture in pictures)
    found = json.loads(contents["objects.json"])
    assert [each["score"] for each in found] == result.objects.scores.tolist()
    assert [each["area"] for each in found] == result.objects.areas.tolist()
    assert b"chelsea.jpg" in contents["objects-images.json"]
    header = contents["fused.npy"][-result.fused.nbytes :]
    assert np.array_equal(np.frombuffer(header, np.float32).reshape(result.fused.shape), result.fused)


def test_what_nobody_foresaw_is_logged_and_not_shown(caplog):
    shown = notice_of(ValueError("/secret/path"))
    assert "secret" not in shown
    assert "The server could not do this" in shown
    assert "/secret/path" in caplog.text
