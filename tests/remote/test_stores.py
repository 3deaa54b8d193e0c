"""Inputs and outputs in a store: what is promised of an output folder there, on fsspec's own memory store."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from csl_plugin._shards import Shard
from csl_plugin.cli import main
from csl_plugin.errors import FileError, MissingExtraError, OptionError
from csl_plugin.io import read_image, read_scores, write_png, write_scores
from csl_plugin.io.job_settings import SETTINGS_NAME
from csl_plugin.io.output_place import outputs_at
from csl_plugin.io.remote import list_folder, look_up, put_bytes
from csl_plugin.io.remote.lease import LEASES
from csl_plugin.io.remote.store_journal import JOURNAL
from csl_plugin.places import RemotePath, place_of

fsspec = pytest.importorskip("fsspec", reason="torch brings it")
SIZE = 24, 32
SETTINGS = {"command": "fuse", "rule": "mean"}


@pytest.fixture
def memory():
    """The memory store of this process, empty; a run of a command finds what the last one left."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pseudo_dirs[:] = [""]
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.fixture
def frames(memory):
    for seed, stem in enumerate("abc"):
        draw = np.random.default_rng(seed)
        write_png(f"memory://data/images/{stem}.png", draw.integers(0, 256, (*SIZE, 3)).astype(np.uint8))
        write_scores(f"memory://data/scores/{stem}.npy", draw.random(SIZE).astype(np.float32))
    return memory


FUSE = ["fuse", "memory://data/images", "memory://data/scores", "memory://out", "--proposer", "superpixels"]


def run(capsys, words, code=0):
    assert main([*words, "--json"]) == code
    found = capsys.readouterr()
    return json.loads(found.out), found.err


def counts(capsys, words, code=0):
    found, _ = run(capsys, words, code)
    return found["done"], found["skipped"], len(found["failed"])


def files(memory, folder="/out"):
    """Names of what a command wrote, without the objects of the job itself."""
    names = [name.removeprefix(f"{folder}/") for name in memory.find(folder)]
    return sorted(name for name in names if not name.startswith("csl-plugin"))


def test_the_results_are_those_of_files_here(frames, tmp_path, capsys):
    for name in ("images", "scores"):
        frames.get(f"/data/{name}", str(tmp_path / name), recursive=True)
    here = ["fuse", *(str(tmp_path / name) for name in ("images", "scores", "out"))]
    assert counts(capsys, [*here, "--proposer", "superpixels"]) == (3, 0, 0)
    assert counts(capsys, FUSE) == (3, 0, 0)
    assert files(frames) == ["a.npy", "b.npy", "c.npy"]
    for name in files(frames):
        assert frames.cat_file(f"/out/{name}") == (tmp_path / "out" / name).read_bytes()


def test_file_urls_are_paths(tmp_path, capsys):
    write_png(f"file://{tmp_path}/images/a.png", np.zeros((*SIZE, 3), np.uint8))
    words = ["propose", f"file://{tmp_path}/images", f"file://{tmp_path}/out", "--proposer", "superpixels"]
    assert counts(capsys, words) == (1, 0, 0)
    assert (tmp_path / "out" / "csl-plugin.jsonl").is_file()


def test_a_second_run_does_what_is_new_or_changed(frames, capsys):
    assert counts(capsys, FUSE) == (3, 0, 0)
    assert counts(capsys, FUSE) == (0, 3, 0)
    write_scores("memory://data/scores/b.npy", np.zeros(SIZE, np.float32))
    assert counts(capsys, FUSE) == (1, 2, 0)
    frames.pipe_file("/out/c.npy", b"other")
    found, said = run(capsys, FUSE)
    assert (found["done"], found["skipped"]) == (1, 2)
    assert "memory://out/c.npy was changed since it was written; it is made again" in said
    frames.rm_file("/out/a.npy")
    assert counts(capsys, FUSE) == (1, 2, 0)


