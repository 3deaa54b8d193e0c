"""Inputs from a web server: what is read, and how servers that lie, break off or send elsewhere are met."""

import json

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.errors import FileError
from csl_plugin.io import (
    files_by_stem,
    list_images,
    read_image,
    read_region_map,
    read_scores,
    write_png,
    write_region_map,
    write_scores,
)
from csl_plugin.io.file_states import sampled_states
from csl_plugin.io.image_bytes import LARGEST_IMAGE
from csl_plugin.io.opening import read_bytes
from csl_plugin.places import place_of
from tests.helpers.web_server import serving

pytest.importorskip("aiohttp", reason="fsspec reads http with aiohttp, the extra `http`")
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")
SIZE = 24, 32


@pytest.fixture
def site():
    with serving() as site:
        yield site


def image(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (*SIZE, 3)).astype(np.uint8)


def scores(seed=0):
    return np.random.default_rng(seed).random(SIZE).astype(np.float32)


def in_file(tmp_path, name, write, *values, **options):
    write(tmp_path / name, *values, **options)
    return (tmp_path / name).read_bytes()


@pytest.fixture
def frames(site, tmp_path):
    """Two images with scores, on the server and in folders here."""
    for seed, stem in enumerate(["a b", "c"]):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "scores").mkdir(exist_ok=True)
        png = in_file(tmp_path, f"images/{stem}.png", write_png, image(seed))
        npy = in_file(tmp_path, f"scores/{stem}.npy", write_scores, scores(seed))
        site.files[f"/data/images/{stem.replace(' ', '%20')}.png"] = png
        site.files[f"/data/scores/{stem.replace(' ', '%20')}.npy"] = npy
    return site


@pytest.mark.parametrize("ranges", [True, False])
def test_every_kind_of_file_is_read_as_here(site, tmp_path, ranges):
    site.with_ranges = ranges
    labels = np.arange(np.prod(SIZE)).reshape(SIZE).astype(np.int32) % 7
    made = {
        "a.png": (write_png, read_image, (image(),), {}),
        "b.npy": (write_scores, read_scores, (scores(),), {}),
        "c.npz": (write_scores, read_scores, (scores(),), {"compressed": True}),
        "d.png": (write_scores, read_scores, (scores(),), {}),
        "e.npz": (write_region_map, read_region_map, (labels,), {}),
    }
    for name, (write, read, values, options) in made.items():
        site.files[f"/{name}"] = in_file(tmp_path, name, write, *values, **options)
        np.testing.assert_array_equal(read(f"{site.url}/{name}"), read(tmp_path / name))


def test_an_hdf5_file_is_read(site, tmp_path):
    pytest.importorskip("h5py", reason="the extra `hdf5`")
    site.files["/a.hdf5"] = in_file(tmp_path, "a.hdf5", write_scores, scores())
    np.testing.assert_array_equal(read_scores(f"{site.url}/a.hdf5"), scores())


def test_a_folder_is_what_its_page_lists(frames):
    frames.files["/data/images/deeper/x.png"] = b"in a folder below"
    found = list_images(f"{frames.url}/data/images")
    assert {stem: str(path) for stem, path in found.items()} == {
        "a b": f"{frames.url}/data/images/a%20b.png",
        "c": f"{frames.url}/data/images/c.png",
    }


def test_fuse_reads_a_server_and_writes_what_it_does_from_here(frames, tmp_path):
    there = [f"{frames.url}/data/images", f"{frames.url}/data/scores/"]
    here = [str(tmp_path / "images"), str(tmp_path / "scores")]
    for name, places in (("there", there), ("here", here)):
        assert main(["fuse", *places, str(tmp_path / name), "--proposer", "superpixels"]) == 0
    for stem in ("a b", "c"):
        assert (tmp_path / "there" / f"{stem}.npy").read_bytes() == (
            tmp_path / "here" / f"{stem}.npy"
        ).read_bytes()


