"""The errors of loading a network, measured against a Hub on this machine.

`python -m benchmarks.guide.hub` writes docs/guide/hub.md; the tests compare its messages.
"""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from csl_plugin.errors import CSLError
from csl_plugin.io import atomic_path
from csl_plugin.models import CSLNetwork, NetworkConfig
from tests.helpers.hub_server import Hub, Repository, hub_server

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "hub.md"
_CONFIG = NetworkConfig(
    num_queries=4, embedding_width=8, query_width=8, num_heads=1, num_layers=1, feedforward_width=8
)
_NOWHERE = "http://127.0.0.1:9"
_WEIGHTS = "model.safetensors"


@dataclass
class Stage:
    """A Hub with the network as me/regions, the same network in a folder, and an empty cache.

    Attributes:
        hub: The server.
        repository: Of me/regions.
        folder: The output of `save_pretrained`.
        cache: The folder of downloads.
        options: For `from_pretrained`.
        source: The network to load.
    """

    hub: Hub
    repository: Repository
    folder: Path
    cache: Path
    options: dict[str, Any] = field(default_factory=dict)
    source: str | Path = "me/regions"

    def load(self) -> CSLNetwork:
        """Load the network as the options say."""
        return CSLNetwork.from_pretrained(self.source, cache_dir=self.cache, **self.options)

    def commit(self) -> str:
        """The commit of the branch main."""
        return self.repository.refs["main"]

    def files(self) -> dict[str, bytes]:
        """The files of that commit, which may be changed."""
        return self.repository.commits[self.commit()]

    def disconnect(self) -> None:
        """Point to an address where no server answers."""
        _point_to(_NOWHERE)


@dataclass(frozen=True)
class Fault:
    """A fault, and how to cause it."""

    name: str
    prepare: Callable[[Stage], object]
    slow: bool = False


@contextmanager
def stage() -> Iterator[Stage]:
    """A Hub, a folder and a cache without faults, until the block ends."""
    before = constants.ENDPOINT, constants.HUGGINGFACE_CO_URL_TEMPLATE
    with tempfile.TemporaryDirectory() as place, hub_server() as hub:
        folder = Path(place) / "network"
        torch.manual_seed(0)
        CSLNetwork(_CONFIG).save_pretrained(folder)
        repository = hub.repositories["me/regions"] = Repository()
        repository.commit({path.name: path.read_bytes() for path in folder.iterdir()})
        _point_to(hub.url)
        changed = {
            "HF_HUB_DISABLE_XET": True,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": f"{place}/cache",
            "HF_TOKEN_PATH": f"{place}/no token",
        }
        try:
            with patch.multiple(constants, **changed):
                yield Stage(hub, repository, folder, Path(place) / "cache")
        finally:
            constants.ENDPOINT, constants.HUGGINGFACE_CO_URL_TEMPLATE = before


def _point_to(url: str) -> None:
    constants.ENDPOINT = url
    constants.HUGGINGFACE_CO_URL_TEMPLATE = url + "/{repo_id}/resolve/{revision}/{filename}"


def answer(fault: Fault) -> tuple[str, float]:
    """The message that the user sees, without paths and hashes, and the seconds until it."""
    with stage() as place:
        fault.prepare(place)
        asked = len(place.hub.requests)
        start = time.perf_counter()
        try:
            place.load()
        except CSLError as error:
            text = str(error)
        else:
            requests = len(place.hub.requests) - asked
            text = "it loads" + ("" if requests else ", without a request")
        return _placeless(text, place), time.perf_counter() - start


def _placeless(text: str, place: Stage) -> str:
    text = text.replace(str(place.folder), "FOLDER").replace(str(place.cache), "CACHE")
    text = re.sub(r"no answer from the Hub \((?!status)[^)]*\)+", "no answer from the Hub (REASON)", text)
    text = re.sub(r"cannot be read \(.*?\), expected", "cannot be read (REASON), expected", text)
    text = re.sub(r"\b[0-9a-f]{64}\b", "SHA256", text)
    return re.sub(r"\b[0-9a-f]{40}\b", "COMMIT", text)


# The causes of the faults


def _nothing(_: Stage) -> None:
    pass


def _cached(then: Callable[[Stage], object]) -> Callable[[Stage], object]:
    def prepare(place: Stage) -> None:
        place.load()
        then(place)

    return prepare


def _pinned(place: Stage) -> None:
    place.options["revision"] = place.commit()
    place.disconnect()


def _offline(_: Stage) -> None:
    constants.HF_HUB_OFFLINE = True


def _options(**options: Any) -> Callable[[Stage], object]:
    return lambda place: place.options.update(options)


def _source(name: str) -> Callable[[Stage], object]:
    return lambda place: setattr(place, "source", name)


