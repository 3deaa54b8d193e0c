"""An output folder: whose files are replaced, what counts as done, and what a crash leaves."""

import json
import os
import shutil
import sys
from contextlib import suppress

import pytest

from csl_plugin.errors import FileError, OptionError
from csl_plugin.io import atomic_path
from csl_plugin.io.file_states import file_states
from csl_plugin.io.output_folder import OutputFolder

SETTINGS = {"command": "fuse", "rule": "mean", "proposer": "p"}
OTHER = SETTINGS | {"rule": "product"}
needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
needs_links = pytest.mark.skipif(sys.platform == "win32", reason="Windows restricts links")


def put(path, text="x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write(path, text):
    with atomic_path(path) as temporary:
        temporary.write_text(text)


def job(out, units, settings=SETTINGS, source="", **options):
    """A job that writes OUT/<unit>.txt and OUT/more/<unit>.txt for each unit; the units that it made."""
    folder = OutputFolder(out, settings)
    paths = {unit: [out / f"{unit}.txt", out / "more" / f"{unit}.txt"] for unit in units}
    made = []
    with folder.taken(outputs=[path for both in paths.values() for path in both], **options):
        for unit, both in paths.items():
            if folder.is_done(both, unit + source):
                continue
            made.append(unit)
            folder.discard(unit)
            with folder.writing(unit, both, unit + source):
                for path in both:
                    write(path, f"{path.parent.name} {unit} {source} {settings['rule']}")
    return made


def content(folder):
    """Text by name of every file but those of the job itself."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if "csl-plugin." not in name}


# --- whose folder it is ---------------------------------------------------------------------------------


@pytest.mark.parametrize("there", [[], [".DS_Store", "lost+found/x", ".gitkeep"]])
def test_a_new_or_empty_folder_is_taken(tmp_path, there):
    for name in there:
        put(tmp_path / "out" / name)
    assert job(tmp_path / "out", "ab") == ["a", "b"]
    assert job(tmp_path / "out", "abc") == ["c"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("name", ["a.txt", "thesis.tex", "more/x", "settings.json", "csl-plugin.jsonl"])
def test_a_folder_of_somebody_else_is_refused_and_named(tmp_path, name, overwrite):
    put(tmp_path / "out" / name, "mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OptionError, match=rf"holds {name.partition('/')[0]}, and no csl-plugin\.json"):
        job(tmp_path / "out", "ab", overwrite=overwrite)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "out" / name).read_text() == "mine"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("place", ["c.txt", "more/c.txt"])
def test_a_file_of_somebody_else_is_never_replaced(tmp_path, place, overwrite):
    out = tmp_path / "out"
    job(out, "ab")
    put(out / place, "mine")
    put(out / "notes.txt", "mine too")
    before = content(out)
    with pytest.raises(FileError, match=r"c\.txt: got a file that this command did not write"):
        job(out, "abc", overwrite=overwrite)
    assert content(out) == before
    job(out, "ab", overwrite=overwrite)
    assert content(out) == before
    folder = OutputFolder(out, SETTINGS)
    with (
        folder.taken(),
        pytest.raises(FileError, match="did not write"),
        folder.writing("c", [out / place], "c"),
    ):
        raise AssertionError
    assert content(out) == before


def test_a_folder_at_the_place_of_a_file_is_named(tmp_path):
    (tmp_path / "out").mkdir()
    job(tmp_path / "out", "a")
    (tmp_path / "out" / "b.txt").mkdir()
    with pytest.raises(FileError, match=r"b\.txt: got a folder"):
        job(tmp_path / "out", "ab")


def test_overwrite_removes_what_was_written_and_nothing_else(tmp_path):
    out = tmp_path / "out"
    job(out, "abc")
    put(out / "z.txt", "mine")
    put(out / "more" / "z.txt", "mine")
    assert job(out, "ab", OTHER, overwrite=True) == ["a", "b"]
    assert set(content(out)) == {"a.txt", "b.txt", "more/a.txt", "more/b.txt", "z.txt", "more/z.txt"}
    assert content(out)["a.txt"] == b"out a  product"
    assert job(out, "ab", OTHER) == []


@needs_links
def test_what_the_journal_names_outside_is_never_removed(tmp_path):
    out, mine = tmp_path / "out", put(tmp_path / "mine" / "a.txt", "mine")
    job(out, "a")
    with (out / "csl-plugin.jsonl").open("a") as journal:
        for name in ("../mine/a.txt", str(mine), "more/../../mine/a.txt"):
            line = {"unit": "x", "wrote": {name: [4, 1, None]}, "kept": [], "from": "x", "with": "x"}
            journal.write(json.dumps(line) + "\n")
    (out / "more").rename(out / "moved")
    (out / "more").symlink_to(mine.parent, target_is_directory=True)
    put(mine.parent / "b.txt")
    with pytest.raises(FileError, match=r"more/b\.txt"):  # a foreign file, through the link
        job(out, "ab", overwrite=True)
    folder = OutputFolder(out, OTHER)
    with folder.taken(overwrite=True):
        pass
    assert mine.read_text() == "mine"
    assert not (out / "a.txt").exists()


# --- settings -------------------------------------------------------------------------------------------


def test_other_settings_are_refused_by_name_once_something_is_finished(tmp_path):
    job(tmp_path / "out", "a")
    before = content(tmp_path / "out")
    with pytest.raises(OptionError) as caught:
        job(tmp_path / "out", "a", OTHER | {"more": 1})
    assert "got rule 'product', more 1, expected rule 'mean', no more" in str(caught.value)
    assert "proposer" not in str(caught.value)
    assert content(tmp_path / "out") == before
    for path in (tmp_path / "out").rglob("a.txt"):
        path.unlink()
    assert job(tmp_path / "out", "a", OTHER) == ["a"], "nothing finished is left that the settings could bind"


def test_settings_of_any_text_and_number_are_those_of_the_next_run(tmp_path):
    odd = {**SETTINGS, "images": "caf\udce9", "scales": (5.0, float("inf"), float("nan")), "split": True}
    job(tmp_path / "out", "a", odd)
    assert job(tmp_path / "out", "ab", odd) == ["b"]
    with pytest.raises(OptionError) as caught:
        job(tmp_path / "out", "a", {**odd, "images": "caf\udcea", "split": False})
    assert r"got images 'caf\\udcea', split false, expected images 'caf\\udce9', split true" in str(
        caught.value
    )


def test_a_failed_run_pins_nothing(tmp_path):
    out = tmp_path / "out"
    folder = OutputFolder(out, SETTINGS)
    for unit in "ab":
        both = [out / f"{unit}.txt", out / "more" / f"{unit}.txt"]
        with folder.taken(), suppress(ZeroDivisionError), folder.writing(unit, both, unit):
            write(both[0], "half of the unit")
            _ = 1 / 0
    assert job(out, "ab", OTHER) == ["a", "b"]
    with pytest.raises(OptionError, match="rule"):
        job(out, "ab")


def test_what_a_failed_unit_did_not_write_stays_foreign(tmp_path):
    out = tmp_path / "out"
    folder = OutputFolder(out, SETTINGS)
    with folder.taken(), pytest.raises(ZeroDivisionError), folder.writing("a", [out / "a.txt"], "a"):
        _ = 1 / 0
    put(out / "a.txt", "mine")
    with pytest.raises(FileError, match="did not write"):
        job(out, "a")
    assert (out / "a.txt").read_text() == "mine"


def test_a_unit_that_fails_keeps_what_it_did_not_touch(tmp_path):
    out = tmp_path / "out"
    job(out, "a")
    folder = OutputFolder(out, SETTINGS)
    both = [out / "a.txt", out / "more" / "a.txt"]
    with folder.taken(), pytest.raises(ZeroDivisionError), folder.writing("a", both, "new"):
        _ = 1 / 0
    assert folder.is_done(both, "a")
    assert job(out, "a") == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        "null",
        '{"rule": 1}',
        "\xff",
        "[" * 100_000,
        '{"command": 3}',
        '{"command": "a", "x": NaN}',
    ],
)
def test_damaged_settings_are_named(tmp_path, text):
    job(tmp_path / "out", "a")
    (tmp_path / "out" / "csl-plugin.json").write_text(text, encoding="latin-1")
    with pytest.raises(FileError, match=r"csl-plugin\.json"):
        job(tmp_path / "out", "a")
    assert job(tmp_path / "out", "a", overwrite=True) == ["a"]


# --- what is done ---------------------------------------------------------------------------------------


def test_what_is_done_is_what_was_written_from_these_inputs(tmp_path):
    out, image = tmp_path / "out", put(tmp_path / "a.png", "1")
    assert job(out, "ab", source=file_states([image])) == ["a", "b"]
    assert job(out, "ab", source=file_states([image])) == []
    status = image.stat()
    os.utime(image, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert job(out, "ab", source=file_states([image])) == ["a", "b"]
    (out / "more" / "b.txt").unlink()
    assert job(out, "ab", source=file_states([image])) == ["b"]
    first = (out / "a.txt").read_text()
    put(out / "a.txt", first[::-1])
    assert OutputFolder(out, SETTINGS).changed([out / "a.txt", out / "b.txt"]) == [out / "a.txt"]
    assert job(out, "ab", source=file_states([image])) == ["a"]
    assert (out / "a.txt").read_text() == first


def test_content_is_compared_where_asked_for(tmp_path):
    out = tmp_path / "out"
    folder = OutputFolder(out, SETTINGS)
    with folder.taken():
        for name, digests in (("loose", False), ("strict", True)):
            with folder.writing(name, [out / name], "", digests=digests):
                write(out / name, "good")
            before = (out / name).stat()
            put(out / name, "evil")
            os.utime(out / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert folder.is_done([out / "loose"], "")
    assert not folder.is_done([out / "strict"], "")


def test_outdated_files_of_a_unit_go_though_it_writes_other_ones_now(tmp_path):
    out = tmp_path / "out"
    folder = OutputFolder(out, SETTINGS)
    with folder.taken():
        for suffix in (".npy", ".npz"):
            folder.discard("a")
            with folder.writing("a", [out / f"a{suffix}"], suffix):
                write(out / f"a{suffix}", "scores")
    assert list(content(out)) == ["a.npz"]


def test_a_copied_folder_goes_on(tmp_path):
    job(tmp_path / "out", "ab")
    shutil.copytree(tmp_path / "out", tmp_path / "copy")
    assert job(tmp_path / "copy", "abc") == ["c"]


# --- inputs ---------------------------------------------------------------------------------------------


@needs_links
@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("out", "inputs"),
    [
        ("in", ["in"]),
        ("in", ["in/a.txt"]),
        ("in/../in", ["in"]),
        (".", ["in"]),
        (".", ["in/deep/b.txt"]),
        ("link", ["in"]),
        ("in", ["link"]),
        ("in", ["elsewhere/a.txt"]),
        ("link", ["elsewhere/a.txt"]),
        ("over", ["in"]),
        ("over", ["in/a.txt"]),
    ],
)
def test_inputs_are_never_in_the_output_folder(tmp_path, out, inputs, overwrite):
    for name in ("in/a.txt", "in/deep/b.txt"):
        put(tmp_path / name, "input")
    (tmp_path / "link").symlink_to(tmp_path / "in", target_is_directory=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a.txt").symlink_to(tmp_path / "in" / "a.txt")
    (tmp_path / "over").mkdir()
    (tmp_path / "over" / "more").symlink_to(tmp_path / "in", target_is_directory=True)
    for place in (out, "over"):
        if place != "over" or out == "over":
            put(tmp_path / place / "csl-plugin.json", json.dumps(SETTINGS))
    before = content(tmp_path)
    with pytest.raises(OptionError, match="which holds inputs"):
        job(tmp_path / out, "a", inputs=[tmp_path / name for name in inputs], overwrite=overwrite)
    assert content(tmp_path) == before


def test_a_folder_within_the_inputs_is_taken(tmp_path):
    image = put(tmp_path / "in" / "a.png")
    assert job(tmp_path / "in" / "out", "a", inputs=[image, image.parent, tmp_path / "none"]) == ["a"]


# --- the journal ----------------------------------------------------------------------------------------


def test_a_torn_journal_makes_again_or_refuses_and_never_takes_for_done(tmp_path):
    out = tmp_path / "out"
    job(out, "ab")
    whole = (out / "csl-plugin.jsonl").read_bytes()
    before = content(out)
    lines = whole.splitlines(keepends=True)
    ends = [sum(map(len, lines[: index + 1])) for index in range(len(lines))]
    seen = set()
    for size in range(0, len(whole), 5):
        shutil.rmtree(tmp_path / "copy", ignore_errors=True)
        shutil.copytree(out, tmp_path / "copy")
        (tmp_path / "copy" / "csl-plugin.jsonl").write_bytes(whole[:size])
        complete = sum(end <= size for end in ends)
        if complete < 3:  # it does not say that b was started
            with pytest.raises(FileError, match="did not write"):
                job(tmp_path / "copy", "ab")
            assert content(tmp_path / "copy") == before
            continue
        seen.add(tuple(job(tmp_path / "copy", "ab")))
        assert job(tmp_path / "copy", "ab") == [], "a line after a torn one is whole"
        assert content(tmp_path / "copy").keys() == before.keys()
    assert seen == {("b",)}


@pytest.mark.parametrize(
    "line",
    [
        "",
        "x",
        "[]",
        "{}",
        "null",
        '{"unit": 1, "writes": ["a.txt"]}',
        '{"unit": "a", "writes": "a.txt"}',
        '{"unit": "a", "writes": [1]}',
        '{"unit": "a", "writes": ["/a"]}',
        '{"unit": "a", "writes": ["../a"]}',
        '{"unit": "a", "wrote": {"a.txt": [1]}, "from": "", "with": ""}',
        '{"unit": "a", "wrote": {"a.txt": [1, 2.5, null]}, "from": "", "with": ""}',
        '{"unit": "a", "wrote": {"a.txt": [1, 2, 3]}, "from": "", "with": ""}',
        '{"unit": "a", "wrote": ["a.txt"], "from": "", "with": ""}',
        '{"unit": "a", "wrote": {"a.txt": [1, 2, null]}, "from": 5, "with": ""}',
        '{"unit": "a", "wrote": {}, "kept": 5}',
        "[" * 100_000,
        "\udcff\udcfe",
    ],
)
def test_foreign_lines_of_a_journal_are_skipped(tmp_path, line):
    job(tmp_path / "out", "ab")
    with (tmp_path / "out" / "csl-plugin.jsonl").open("ab") as journal:
        journal.write(line.encode(errors="surrogateescape") + b"\n")
    assert job(tmp_path / "out", "ab") == []


# --- crashes --------------------------------------------------------------------------------------------


def count_down(module, name, left):
    """Let a function end the process, without any cleaning up, at its last permitted call."""
    real = getattr(module, name)

    def dying(*arguments, **options):
        left[0] -= 1
        if left[0] < 0:
            os._exit(9)
        return real(*arguments, **options)

    setattr(module, name, dying)


def in_child(work):
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


CALLS = ("open", "write", "fsync", "replace", "unlink", "mkdir", "lstat", "stat", "close", "rename")


@needs_fork
@pytest.mark.slow
@pytest.mark.parametrize("start", ["new", "other inputs", "overwrite"])
def test_killed_at_any_call_the_same_job_ends_with_the_same_files(tmp_path, start):
    place = tmp_path / "place"
    out = place / "out"
    options = {"overwrite": True, "settings": OTHER} if start == "overwrite" else {"source": "new"}
    base = tmp_path / "base"
    base.mkdir()
    if start != "new":
        job(base / "out", "ab")
        put(base / "out" / "mine.txt", "mine")
    shutil.copytree(base, place)
    job(out, "ab", **options)
    expected = content(out)

    def work(calls):
        left = [calls]
        for name in CALLS:
            count_down(os, name, left)
        job(out, "ab", **options)
        os._exit(0)

    for calls in range(1000):
        shutil.rmtree(place)
        shutil.copytree(base, place)
        code = in_child(lambda calls=calls: work(calls))
        job(out, "ab", **options)
        assert content(out) == expected
        assert not list(out.rglob("*.tmp")), "those of the killed job are gone"
        if code == 0:
            break
        assert code == 9
    else:
        raise AssertionError
    assert calls > 30


def test_a_folder_without_its_journal_is_named_so(tmp_path):
    job(tmp_path / "out", "a")
    (tmp_path / "out" / "csl-plugin.jsonl").unlink()
    before = content(tmp_path / "out")
    with pytest.raises(FileError, match=r"no csl-plugin\.jsonl that says that this command wrote it"):
        job(tmp_path / "out", "a")
    assert content(tmp_path / "out") == before
