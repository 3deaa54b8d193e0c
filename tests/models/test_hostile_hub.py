"""A Hub that lies: what it states is checked before anything is written, and nothing it sends is endless."""

from __future__ import annotations

import hashlib
import itertools
import threading
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, try_to_load_from_cache

from csl_plugin import load_proposer
from csl_plugin.errors import FileError, OptionError
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.models.hub import in_time
from csl_plugin.models.hub.names import is_plain
from tests.helpers.hub_server import Repository, hub_server

CONFIG = NetworkConfig(
    num_queries=4, embedding_width=8, query_width=8, num_heads=1, num_layers=1, feedforward_width=8
)
FILES = ("config.json", "model.safetensors")
WAYS_OUT = (
    "../victim",
    "../../victim",
    "../../../../victim",
    "/tmp/victim",  # noqa: S108
    "a/../../../victim",
    "..\\..\\victim",
    "C:\\victim",
    "refs/../../../victim",
    "a//b",
    ".hidden",
    "a.lock",
    "nul",
    "aux.txt",
    "COM1",
    "a\0b",
    "a\nb",
    "\ud800",
    "",
    "x" * 300,
)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_server() as hub:
        _point_to(monkeypatch, hub.url)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "parent" / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        network = CSLNetwork(CONFIG)
        network.save_pretrained(tmp_path / "saved")
        repository = hub.repositories["me/regions"] = Repository()
        repository.commit({name: (tmp_path / "saved" / name).read_bytes() for name in FILES})
        (tmp_path / "parent").mkdir()
        (tmp_path / "parent" / "victim").write_text("untouched")
        (tmp_path / "victim").write_text("untouched")
        yield hub


def _point_to(monkeypatch, url):
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    copy = "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE"  # of the versions before 1.0
    monkeypatch.setattr(copy, template, raising=False)


@pytest.fixture
def quick(monkeypatch):
    """A Hub that is given half a second."""
    monkeypatch.setattr(in_time, "GRACE", 0.5)


def _outside(tmp_path):
    """What lies beside the cache."""
    cache = tmp_path / "parent" / "cache"
    return {
        path: path.read_bytes()
        for path in tmp_path.rglob("*")
        if path.is_file() and cache not in path.parents and "saved" not in path.parts
    }


def _files(folder: Path):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("etag", [way for way in WAYS_OUT if ".." in way or way.startswith("/")])
def test_an_etag_is_no_path(hub, tmp_path, name, etag):
    before = _outside(tmp_path)
    hub.etags[name] = etag
    with pytest.raises(FileError, match=r"an ETag .*HF_ENDPOINT"):
        CSLNetwork.from_pretrained("me/regions")
    assert _outside(tmp_path) == before
    assert not any(request.startswith("GET") and request.endswith(name) for request in hub.requests)


@pytest.mark.parametrize("commit", ["../../victim", "main", "0" * 39, "A" * 40, "0" * 40 + "/.."])
def test_a_commit_is_a_hash(hub, tmp_path, commit):
    before = _outside(tmp_path)
    hub.commit = commit
    with pytest.raises(FileError, match=r"a commit .*HF_ENDPOINT"):
        CSLNetwork.from_pretrained("me/regions")
    del hub.repositories["me/regions"].commits[hub.repositories["me/regions"].refs["main"]]["config.json"]
    with pytest.raises(FileError, match="no such file"):  # such a commit is not remembered either
        CSLNetwork.from_pretrained("me/regions")
    assert _outside(tmp_path) == before
    assert not (tmp_path / "parent" / "cache").exists()


@pytest.mark.parametrize("revision", WAYS_OUT)
def test_a_revision_is_no_path(hub, tmp_path, revision):
    before = _outside(tmp_path)
    hub.repositories["me/regions"].refs[revision] = hub.repositories["me/regions"].refs["main"]
    for load in (CSLNetwork.from_pretrained, load_proposer):
        with pytest.raises(OptionError, match="revision"):
            load("me/regions", revision=revision)
    assert _outside(tmp_path) == before
    assert hub.requests == []


