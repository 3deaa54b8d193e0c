"""Paths and URLs: what is which, their parts, and that nothing secret is shown."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from csl_plugin import load_proposer
from csl_plugin.datasets import open_dataset
from csl_plugin.errors import FileError, OptionError
from csl_plugin.evaluation import run_benchmark
from csl_plugin.io.remote.store import _asked
from csl_plugin.models import CSLNetwork
from csl_plugin.places import RemotePath, is_file_place, local_path, place_of
from csl_plugin.places.url import without_secrets
from csl_plugin.proposers import RegionMapFolder
from csl_plugin.proposers.mask_files import read_regions
from csl_plugin.tiles import fuse_large, propose_large


def test_what_is_no_url_is_a_path():
    for text in ("a/b.png", "C:\\frames", "a:b", "/srv/x", "s3:/bucket/a", "./memory:"):
        assert place_of(text) == Path(text)


def test_a_file_url_is_a_path():
    assert place_of("file:///srv/a b.png") == Path("/srv/a b.png")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://host/a", "file://host/etc/passwd", "file:////host/share", "zip://a.zip", "s3://", "memory:///",
        "simplecache::s3://bucket/a", "s3://a::file:///etc/passwd", "data://x",
    ],
)  # fmt: skip
def test_other_urls_are_refused(url):
    with pytest.raises(OptionError, match=r"file:///PATH, or a URL|starts with one of"):
        place_of(url)


def test_the_parts_of_an_object():
    path = RemotePath("s3://bucket/frames/a#1?.x.png")
    assert (path.name, path.stem, path.suffix, path.scheme) == ("a#1?.x.png", "a#1?.x", ".png", "s3")
    assert path.parent == RemotePath("s3://bucket/frames")
    assert path.with_name("b.npy") == RemotePath("s3://bucket/frames/b.npy")
    assert path.is_below(path.parent)
    assert not RemotePath("s3://bucket/frames2/a").is_below(path.parent)
    assert pickle.loads(pickle.dumps(path)) == path  # noqa: S301


@pytest.mark.parametrize(
    "url", ["https://host/f/..%2Fevil.png", "https://host/f/%2e%2e", "https://h/a%00.png"]
)
def test_a_name_that_leads_elsewhere_is_refused(url):
    with pytest.raises(OptionError, match="the name of a file or a folder"):
        place_of(url)


def test_what_one_process_has_goes_to_no_other():
    with pytest.raises(OptionError, match="a store that several processes see"):
        pickle.dumps(RemotePath("memory://a.png"))


def test_names_of_web_servers_are_quoted():
    folder = RemotePath("https://host/f/")
    assert (folder / "a b.png").url == "https://host/f/a%20b.png"
    assert (folder / "a b.png").name == "a b.png"


@pytest.mark.parametrize(
    ("url", "is_file"),
    [
        ("s3://b/a.png", True),
        ("s3://b/v1.2", False),
        ("s3://b/frames", False),
        ("s3://b/a.png/", False),
        ("https://h.com", False),
        ("s3://b.v2", False),
    ],
)
def test_a_suffix_says_what_is_a_file(url, is_file):
    assert is_file_place(RemotePath(url)) is is_file


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hunter2@host/a.png", "https://host/a.png?X-Amz-Signature=hunter2", "s3://key:hunter2@bucket/a",
        "https://host/a.png#hunter2", "https://hunter2@host/", "https://host/it's/a.png?token=hunter2",
        "https://host/f (1)/a.png?token=hunter2", "https://host/a.png?x=(1)'hunter2", "az://c/a.png?sig=hunter2",
        "https://me:it's)hunter2@host/a.png", "s3://key:a/hunter2@bucket/a",
    ],
)  # fmt: skip
def test_secrets_of_a_url_are_not_shown(url):
    path = RemotePath(url)
    shown = [str(path), repr(path), f"{path}", repr([path])]
    if not {*"( )"} & {*url} and "a/h" not in url:  # where a URL ends in a text is then not known
        shown.append(without_secrets(f"cannot open '{url}'"))
    assert not [text for text in shown if "hunter2" in text]
    with pytest.raises(OptionError) as refused:
        place_of("ftp://" + url.partition("://")[2])
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://me@h:80/x@2x.png", "https://***@h:80/x@2x.png"),
        ("https://h:80/x@2x.png", "https://h:80/x@2x.png"),
        ("s3://bucket/what?/a@b.png", "s3://bucket/what?/a@b.png"),
    ],
)
def test_what_is_not_secret_is_shown(url, said):
    assert str(RemotePath(url)) == said


def test_an_answer_that_repeats_a_secret_is_shown_without_it():
    path = RemotePath("https://me:hunter 2@host/a.png?token=abc)def")
    with pytest.raises(FileError) as refused, _asked(path, "a file"):
        raise ValueError("me:hunter 2 and hunter%202 may not see token=abc)def")
    assert str(refused.value).count("***") >= 4
    assert not [part for part in ("hunter", "abc") if part in str(refused.value)]


@pytest.mark.parametrize("url", ["s3://bucket/a.npy", "https://host/it's a.npy?token=hunter2"])
def test_what_reads_and_writes_here_alone_makes_no_folder_of_a_url(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image, ids = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.int64)
    for work in (
        lambda: propose_large(image, url, load_proposer("superpixels")),
        lambda: propose_large(url, tmp_path / "regions"),
        lambda: fuse_large(np.ones((20, 20), np.float32), ids, url),
        lambda: fuse_large(url, ids, tmp_path / "fused.npy"),
        lambda: run_benchmark("folder", data=tmp_path, out=url, scores=tmp_path),
        lambda: run_benchmark("folder", data=url, out=tmp_path / "out", scores=tmp_path),
        lambda: open_dataset("folder", url),
        lambda: load_proposer(url),
        lambda: RegionMapFolder(url),
        lambda: read_regions(url),
        lambda: CSLNetwork.from_pretrained(url),
    ):
        with pytest.raises(OptionError, match="expected a path of this machine") as refused:
            work()
        assert "hunter2" not in str(refused.value)
    assert not list(tmp_path.iterdir())
    assert local_path(tmp_path.as_uri(), "here") == tmp_path
