"""Weights in shards, as variants, and as pointers of Git LFS; in folders and on a Hub."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants, save_torch_state_dict
from safetensors.torch import load_file, save_file

from csl_plugin import load_proposer
from csl_plugin._devices import checked_device
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.io import read_image, read_region_map, read_scores
from csl_plugin.models import CSLNetwork, NetworkConfig, load_backbone_weights
from csl_plugin.proposers import NetworkProposals, bundled
from tests.helpers.hub_server import Repository, hub_server
from tests.helpers.mutated_json import mutated

CONFIG = NetworkConfig(
    num_queries=4, embedding_width=8, query_width=8, num_heads=1, num_layers=1, feedforward_width=8
)
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"a" * 64 + b"\nsize 8000000\n"
INDEX = "model.safetensors.index.json"


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CSLNetwork(CONFIG).eval()


@pytest.fixture
def folder(network, tmp_path):
    network.save_pretrained(tmp_path / "network")
    return tmp_path / "network"


@pytest.fixture
def sharded(folder):
    """The network in shards, as huggingface_hub writes them."""
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_torch_state_dict(weights, folder, max_shard_size="4MB")
    assert len(list(folder.glob("model-*.safetensors"))) >= 3
    return folder


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_server() as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.url)
        template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        copy = "huggingface_hub.file_download.HUGGINGFACE_CO_URL_TEMPLATE"  # of the versions before 1.0
        monkeypatch.setattr(copy, template, raising=False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        yield hub


def _publish(hub, folder):
    repository = hub.repositories["me/regions"] = Repository()
    return repository.commit({path.name: path.read_bytes() for path in folder.iterdir()})


def _equal(one, other):
    return all(
        torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    )


# Shards


def test_shards_are_one_network(network, sharded, hub):
    assert _equal(CSLNetwork.from_pretrained(sharded), network)
    assert isinstance(load_proposer(sharded), NetworkProposals)
    commit = _publish(hub, sharded)
    assert _equal(CSLNetwork.from_pretrained("me/regions"), network)
    hub.requests.clear()
    assert _equal(CSLNetwork.from_pretrained("me/regions", revision=commit), network)
    assert hub.requests == []


def test_each_shard_is_compared_with_its_digest(sharded, hub):
    _publish(hub, sharded)
    shard = sorted(sharded.glob("model-*"))[1]
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    hub.replaced[shard.name] = bytes(content)
    with pytest.raises(FileError, match=rf"{shard.name} of me/regions.*sha256"):
        CSLNetwork.from_pretrained("me/regions")


def test_backbones_in_shards(tmp_path):
    resnet = CSLNetwork(
        NetworkConfig(backbone="resnet50", num_queries=4, embedding_width=8, query_width=8, num_heads=1)
    )
    weights = {
        name: torch.full_like(value, 0.5)
        for name, value in resnet.backbone.state_dict().items()
        if "tracked" not in name
    }
    save_torch_state_dict(weights, tmp_path, max_shard_size="40MB")
    load_backbone_weights(resnet, tmp_path)
    assert bool((resnet.backbone.conv1.weight == 0.5).all())


def _changed(folder, change):
    path = folder / INDEX
    values = json.loads(path.read_text())
    values = change(values) or values
    path.write_text(values if isinstance(values, str) else json.dumps(values))


def _first(values):
    return next(iter(values["weight_map"]))


def _others(values):
    names = sorted(set(values["weight_map"].values()))
    return names[1] if values["weight_map"][_first(values)] == names[0] else names[0]


OUTSIDE = (
    "../model.safetensors",
    "/etc/passwd",
    "a/model.safetensors",
    "..\\x.safetensors",
    "C:x.safetensors",
    ".safetensors",
    "nul.safetensors",
    "x.bin",
    "x\0.safetensors",
    "",
)


@pytest.mark.parametrize("name", OUTSIDE)
def test_a_shard_lies_beside_its_index(sharded, hub, name):
    _changed(sharded, lambda v: v["weight_map"].update({_first(v): name}))
    with pytest.raises(FileError, match=r"index\.json, weight_map"):
        CSLNetwork.from_pretrained(sharded)
    _publish(hub, sharded)
    with pytest.raises(FileError, match=r"index\.json, weight_map"):
        CSLNetwork.from_pretrained("me/regions")
    assert not any("passwd" in request or ".." in request for request in hub.requests)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v["weight_map"].pop(_first(v)) and None, "which the index has not"),
        (lambda v: v["weight_map"].update({_first(v): _others(v)}), "no '.*' in model-"),
        (
            lambda v: v["weight_map"].update(more="model-00001-of-00003.safetensors"),
            "no 'more' in|No such file",
        ),
        (lambda v: v["weight_map"].update(more="missing.safetensors"), "missing.safetensors.*No such file"),
        (lambda v: v["weight_map"].update({f"w{i}": f"s{i}.safetensors" for i in range(300)}), "at most 256"),
        (lambda v: {"metadata": {}}, "weight_map"),
        (lambda v: {"weight_map": {}}, "weight_map"),
        (lambda v: {"weight_map": ["a"]}, "weight_map"),
        (lambda v: {"weight_map": {"a": 5}}, "weight_map.a"),
        (lambda v: [v], "an object with weight_map"),
        (lambda v: '{"weight_map": {"a": "b.safetensors", "a": "c.safetensors"}}', "twice"),
        (lambda v: "[" * 100_000, "no strict JSON"),
        (lambda v: json.dumps(v) + " " * (5 << 20), "5[0-9]* bytes"),
    ],
)
def test_an_index_that_contradicts_its_shards_is_refused(sharded, change, said):
    _changed(sharded, change)
    with pytest.raises(FileError, match=said):
        CSLNetwork.from_pretrained(sharded)


@pytest.mark.parametrize("total", [0, 1 << 50, "large", None])
def test_the_bytes_that_an_index_states_are_not_read(sharded, total):
    expected = CSLNetwork.from_pretrained(sharded).state_dict()
    _changed(sharded, lambda v: v["metadata"].update(total_size=total))
    found = CSLNetwork.from_pretrained(sharded).state_dict()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_weight_in_two_shards_is_refused(sharded):
    one, two = sorted(sharded.glob("model-*"))[:2]
    first = load_file(one)
    name = next(iter(first))
    save_file({**load_file(two), name: first[name]}, two)
    with pytest.raises(FileError, match=rf"{name}.*{one.name} has too"):
        CSLNetwork.from_pretrained(sharded)


def test_shards_are_no_larger_together_than_one_file(sharded):
    path = max(sharded.glob("model-*"))
    with path.open("ab") as file:
        file.truncate(60 << 20)
    with pytest.raises(FileError, match="62914560 bytes"):
        CSLNetwork.from_pretrained(sharded)


def test_a_header_out_of_proportion_is_not_parsed(folder):
    path = folder / "model.safetensors"
    for length in (9 << 20, 1 << 62, (1 << 64) - 1):
        path.write_bytes(length.to_bytes(8, "little") + b" " * (10 << 20))
        with pytest.raises(FileError, match=f"a header of {length} bytes"):
            CSLNetwork.from_pretrained(folder)


def test_damaged_networks_end_in_one_kind_of_error(folder):
    config, weights = folder / "config.json", folder / "model.safetensors"
    document, whole = json.loads(config.read_text()), weights.read_bytes()
    for text in mutated(document, 80, seed=2):
        config.write_bytes(text)
        with suppress(CSLError):
            CSLNetwork.from_pretrained(folder)
    config.write_text(json.dumps(document))
    draw = random.Random(4)  # noqa: S311
    length = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(40):
        damaged = bytearray(whole)
        place = draw.randrange(length)
        if draw.random() < 0.5:
            damaged[place] ^= 1 << draw.randrange(8)
        else:
            damaged[place : place + draw.randrange(4)] = draw.randbytes(draw.randrange(4))
        weights.write_bytes(damaged)
        with suppress(CSLError):
            CSLNetwork.from_pretrained(folder)


# Variants


@pytest.fixture
def half(folder):
    """The network in float16 as the variant fp16, and no other file of weights."""
    weights = {name: value.half() for name, value in load_file(folder / "model.safetensors").items()}
    save_file(weights, folder / "model.fp16.safetensors")
    (folder / "model.safetensors").unlink()
    return folder


def test_a_variant_is_named_or_the_only_one(half, hub):
    expected = {name: value.float() for name, value in load_file(half / "model.fp16.safetensors").items()}
    _publish(hub, half)
    for source in (half, "me/regions"):
        for options in ({"variant": "fp16"}, {}):
            loaded = CSLNetwork.from_pretrained(source, **options).state_dict()
            assert all(torch.equal(loaded[name], value) for name, value in expected.items())
            assert load_proposer(source, **options) is not None
        with pytest.raises(
            FileError, match=r"model\.bf16\.safetensors.*only the variants fp16.*the variant \"fp16\""
        ):
            CSLNetwork.from_pretrained(source, variant="bf16")
    shutil.copy(half / "model.fp16.safetensors", half / "model.bf16.safetensors")
    with pytest.raises(FileError, match=r'only the variants bf16, fp16\b.*variant "bf16"'):
        CSLNetwork.from_pretrained(half)


def test_the_plain_weights_come_first(network, folder):
    zeros = {name: torch.zeros_like(value) for name, value in network.state_dict().items()}
    save_file(zeros, folder / "model.fp16.safetensors")
    assert _equal(CSLNetwork.from_pretrained(folder), network)
    assert not _equal(CSLNetwork.from_pretrained(folder, variant="fp16"), network)


def test_a_variant_in_shards(network, sharded):
    (sharded / INDEX).rename(sharded / "model.safetensors.index.fp16.json")
    assert _equal(CSLNetwork.from_pretrained(sharded, variant="fp16"), network)
    assert _equal(CSLNetwork.from_pretrained(sharded), network)


@pytest.mark.parametrize("variant", ["../x", "", "a b", "a/b", "x" * 50, 5, "fp16.safetensors", "a\0"])
def test_a_variant_is_a_word(folder, variant):
    with pytest.raises(OptionError, match="variant"):
        CSLNetwork.from_pretrained(folder, variant=variant)


def test_sources_without_variants(tmp_path):
    for source in ("superpixels", "csl-tiny:5", "csl-tiny+superpixels"):
        with pytest.raises(OptionError, match="variant"):
            load_proposer(source, variant="fp16")


def test_models_of_transformers_in_shards_and_variants(tmp_path, hub):
    pytest.importorskip("transformers")
    from csl_plugin.proposers import proposer_from_model
    from tests.helpers.tiny_segmenters import build

    model = build("sam")
    expected = proposer_from_model(model).made_of()
    for number, options in enumerate(
        ({"max_shard_size": "40KB"}, {"variant": "fp16"}, {"variant": "x", "max_shard_size": "40KB"})
    ):
        folder = tmp_path / str(number)
        model.save_pretrained(folder, **options)
        assert load_proposer(folder).made_of() == expected
        assert load_proposer(folder, variant=options.get("variant")).made_of() == expected
        hub.repositories["you/sam"] = Repository()
        hub.repositories["you/sam"].commit({path.name: path.read_bytes() for path in folder.iterdir()})
        assert load_proposer("you/sam").made_of() == expected


# Pointers of Git LFS


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_a_pointer_in_place_of_a_network_is_named(folder, name):
    (folder / name).write_bytes(POINTER)
    for load in (CSLNetwork.from_pretrained, load_proposer):
        with pytest.raises(FileError, match=rf"{name}: got a pointer of Git LFS.*git lfs pull"):
            load(folder)


def test_a_pointer_in_place_of_a_shard_or_of_another_file_is_named(sharded, tmp_path):
    min(sharded.glob("model-*")).write_bytes(POINTER)
    with pytest.raises(FileError, match=r"model-00001.*git lfs pull"):
        CSLNetwork.from_pretrained(sharded)
    for name, read in (("a.png", read_image), ("b.png", read_region_map), ("c.npy", read_scores)):
        (tmp_path / name).write_bytes(POINTER)
        with pytest.raises(FileError, match=rf"{name}.*git lfs pull"):
            read(tmp_path / name)


# The networks inside the package


def test_bundled_weights_are_compared_when_they_are_loaded(tmp_path, monkeypatch):
    for name, digest in bundled.BUNDLED.items():
        content = (bundled.bundled_folder(name) / "model.safetensors").read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest
    shutil.copytree(bundled.bundled_folder("csl-tiny"), tmp_path / "csl-tiny")
    monkeypatch.setattr(bundled, "_WEIGHTS", tmp_path)
    path = tmp_path / "csl-tiny" / "model.safetensors"
    changed = bytearray(path.read_bytes())
    changed[-1] ^= 1
    path.write_bytes(changed)
    with pytest.raises(FileError, match=r"sha256.*Install csl-plugin again"):
        load_proposer("csl-tiny")
    path.write_bytes(POINTER)
    with pytest.raises(FileError, match="git lfs pull"):
        load_proposer("csl-tiny")


# Devices


@pytest.mark.parametrize(
    "device",
    [
        "foo",
        "",
        "meta",
        "cuda:99",
        "cpu:1",
        -1,
        1.5,
        True,
        b"cpu",
        [],
        "cuda:x",
        torch.device("meta"),
        np.int64(7),
    ],
)
def test_a_device_that_is_not_there_is_named(folder, device):
    loads = (
        lambda: CSLNetwork.from_pretrained(folder, device=device),
        lambda: load_proposer(folder, device=device),
        lambda: load_proposer("csl-tiny", device=device),
        lambda: load_proposer("superpixels", device=device),
        lambda: load_proposer("csl-tiny+superpixels", device=device),
        lambda: load_proposer("me/regions", device=device),
        lambda: checked_device(device),
    )
    for load in loads:
        with pytest.raises(OptionError, match=r"^device: got .*There (is|are): cpu"):
            load()


@pytest.mark.parametrize(
    ("device", "there"), [("cuda", torch.cuda.is_available()), ("mps", torch.backends.mps.is_available())]
)
def test_an_accelerator_only_where_there_is_one(folder, device, there):
    if there:
        assert checked_device(device).type == device
        return
    with pytest.raises(OptionError, match=rf"device: got '{device}', expected a device of this machine"):
        load_proposer(folder, device=device)


@pytest.mark.parametrize(
    "source", [5, b"csl-tiny", [], "x" * 5000, "a\0b", "\ud800", "a/b\0", "x" * 300 + "/y"]
)
def test_a_source_that_is_no_name(source):
    with pytest.raises(CSLError, match="source"):
        load_proposer(source)
    with pytest.raises(CSLError):
        CSLNetwork.from_pretrained(source)
    with pytest.raises(OptionError, match="cache_dir"):
        CSLNetwork.from_pretrained("me/regions", cache_dir=5)


def test_devices_that_are_there():
    for device in (None, "cpu", torch.device("cpu"), "cpu:0"):
        assert checked_device(device).type == "cpu"


def test_the_training_names_the_device_first(tmp_path, capsys):
    from csl_plugin.cli import main

    recipe = Path(bundled.bundled_folder("csl-tiny-open")) / "recipe.json"
    for device in ("foo", "cuda:99", "meta"):
        options = ["--data", str(tmp_path), "--out", str(tmp_path / "out"), "--device", device]
        assert main(["train", str(recipe), *options]) == 2
        assert "device: got" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
