"""`--shard`: parts of the images in a process each, and the command without it that joins them."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from csl_plugin._shards import Shard, shard_of
from csl_plugin.cli import main
from csl_plugin.errors import OptionError
from csl_plugin.io import write_png, write_scores
from tests.helpers import meeting

SIZE = 24, 32
QUICK = ("--proposer", "superpixels:30")
COMMANDS = {
    "fuse": ("images", "scores"),
    "propose": ("images",),
    "objects": ("images", "scores"),
}
OPTIONS = {
    "fuse": ("--overlays",),
    "propose": (),
    "objects": ("--threshold", "0.5", "--min-area", "4", "--format", "coco", "--format", "csv"),
}

pytestmark = pytest.mark.filterwarnings("ignore:a model that warns")


@pytest.fixture
def place(tmp_path):
    """Seven images, one of them damaged, and score maps, one of which is missing."""
    rng = np.random.default_rng(0)
    for stem in "abcdefg":
        write_png(tmp_path / "images" / f"{stem}.png", rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8))
        write_scores(tmp_path / "scores" / f"{stem}.npy", rng.random(SIZE).astype(np.float32))
    (tmp_path / "images" / "b.png").write_bytes(b"damaged")
    (tmp_path / "scores" / "d.npy").unlink()
    return tmp_path


def words(place, command, out, *options):
    given = [str(place / name) for name in (*COMMANDS[command], out)]
    return [command, *given, *OPTIONS[command], *QUICK, "--json", *options]


def ran(capfd, place, command, out, *options):
    code = main(words(place, command, out, *options))
    facts = json.loads(capfd.readouterr().out)
    assert facts["exit_code"] == code
    return facts


def content(folder):
    """The results in a folder, without the journal, whose lines are in the order of the work."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.endswith(".jsonl")}


def failed(facts):
    return [failure["name"] for failure in facts["failed"]]


# --- the same results -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_shards_give_what_one_job_gives(place, capfd, command):
    bad = ["b.png"] if command == "propose" else ["b.png", "d.png"]
    one = ran(capfd, place, command, "one")
    parts = [ran(capfd, place, command, "out", "--shard", f"{number}/3") for number in (3, 1, 2)]
    assert [part["shard"] for part in parts] == ["3/3", "1/3", "2/3"]
    assert sum(part["done"] for part in parts) == one["done"] == 7 - len(bad)
    assert sorted(name for part in parts for name in failed(part)) == bad
    assert {part["images"] for part in parts} == {7}
    assert not (place / "out" / "coco.json").exists()
    joined = ran(capfd, place, command, "out")
    assert content(place / "out") == content(place / "one")
    assert (joined["done"], joined["skipped"], failed(joined)) == (0, 7 - len(bad), bad)
    assert (joined["shards"], joined["left_by_shards"]) == (["1/3", "2/3", "3/3"], [])
    if command == "objects":
        for name in ("objects", "objects_of_images", "image_scores", "images_without_objects"):
            assert joined[name] == one[name]
        assert sum(part["objects"] for part in parts) == one["objects"] > 0


def test_what_shards_left_is_done_and_named(place, capfd):
    ran(capfd, place, "fuse", "out", "--shard", "1/3")
    ran(capfd, place, "fuse", "out", "--shard", "3/3")
    assert main([word for word in words(place, "fuse", "out") if word != "--json"]) == 1
    said = capfd.readouterr().out
    assert "  shards: 1/3, 3/3; done now what they had left: e.png\n" in said
    assert "2 failed" in said
    ran(capfd, place, "fuse", "one")
    assert content(place / "out") == content(place / "one")
    again = ran(capfd, place, "fuse", "out")
    assert "shards" not in again
    assert "left_by_shards" not in again


def test_another_number_of_shards_and_changed_inputs(place, capfd):
    for number in (1, 2, 3, 4):
        ran(capfd, place, "objects", "out", "--shard", f"{number}/4")
    ran(capfd, place, "objects", "out")
    write_scores(place / "scores" / "f.npy", np.full(SIZE, 0.75, np.float32))
    write_scores(place / "scores" / "d.npy", np.full(SIZE, 0.25, np.float32))
    assert ran(capfd, place, "objects", "out", "--shard", "1/2")["done"] == 0
    assert (place / "out" / "coco.json").exists()
    assert ran(capfd, place, "objects", "out", "--shard", "2/2")["done"] == 2
    assert not (place / "out" / "coco.json").exists(), "of results that are no longer there"
    ran(capfd, place, "objects", "out")
    ran(capfd, place, "objects", "one")
    assert content(place / "out") == content(place / "one")


def test_shards_of_moved_inputs_go_on(place, capfd):
    for number in (1, 2):
        ran(capfd, place, "fuse", "out", "--shard", f"{number}/2")
    for name in ("images", "scores"):
        (place / name).rename(place / f"{name}2")
        shutil.copytree(place / f"{name}2", place / name, copy_function=shutil.copy2)
    moved = [
        word.replace("/images", "/images2").replace("/scores", "/scores2")
        for word in words(place, "fuse", "out")
    ]
    for number in (7, 1):  # the seventh has one image, and knows by the others' that they are the same
        assert main([*moved, "--shard", f"{number}/7"]) == 0
        assert json.loads(capfd.readouterr().out)["skipped"] == 1