@pytest.mark.parametrize("revision", ["main", "v1.0", "refs/pr/1", "feature/a+b", "Prüfung", "1"])
def test_names_of_branches_and_tags_are_taken(hub, revision):
    commit = hub.repositories["me/regions"].refs["main"]
    hub.repositories["me/regions"].refs[revision] = commit
    CSLNetwork.from_pretrained("me/regions", revision=revision)
    CSLNetwork.from_pretrained("me/regions", revision=revision, local_files_only=True)
    (reference,) = _files(Path(constants.HF_HUB_CACHE) / "models--me--regions" / "refs")
    assert reference.read_text() == commit


@pytest.mark.parametrize(
    "name", ["../regions", "me/..", "me/../x", "a/b\0", "/etc/passwd", "me\\x", "ü/b", "x"]
)
def test_a_repository_is_no_path(hub, tmp_path, name):
    before = _outside(tmp_path)
    with pytest.raises(FileError):
        CSLNetwork.from_pretrained(name)
    assert _outside(tmp_path) == before
    assert hub.requests == []


def test_names_that_are_those_of_plain_files():
    assert all(map(is_plain, ("model.safetensors", "model-00001-of-00002.safetensors", "_a+b")))
    assert not any(map(is_plain, {"a/b", "a b", "-a", "a.", *WAYS_OUT} - {"a.lock"}))


# Digests


def _flipped(content):
    changed = bytearray(content)
    changed[-3] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("name", FILES)
def test_a_file_in_git_is_compared_with_its_hash(hub, name):
    files = next(iter(hub.repositories["me/regions"].commits.values()))
    hub.etags[name] = hashlib.sha1(b"blob %d\0" % len(files[name]) + files[name]).hexdigest()  # noqa: S324
    hub.replaced[name] = _flipped(files[name])
    with pytest.raises(FileError, match=r"git hash.*as the Hub states"):
        CSLNetwork.from_pretrained("me/regions")
    assert try_to_load_from_cache("me/regions", name) is None
    hub.replaced.clear()
    CSLNetwork.from_pretrained("me/regions")
    Path(try_to_load_from_cache("me/regions", name)).write_bytes(_flipped(files[name]))
    with pytest.raises(FileError, match=r"git hash.*as the Hub states"):
        CSLNetwork.from_pretrained("me/regions", local_files_only=True)


@pytest.mark.parametrize("etag", ["0x8DC0+/=", "d41d8cd98f00b204e9800998ecf8427e-2"])
def test_another_etag_leaves_the_list_of_files(hub, etag):
    files = next(iter(hub.repositories["me/regions"].commits.values()))
    hub.etags["model.safetensors"] = etag
    hub.replaced["model.safetensors"] = _flipped(files["model.safetensors"])
    with pytest.raises(FileError, match=r"sha256.*as the Hub states"):
        CSLNetwork.from_pretrained("me/regions")
    hub.listing = iter([b"{}"])  # without a digest, only later changes are found
    CSLNetwork.from_pretrained("me/regions")
    path = Path(try_to_load_from_cache("me/regions", "model.safetensors"))
    assert path.readlink().name == hashlib.sha256(path.read_bytes()).hexdigest()
    path.write_bytes(files["model.safetensors"])
    with pytest.raises(FileError, match=r"sha256"):
        CSLNetwork.from_pretrained("me/regions", local_files_only=True)


# Sizes and times


def test_no_more_is_written_than_was_stated(hub):
    for name in FILES:
        hub.endless.add(name)
        with pytest.raises(FileError, match="more than"):
            CSLNetwork.from_pretrained("me/regions")
        hub.endless.clear()
    assert hub.sent < 64 << 20
    kept = _files(Path(constants.HF_HUB_CACHE))
    assert not [path for path in kept if path.name.endswith((".incomplete", ".tmp", "safetensors"))]


@pytest.mark.parametrize("piece", [bytes(1 << 16), b"[" * (1 << 16), b'{"a":' * (1 << 13)])
def test_an_endless_list_of_files_is_cut(hub, piece):
    files = next(iter(hub.repositories["me/regions"].commits.values()))
    del files["model.safetensors"]
    hub.listing = itertools.repeat(piece, 1 << 12)
    with pytest.raises(FileError, match="no such file"):
        CSLNetwork.from_pretrained("me/regions")
    assert 0 < hub.sent < 64 << 20


