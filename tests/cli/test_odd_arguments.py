"""Odd argument lists: an exit code, one answer in the words of the command line, and never a traceback."""

import json
import os
import random
import re
import sys

import cv2
import numpy as np
import pytest

from csl_plugin import Calibration
from csl_plugin.cli import main
from csl_plugin.cli.advice import in_command_words
from csl_plugin.errors import FileError, OptionError
from csl_plugin.io import write_png, write_region_map, write_scores

SIZE = 24, 32
PYTHON = re.compile(
    r"(?<![-\w])(rule|size|logits|check|valid|names|device|split|key|token|subset)=|load_proposer|numpy\.|"
    r"\.astype|torch\.|Calibration\.|RegionMap|OutputAdapter|help\("
)
"""Words that a user of the command line cannot type."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two images with scores, labels and region maps, and everything that is none of these."""
    place = tmp_path_factory.mktemp("odd")
    rng = np.random.default_rng(0)
    for stem in "ab":
        write_png(place / "images" / f"{stem}.png", rng.integers(0, 255, (*SIZE, 3)).astype(np.uint8))
        write_scores(place / "scores" / f"{stem}.npy", rng.random(SIZE).astype(np.float32))
        write_scores(place / "negative" / f"{stem}.npy", rng.random(SIZE).astype(np.float32) - 0.5)
        write_png(place / "labels" / f"{stem}.png", rng.integers(0, 2, SIZE).astype(np.uint8))
        write_region_map(place / "maps" / f"{stem}.png", np.zeros(SIZE, np.int32))
    (place / "empty").mkdir()
    (place / "text.json").write_text("not JSON")
    (place / "object.json").write_text("{}")
    (place / "zero.npy").touch()
    Calibration.sigmoid(center=0.5, scale=0.2).save(place / "calibration.json")
    if os.name == "posix":
        (place / "loop").symlink_to(place / "loop")
        (place / "gone").symlink_to(place / "nowhere")
        os.mkfifo(place / "fifo")
        (place / "locked").mkdir(mode=0)
    return place


def answer_of(words, capsys):
    """Exit code, stdout and stderr of a command."""
    try:
        code = main(words)
    except SystemExit as stopped:
        code = stopped.code
    streams = capsys.readouterr()
    return code, streams.out, streams.err


def check(words, capsys):
    code, out, err = answer_of(words, capsys)
    assert code in (0, 1, 2), (words, code)
    assert "Traceback" not in err, words
    assert "Please report" not in err, (words, err)
    assert not PYTHON.search(err), (words, err)
    if "--json" in words and not {"--help", "-h", "--version"} & {*words}:
        assert out.count("\n") == 1, (words, out)
        assert json.loads(out)["exit_code"] == code, words
    return code


PATHS = [
    "images", "scores", "negative", "labels", "maps", "empty", "text.json", "object.json", "zero.npy",
    "calibration.json", "loop", "gone", "fifo", "locked", "images/a.png", "scores/a.npy", "labels/a.png",
    "images/a.png/below", "nowhere", "out", "scores/..",
]  # fmt: skip
ODD = ["", "\0", "a\0b", "\ud800", "caf\udce9", "x" * 300, "x/" * 3000, " ", "~", "-", "--", "\n", "*", "a=b",
       "=", "+", ":", "superpixels:", "superpixels:nan", "superpixels:0", "csl-tiny:auto,", "superpixels+",
       "superpixels:40", "superpixels:1e9", "csl-tiny-open:x", "magic"]  # fmt: skip