def test_more_shards_than_images(place, capfd):
    facts = ran(capfd, place, "fuse", "out", "--shard", "9/9", "--jobs", "2")
    assert (facts["done"], facts["skipped"], failed(facts), facts["exit_code"]) == (0, 0, [], 0)
    assert ran(capfd, place, "fuse", "out")["shards"] == ["9/9"]


def test_overwrite_is_for_all_images(place, capfd):
    ran(capfd, place, "fuse", "out", "--shard", "1/2")
    facts = ran(capfd, place, "fuse", "out", "--shard", "1/2", "--overwrite")
    assert facts["exit_code"] == 2
    assert facts["error"].startswith("--overwrite: got it with shard 1/2, expected one of the two.")
    assert ran(capfd, place, "fuse", "out", "--overwrite", "--rule", "mean")["done"] == 5


def test_variables_alone_divide_nothing(place, capfd, monkeypatch):
    for name, value in {**array("3", "1", "7", "7"), **srun("0", "1"), **torchrun("0", "1")}.items():
        monkeypatch.setenv(name, value)
    assert ran(capfd, place, "propose", "all")["done"] == 6
    facts = ran(capfd, place, "propose", "out", "--shard", "auto")
    assert (facts["shard"], facts["done"], facts["images"]) == ("3/7", 1, 7)
    for name, value in torchrun("1", "2").items():
        monkeypatch.setenv(name, value)
    facts = ran(capfd, place, "objects", "found", "--shard", "auto")
    assert (facts["shard"], facts["done"]) == ("6/14", 1), "each process of torchrun answers for its shard"


# --- which shard ----------------------------------------------------------------------------------------


def array(task, first, last, count, step="1"):
    names = ("ID", "MIN", "MAX", "COUNT", "STEP")
    return {
        f"SLURM_ARRAY_TASK_{name}": value
        for name, value in zip(names, (task, first, last, count, step), strict=True)
    }


def srun(rank, count):
    return {"SLURM_PROCID": rank, "SLURM_NTASKS": count, "SLURM_STEP_NUM_TASKS": count}


def torchrun(rank, count):
    return {"RANK": rank, "WORLD_SIZE": count}


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        (array("0", "0", "3", "4"), (1, 4)),
        (array("3", "0", "3", "4"), (4, 4)),
        (array("1", "1", "4", "4"), (1, 4)),
        (array("7", "1", "10", "4", "3"), (3, 4)),
        (array("8", "0", "9", "5", "2"), (5, 5)),
        (array("7", "7", "7", "1"), (1, 1)),
        (srun("2", "3"), (3, 3)),
        (torchrun("0", "2"), (1, 2)),
        ({**torchrun("5", "8"), **srun("1", "2")}, (6, 8)),
        ({**array("3", "1", "4", "4"), **srun("1", "2")}, (6, 8)),
        ({**array("2", "1", "4", "4"), **torchrun("0", "2"), **srun("0", "1")}, (3, 8)),
        # In a batch script itself, which runs once, srun's own variables are those of the tasks to come.
        ({**array("2", "1", "4", "4"), "SLURM_PROCID": "0", "SLURM_NTASKS": "6"}, (2, 4)),
    ],
)
def test_the_shard_by_the_variables_of_launchers(variables, shard):
    assert shard_of("auto", variables) == Shard(*shard)
    assert shard_of("2/3", variables) == Shard(2, 3)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "auto without the variables of a launcher"),
        ({"RANK": "1"}, "auto without the variables of a launcher"),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, "Start the tasks with srun"),
        (torchrun("4", "4"), "RANK=4 of 4"),
        (torchrun("-1", "4"), "RANK='-1', expected a number"),
        (torchrun("0", "four"), "WORLD_SIZE='four'"),
        ({"SLURM_ARRAY_TASK_ID": "3"}, "no SLURM_ARRAY_TASK_COUNT"),
        (array("3", "1", "7", "3"), "a SLURM array of 3 tasks from 1 to 7 with the step 1"),
        (array("1", "1", "4", "4", "0"), "with the step 0"),
        (array("2", "1", "10", "4", "3"), "with the step 3"),
        (array("11", "1", "10", "10"), "SLURM_ARRAY_TASK_ID=11 of 10"),
        ({**array("1", "1", "9999", "9999"), **srun("1", "64")}, "639936 shards by auto"),
    ],
)
def test_variables_that_do_not_say_which_shard_are_refused(variables, said):
    with pytest.raises(OptionError, match=said.replace("(", r"\(")):
        shard_of("auto", variables)


@pytest.mark.parametrize(
    "given", ["0/4", "5/4", "1", "1/", "/4", "1/0", "-1/4", "1/4/2", "a/b", "1/100000", "\u00b2/4"]
)
def test_other_words_are_refused(place, capfd, given):
    assert main(words(place, "fuse", "out", f"--shard={given}")) == 2
    assert json.loads(capfd.readouterr().out)["error"].startswith("--shard: got '")
    assert not (place / "out").exists()