def test_other_settings_are_refused_and_overwrite_starts_again(frames, capsys):
    assert counts(capsys, [*FUSE, "--overlays"]) == (3, 0, 0)
    _, said = run(capsys, [*FUSE, "--rule", "mean"], code=2)
    assert "got rule 'mean', expected rule 'adaptive', as stored in memory://out/csl-plugin.json" in said
    frames.pipe_file("/out/notes.txt", b"mine")
    assert counts(capsys, [*FUSE, "--rule", "mean", "--overwrite"]) == (3, 0, 0)
    assert files(frames) == ["a.npy", "b.npy", "c.npy", "notes.txt"]


def test_what_a_failed_image_left_is_removed(frames, capsys):
    assert counts(capsys, FUSE) == (3, 0, 0)
    frames.pipe_file("/data/scores/b.npy", b"no scores")
    assert counts(capsys, FUSE, code=1) == (0, 2, 1)
    assert files(frames) == ["a.npy", "c.npy"]


def test_a_folder_of_others_and_files_of_others_are_kept(frames, capsys):
    frames.pipe_file("/out/mine.txt", b"mine")
    _, said = run(capsys, FUSE, code=2)
    assert "memory://out, which holds mine.txt, and no csl-plugin.json of an earlier job" in said
    frames.rm_file("/out/mine.txt")
    assert counts(capsys, FUSE) == (3, 0, 0)
    frames.rm("/out/csl-plugin.journal", recursive=True)
    found, _ = run(capsys, FUSE, code=1)
    assert "an object that this command did not write" in found["failed"][0]["reason"]


def test_inputs_are_not_outputs(frames, capsys):
    words = ["propose", "memory://data/images", "memory://data", "--proposer", "superpixels"]
    assert "which holds inputs such as memory://data/images" in run(capsys, words, code=2)[1]


def test_objects_and_their_files_of_all_images(frames, capsys, tmp_path):
    words = ["objects", *FUSE[1:3], "memory://found", *FUSE[4:], "--threshold", "0.5", "--min-area", "4"]
    formats = ["--format", "coco", "--format", "csv", "--format", "labels"]
    assert counts(capsys, [*words, *formats]) == (3, 0, 0)
    made = files(frames, "/found")
    assert made == [
        "boxes.csv", "coco-images.json", "coco.json", "labels/a.png", "labels/b.png", "labels/c.png",
        "objects/a.json", "objects/b.json", "objects/c.json",
    ]  # fmt: skip
    before = {name: frames.cat_file(f"/found/{name}") for name in made}
    assert counts(capsys, [*words, *formats]) == (0, 3, 0)
    assert {name: frames.cat_file(f"/found/{name}") for name in made} == before
    write_scores("memory://data/scores/b.npy", np.zeros(SIZE, np.float32))
    assert counts(capsys, words) == (1, 2, 0)
    assert not {"boxes.csv", "labels/b.png"} & {*files(frames, "/found")}


def test_results_are_measured_by_url(frames, capsys, tmp_path):
    for seed, stem in enumerate("abc"):
        write_png(f"memory://data/labels/{stem}.png", np.eye(*SIZE, seed, dtype=np.uint8))
    for name in ("scores", "labels"):
        frames.get(f"/data/{name}", str(tmp_path / name), recursive=True)
    there, _ = run(capsys, ["eval", "anomaly", "memory://data/scores", "memory://data/labels"])
    here, _ = run(capsys, ["eval", "anomaly", str(tmp_path / "scores"), str(tmp_path / "labels")])
    assert there == here


def test_masks_and_a_calibration_by_url(frames, capsys):
    for stem in "abc":
        write_png(f"memory://data/masks/{stem}.png", np.full(SIZE, 255, np.uint8))
    frames.pipe_file("/data/c.json", json.dumps({"kind": "affine", "low": -1, "high": 2}).encode())
    options = ["--valid", "memory://data/masks", "--calibration", "memory://data/c.json"]
    assert counts(capsys, [*FUSE, *options]) == (3, 0, 0)


