"""Shards of a job in one output folder: a journal and a lock each, joined by the job without a shard."""

import errno
import json
import os
import sys
from contextlib import suppress
from functools import partial

import pytest

from csl_plugin._shards import Shard
from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.folder_lock import LOCK_NAME
from csl_plugin.io.journal import JOURNAL_NAME, append
from csl_plugin.io.output_folder import OutputFolder
from csl_plugin.io.shard_files import SHARDS_NAME

SETTINGS = {"command": "fuse"}


def folder_of(out, shard=None, settings=SETTINGS):
    return OutputFolder(out, settings, None if shard is None else Shard(*map(int, shard.split("/"))))


def files(out, units):
    return [out / f"{unit}.txt" for unit in units]


def job(out, units, shard=None, settings=SETTINGS, fails="", source="s", **options):
    """Do the units of a shard that are not done; returns which were done now and which shards were joined."""
    folder = folder_of(out, shard, settings)
    own = units if folder.shard is None else folder.shard.of(units)
    done = []
    with folder.taken(outputs=files(out, own), shared=True, **options):
        for unit in own:
            (file,) = files(out, unit)
            if folder.is_done([file], source):
                continue
            try:
                with folder.writing(unit, [file], source):
                    if unit in fails:
                        raise ValueError
                    file.write_text(unit + source)
            except ValueError:
                folder.discard(unit)
            else:
                done.append(unit)
                folder.discard(unit, keep=[file])
    return "".join(done), [str(shard) for shard in folder.joined]


def names(out):
    return sorted(path.name for path in out.iterdir())


def test_shards_are_joined_and_leave_what_one_job_leaves(tmp_path):
    out = tmp_path / "out"
    assert [job(out, "abcdefg", f"{number}/3") for number in (2, 3, 1)] == [
        ("be", []),
        ("cf", []),
        ("adg", []),
    ]
    assert sorted(path.name for path in (out / SHARDS_NAME).glob("*.jsonl")) == [
        "1-of-3.jsonl", "2-of-3.jsonl", "3-of-3.jsonl",
    ]  # fmt: skip
    assert not (out / JOURNAL_NAME).exists()
    assert job(out, "abcdefg") == ("", ["1/3", "2/3", "3/3"])
    assert job(out, "abcdefg") == ("", [])
    job(tmp_path / "one", "abcdefg")
    assert names(out) == names(tmp_path / "one")
    assert all(json.loads(line) for line in (out / JOURNAL_NAME).read_bytes().splitlines())


def test_more_shards_than_units(tmp_path):
    assert [job(tmp_path / "out", "ab", f"{number}/5")[0] for number in range(1, 6)] == ["a", "b", "", "", ""]
    assert job(tmp_path / "out", "ab") == ("", [f"{number}/5" for number in range(1, 6)])


def test_a_job_of_another_number_of_shards_goes_on(tmp_path):
    out = tmp_path / "out"
    job(out, "abcdefgh", "1/4", fails="e")
    job(out, "abcdefgh", "2/4")
    # 1/4 had a and failed at e; 2/4 had b and f.
    assert job(out, "abcdefgh", "1/2")[0] == "ceg"
    assert job(out, "abcdefgh", "1/4")[0] == ""
    assert job(out, "abcdefgh", "2/3", fails="h")[0] == ""
    assert job(out, "abcdefgh")[0] == "dh"
    assert job(out, "abcdefgh")[0] == ""


def test_the_last_run_counts_whatever_its_shard_is_called(tmp_path):
    """Of a unit that a shard made, another one removed and a third one made, and the other way round."""
    out = tmp_path / "out"
    assert job(out, "ab", "2/2")[0] == "b"
    assert job(out, "ab", "2/3", fails="b", source="t")[0] == ""
    assert not (out / "b.txt").exists()
    assert job(out, "ab", "2/2")[0] == "b"
    assert job(out, "ab", "2/3")[0] == ""
    assert job(out, "ab", "2/3", fails="b", source="t")[0] == ""
    (out / "b.txt").write_text("somebody's")
    for shard in ("2/2", "2/3", None):
        with pytest.raises(FileError, match="a file that this command did not write"):
            job(out, "ab", shard)
    assert (out / "b.txt").read_text() == "somebody's"


def test_units_that_are_added_move_to_other_shards_and_stay_done(tmp_path):
    out = tmp_path / "out"
    for number in (1, 2):
        job(out, "bd", f"{number}/2")
    assert job(out, "abcd", "1/2")[0] == "ac"
    assert job(out, "abcd", "2/2")[0] == ""