NUMBERS = ["0", "-1", "1", "2", "1e3", "9" * 30, "9" * 5000, "1.5", "nan", "inf", "0x10", "300", ""]
OPTIONS = {
    "fuse": ["--proposer", "--device", "--revision", "--rule", "--calibration",
             "--no-split", "--logits", "--overlays", "--overwrite"],
    "propose": ["--proposer", "--device", "--revision", "--overwrite"],
    "calibrate": ["--kind", "--lower-is-anomalous"],
    "threshold fit": ["--objects", "--pixels", "--recall", "--f1", "--labels", "--min-area", "--fused",
                      "--proposer", "--rule", "--calibration", "--no-split", "--logits"],
    "demo": ["--out"],
    "eval anomaly": ["--protocol", "--fpr-rule", "--components"],
    "eval semantic": ["--classes", "--unseen"],
    "eval regions": ["--classes", "--unseen", "--unassigned", "--vote-per", "--void-votes"],
    "benchmark": ["--data", "--scores", "--images", "--teacher", "--split", "--option", "--proposer",
                  "--device", "--kind", "--rule", "--method", "--draws", "--calibration", "--overwrite"],
    "train": ["--data", "--out", "--weights", "--workers", "--device"],
    "": ["--help", "--version", "--nonsense"],
    "nonsense": ["--json"],
}  # fmt: skip
VALUES = {
    "--rule": ["adaptive", "trust", "mean", "product", "geometric", "sum"],
    "--protocol": ["smiyc", "pooled", "per-image"],
    "--fpr-rule": ["first", "linear"],
    "--components": ["anomaly", "obstacle"],
    "--classes": NUMBERS,
    "--objects": NUMBERS,
    "--pixels": [*NUMBERS, "0.01"],
    "--recall": [*NUMBERS, "0.95"],
    "--min-area": NUMBERS,
    "--labels": ["labels", "empty", "scores"],
    "--draws": ["0", "-1", "1", "9" * 30, "x"],
    "--workers": ["0", "-1", "x", "9" * 30],
    "--unseen": ["", "0", "1,0", "1,1", "x", "-1", "9" * 30, ",", "0 1"],
    "--device": ["cuda", "foo", "cuda:99", "", "meta", "cpu:x", "xla", "\0"],
    "--kind": ["probability", "logits", "raw", "x"],
    "--teacher": ["os:nothing", "nomodule:x", ":", "a:b:c", "os.path:join", "..:x", "\ud800:x"],
    "--option": ["classes=text.json", "x=y", "=", "classes", "classes=\0", "labels=raw"],
    "--unassigned": ["miss", "exclude"],
    "--vote-per": ["region", "component"],
    "--split": ["val", "", "..", "\ud800", "a/b"],
    "--method": ["", "..", "a/b", "\ud800", "x" * 300, "ObsNet"],
}
FLAGS = {"--no-split", "--logits", "--overlays", "--overwrite", "--void-votes", "--f1", "--fused",
         "--lower-is-anomalous", "--help", "--version",
         "--nonsense", "--json"}  # fmt: skip
NEEDED = {"fuse": 3, "propose": 2, "calibrate": 2, "threshold fit": 3, "demo": 1,
          "eval anomaly": 2, "eval semantic": 2, "eval regions": 2, "benchmark": 1, "train": 1}  # fmt: skip


def odd_words(seed):
    rng = random.Random(seed)  # noqa: S311
    command = rng.choice(list(OPTIONS))
    words = command.split()

    def path():
        return rng.choice(PATHS) if rng.random() < 0.8 else rng.choice(ODD)

    for _ in range(max(0, NEEDED.get(command, 0) + rng.choice((0, 0, 0, 0, -1, 1)))):
        words.append(rng.choice(["folder", "smiyc-anomaly-track", "x"]) if command == "benchmark" else path())
    if command in ("fuse", "propose") and rng.random() < 0.7:
        words[1:] = ["images", *(["scores"] if command == "fuse" else []), f"out/{seed}"]
    if command in ("calibrate", "threshold fit") and rng.random() < 0.7:
        words += ["images", "scores", f"out/{seed}.json"][command == "calibrate" :]
    for option in rng.sample(OPTIONS[command], rng.randint(0, len(OPTIONS[command]))):
        if option == "--weights":
            words += [option, rng.choice(["empty", "images/a.png", "nowhere/x/y", "", "\0", "loop"])]
        else:
            words += [option] if option in FLAGS else [option, rng.choice(VALUES.get(option, [path()]))]
    if rng.random() < 0.6:
        words.insert(rng.randint(len(command.split()), len(words)), "--json")
    return words


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_seeded_lists(place, monkeypatch, capsys, part):
    monkeypatch.chdir(place)
    codes = {check(odd_words(seed), capsys) for seed in range(100 * part, 100 * part + 100)}
    assert {0, 2} <= codes, "some of them are right"