def test_every_item_is_in_one_shard_of_equal_size():
    for count in (1, 2, 3, 7, 12):
        parts = [list(Shard(number, count).of(range(10))) for number in range(1, count + 1)]
        assert sorted(item for part in parts for item in part) == list(range(10))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1
        longer = [list(Shard(number, count).of(range(11))) for number in range(1, count + 1)]
        assert all(part == now[: len(part)] for part, now in zip(parts, longer, strict=True))


# --- several processes at once --------------------------------------------------------------------------


def started(place, shard, fault=""):
    command = words(place, "fuse", "out", "--proposer", "meeting", "--shard", shard)
    variables = {**os.environ, "FAULT": fault}
    return subprocess.Popen(
        [sys.executable, "-m", "csl_plugin", *command], stdout=subprocess.PIPE, text=True, env=variables
    )


def ended(process):
    return json.loads(process.communicate(timeout=100)[0])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_four_shards_at_once_of_which_one_is_killed(place, tmp_path, monkeypatch, capfd):
    rng = np.random.default_rng(1)
    for index in range(16):
        write_png(place / "images" / f"{index:02}.png", rng.integers(0, 256, (*SIZE, 3)).astype(np.uint8))
        write_scores(place / "scores" / f"{index:02}.npy", rng.random(SIZE).astype(np.float32))
    meeting.install(tmp_path / "package", monkeypatch, 4)
    shards = [started(place, f"{number}/4", "sleep later" if number == 3 else "") for number in (1, 2, 3, 4)]
    facts = [ended(shards[index]) for index in (0, 1, 3)]  # each image of a shard waits for all four
    mine = sorted(path.stem for path in (place / "images").iterdir())[2::4]
    end = time.monotonic() + 60
    while not (place / "out" / f"{mine[1]}.npy").exists() and time.monotonic() < end:
        time.sleep(0.05)
    refused = ended(started(place, "3/4"))
    assert refused["error"].startswith("--shard: got 3/4, at which another job is at work")
    shards[2].send_signal(signal.SIGKILL)
    shards[2].communicate()
    facts.append(ended(started(place, "3/4")))
    assert facts[-1]["skipped"] == 2
    joined = ran(capfd, place, "fuse", "out", "--proposer", "meeting")
    assert (joined["done"], joined["left_by_shards"]) == (0, [])
    assert joined["skipped"] == sum(part["done"] + part["skipped"] for part in facts) == 21
    assert failed(joined) == ["b.png", "d.png"]
    ran(capfd, place, "fuse", "one", "--proposer", "meeting")
    assert content(place / "out") == content(place / "one")


# --- the launchers of the guide -------------------------------------------------------------------------

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "scale.md"


@pytest.fixture
def launched(place, monkeypatch):
    """Runs words beside the guide's images and scores, and compares its OUT with that of one process."""
    programs = place / "programs"
    programs.mkdir()
    for name, module in {"csl-plugin": "csl_plugin", "torchrun": "torch.distributed.run"}.items():
        quick = " ".join(QUICK) if name == "csl-plugin" else ""
        (programs / name).write_text(f'#!/bin/sh\nexec {sys.executable} -m {module} "$@" {quick}\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))

    def run(*given, **variables):
        done = subprocess.run(
            given, cwd=place, env={**os.environ, **variables}, capture_output=True, text=True, timeout=300
        )
        return done.returncode, done.stdout

    yield run
    assert main(["fuse", *(str(place / name) for name in ("images", "scores", "one")), *QUICK]) == 1
    assert content(place / "OUT") == content(place / "one")


def block(kind, beginning):
    found = re.findall(rf"```{kind}\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = (text for text in found if text.startswith(beginning))
    return text


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("make") is None or sys.platform == "win32", reason="there is no make")
def test_the_rule_for_make(place, launched):
    (place / "Makefile").write_text(block("make", "N = 4"))
    code, said = launched("make", "-j4", "joined")
    assert code == 2  # the joining command has the exit code 1, for two images failed
    assert "shards: 1/4, 2/4, 3/4, 4/4; nothing was left" in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="scripts of sh")
def test_the_line_for_torchrun(launched):
    code, said = launched("sh", "-c", block("sh", "torchrun"))
    assert code == 1
    assert said.count("the same command without --shard joins the shards") == 4
    assert "shards: 1/4, 2/4, 3/4, 4/4; nothing was left" in said


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="scripts of sh")
def test_the_script_for_slurm(place, launched):
    (place / "array.sh").write_text(block("sh", "#!/bin/sh").replace("--jobs 4", "--jobs 1"))
    for task in "123":
        variables = {**array(task, "1", "3", "3"), "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}
        assert launched("sh", "array.sh", **variables)[0] == (0 if task == "3" else 1)
    assert "nothing was left" in launched("csl-plugin", "fuse", "images", "scores", "OUT")[1]
