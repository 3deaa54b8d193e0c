"""Damage that libjpeg alone notices is said with the file's name, and nothing else on stderr is lost."""

import json
import os

import cv2
import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.io import write_scores
from csl_plugin.io.decoder_messages import caught_messages


def damaged_jpeg(path):
    """A JPEG with a byte changed so that libjpeg warns and gives all pixels."""
    rng = np.random.default_rng(0)
    picture = cv2.GaussianBlur(rng.integers(0, 256, (120, 160, 3), dtype=np.uint8), (9, 9), 0)
    data = bytearray(cv2.imencode(".jpg", picture)[1].tobytes())
    for place in range(len(data) * 2 // 3, len(data) - 20):
        changed = bytes(data[:place]) + bytes([data[place] ^ 0x55]) + bytes(data[place + 1 :])
        found = []
        with caught_messages(found):
            cv2.imdecode(np.frombuffer(changed, np.uint8), cv2.IMREAD_COLOR)
        if any("extraneous bytes" in message for message in found):
            path.write_bytes(changed)
            return
    raise AssertionError("no such damage")


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_damaged_image_is_named(tmp_path, capfd, jobs):
    for name in ("images", "scores"):
        (tmp_path / name).mkdir()
    damaged_jpeg(tmp_path / "images" / "bad.jpg")
    cv2.imwrite(str(tmp_path / "images" / "good.jpg"), np.full((120, 160, 3), 90, np.uint8))
    for stem in ("bad", "good"):
        write_scores(tmp_path / "scores" / f"{stem}.npy", np.full((120, 160), 0.5, np.float32))
    folders = [str(tmp_path / name) for name in ("images", "scores", "out")]
    assert main(["fuse", *folders, "--proposer", "superpixels", "--json", "--jobs", jobs]) == 0
    out, said = capfd.readouterr()
    assert json.loads(out)["done"] == 2
    assert said.count("warning: bad.jpg or a file read with it is damaged: Corrupt JPEG data: ") == 1
    assert "good.jpg" not in said
    assert "\nCorrupt" not in f"\n{said}"


def test_what_others_print_goes_on_to_stderr(capfd):
    found = []
    with caught_messages(found):
        os.write(2, b"from a library\nPremature end of JPEG file\n")
        os.write(2, b"of its own\nPremature end of JPEG file\n")
    assert capfd.readouterr().err == "from a library\nof its own\n"
    assert found == ["Premature end of JPEG file"]


def test_an_error_passes_and_the_stream_is_there_again(capfd):
    def fail():
        with caught_messages([]):
            os.write(2, b"before\n")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_without_a_stream_or_a_place_for_files(monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    found = []
    with caught_messages(found):
        pass
    assert found == []