def summary(capsys, *words):
    code = main([*words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_what_changed_on_the_server_is_made_again(frames, tmp_path, capsys):
    words = "propose", f"{frames.url}/data/images", str(tmp_path / "out"), "--proposer", "superpixels"
    assert summary(capsys, *words)[1]["done"] == 2
    assert summary(capsys, *words)[1]["skipped"] == 2
    frames.files["/data/images/c.png"] = in_file(tmp_path, "new.png", write_png, image(7))
    found = summary(capsys, *words)[1]
    assert (found["done"], found["skipped"]) == (1, 1)


def test_a_file_whose_server_says_neither_tag_nor_time_counts_as_changed(site):
    site.files["/a.npy"] = b"x"
    place = place_of(f"{site.url}/a.npy")
    assert sampled_states([place]) == sampled_states([place])
    site.with_tags = False
    assert sampled_states([place]) != sampled_states([place])


def refused(read, url):
    with pytest.raises(FileError) as error:
        read(url)
    assert error.value.argument == url
    return str(error.value)


def test_what_is_not_there_is_named(site):
    assert "nothing there" in refused(read_image, f"{site.url}/none.png")
    with pytest.raises(FileError, match="nothing there"):
        files_by_stem(f"{site.url}/none", (".png",))


def test_an_answer_that_breaks_off_is_refused(site, tmp_path):
    png = in_file(tmp_path, "a.png", write_png, image())

    def breaks_off(request):
        request.send(200, png[:100], {"Content-Length": str(len(png))}, body=request.command == "GET")
        request.close_connection = True

    def says_less(request):  # of what it is the start
        request.send(200, png[:100], body=request.command == "GET")

    site.odd = {"/a.png": breaks_off, "/b.png": says_less}
    for name in ("a.png", "b.png"):
        refused(read_image, f"{site.url}/{name}")


def test_bytes_are_counted_whatever_the_server_says(site):
    sent = []

    def endless(request):
        """Says that it sends ten bytes, and sends 64 MiB if nobody stops it."""
        if request.command == "HEAD":
            request.send(200, b"0123456789", body=False)
            return
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            for _ in range(64):
                request.wfile.write(b"100000\r\n" + bytes(1 << 20) + b"\r\n")
                sent.append(1 << 20)
            request.wfile.write(b"0\r\n\r\n")
        except OSError:  # the reader has gone
            request.close_connection = True

    site.odd["/a.npy"] = endless
    with pytest.raises(FileError, match=f"more than {1 << 21} bytes"):
        read_bytes(place_of(f"{site.url}/a.npy"), 1 << 21)
    assert sum(sent) < 64 << 20


def test_a_declared_size_beyond_the_limit_allocates_nothing(site):
    def huge(request):
        request.send(200, b"few", {"Content-Length": str(LARGEST_IMAGE + 1)}, body=request.command == "GET")
        request.close_connection = True

    site.odd["/a.png"] = huge
    refused(read_image, f"{site.url}/a.png")


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/a.png", "memory://secret/a.png"])
def test_a_redirect_to_another_scheme_is_refused(site, target):
    site.odd["/a.png"] = lambda request: request.send(302, b"", {"Location": target})
    assert "edirect" in refused(read_image, f"{site.url}/a.png")


def test_a_redirect_of_the_same_kind_is_followed(site, tmp_path):
    site.files["/b.png"] = in_file(tmp_path, "b.png", write_png, image())
    site.odd["/a.png"] = lambda request: request.send(302, b"", {"Location": "/b.png"})
    np.testing.assert_array_equal(read_image(f"{site.url}/a.png"), image())


def test_a_link_to_another_place_is_no_file_of_the_folder(site, tmp_path):
    page = (
        '<a href="a.png">a</a><a href="/other/b.png">b</a><a href="http://127.0.0.2/f/c.png">c</a>'
        '<a href="file:///f/d.png">d</a><a href="e.png?x=1">e</a><a href="../f.png">f</a>'
    )
    site.odd["/f/"] = lambda request: request.send(200, page.encode(), body=request.command == "GET")
    assert [*list_images(f"{site.url}/f/")] == ["a"]


def test_a_listed_name_that_leads_elsewhere_writes_nothing(site, tmp_path, capsys):
    site.files["/f/..%2Fevil.png"] = in_file(tmp_path, "made.png", write_png, image())
    assert main(["propose", f"{site.url}/f/", str(tmp_path / "out"), "--proposer", "superpixels"]) == 2
    assert "an entry named '../evil.png'" in capsys.readouterr().err
    assert not (tmp_path / "evil.png").exists()


def test_maps_whose_folder_is_closed_are_read(frames, tmp_path):
    """As by signed URLs, which open one file each."""
    frames.odd["/data/scores/csl-plugin.json"] = lambda request: request.send(403, b"no", body=False)
    words = [f"{frames.url}/data/{name}" for name in ("images/c.png", "scores/c.npy?signature=x")]
    assert main(["fuse", *words, str(tmp_path / "out"), "--proposer", "superpixels"]) == 0


def test_no_secret_of_a_url_is_printed_or_stored(frames, tmp_path, capsys):
    server = frames.url.replace("http://", "http://me:hunter2@")
    out = tmp_path / "out"
    words = ["fuse", f"{server}/data/images", f"{server}/data/scores", str(out), "--proposer", "superpixels"]
    assert main([*words, "--json"]) == 0
    assert frames.authorizations == {"Basic bWU6aHVudGVyMg=="}
    frames.files["/data/images/c.png"] = b"no image"
    assert main(words) == 1
    assert main(["propose", f"{server}/data/none.png?token=hunter2", str(tmp_path / "none")]) == 1
    assert main(["propose", f"{server}/nowhere", str(tmp_path / "none")]) == 2
    assert main(["fuse", f"{server}/data/images", f"{server}/data/scores", f"{server}/out"]) == 2
    frames.odd["/data/images/c.png"] = lambda request: request.send(500, b"no")
    assert main(words) == 1
    signed = f"{server}/data/images/c.png?token=hunter2"
    assert main(["propose", signed, str(tmp_path / "none"), "--proposer", "superpixels"]) == 1
    printed = capsys.readouterr()
    stored = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert "hunter2" not in printed.out + printed.err
    assert b"hunter2" not in stored
    assert "***@127.0.0.1" in printed.err


def test_a_web_server_is_no_output_folder(frames, tmp_path, capsys):
    out = f"{frames.url}/out"
    assert main(["propose", str(tmp_path / "images"), out]) == 2
    assert "of a web server, expected a store that can be written" in capsys.readouterr().err