COMMANDS = {
    "fuse": ("fuse", "images", "scores", "out/named"),
    "propose": ("propose", "images", "out/named"),
    "calibrate": ("calibrate", "negative", "out/named.json"),
    "threshold": ("threshold", "fit", "images", "scores", "out/threshold.json"),
    "demo": ("demo", "images/a.png"),
    "anomaly": ("eval", "anomaly", "scores", "labels"),
    "semantic": ("eval", "semantic", "labels", "labels"),
    "regions": ("eval", "regions", "maps", "labels"),
    "benchmark": ("benchmark", "folder", "--data", "."),
    "export": ("export", "fuse", "out/named.onnx"),
    "train": ("train", "object.json", "--data", ".", "--out", "out/named"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "odd", ["", "\0", "\ud800", "x" * 300, "loop", "fifo", "images/a.png/below", "/dev/null", "empty", "gone"]
)
def test_every_path_of_every_command(place, monkeypatch, capsys, command, odd):
    monkeypatch.chdir(place)
    words = COMMANDS[command]
    for index in range(1, len(words)):
        if words[index] in ("anomaly", "semantic", "regions", "folder", "fit") or words[index].startswith(
            "--"
        ):
            continue
        changed = [*words[:index], odd, *words[index + 1 :]]
        more = ["--classes", "2"] if command in ("semantic", "regions") else []
        more += ["--proposer", "superpixels"] if command in ("fuse", "propose") else []
        check([*changed, *more, "--json"], capsys)


@pytest.mark.parametrize(
    "words", [["fuse"], ["eval"], ["eval", "nonsense"], ["nonsense"], ["train", "x"], []]
)
def test_wrong_usage_is_one_object_too(capsys, words):
    code, out, err = answer_of([*words, "--json"], capsys)
    assert code == 2
    facts = json.loads(out)
    assert facts["exit_code"] == 2
    assert facts["error"] in " ".join(err.split()) or not words
    assert answer_of([*words], capsys)[1] == ""


def test_a_beginning_of_the_option_counts(capsys):
    assert json.loads(answer_of(["fuse", "--js"], capsys)[1])["exit_code"] == 2


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="the user may read everything")
def test_unreadable_folders(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for words in (
        ["propose", "locked", "out"],
        ["fuse", "images", "locked", "out"],
        ["propose", "images", "locked/x"],
    ):
        assert check([*words, "--json"], capsys) == 2


def test_an_unexpected_error_is_one_line(place, monkeypatch, capsys):
    monkeypatch.chdir(place)

    def broken(*_):
        raise RuntimeError("a fault\nof two lines")

    monkeypatch.setattr("csl_plugin.io.list_images", broken)
    code, out, err = answer_of(["propose", "images", "out/broken", "--json"], capsys)
    assert code == 1
    assert json.loads(out)["error"].startswith("RuntimeError: a fault of two lines (")
    assert err.count("\n") == 1
    monkeypatch.setattr(
        "csl_plugin.io.list_images", lambda _: (_ for _ in ()).throw(PermissionError(13, "No", "x"))
    )
    assert answer_of(["propose", "images", "out/broken"], capsys)[0] == 2


@pytest.mark.parametrize("name", ["csl-tiny:auto,5", "superpixels:80,20", "csl-tiny+superpixels"])
def test_several_partitions_are_refused_before_a_folder_is_made(place, monkeypatch, capsys, name):
    monkeypatch.chdir(place)
    code, _, said = answer_of(["propose", "images", "out/several", "--proposer", name], capsys)
    assert code == 2
    assert "--proposer: got 2 partitions" in said
    assert not (place / "out/several").exists()


# --- the words of the command line ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fuse", "images", "negative", "out/1"), ("--calibration FILE", "--logits")),
        (("fuse", "images", "scores", "out/2", "--proposer", "magic"), ("--proposer: got 'magic'",)),
        (("propose", "images", "out/3", "--proposer", "superpixels:20,40"), ("--proposer: got 2",)),
        (("propose", "images", "out/4", "--proposer", "superpixels:x"), ("--proposer: got", ":20")),
        (("fuse", "images", "scores", "out/5", "--calibration", "object.json"), ("object.json", "'sigmoid'")),
        (("benchmark", "smiyc-anomaly-track", "--data", ".", "--split", "x", "--scores", "scores"),
         ("--split: got 'x'", "validation")),
        (("benchmark", "folder", "--data", ".", "--option", "x=y", "--scores", "scores"), ("--option x",)),
        (("benchmark", "folder", "--data", ".", "--scores", "negative", "--proposer", "superpixels"),
         ("--kind logits", "--calibration FILE")),
        (("benchmark", "folder", "--data", ".", "--scores", "scores", "--draws", "0"), ("--draws",)),
        (("eval", "semantic", "labels", "labels", "--classes", "0"), ("--classes",)),
        (("propose", "images", "out/6", "--device", "foo"), ("--device: got 'foo'",)),
        (("fuse", "images", "scores", "out/7", "--revision", "main"), ("--revision: got 'main'",)),
        (("propose", "images", "out/8", "--variant", "fp16"), ("--variant: got 'fp16'", "no variant of")),
        (("propose", "images", "out/8", "--subfolder", "a"), ("--subfolder: got 'a'", "no subfolder of")),
        (
            ("propose", "images", "out/8", "--proposer", "a/b", "--subfolder", "../a"),
            ("--subfolder: got '../a'", "names with / between them"),
        ),
    ],
)  # fmt: skip
def test_advice_names_options(place, monkeypatch, capsys, words, said):
    monkeypatch.chdir(place)
    code, _, err = answer_of(list(words), capsys)
    assert code in (1, 2)
    for word in said:
        assert word in err
    assert not PYTHON.search(err)


def test_the_class_of_an_error_is_kept():
    class OwnError(OptionError):
        pass

    said = in_command_words(OwnError("device", "'x'", "a device", 'For example "cpu".'), "train")
    assert (type(said), said.argument) == (OwnError, "--device")
    kept = FileError("a.npy", "x", "y", "z")
    assert in_command_words(kept, "fuse") is kept


def test_numbers_beyond_sense(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    for draws in ("9" * 18, "1000001"):
        words = ["benchmark", "folder", "--data", ".", "--scores", "scores", "--draws", draws]
        code, _, err = answer_of(words, capsys)
        assert code == 2
        assert "--draws" in err
    assert sys.getsizeof(cv2.imread("labels/a.png")) < 1 << 20
