"""Every kind of model of transformers, in shards, as variants and in subfolders; from folders and a Hub."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from huggingface_hub import constants

pytest.importorskip("transformers")

import transformers as hf

from csl_plugin import load_proposer
from csl_plugin.errors import FileError, MissingExtraError, OptionError
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import proposer_from_model
from csl_plugin.proposers.identity import identity_of
from csl_plugin.proposers.transformers.families import MODEL_TYPES
from tests.helpers.hub_server import Repository, hub_server
from tests.helpers.tiny_segmenters import MASK_CLASSIFIERS, POINTED, build

# transformers 4.57's OneFormer
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")

INNER = "models/regions"


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


def publish(hub, folder):
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    repository = hub.repositories["you/model"] = Repository()
    return repository.commit(files)


def test_the_table_names_classes_of_transformers():
    """Those that this version lacks are refused by name; every other one has a model of the tests."""
    tested = {*MASK_CLASSIFIERS, *POINTED, "sam2_video", "edgetam_video", "sam3_tracker_video", "sam3_video"}
    assert set(MODEL_TYPES) == tested
    if int(hf.__version__.partition(".")[0]) >= 5:
        assert {family.model for family in MODEL_TYPES.values()} <= set(dir(hf))
        assert set(MODEL_TYPES) <= set(hf.CONFIG_MAPPING)


@pytest.mark.parametrize("name", [*MASK_CLASSIFIERS, *POINTED])
def test_in_shards_of_a_variant_in_a_subfolder(name, tmp_path, hub):
    model = build(name)
    expected = proposer_from_model(model).made_of()
    size = sum(value.numel() * 4 for value in model.state_dict().values()) // 3
    folder = tmp_path / "repository"
    model.save_pretrained(folder / INNER, variant="fp16", max_shard_size=size)
    assert len(list((folder / INNER).glob("model.fp16-*-of-*.safetensors"))) >= 2
    (folder / "config.json").write_text('{"model_type": "bert"}')
    assert load_proposer(folder, subfolder=INNER).made_of() == expected
    commit = publish(hub, folder)
    loaded = load_proposer("you/model", variant="fp16", subfolder=INNER)
    assert loaded.made_of() == expected
    assert not [request for request in hub.requests if request.endswith("main/config.json")]
    hub.requests.clear()
    assert load_proposer("you/model", revision=commit, variant="fp16", subfolder=INNER).made_of() == expected
    assert [request for request in hub.requests if "/resolve/" in request] == []
    images = torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))
    (proposals,) = loaded(images)
    assert 0 <= proposals.scores.min() <= proposals.scores.max() <= 1
    assert 0 <= proposals.validity.min() <= proposals.validity.max() <= 1


def test_a_csl_network_in_a_subfolder(tmp_path, hub):
    torch.manual_seed(0)
    options = {"embedding_width": 8, "query_width": 8, "num_heads": 1, "feedforward_width": 8}
    network = CSLNetwork(NetworkConfig(num_queries=4, num_layers=1, **options)).eval()
    network.save_pretrained(tmp_path / "repository" / "a")
    commit = publish(hub, tmp_path / "repository")
    expected = identity_of(load_proposer(tmp_path / "repository" / "a"))
    for source, more in (
        (tmp_path / "repository", {}),
        ("you/model", {}),
        ("you/model", {"revision": commit}),
    ):
        assert identity_of(load_proposer(source, subfolder="a", **more)) == expected
        CSLNetwork.from_pretrained(source, subfolder="a", **more)
    with pytest.raises(FileError, match=r"b/config\.json.*no such file"):
        load_proposer("you/model", subfolder="b")
    with pytest.raises(FileError, match=r"config\.json"):
        load_proposer(tmp_path / "repository", subfolder="b")


@pytest.mark.parametrize(
    "subfolder", ["../a", "a/../b", "/a", "a//b", "a\\b", "", ".", "a/", 5, "a\0", "con"]
)
def test_a_subfolder_is_inside(tmp_path, subfolder):
    (tmp_path / "a").mkdir()
    for source in (tmp_path / "a", "you/model"):
        with pytest.raises(OptionError, match=r"subfolder: got.*names with / between them"):
            load_proposer(source, subfolder=subfolder)


def test_sources_without_subfolders():
    for source in ("superpixels", "csl-tiny:5", "csl-tiny+superpixels"):
        with pytest.raises(OptionError, match="no subfolder of"):
            load_proposer(source, subfolder="a")


def test_a_video_processor_says_how_to_normalize(tmp_path):
    build("videomt").save_pretrained(tmp_path)
    (tmp_path / "video_preprocessor_config.json").write_text('{"image_mean": [0.1, 0.2, 0.3]}')
    assert load_proposer(tmp_path).normalization.mean == (0.1, 0.2, 0.3)
    (tmp_path / "video_preprocessor_config.json").unlink()
    nested = {"video_processor": {"image_std": [0.5, 0.5, 0.5]}}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    assert load_proposer(tmp_path).normalization.deviation == (0.5, 0.5, 0.5)


def test_what_a_processor_does_not_say_is_as_published(tmp_path):
    build("sam3_tracker").save_pretrained(tmp_path)
    assert load_proposer(tmp_path).normalization.mean == (0.5, 0.5, 0.5)
    (tmp_path / "processor_config.json").write_text('{"image_processor": {"size": {"height": 64}}}')
    assert load_proposer(tmp_path).normalization.mean == (0.5, 0.5, 0.5)


def test_a_kind_that_this_version_lacks_is_named(tmp_path, monkeypatch):
    build("mask2former").save_pretrained(tmp_path)
    monkeypatch.delitem(hf.CONFIG_MAPPING._mapping, "mask2former")
    with pytest.raises(MissingExtraError, match=r"has no Mask2Former.*pip install --upgrade transformers"):
        load_proposer(tmp_path)


def test_a_folder_is_copied_whole_or_says_what_is_missing(tmp_path):
    folder = tmp_path / "model"
    build("rf_detr").save_pretrained(folder / INNER)
    shutil.move(folder / INNER / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(FileError, match=r"regions/model\.safetensors"):
        load_proposer(folder, subfolder=INNER)