def test_a_shard_that_began_before_units_were_added(tmp_path):
    """It writes what is another shard's by now, which sees its journal and takes it for no foreign file."""
    out = tmp_path / "out"
    early, late = folder_of(out, "1/2"), folder_of(out, "2/2")
    (file,) = files(out, "b")
    with early.taken(outputs=[file]), late.taken(outputs=[file]):
        assert not late.is_done([file], "s")
        with early.writing("b", [file], "s"):
            file.write_text("b")
        with late.writing("b", [file], "s"):
            file.write_text("b")
    assert job(out, "b") == ("", ["1/2", "2/2"])


def test_a_torn_line_of_a_killed_shard(tmp_path):
    out = tmp_path / "out"
    job(out, "abcd", "1/2")
    journal = out / SHARDS_NAME / "1-of-2.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])  # the end of c
    assert job(out, "abcd", "1/2")[0] == "c"
    assert job(out, "abcd") == ("bd", ["1/2"])


def test_a_join_that_was_killed_is_done_again(tmp_path, monkeypatch):
    out = tmp_path / "out"
    for number in (1, 2):
        job(out, "abcd", f"{number}/2")
    with monkeypatch.context() as patched:
        patched.setattr("csl_plugin.io.shard_files.append", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            job(out, "abcd")
    assert job(out, "abcd", "2/2")[0] == ""  # a shard may go on instead
    with monkeypatch.context() as patched:
        patched.setattr("pathlib.Path.unlink", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            job(out, "abcd")
    assert job(out, "abcd") == ("", ["1/2", "2/2"])
    assert not (out / SHARDS_NAME).exists()


@pytest.mark.parametrize("survives", range(6))
def test_a_join_that_is_killed_at_any_file_says_nothing_outdated(tmp_path, monkeypatch, survives):
    """The later run, which failed at c, is in the journal that comes first by its name."""
    out = tmp_path / "out"
    assert job(out, "abc", "3/3")[0] == "c"
    assert job(out, "abc", "1/2", fails="c", source="t")[0] == "a"
    changed, unlink, truncate = [], os.unlink, os.truncate

    def killed(change, path, *given, **options):
        if os.fspath(path).endswith(".jsonl"):
            changed.append(path)
            if len(changed) > survives:
                raise KeyboardInterrupt
        change(path, *given, **options)

    with monkeypatch.context() as patched:
        patched.setattr("os.unlink", partial(killed, unlink))
        patched.setattr("os.truncate", partial(killed, truncate))
        with suppress(KeyboardInterrupt):
            job(out, "ab")
    assert len(changed) == min(survives + 1, 5)
    (out / "c.txt").write_text("somebody's")
    with pytest.raises(FileError, match="a file that this command did not write"):
        job(out, "abc")
    assert (out / "c.txt").read_text() == "somebody's"
    (out / "c.txt").unlink()
    assert "c" in job(out, "abc")[0]
    assert not (out / SHARDS_NAME).exists()


# --- who may work beside whom ---------------------------------------------------------------------------


def test_a_living_shard(tmp_path, holder):
    out = tmp_path / "out"
    process = holder("2/4")
    with pytest.raises(OptionError, match="shard: got 2/4, at which another job is at work"):
        job(out, "ab", "2/4")
    with pytest.raises(OptionError, match="shard: got 1/3, while shard 2/4 is at work"):
        job(out, "ab", "1/3")
    with pytest.raises(OptionError, match="in which shards of the job are at work"):
        job(out, "ab")
    with pytest.raises(OptionError, match="settings: got rule 'mean'"):
        job(out, "ab", "1/4", settings={"command": "fuse", "rule": "mean"})
    assert job(out, "ab", "1/4")[0] == "a"
    left = out / ".csl-plugin-1.tmp"
    assert left.exists(), "a living shard's files are not touched"
    process.kill()
    process.wait()
    assert job(out, "ab", "2/4")[0] == "b"
    assert job(out, "ab", "1/3")[0] == ""
    assert left.exists(), "a shard does not know who is at work on other machines"
    assert job(out, "ab")[0] == ""
    assert not left.exists()


def test_a_job_of_all_units_lets_no_shard_in(tmp_path, holder):
    job(tmp_path / "out", "ab", "1/2")
    holder("all")
    with pytest.raises(OptionError, match="in which a job of all images is at work"):
        job(tmp_path / "out", "ab", "2/2")
    assert job(tmp_path / "out", "ab")[0] == "b"


def test_other_settings_are_refused(tmp_path):
    job(tmp_path / "out", "ab", "1/2")
    with pytest.raises(OptionError, match="settings: got rule 'mean', expected no rule"):
        job(tmp_path / "out", "ab", "2/2", settings={"command": "fuse", "rule": "mean"})
    assert job(tmp_path / "out", "ab") == ("b", ["1/2"])


def test_a_shard_does_not_overwrite(tmp_path):
    job(tmp_path / "out", "ab", "1/2")
    with pytest.raises(OptionError, match="overwrite: got it with shard 1/2"):
        job(tmp_path / "out", "ab", "1/2", overwrite=True)
    assert job(tmp_path / "out", "ab", overwrite=True)[0] == "ab"
    assert not (tmp_path / "out" / SHARDS_NAME).exists()


def test_a_file_of_somebody_else_is_not_replaced(tmp_path):
    out = tmp_path / "out"
    job(out, "abc", "1/2")
    (out / "b.txt").write_text("somebody's")
    with pytest.raises(FileError, match="a file"):
        job(out, "abc", "2/2")
    assert (out / "b.txt").read_text() == "somebody's"


@pytest.mark.skipif(sys.platform == "win32" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root")
def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "out").mkdir(mode=0o555)
    with pytest.raises(FileError, match="Permission denied"):
        job(tmp_path / "out", "ab", "1/2")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
def test_without_locks_nothing_that_a_shard_records_is_lost(tmp_path, monkeypatch):
    import fcntl

    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    out = tmp_path / "out"
    shard = folder_of(out, "1/2")
    a, c, e = files(out, "ace")

    def write(unit, file):
        with shard.writing(unit, [file], "s"):
            file.write_text(unit + "s")

    def append_late(*given, **options):
        write("c", c)  # while the journals are joined
        append(*given, **options)

    with shard.taken(outputs=[a, c, e]):
        write("a", a)
        with monkeypatch.context() as patched:
            patched.setattr("csl_plugin.io.shard_files.append", append_late)
            assert job(out, "ab") == ("b", ["1/2"])  # too early
        write("e", e)
    assert job(out, "abce") == ("", ["1/2"])


@pytest.mark.parametrize("number", [b"[" * 200_000, b"9" * 4300, b"-3", b"1e999", b"0"])
def test_a_run_of_no_job_begins_nothing(tmp_path, number):
    out = tmp_path / "out"
    job(out, "abc", "1/2")
    with (out / SHARDS_NAME / "1-of-2.jsonl").open("ab") as file:
        file.write(b'{"run":' + number + b"}\n")
    assert job(out, "abc", "2/2")[0] == "b"
    assert job(out, "abc") == ("", ["1/2", "2/2"])


@pytest.mark.parametrize(
    "place", [f"{SHARDS_NAME}/2-of-2.jsonl", f"{SHARDS_NAME}/2-of-2.lock", JOURNAL_NAME, LOCK_NAME]
)
@pytest.mark.parametrize("shard", ["2/2", None])
def test_records_are_not_kept_through_a_link(tmp_path, place, shard):
    out, precious = tmp_path / "out", tmp_path / "precious"
    job(out, "abc", "1/2")
    precious.write_text("somebody's")
    (out / place).unlink(missing_ok=True)
    (out / place).symlink_to(precious)
    for options in ({}, {"overwrite": True}) if shard is None else ({},):
        with pytest.raises(FileError, match="got a link, expected a file"):
            job(out, "abc", shard, **options)
    assert precious.read_text() == "somebody's"
    (out / place).unlink()
    (out / place).mkdir()
    with pytest.raises(FileError, match="got something else, expected a file"):
        job(out, "abc", shard)


def test_what_a_link_of_the_shards_leads_to_is_not_joined(tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    job(out, "abc", "1/2")
    (out / SHARDS_NAME).rename(elsewhere)
    (out / SHARDS_NAME).symlink_to(elsewhere)
    (elsewhere / "3-of-7.jsonl").write_text("somebody's\n")
    for shard in ("2/2", None):
        with pytest.raises(FileError, match="got a link, expected a folder"):
            job(out, "abc", shard)
    assert (elsewhere / "3-of-7.jsonl").read_text() == "somebody's\n"
    (out / SHARDS_NAME).unlink()
    (out / SHARDS_NAME).write_text("somebody's")
    with pytest.raises(FileError, match="got something else, expected a folder"):
        job(out, "abc")