# What a killed run leaves, and several at once.


def folder(shard=None, settings=SETTINGS):
    return outputs_at(RemotePath("memory://out"), settings, shard)


def write(folder, stem):
    file = folder.path / f"{stem}.npy"
    with folder.writing(stem, [file], source=stem):
        write_scores(file, np.ones(SIZE, np.float32))
    return file


def test_an_object_appears_whole_or_not_at_all(memory):
    file = RemotePath("memory://out/a.npy")
    with pytest.raises(ZeroDivisionError):
        write_half(file)
    assert look_up(file) is None


def write_half(file):
    from csl_plugin.io import atomic_path

    with atomic_path(file) as temporary:
        temporary.write_bytes(b"half")
        raise ZeroDivisionError


def test_a_file_of_a_killed_job_is_made_again_by_the_next(memory):
    class Killed(BaseException):
        pass

    def run_until_killed(job):
        with job.taken():
            write(job, "a")
            file = job.path / "b.npy"
            with job.writing("b", [file], source="b"):
                write_scores(file, np.ones(SIZE, np.float32))
                raise Killed  # between the file and its entry

    with pytest.raises(Killed):
        run_until_killed(folder())
    again = folder()
    with again.taken():
        assert again.is_done([again.path / "a.npy"], source="a")
        assert not again.is_done([again.path / "b.npy"], source="b")
        assert again.is_done([write(again, "b")], source="b")


def test_two_jobs_are_not_at_work_in_one_folder(memory):
    with folder().taken():
        with pytest.raises(OptionError, match=r"in which another job is at work \(all"), folder().taken():
            pass
        with pytest.raises(OptionError, match="another job"), folder(Shard(1, 2)).taken():
            pass
    with folder().taken():
        pass
    assert not list_folder(RemotePath("memory://out") / LEASES)


def test_shards_are_at_work_together_and_join_without_more(memory):
    one, two = folder(Shard(1, 2)), folder(Shard(2, 2))
    with one.taken(), two.taken():
        for shard, others in ((one, Shard(1, 2)), (two, Shard(2, 3))):
            with pytest.raises(OptionError, match="another job"), folder(others).taken():
                pass
            write(shard, f"of {shard.shard.number}")
    both = folder()
    with both.taken():
        for number in (1, 2):
            assert both.is_done([both.path / f"of {number}.npy"], source=f"of {number}")


def lease(**changed):
    said = {"job": "all", "id": "x", "host": "another", "pid": 1, "time": time.time()} | changed
    put_bytes(RemotePath("memory://out") / LEASES / "x.json", json.dumps(said).encode())


def dead_process():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_killed_job_on_this_machine_is_no_hindrance_and_one_elsewhere_for_a_while(memory):
    lease(host=socket.gethostname(), pid=dead_process())
    with folder().taken():
        pass
    lease(time=time.time() - 1000)
    with folder().taken():
        pass
    for at_work in ({}, {"host": socket.gethostname(), "pid": os.getpid()}):
        lease(**at_work)
        with (
            pytest.raises(OptionError, match=r"remove memory://out/csl-plugin.lock/x.json"),
            folder().taken(),
        ):
            pass


def test_a_job_that_was_taken_for_dead_stops(memory):
    first = folder()
    with first.taken():
        write(first, "a")
        (own,) = list_folder(first.path / LEASES)
        memory.rm_file(f"/out/{LEASES}/{own.name}")
        first._lease._last = 0.0  # a minute has passed
        with pytest.raises(OptionError, match="which another job took over"):
            write(first, "b")


def test_inputs_that_moved_go_on_where_they_are_the_same(memory):
    first, moved = ({**SETTINGS, "places": {"images": name}} for name in ("one", "two"))
    with (begun := folder(settings=first)).taken():
        file = write(begun, "a")
    for source, error in (("a", None), ("other", OptionError)):
        again = folder(settings=moved if error is None else {**moved, "places": {"images": "three"}})
        if error is None:
            with again.taken(outputs=[file], sources=lambda source=source: {file: source}):
                assert again.is_done([file], source="a")
        else:
            with (
                pytest.raises(error, match="images 'three'"),
                again.taken(outputs=[file], sources=lambda source=source: {file: source}),
            ):
                pass


