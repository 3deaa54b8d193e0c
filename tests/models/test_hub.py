"""Networks to and from folders and a Hub that runs on this machine."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import try_to_load_from_cache
from safetensors.torch import load_file, save, save_file

from csl_plugin import load_proposer
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.models import CSLNetwork, NetworkConfig, load_backbone_weights
from tests.helpers.hub_server import Hub, Repository, hub_server

CONFIG = NetworkConfig(
    num_queries=4,
    embedding_width=8,
    query_width=8,
    num_heads=1,
    num_layers=1,
    feedforward_width=8,
    num_classes=2,
    points=True,
    boundary=True,
)


@pytest.fixture(scope="module")
def network() -> CSLNetwork:
    torch.manual_seed(0)
    return CSLNetwork(CONFIG).eval()


@pytest.fixture
def folder(network, tmp_path):
    network.save_pretrained(tmp_path / "network")
    return tmp_path / "network"


@pytest.fixture
def hub(monkeypatch, tmp_path) -> Hub:
    from huggingface_hub import constants

    with hub_server() as hub:
        _point_to(monkeypatch, constants, hub.url)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # uploads by the protocol that is open
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        yield hub


@pytest.fixture
def stored(hub, folder) -> Repository:
    """The network on the Hub, as me/regions."""
    repository = hub.repositories["me/regions"] = Repository()
    repository.commit({path.name: path.read_bytes() for path in folder.iterdir()})
    return repository


def _point_to(monkeypatch, constants, url):
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    copy = "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE"  # of the versions before 1.0
    monkeypatch.setattr(copy, template, raising=False)


def _equal(one: CSLNetwork, other: CSLNetwork) -> bool:
    images = torch.rand(1, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        first, second = one(images), other(images)
    return torch.equal(first.regions[-1].mask_logits, second.regions[-1].mask_logits) and torch.equal(
        first.regions[-1].validity_logits, second.regions[-1].validity_logits
    )


# Folders


def test_a_saved_folder_gives_the_same_network(network, folder):
    loaded = CSLNetwork.from_pretrained(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert not loaded.training
    assert loaded.config == CONFIG
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert _equal(network, loaded)
    assert _equal(network, CSLNetwork.from_pretrained(str(folder), device="cpu"))


def test_loading_draws_nothing(folder):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    CSLNetwork.from_pretrained(folder)
    assert torch.equal(torch.rand(1), expected)


def test_the_card_names_the_library_and_says_how_to_load(network, folder):
    card = (folder / "README.md").read_text()
    assert "library_name: csl-plugin" in card
    assert "CSLNetwork.from_pretrained(" in card
    (folder / "README.md").write_text("own card")
    network.save_pretrained(folder)
    assert (folder / "README.md").read_text() == "own card"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_stored_in_another_precision_become_float32(folder, dtype):
    path = folder / "model.safetensors"
    halves = {name: value.to(dtype) for name, value in load_file(path).items()}
    save_file(halves, path)
    for name, value in CSLNetwork.from_pretrained(folder).state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, halves[name].float())


def _prefixed(weights):
    return {"module." + name: value for name, value in weights.items()}


def _without_one(weights):
    return {name: value for name, value in weights.items() if name != "query_features"}


def _with_one_more(weights):
    return {**weights, "other": torch.zeros(1)}


def _reshaped(weights):
    return {**weights, "query_features": weights["query_features"].flatten()}


def _with_nan(weights):
    weights["query_features"][0, 0] = torch.nan
    return weights


def _beyond_float32(weights):
    return {
        **weights,
        "query_features": torch.full(weights["query_features"].shape, 1e300, dtype=torch.float64),
    }


def _integers(weights):
    return {**weights, "query_features": weights["query_features"].long()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_prefixed, "no query_features"),
        (_without_one, "no query_features"),
        (_with_one_more, "other, which is unknown"),
        (_reshaped, r"query_features of \(32,\) for \(4, 8\)"),
        (_with_nan, "query_features with nan or inf"),
        (_beyond_float32, "query_features with nan or inf"),
        (_integers, "query_features of I64"),
    ],
)
def test_other_weights_are_refused(folder, change, said):
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)
    with pytest.raises(FileError, match=said):
        CSLNetwork.from_pretrained(folder)


def test_a_cut_or_damaged_file_is_refused(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    for damaged in (content[:-1], content[:100], b"", b"\xff" * 200, content + b"x"):
        path.write_bytes(damaged)
        with pytest.raises(FileError, match=r"model\.safetensors"):
            CSLNetwork.from_pretrained(folder)


def test_a_pickle_is_never_read_and_the_command_converts_it(network, folder):
    (folder / "model.safetensors").unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    with pytest.raises(FileError, match=r"only pytorch_model\.bin.*Pickles are never read") as said:
        CSLNetwork.from_pretrained(folder)
    python, *arguments = shlex.split(said.value.hint.partition("Convert it once: ")[2])
    assert python == "python"
    subprocess.run([sys.executable, *arguments], cwd=folder, check=True)
    assert _equal(network, CSLNetwork.from_pretrained(folder))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"num_querys": 3}', "num_querys"),
        ('{"num_queries": 1e9}', "num_queries"),
        ('{"num_queries": 1000000}', "num_queries"),
        ("[]", "list"),
        ("{", "no strict JSON"),
        ("\x00", "no strict JSON"),
        ('{"num_queries": 5}', "weights of the network"),
        ("[" * 100_000, "no strict JSON"),
        (" " * (1 << 20) + "{}", "bytes"),
    ],
)
def test_another_configuration_is_refused(folder, text, said):
    (folder / "config.json").write_text(text)
    with pytest.raises(FileError, match=said):
        CSLNetwork.from_pretrained(folder)


def test_a_huge_configuration_takes_no_memory(folder):
    largest = {"query_width": 1024, "num_layers": 24, "feedforward_width": 8192, "embedding_width": 1024}
    (folder / "config.json").write_text(json.dumps(largest))
    start = time.perf_counter()
    with pytest.raises(FileError, match="weights of the network"):
        CSLNetwork.from_pretrained(folder)
    assert time.perf_counter() - start < 5


def test_a_padded_weights_file_is_refused_by_its_size(folder):
    path = folder / "model.safetensors"
    with path.open("ab") as file:
        file.truncate(200 << 20)
    with pytest.raises(FileError, match="209715200 bytes"):
        CSLNetwork.from_pretrained(folder)


def test_options_that_make_no_sense(folder, tmp_path):
    with pytest.raises(OptionError, match="revision"):
        CSLNetwork.from_pretrained(folder, revision="main")
    with pytest.raises(OptionError, match="force_download"):
        CSLNetwork.from_pretrained("me/regions", force_download=True, local_files_only=True)
    with pytest.raises(OptionError, match="device"):
        CSLNetwork.from_pretrained(folder, device="nowhere")
    for missing in (tmp_path / "missing", str(tmp_path / "missing"), "./missing", "~/missing"):
        with pytest.raises(FileError, match="nothing there"):
            CSLNetwork.from_pretrained(missing)
    with pytest.raises(FileError, match="a file"):
        CSLNetwork.from_pretrained(folder / "config.json")


# The Hub


@pytest.mark.filterwarnings("ignore:Use 'content:DeprecationWarning")  # huggingface_hub's way of using httpx
def test_what_was_pushed_comes_back(network, hub, tmp_path):
    pushed = network.push_to_hub("me/regions", token="hf_test")  # noqa: S106
    (oid,) = hub.repositories["me/regions"].commits
    assert oid in pushed.commit_url
    assert sorted(hub.repositories["me/regions"].commits[oid]) == [
        "README.md",
        "config.json",
        "model.safetensors",
    ]
    hub.requests.clear()
    loaded = CSLNetwork.from_pretrained("me/regions", cache_dir=tmp_path / "own")
    assert _equal(network, loaded)
    asked = {request.rsplit("/", 1)[1] for request in hub.requests if "/resolve/" in request}
    assert asked == {"config.json", "model.safetensors"}
    assert (tmp_path / "own").is_dir()


def test_a_revision_pins_both_files(network, hub, stored):
    first = stored.refs["main"]
    stored.refs["v1"] = first
    torch.manual_seed(9)
    other = CSLNetwork(CONFIG).eval()
    stored.commit({"model.safetensors": save(other.state_dict())})
    assert _equal(CSLNetwork.from_pretrained("me/regions"), other)
    assert _equal(CSLNetwork.from_pretrained("me/regions", revision="v1"), network)
    hub.requests.clear()
    assert _equal(CSLNetwork.from_pretrained("me/regions", revision=first), network)
    assert hub.requests == []


def test_both_files_come_from_one_commit_while_someone_pushes(network, hub, stored, monkeypatch):
    from csl_plugin.models.hub import mixin as module

    before = module.read_config

    def push_between(path):
        stored.commit({"model.safetensors": b"of the next network"})
        return before(path)

    monkeypatch.setattr(module, "read_config", push_between)
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)


def test_the_cache_serves_without_a_hub(network, hub, stored, monkeypatch):
    with pytest.raises(FileError, match=r"config\.json of me/regions: got not in the cache"):
        CSLNetwork.from_pretrained("me/regions", local_files_only=True)
    CSLNetwork.from_pretrained("me/regions")
    hub.requests.clear()
    assert _equal(CSLNetwork.from_pretrained("me/regions", local_files_only=True), network)
    assert hub.requests == []
    hub.broken = 500
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)
    from huggingface_hub import constants

    _point_to(monkeypatch, constants, "http://127.0.0.1:9")
    start = time.perf_counter()
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)
    for options in ({"force_download": True}, {"revision": "never seen"}):
        with pytest.raises(FileError, match=r"no answer from the Hub.*(pass a folder|omit force_download)"):
            CSLNetwork.from_pretrained("me/regions", **options)
    assert time.perf_counter() - start < 5


def test_a_pinned_network_needs_no_network(network, hub, stored, monkeypatch):
    commit = stored.refs["main"]
    CSLNetwork.from_pretrained("me/regions", revision=commit)
    hub.requests.clear()

    def connect(*_):
        raise AssertionError("something was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    assert _equal(CSLNetwork.from_pretrained("me/regions", revision=commit), network)
    assert repr(load_proposer("me/regions", revision=commit)).startswith("NetworkRegions(")
    assert hub.requests == []


def test_offline_asks_the_cache_alone(network, hub, stored, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(FileError, match=r"not in the cache.*without HF_HUB_OFFLINE"):
        CSLNetwork.from_pretrained("me/regions")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    CSLNetwork.from_pretrained("me/regions")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)
    assert hub.requests == []


def test_a_private_repository_opens_with_its_token(network, hub, stored, monkeypatch):
    from huggingface_hub import constants

    hub.private["me/regions"] = "hf_right"
    with pytest.raises(FileError, match=r"no such repository.*private"):
        CSLNetwork.from_pretrained("me/regions")
    with pytest.raises(FileError, match=r"answer 401.*hf auth login"):
        CSLNetwork.from_pretrained("me/regions", token="hf_wrong")  # noqa: S106
    assert _equal(CSLNetwork.from_pretrained("me/regions", token="hf_right"), network)  # noqa: S106
    Path(constants.HF_TOKEN_PATH).write_text("hf_right\n")
    assert _equal(CSLNetwork.from_pretrained("me/regions", force_download=True), network)
    with pytest.raises(FileError, match="no such repository"):
        CSLNetwork.from_pretrained("me/regions", force_download=True, token=False)


def test_an_interrupted_download_goes_on_where_it_was(network, hub, stored):
    hub.cut["model.safetensors"] = [1 << 20]
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)
    assert hub.cut["model.safetensors"] == []
    assert hub.resumed == ["model.safetensors"]


def test_what_is_not_there_is_said(hub, stored):
    cases = {
        ("me/nothing", None): "no such repository",
        ("me/regions", "v7"): "no revision 'v7'",
        ("a/b/c", None): "no name of a repository",
        ("two words", None): "no name of a repository",
    }
    for (name, revision), said in cases.items():
        with pytest.raises(FileError, match=said):
            CSLNetwork.from_pretrained(name, revision=revision)
        if "/b/" in name or " " in name:
            with pytest.raises(FileError, match=said):
                CSLNetwork.from_pretrained(name, local_files_only=True)
    hub.closed.add("me/regions")
    with pytest.raises(FileError, match=r"access denied.*hf auth login"):
        CSLNetwork.from_pretrained("me/regions", force_download=True)
    hub.closed.clear()
    stored.commits[stored.refs["main"]].pop("model.safetensors")
    stored.commits[stored.refs["main"]]["pytorch_model.bin"] = b"pickle"
    with pytest.raises(
        FileError, match=r"model\.safetensors of me/regions.*only pytorch_model\.bin.*python -c"
    ):
        CSLNetwork.from_pretrained("me/regions")
    assert not any("pytorch_model.bin" in request for request in hub.requests)


def test_a_file_that_is_too_large_is_not_downloaded(hub, stored):
    for name in ("model.safetensors", "config.json"):
        hub.declared[name] = 1 << 40
        hub.requests.clear()
        with pytest.raises(FileError, match=f"{1 << 40} bytes"):
            CSLNetwork.from_pretrained("me/regions")
        assert not any(request.startswith("GET") and request.endswith(name) for request in hub.requests)


def test_a_flipped_bit_is_found(network, hub, stored):
    content = bytearray(stored.commits[stored.refs["main"]]["model.safetensors"])
    content[-3] ^= 1
    hub.replaced["model.safetensors"] = bytes(content)
    with pytest.raises(FileError, match=r"sha256.*Nothing was kept"):
        CSLNetwork.from_pretrained("me/regions")
    with pytest.raises(FileError, match="not in the cache"):
        CSLNetwork.from_pretrained("me/regions", local_files_only=True)
    hub.replaced.clear()
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)
    path = Path(try_to_load_from_cache("me/regions", "model.safetensors"))
    path.write_bytes(bytes(content))  # on the disk
    for options in ({}, {"local_files_only": True}, {"revision": stored.refs["main"]}):
        with pytest.raises(FileError, match=rf"sha256.*Remove {path.resolve()}, and load it again"):
            CSLNetwork.from_pretrained("me/regions", **options)
    path.resolve().unlink()
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)
    path.write_bytes(bytes(content))
    assert _equal(CSLNetwork.from_pretrained("me/regions", force_download=True), network)


def test_an_answer_that_is_no_configuration_is_refused(hub, stored):
    stored.commits[stored.refs["main"]]["config.json"] = b"<html>Sign in to the wireless network</html>"
    with pytest.raises(FileError, match=r"config\.json.*no strict JSON"):
        CSLNetwork.from_pretrained("me/regions")


def test_the_environment_names_the_hub(stored, hub, tmp_path):
    program = (
        "from csl_plugin.models import CSLNetwork\n"
        "print(CSLNetwork.from_pretrained('me/regions').config.num_queries)\n"
    )
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["4"]
    assert hub.requests


# Public weights of the backbone


@pytest.fixture(scope="module")
def resnet() -> CSLNetwork:
    return CSLNetwork(
        NetworkConfig(backbone="resnet50", num_queries=4, embedding_width=8, query_width=8, num_heads=1)
    )


def _public(network: CSLNetwork) -> dict[str, torch.Tensor]:
    """A checkpoint as timm and torchvision write them, of constant weights."""
    weights = {
        name: torch.full_like(value, 0.25)
        for name, value in network.backbone.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    return {**weights, "fc.weight": torch.zeros(1000, 2048), "fc.bias": torch.zeros(1000)}


def test_public_weights_load_strictly(resnet, hub, tmp_path):
    weights = _public(resnet)
    save_file(weights, tmp_path / "model.safetensors")
    load_backbone_weights(resnet, tmp_path)
    for name, value in resnet.backbone.state_dict().items():
        assert name.endswith("num_batches_tracked") or bool((value == 0.25).all())
    changes = {
        "no layer1.0.conv1.weight": {n: v for n, v in weights.items() if n != "layer1.0.conv1.weight"},
        "extra, which is unknown": {**weights, "extra": torch.zeros(1)},
        "backbone.conv1.weight, which is unknown": {
            "backbone." + n if n == "conv1.weight" else n: v for n, v in weights.items()
        },
        r"bn1.weight of \(63,\)": {**weights, "bn1.weight": torch.zeros(63)},
    }
    for said, changed in changes.items():
        save_file(changed, tmp_path / "model.safetensors")
        with pytest.raises(FileError, match=said):
            load_backbone_weights(resnet, tmp_path)
    tracked = {
        name: value for name, value in resnet.backbone.state_dict().items() if name.endswith("tracked")
    }
    hub.repositories["timm/resnet50"] = Repository()
    hub.repositories["timm/resnet50"].commit({"model.safetensors": save({**weights, **tracked})})
    load_backbone_weights(resnet, "timm/resnet50", revision="main")


def test_another_backbone_takes_no_public_weights(network, tmp_path):
    with pytest.raises(OptionError, match="resnet50"):
        load_backbone_weights(network, tmp_path)
    assert issubclass(OptionError, CSLError)


# Models of other libraries on the Hub


def test_a_model_of_transformers_comes_from_one_commit_and_then_from_the_cache(hub, tmp_path):
    pytest.importorskip("transformers")
    from csl_plugin.proposers import proposer_from_model
    from tests.helpers.tiny_segmenters import build

    model = build("mask2former")
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "model" / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5]}')
    (tmp_path / "model" / "pytorch_model.bin").write_bytes(b"a pickle")
    repository = hub.repositories["you/segmenter"] = Repository()
    commit = repository.commit({path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()})
    proposer = load_proposer("you/segmenter")
    assert proposer.normalization.mean == (0.5, 0.5, 0.5)
    same = proposer_from_model(model, normalization=proposer.normalization)
    assert proposer.made_of() == same.made_of()
    files = [request for request in hub.requests if "/resolve/" in request]
    assert {request.rsplit("/", 1)[1] for request in files} == {
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    }
    assert len([request for request in files if request.startswith("GET")]) == 3
    hub.requests.clear()
    assert load_proposer("you/segmenter", revision=commit).made_of() == proposer.made_of()
    assert hub.requests == []


def test_a_file_that_a_commit_lacks_is_asked_for_once(hub, tmp_path):
    pytest.importorskip("transformers")
    from csl_plugin.proposers.transformers.preprocessing import Normalization
    from tests.helpers.tiny_segmenters import build

    build("sam").save_pretrained(tmp_path / "model")
    repository = hub.repositories["you/sam"] = Repository()
    commit = repository.commit({path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()})
    assert load_proposer("you/sam").normalization == Normalization()
    hub.requests.clear()
    assert load_proposer("you/sam", revision=commit).normalization == Normalization()
    assert hub.requests == []
    del repository.commits[commit]["model.safetensors"]
    with pytest.raises(FileError, match=r"no such file"):
        load_proposer("you/sam", revision=repository.commit({"README.md": b"new"}))