@pytest.mark.parametrize(
    "name", ["config.json", "HEAD config.json", "model.safetensors", "HEAD model.safetensors"]
)
def test_a_dripping_hub_is_left(hub, quick, name):
    hub.dripping.add(name)
    with pytest.raises(FileError, match=r"no answer from the Hub \(fewer than 32768 bytes in a second"):
        CSLNetwork.from_pretrained("me/regions")
    kept = _files(Path(constants.HF_HUB_CACHE)) if Path(constants.HF_HUB_CACHE).is_dir() else []
    assert not [path for path in kept if path.name == name.removeprefix("HEAD ")]


def test_a_dripping_hub_is_left_for_the_cache(hub, quick):
    CSLNetwork.from_pretrained("me/regions")
    hub.dripping.add("HEAD config.json")
    CSLNetwork.from_pretrained("me/regions")


def test_an_exchange_may_take_long_while_something_comes(monkeypatch):
    monkeypatch.setattr(in_time, "GRACE", 0.5)
    monkeypatch.setattr(in_time, "RATE", 50)

    def exchange(clock, size):
        for _ in range(12):
            time.sleep(0.1)
            clock.count(size)
        return "whole"

    assert in_time.in_time(lambda clock: exchange(clock, 10)) == "whole"
    with pytest.raises(in_time.SlowServerError):
        in_time.in_time(lambda clock: exchange(clock, 1))


def test_an_exchange_that_nobody_waits_for_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(in_time, "GRACE", 0.1)
    left = threading.Event()

    def exchange(clock):
        left.wait(10)
        try:
            clock.count(1)
            (tmp_path / "written").touch()
        finally:
            left.clear()

    with pytest.raises(in_time.SlowServerError):
        in_time.in_time(exchange)
    left.set()
    while left.is_set():
        time.sleep(0.01)
    assert not (tmp_path / "written").exists()


# Other places


def test_the_token_stays_with_its_host(hub, tmp_path):
    content = next(iter(hub.repositories["me/regions"].commits.values()))["model.safetensors"]
    hub.private["me/regions"] = "hf_secret"
    with hub_server() as elsewhere:
        elsewhere.repositories["a/b"] = Repository()
        elsewhere.repositories["a/b"].commit({"model.safetensors": content})
        hub.redirects["model.safetensors"] = f"{elsewhere.url}/a/b/resolve/main/model.safetensors"
        CSLNetwork.from_pretrained("me/regions", token="hf_secret")  # noqa: S106
        assert elsewhere.requests
        assert elsewhere.tokens == []
    assert set(hub.tokens) == {"Bearer hf_secret"}


@pytest.mark.parametrize(
    "place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "//", "/me/regions/resolve/main/x"]
)
def test_a_redirect_to_another_kind_of_place_is_refused(hub, place):
    hub.redirects["model.safetensors"] = hub.redirects["x"] = place
    with pytest.raises(FileError, match="no answer from the Hub"):
        CSLNetwork.from_pretrained("me/regions")


def test_a_name_from_a_server_is_no_part_of_a_command(hub):
    repository = hub.repositories["me/regions"]
    files = repository.commits[repository.refs["main"]]
    del files["model.safetensors"]
    files['x"); import os; os.remove("y.bin'] = files["\x1b[2J.pt"] = b"pickle"
    with pytest.raises(FileError, match=r"only pickles.*torch\.load\(\"FILE\"") as caught:
        CSLNetwork.from_pretrained("me/regions")
    assert "import os" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


def test_a_cache_that_cannot_be_written_is_named(hub, tmp_path):
    (tmp_path / "parent" / "cache").write_text("a file")
    with pytest.raises(FileError, match=r"cache.*expected a cache that can be written.*HF_HUB_CACHE"):
        CSLNetwork.from_pretrained("me/regions")


def test_loading_draws_no_numbers(hub):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    CSLNetwork.from_pretrained("me/regions")
    assert torch.equal(torch.rand(1), expected)
