"""The errors of loading a network, measured against a Hub on this machine.

`python -m benchmarks.guide.hub` writes docs/guide/hub.md; the tests compare its messages.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "tests"))

from huggingface_hub import constants  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from csl_plugin.errors import CSLError  # noqa: E402
from csl_plugin.io import atomic_path  # noqa: E402
from csl_plugin.models import CSLNetwork, NetworkConfig  # noqa: E402
from tests.helpers.hub_server import Hub, Repository, hub_server  # noqa: E402

PAGE = ROOT / "docs" / "guide" / "hub.md"
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
            "DOWNLOAD_CHUNK_SIZE": 1 << 16,  # so that half a small file is there when the connection is lost
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

`CSLNetwork.from_pretrained(source)` and `load_proposer(source)` read a folder or a repository on the Hub. Of
a CSL network they read `config.json` and `model.safetensors` only, and never a pickle. All files come from
one commit. A full commit as `revision` is looked up in the cache first, and needs no request if it is there.
A branch or a tag is requested from the Hub, and read from the cache if the Hub does not answer. Tokens come
from `token=...`, `HF_TOKEN` or `hf auth login`; `HF_ENDPOINT` names another Hub, `HF_HUB_OFFLINE=1` none.

Nothing is allocated before sizes are known. The Hub reports the size of a file before the download, the
configuration is checked against bounds, the network is built without memory, and the names and shapes in the
file of weights are compared with it before any weight is read. The SHA-256 of weights from the Hub is checked
at every load, and weights that are not finite are refused.

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