def test_entries_of_others_are_not_believed(memory):
    with (begun := folder()).taken():
        write(begun, "a")
    (entry,) = memory.find(f"/out/{JOURNAL}")
    for said in (b"{", b'{"unit": "a", "name": "../b.npy"}', b'{"unit": "a", "name": "c.npy"}', b"[]"):
        memory.pipe_file(entry, said)
        with (again := folder()).taken(), pytest.raises(FileError, match=r"csl-plugin.journal"):
            again.is_done([again.path / "a.npy"], source="a")


@pytest.mark.slow
def test_one_process_has_the_memory(frames, capsys, tmp_path):
    for words in (FUSE, [*FUSE[:3], str(tmp_path / "out"), *FUSE[4:]]):
        _, said = run(capsys, [*words, "--jobs", "2"], code=2)
        assert "in another process, expected a store that several processes see" in said
        assert counts(capsys, words) == (3, 0, 0)


def test_a_store_without_its_package_says_which_to_install(capsys):
    for url, package in (
        ("s3://bucket/a.png", "s3fs"),
        ("gs://bucket/a.png", "gcsfs"),
        ("az://b/a.png", "adlfs"),
    ):
        try:
            __import__(package)
        except ImportError:
            with pytest.raises(MissingExtraError, match=rf"pip install {package}"):
                read_image(url)


def test_tiles_are_read_from_files_here(frames, capsys):
    assert "--tile: got it with memory://data/images" in run(capsys, [*FUSE, "--tile", "512"], code=2)[1]
    assert not files(frames)


def test_what_takes_no_url_says_so_without_its_secrets(tmp_path, capsys):
    write_png(tmp_path / "images" / "a.png", np.zeros((*SIZE, 3), np.uint8))
    words = ["propose", str(tmp_path / "images"), str(tmp_path / "out")]
    assert main([*words, "--proposer", "https://me:hunter2@host/regions"]) == 2
    with pytest.raises(SystemExit):
        main(["calibrate", "https://me:hunter2@host/scores", str(tmp_path / "c.json")])
    said = capsys.readouterr().err
    assert "got https://***@host/scores, expected a path of this machine" in said
    assert "hunter2" not in said


def test_a_url_of_another_scheme_is_refused_by_the_command_line(capsys):
    with pytest.raises(SystemExit):
        main(["propose", "ftp://me:hunter2@host/images", "out"])
    said = capsys.readouterr().err
    assert "got 'ftp://***@host/images', expected a path" in said
    assert "hunter2" not in said


@pytest.mark.slow
def test_fsspec_is_imported_for_urls_alone(tmp_path):
    write_png(tmp_path / "images" / "a.png", np.zeros((*SIZE, 3), np.uint8))
    code = (
        "import sys; from csl_plugin.cli import main; code = main(sys.argv[1:]); "
        "sys.exit(code or ('csl_plugin.io.remote' in sys.modules and 3))"
    )
    words = ["propose", str(tmp_path / "images"), str(tmp_path / "out"), "--proposer", "superpixels"]
    assert subprocess.run([sys.executable, "-c", code, *words], check=False).returncode == 0


def test_the_settings_are_those_of_a_folder_here(frames, capsys):
    assert counts(capsys, FUSE) == (3, 0, 0)
    stored = json.loads(frames.cat_file(f"/out/{SETTINGS_NAME}"))
    assert stored["places"] == {"images": "memory://data/images", "scores": "memory://data/scores"}
    np.testing.assert_array_equal(read_scores("memory://out/a.npy").shape, SIZE)
    assert place_of("memory://out/") == RemotePath("memory://out/")