def _private(**options: Any) -> Callable[[Stage], object]:
    def prepare(place: Stage) -> None:
        place.hub.private["me/regions"] = "hf_right"
        place.options.update(options)

    return prepare


def _hub(**faults: Any) -> Callable[[Stage], object]:
    def prepare(place: Stage) -> None:
        for name, value in faults.items():
            setattr(place.hub, name, value)

    return prepare


def _only_a_pickle(place: Stage) -> None:
    place.files()["pytorch_model.bin"] = place.files().pop(_WEIGHTS)


def _cut_once(place: Stage) -> None:
    place.hub.cut[_WEIGHTS] = [len(place.files()[_WEIGHTS]) // 2]


def _cut_always(place: Stage) -> None:
    place.hub.cut[_WEIGHTS] = [0] * 20


def _gone_in_between(place: Stage) -> None:
    _cut_once(place)
    place.hub.statuses["rest of " + _WEIGHTS] = 416


def _shortened(place: Stage) -> None:
    place.hub.replaced[_WEIGHTS] = place.files()[_WEIGHTS][:-1000]


def _flipped(place: Stage) -> None:
    content = bytearray(place.files()[_WEIGHTS])
    content[-3] ^= 1
    place.hub.replaced[_WEIGHTS] = bytes(content)


def _flipped_under_another_etag(place: Stage) -> None:
    _flipped(place)
    place.hub.etags[_WEIGHTS] = "version-1"


def _sign_in_page(place: Stage) -> None:
    place.files()["config.json"] = b"<html>Sign in to the wireless network</html>"


def _in_folder(change: Callable[[Path], object]) -> Callable[[Stage], object]:
    def prepare(place: Stage) -> None:
        place.source = place.folder
        change(place.folder)

    return prepare


def _folder_with_revision(place: Stage) -> None:
    place.source = place.folder
    place.options["revision"] = "v1"


def _folder_with_variant(place: Stage) -> None:
    _one_variant(place.folder)
    place.source = place.folder
    place.options["variant"] = "bf16"


def _pointer(folder: Path) -> None:
    text = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 11800000\n"
    (folder / _WEIGHTS).write_text(text)


def _one_variant(folder: Path) -> None:
    (folder / _WEIGHTS).rename(folder / "model.fp16.safetensors")


def _variants(folder: Path) -> None:
    (folder / "model.bf16.safetensors").write_bytes((folder / _WEIGHTS).read_bytes())
    _one_variant(folder)


def _index_elsewhere(folder: Path) -> None:
    (folder / _WEIGHTS).unlink()
    index = {"weight_map": {"query_features": "../../other.safetensors"}}
    (folder / f"{_WEIGHTS}.index.json").write_text(json.dumps(index))


def _cut_file(folder: Path) -> None:
    path = folder / _WEIGHTS
    path.write_bytes(path.read_bytes()[:-1000])


def _weights(
    change: Callable[[dict[str, torch.Tensor]], dict[str, torch.Tensor]],
) -> Callable[[Stage], object]:
    def rewrite(folder: Path) -> None:
        save_file(change(load_file(folder / _WEIGHTS)), folder / _WEIGHTS)

    return _in_folder(rewrite)


def _configuration(**values: Any) -> Callable[[Stage], object]:
    def rewrite(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return _in_folder(rewrite)


def _without(weights: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    return {key: value for key, value in weights.items() if key != name}


FAULTS = (
    Fault("none: the first load", _nothing),
    Fault("a commit that is in the cache, and no network", _cached(_pinned)),
    Fault("a branch that is in the cache, and no network", _cached(Stage.disconnect)),
    Fault("no network, and nothing in the cache", Stage.disconnect),
    Fault("HF_HUB_OFFLINE, and it is in the cache", _cached(_offline)),
    Fault("HF_HUB_OFFLINE, and nothing in the cache", _offline),
    Fault("local_files_only, and nothing in the cache", _options(local_files_only=True)),
    Fault("a Hub that never answers", _hub(silent=15.0), slow=True),
    Fault("no such repository (401)", _source("me/nothing")),
    Fault("a private repository, no token (401)", _private()),
    Fault("a private repository, the wrong token (401)", _private(token="hf_wrong")),  # noqa: S106
    Fault("a private repository and its token", _private(token="hf_right")),  # noqa: S106
    Fault("a gated repository (403)", _hub(closed={"me/regions"})),
    Fault("no such revision (404)", _options(revision="v7")),
    Fault("no weights in it (404)", lambda place: place.files().pop(_WEIGHTS)),
    Fault("only a pickle in it", _only_a_pickle),
    Fault("an invalid name", _source("two words")),
    Fault("the Hub overloaded (429)", _hub(broken=429)),
    Fault("the Hub out of order (503)", _hub(broken=503)),
    Fault("the Hub out of order (503), and it is in the cache", _cached(_hub(broken=503))),
    Fault("only the weights out of order (503)", _hub(statuses={_WEIGHTS: 503})),
    Fault("the connection lost once", _cut_once, slow=True),
    Fault("the connection lost every time", _cut_always, slow=True),
    Fault("the rest of a download is refused (416)", _gone_in_between, slow=True),
    Fault("a download cut short", _shortened),
    Fault("a bit flipped on the way", _flipped),
    Fault("an ETag that leads out of the cache", _hub(etags={_WEIGHTS: "../../../../x"})),
    Fault("a commit that leads out of the cache", _hub(commit="../../x")),
    Fault("a revision that leads out of the cache", _options(revision="../../victim")),
    Fault("an ETag that is no digest, and a bit flipped on the way", _flipped_under_another_etag),
    Fault("more than was stated", _hub(endless={_WEIGHTS})),
    Fault("a byte every tenth of a second", _hub(dripping={_WEIGHTS}), slow=True),
    Fault("a redirect to a file", _hub(redirects={_WEIGHTS: "file:///etc/hostname"})),
    Fault("a sign-in page in place of the configuration", _sign_in_page),
    Fault("weights of a terabyte", _hub(declared={_WEIGHTS: 1 << 40})),
    Fault("a configuration of a terabyte", _hub(declared={"config.json": 1 << 40})),
    Fault("a folder, and a revision", _folder_with_revision),
    Fault("a folder with a cut file", _in_folder(_cut_file)),
    Fault("a folder with renamed weights", _weights(lambda w: {"module." + k: v for k, v in w.items()})),
    Fault("a folder with a weight missing", _weights(lambda w: _without(w, "query_features"))),
    Fault("a folder with an unknown weight", _weights(lambda w: {**w, "other": torch.zeros(1)})),
    Fault(
        "a folder with a weight of another shape",
        _weights(lambda w: {**w, "query_features": torch.zeros(3, 8)}),
    ),
    Fault(
        "a folder with nan",
        _weights(lambda w: {**w, "query_features": torch.full_like(w["query_features"], torch.nan)}),
    ),
    Fault(
        "a folder with a pickle",
        _in_folder(lambda folder: (folder / _WEIGHTS).rename(folder / "pytorch_model.bin")),
    ),
    Fault("a folder with a pointer of Git LFS", _in_folder(_pointer)),
    Fault("a folder with several variants alone", _in_folder(_variants)),
    Fault("a folder with one variant alone", _in_folder(_one_variant)),
    Fault("an index that names a file elsewhere", _in_folder(_index_elsewhere)),
    Fault("a variant that is not there", _folder_with_variant),
    Fault("a configuration of the largest network", _configuration(query_width=1024, num_layers=24)),
    Fault("a configuration with a number out of bounds", _configuration(num_queries=10**9)),
    Fault("a configuration with an unknown name", _configuration(num_querys=4)),
)


def duration(seconds: float) -> str:
    """Seconds on the page: one significant digit, since machines differ."""
    return "< 0.1 s" if seconds < 0.1 else f"{float(f'{seconds:.1g}'):g} s"


def row(fault: Fault, seen: str, seconds: str) -> str:
    """A line of the table."""
    return f"| {fault.name} | {seen.replace('|', chr(92) + '|')} | {seconds} |"


_HEAD = """# Loading a network, and its errors

Written by `python -m benchmarks.guide.hub`; do not edit. The tests compare its messages.

`CSLNetwork.from_pretrained(source)` and `load_proposer(source)` read a folder or a repository on the Hub,
OWNER/NAME. Of a CSL network they read `config.json` and the weights, of a model of transformers also the
image processor's JSON, and never a pickle. Tokens come from `token=...`, `HF_TOKEN` or `hf auth login`;
`HF_ENDPOINT` names another Hub, `HF_HUB_OFFLINE=1` none.

## Which weights

`model.safetensors`, else the shards that `model.safetensors.index.json` names. With `variant="fp16"`
`model.fp16.safetensors`, else the shards of `model.safetensors.index.fp16.json`. If there is none without a
variant, and only one variant, that one is taken. The index is checked before a shard is opened: every name is
that of a safetensors file beside it, there are at most 256, and together they are no larger than one file may
be. Then every weight has to be in exactly the shard that the index names, and no weight in two.

`subfolder="models/regions"` names a folder in the folder or the repository: all files come from there.

## A folder is local

No address is looked up and no connection made for a folder, whatever its `config.json` names. A name without
a folder is a repository only in the form OWNER/NAME.

## A repository

All files come from one commit. A full commit as `revision` is looked up in the cache first, and needs no
request if it is there. A branch or a tag is requested from the Hub, and read from the cache if the Hub does
not answer.

**Names.** A revision that git would not allow, or that is no path inside a folder on every system, is refused
without a request. Of the Hub's answers, a commit has to be a hash and an ETag printable and no way out of a
folder; else nothing is written. An ETag becomes the name of a file only if it is a digest. The files that are
asked for have fixed names, or names from an index that were checked.

**What is compared.** Each file is compared when it is downloaded, before it enters the cache, and again each
time it is loaded from there:

| the Hub's ETag is | compared with |
|---|---|
| 64 hexadecimal digits (files in LFS or Xet, as weights are) | the SHA-256 of the content |
| 40 hexadecimal digits (files in git, as `config.json` is) | git's hash of the content |
| something else (some mirrors) | at the download the digest in the Hub's list of files |

Where an ETag is no digest and the list has none, only the size is compared at the download. In both cases the
cache holds the content under its own SHA-256, with which it is compared each time. Not compared are files
that another program put into the cache under another name, and, on systems without links, what lies in the
cache after the download. The digests come from the Hub: they find damage, and not a Hub that lies about the
content too. Pin a commit, and use a Hub that you trust. The networks inside the package (`csl-tiny` and so
on) are compared with SHA-256 sums in the code each time `load_proposer` loads them by name, and not if their
folder is passed. Files of other folders are not compared with anything but the configuration.

**Sizes.** The Hub states the size of a file before the download; one that is larger than the network can need
is not downloaded, and no more is written than was stated: at most 1 MiB of configuration, 4 MiB of an index,
4 GiB of weights for models of transformers. Of the Hub's list of files at most 4 MiB are read; of error
answers and redirects nothing. Compressed answers are refused.

**Time.** Besides huggingface_hub's timeouts for a connection that sends nothing (10 s), every exchange, its
redirects and retries included, may take 30 s and one second more for every 32 KiB that came. A Hub that sends
less is left: the cached file is used, or the error says "no answer". A lost connection is taken up where it
was, six times without a new byte and 50 times altogether. An upload (`push_to_hub`) is huggingface_hub's
alone and has none of these limits.

**Other places.** Redirects are followed five times, over http or https, and never from one to the other. The
token is sent to no host but that of the Hub; only the question for a file's size takes it, as huggingface_hub
does, along a redirect from a mirror to huggingface.co. Files are downloaded over plain HTTP, also those that
the Hub keeps in Xet.

## Memory

Nothing is allocated before sizes are known. The configuration is checked against bounds, the network is built
without memory, and the names and shapes in the header of the weights, of at most 8 MiB, are compared with it
before any weight is read. Weights that are not finite are refused.

A model of transformers is first built without memory too, and its construction stops with the first parameter
beyond those that its files hold (and 16 million, so that a missing weight can be named). Its other buffers
may take four bytes for each stored weight, and 64 MiB. No number in its configuration is above 2^20, no image
side above 8192, no number of layers above 1000 (2000 altogether), of classes above 65536, no kernel, stride
or padding above 256, no list longer than 4096. What a model does with an image is its own: attention over a
large image takes the memory that it takes.

## What of a model's configuration is ignored

At every level: `attn_implementation` and everything else that ends so, `auto_map` and every other `..._map`,
`kernel_config`, `use_kernels`, `trust_remote_code`, `code_revision`, `custom_...`, quantization, adapters
(also `adapter_config.json`), `transformers_weights`, `fusion_config`, `..._plan`, `distributed...`, `dtype`
and `torch_dtype`, `use_pretrained_backbone`, `pretrained_cfg`, `return_dict`, `torchscript`,
`output_attentions`, `output_hidden_states`, `pruned_heads`, names of paths, hashes and versions, and every
name that starts with an underscore. transformers builds the model from the rest, with
`trust_remote_code=False`, in float32, and its attention has to be "eager" or "sdpa"; it reads no file itself.
`backbone: "NAME"` without a `backbone_config` is refused, because only the Hub knows what it is; an
architecture of timm is built without its weights, for DETR and Conditional DETR, and as the `timm_wrapper` of
EdgeTAM. Of that one's `model_args` those are taken that say which maps of features it gives; any other is
refused.

## What the user sees

The table was measured against a Hub on the same machine. Capitals stand for values that differ from case to
case. Times are until the answer, without the import of torch.

| fault | what the user sees | time |
|---|---|---|
"""


def main() -> None:
    """Cause every fault and write the page."""
    lines = []
    answer(FAULTS[0])  # imports at the first load are not the Hub's time
    for fault in FAULTS:
        seen, seconds = answer(fault)
        lines.append(row(fault, seen, duration(seconds)))
        print(lines[-1], flush=True)
    with atomic_path(PAGE) as temporary:
        temporary.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
