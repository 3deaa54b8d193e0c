"""Jobs at the same folder at the same time: one at a time, or several that share it."""

import errno
import json
import os
import subprocess
import sys
import threading

import pytest

from csl_plugin.errors import OptionError
from csl_plugin.io import folder_lock as locks
from csl_plugin.io.folder_lock import folder_lock
from csl_plugin.io.journal import JOURNAL_NAME, Journal
from csl_plugin.io.output_folder import OutputFolder

SETTINGS = {"command": "fuse"}


def take(path, **options):
    with OutputFolder(path, SETTINGS).taken(**options):
        return True


@pytest.mark.parametrize("first", ["alone", "shared"])
def test_who_may_work_beside_whom(tmp_path, holder, monkeypatch, first):
    monkeypatch.setattr(locks, "_WAIT", 0.1)
    process = holder(first)
    left = tmp_path / "out" / ".csl-plugin-1.tmp"
    with pytest.raises(OptionError, match="another job is at work"):
        take(tmp_path / "out")
    if first == "shared":
        assert take(tmp_path / "out", shared=True)
        with pytest.raises(OptionError, match="another job is at work"):
            take(tmp_path / "out", shared=True, overwrite=True)
        with (
            pytest.raises(OptionError, match="another job is at work"),
            OutputFolder(tmp_path / "out", {"command": "propose"}).taken(shared=True),
        ):
            raise AssertionError
    else:
        with pytest.raises(OptionError, match="another job is at work"):
            take(tmp_path / "out", shared=True)
    assert left.exists(), "a living job's files are not touched"
    process.kill()
    process.wait()
    assert take(tmp_path / "out"), "the lock ends with the process"
    assert not left.exists(), "a dead job's files are removed"


def test_threads_of_one_process_count_as_jobs(tmp_path):
    with OutputFolder(tmp_path / "out", SETTINGS).taken(), pytest.raises(OptionError, match="at work"):
        take(tmp_path / "out")
    assert take(tmp_path / "out")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_worker_that_outlives_its_parent_does_not_hold_the_lock(tmp_path):
    ready, go = os.pipe(), os.pipe()
    with folder_lock(tmp_path, shared=False, argument="OUT"):
        child = os.fork()
        if child == 0:
            os.write(ready[1], b"x")
            os.read(go[0], 1)
            os._exit(0)
        os.read(ready[0], 1)
    with folder_lock(tmp_path, shared=False, argument="OUT") as lock:
        assert lock.hold == "alone"
    os.write(go[1], b"x")
    os.waitpid(child, 0)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no flock")
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_without_locks_jobs_go_on_and_remove_no_temporary_file(tmp_path, monkeypatch, number):
    import fcntl

    def refuse(descriptor, how):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refuse)
    out = tmp_path / "out"
    out.mkdir()
    (out / ".csl-plugin-1.tmp").write_text("somebody's")
    folder = OutputFolder(out, SETTINGS)
    with folder.taken(shared=True), folder.writing("a", [out / "a.txt"], ""):
        (out / "a.txt").write_text("whole")
    assert folder.is_done([out / "a.txt"], "")
    assert (out / ".csl-plugin-1.tmp").exists()


def test_those_that_share_a_folder_see_what_the_others_finished(tmp_path):
    first, second = (OutputFolder(tmp_path / "out", SETTINGS) for _ in range(2))
    with first.taken(shared=True), second.taken(shared=True):
        for folder, unit in ((first, "a"), (second, "b")):
            file = tmp_path / "out" / f"{unit}.txt"
            with folder.writing(unit, [file], unit):
                file.write_text(unit)
        for folder in (first, second):
            for unit in "ab":
                assert folder.is_done([tmp_path / "out" / f"{unit}.txt"], unit)
        third = tmp_path / "out" / "c.txt"
        with first.writing("c", [third], "c"):
            third.write_text("not yet finished")
            assert not second.is_done([third], "c")
            second.discard("c")
            assert third.exists(), "what another job writes now is not removed"


@pytest.mark.slow
def test_many_threads_and_processes_append_whole_lines(tmp_path):
    path = tmp_path / JOURNAL_NAME
    (tmp_path / "a.txt").touch()
    code = (
        "import sys; from pathlib import Path; from csl_plugin.io.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "for index in range(100): journal.end(sys.argv[2] + str(index), {'a.txt': None}, 'x' * 300, 's')\n"
        "for index in range(100): journal.start(sys.argv[2] + str(index), [sys.argv[2] + str(index)])"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path), name]) for name in "ab"]
    journal = Journal(path)

    def append(name):
        for index in range(100):
            journal.end(f"{name}{index}", {"a.txt": None}, "y" * 300, "s")
            journal.start(f"{name}{index}", [f"{name}{index}"])

    threads = [threading.Thread(target=append, args=(name,)) for name in "cd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for process in processes:
        assert process.wait() == 0
    assert Journal(path).entries.keys() == {
        "a.txt",
        *(f"{name}{index}" for name in "abcd" for index in range(100)),
    }
    assert len(path.read_bytes().splitlines()) == 800
    assert all(json.loads(line) for line in path.read_bytes().splitlines())
