"""Configurations of models of transformers that ask for code, for other repositories or for memory."""

from __future__ import annotations

import json
import random
import resource
import socket
import sys
from contextlib import suppress

import pytest
import torch

pytest.importorskip("transformers")

import transformers as hf
from safetensors.torch import load_file, save_file

from csl_plugin import CSLError, load_proposer
from csl_plugin.errors import FileError, OutputError
from csl_plugin.proposers import proposer_from_model
from csl_plugin.proposers.transformers.families import MODEL_TYPES
from csl_plugin.proposers.transformers.preprocessing import Normalization, read_normalization
from tests.helpers.mutated_json import mutated
from tests.helpers.tiny_segmenters import build

SAVED = (
    "mask2former", "maskformer", "detr", "conditional_detr", "rf_detr", "videomt", "sam", "sam_hq", "sam2",
    "sam3_tracker",
)  # fmt: skip
IMAGES = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """A local folder is loaded without any connection, and without asking for an address."""

    def refuse(*arguments, **_):
        raise AssertionError(f"a connection to {arguments}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    def save(name):
        folder = tmp_path_factory.mktemp(name)
        build(name).save_pretrained(folder)
        return folder

    return {name: save(name) for name in SAVED if getattr(hf, MODEL_TYPES[name].model, None)}


@pytest.fixture
def model(saved, tmp_path):
    """Copies a saved model and changes values of its configuration, by their way into it."""

    def copy(name, changes):
        if name not in saved:
            pytest.skip(f"transformers {hf.__version__} has no {name}")
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "model.safetensors").write_bytes((saved[name] / "model.safetensors").read_bytes())
        config = json.loads((saved[name] / "config.json").read_text())
        for way, value in changes.items():
            *outer, last = way.split(".")
            inner = config
            for part in outer:
                inner = inner[part]
            inner[last] = value
        (folder / "config.json").write_text(json.dumps(config))
        return folder

    return copy


CODE = {
    "attn_implementation": "owner/kernel",
    "_attn_implementation": "owner/kernel",
    "_attn_implementation_internal": "owner/kernel",
    "_attn_implementation_autoset": True,
    "experts_implementation": "owner/kernel",
    "kernel_config": {"Linear": "owner/kernel:Linear"},
    "use_kernels": True,
    "auto_map": {"AutoConfig": "owner/code--configuration.Config", "AutoModel": "owner/code--modeling.Model"},
    "trust_remote_code": True,
    "code_revision": "main",
    "custom_pipelines": {"x": {"impl": "code.Pipeline", "pt": ["AutoModel"]}},
    "quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True},
    "adapter_config": {"base_model_name_or_path": "owner/other"},
    "transformers_weights": "../other.safetensors",
    "fusion_config": {"x": "owner/kernel"},
    "_name_or_path": "owner/other",
    "_commit_hash": "../../other",
    "torch_dtype": "float8_e4m3fn",
    "dtype": "os.system",
    "use_pretrained_backbone": True,
    "torchscript": True,
    "return_dict": False,
}
PLACES = {
    "mask2former": ("", "backbone_config."),
    "maskformer": ("decoder_config.",),
    "sam": ("vision_config.", "mask_decoder_config."),
    "sam2": ("vision_config.backbone_config.",),
}


@pytest.mark.parametrize("name", PLACES)
def test_what_names_code_is_ignored_at_every_level(model, name):
    expected = proposer_from_model(build(name)).made_of()
    changes = {place + key: value for place in PLACES[name] for key, value in CODE.items()}
    proposer = load_proposer(model(name, changes))
    assert proposer.made_of() == expected
    proposer(IMAGES)
    used = {
        part.config._attn_implementation
        for part in proposer.model.modules()
        if hasattr(getattr(part, "config", None), "_attn_implementation")
    }
    assert used <= {None, "eager", "sdpa"}
    nested = model(
        name, {PLACES[name][0] + "attn_implementation": {"": "owner/a", "backbone_config": "owner/b"}}
    )
    assert load_proposer(nested).made_of() == expected


def test_a_folder_with_an_adapter_is_its_own_model(model):
    folder = model("mask2former", {})
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "owner/other"}')
    (folder / "generation_config.json").write_text("{")
    assert load_proposer(folder).made_of() == proposer_from_model(build("mask2former")).made_of()


@pytest.mark.parametrize("name", ["mask2former", "maskformer", "detr", "conditional_detr"])
@pytest.mark.parametrize(
    "changes",
    [
        {"backbone": "resnet50", "use_timm_backbone": False},
        {"backbone": "microsoft/resnet-50"},
        {"backbone": "microsoft/resnet-50", "use_timm_backbone": True, "use_pretrained_backbone": True},
        {"backbone": "hf_hub:owner/name", "use_timm_backbone": True},
        {"backbone": "local-dir:/etc"},
        {"backbone": "resnet50", "use_timm_backbone": True, "backbone_kwargs": {"pretrained": True}},
        {"backbone_config": {"model_type": "timm_wrapper", "architecture": "hf_hub:owner/name"}},
        {"backbone_config": {"model_type": "timm_backbone", "backbone": "hf_hub:owner/name"}},
        {"backbone_config": {"model_type": "bert"}},
        {"backbone_config": "owner/name"},
        {},
    ],
    ids=str,
)
def test_local_means_local(model, name, changes):
    with pytest.raises(FileError):
        load_proposer(model(name, {"backbone_config": None, **changes}))


@pytest.mark.parametrize("name", ["detr", "conditional_detr"])
def test_an_architecture_of_timm_needs_no_hub(model, name):
    for changes in (
        {"backbone_config": None, "backbone": "resnet50", "use_timm_backbone": True},
        {
            "backbone_config": None,
            "backbone": "resnet50",
            "use_timm_backbone": True,
            "use_pretrained_backbone": True,
            "backbone_kwargs": {"out_indices": [1, 2, 3, 4], "checkpoint_path": "/x.pth"},
        },
    ):
        with pytest.raises(CSLError) as caught:  # no timm, or weights that are not its
            load_proposer(model(name, changes))
        assert "connection" not in str(caught.value)
        assert "no name on the Hub" not in str(caught.value)


def test_of_a_timm_wrapper_only_the_maps_of_features_are_asked_for(tmp_path):
    def refused(**changes):
        wrapper = {"model_type": "timm_wrapper", "architecture": "repvit_m1.dist_in1k", **changes}
        config = {"model_type": "edgetam", "vision_config": {"backbone_config": wrapper}}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(FileError) as caught:
            load_proposer(tmp_path)
        return str(caught.value)

    options = {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]}
    assert "model.safetensors" in refused(model_args=options)  # past the configuration, at the weights
    for wrong in ({"pretrained": True}, {"checkpoint_path": "/x.pth"}, {"cache_dir": "/"}):
        assert "only features_only, in_chans" in refused(model_args={**options, **wrong})
    assert "only features_only, in_chans" in refused(model_args="pretrained")
    assert "name of an architecture" in refused(architecture="hf_hub:owner/name", model_args=options)


# Memory


HUGE = [
    ("mask2former", "backbone_config.window_size", 96, "buffers"),
    ("mask2former", "backbone_config.window_size", 1024, "parameters for"),
    ("mask2former", "backbone_config.window_size", 1 << 20, "parameters for"),
    ("mask2former", "num_queries", 1 << 20, "parameters for"),
    ("mask2former", "num_labels", 1 << 20, "num_labels.*at most 65536"),
    ("mask2former", "hidden_dim", 1 << 20, "parameters for|cannot be built"),
    ("mask2former", "backbone_config.depths", [1000] * 4, "layers up to here"),
    ("mask2former", "backbone_config.depths", [1] * 4000, "layers up to here"),
    ("mask2former", "backbone_config.depths", [100] * 4, "tensors for"),
    ("mask2former", "class_weights", [0.5] * 5000, "at most 4096 items"),
    ("maskformer", "decoder_config.decoder_layers", 1000, "tensors for"),
    ("sam", "vision_config.image_size", 1 << 13, "parameters for"),
    ("sam", "vision_config.image_size", 1 << 14, "image_size.*at most 8192"),
    ("sam", "vision_config.patch_size", 1 << 10, "patch_size.*at most 256"),
    ("sam", "mask_decoder_config.num_multimask_outputs", 1000, "tensors for"),
    ("sam2", "vision_config.backbone_config.blocks_per_stage", [900, 1, 1, 1], "tensors for"),
    (
        "sam2",
        "vision_config.backbone_config.window_positional_embedding_background_size",
        [4096, 4096],
        "for",
    ),
    ("rf_detr", "num_queries", 1 << 20, "parameters for"),
    ("rf_detr", "group_detr", 1 << 20, "parameters for|tensors for"),
    ("rf_detr", "backbone_config.num_windows", 1 << 20, "cannot be built.*windows of"),
    ("rf_detr", "backbone_config.num_windows", 0, "cannot be built"),
    ("conditional_detr", "decoder_layers", 1000, "tensors for"),
    ("videomt", "num_hidden_layers", 900, "tensors for"),
    ("sam_hq", "mask_decoder_config.vit_dim", 1 << 20, "parameters for|cannot be built"),
    ("sam3_tracker", "vision_config.backbone_config.num_hidden_layers", 900, "tensors for"),
    ("sam3_tracker", "vision_config.fpn_hidden_size", 1 << 20, "parameters for"),
]


@pytest.mark.skipif(sys.platform == "win32", reason="needs the peak memory of the process")
@pytest.mark.parametrize(("name", "way", "value", "said"), HUGE)
def test_a_huge_number_takes_no_memory(model, name, way, value, said):
    folder = model(name, {way: value})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FileError, match=said):
        load_proposer(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10  # kilobytes


def test_building_is_watched_in_its_own_thread_alone(model, monkeypatch):
    from csl_plugin.proposers.transformers import building

    with building._counted({}):
        others = torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(100))
        with pytest.raises(building.ImplausibleModelError, match="tensors for 0"):
            torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(1000))
    torch.nn.ModuleList(torch.nn.Linear(1, 1) for _ in range(1000))
    assert len(others) == 100


# Damage


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mask2former", "rf_detr", "sam"])
def test_damaged_configurations_end_in_one_kind_of_error(model, name):
    folder = model(name, {})
    document = json.loads((folder / "config.json").read_text())
    loaded = 0
    for text in mutated(document, 100, seed=3):
        (folder / "config.json").write_bytes(text)
        try:
            proposer = load_proposer(folder)
        except CSLError:
            continue
        loaded += 1
        with suppress(CSLError):
            proposer(IMAGES)
    assert loaded


def test_damaged_headers_end_in_one_kind_of_error(model):
    folder, draw = model("sam", {}), random.Random(5)  # noqa: S311
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    length = 8 + int.from_bytes(whole[:8], "little")
    for _ in range(50):
        damaged = bytearray(whole)
        place = draw.randrange(length)
        kind = draw.randrange(4)
        if kind == 0:
            damaged[place] ^= 1 << draw.randrange(8)
        elif kind == 1:
            del damaged[place : place + draw.randrange(1, 9)]
        elif kind == 2:
            damaged[place:place] = draw.randbytes(draw.randrange(1, 9))
        else:
            damaged[draw.randrange(8)] = draw.randrange(256)
        path.write_bytes(damaged)
        with suppress(CSLError):
            load_proposer(folder)


def test_damaged_processors_end_in_one_kind_of_error(tmp_path):
    path = tmp_path / "preprocessor_config.json"
    colors = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.1, 0.2, 0.3], "do_normalize": True}
    outcomes = set()
    for text in mutated({**colors, "image_processor": colors}, 400, seed=1):
        path.write_bytes(text)
        try:
            outcomes.add(type(read_normalization(path)))
        except CSLError as error:
            outcomes.add(type(error))
    assert outcomes == {Normalization, FileError}


@pytest.mark.parametrize(
    "values", [(10**400, 0, 0), ("1", 0, 0), (True, 0, 0), 5, (0, 0), (float("nan"), 0, 0)]
)
def test_colors_that_are_none(values):
    with pytest.raises(CSLError, match="mean"):
        Normalization(mean=values)
    with pytest.raises(CSLError, match="deviation"):
        Normalization(deviation=values)


def test_a_model_that_contradicts_itself_is_named(model):
    proposer = load_proposer(
        model(
            "sam2",
            {
                "vision_config.backbone_config.num_attention_heads_per_stage": [1, 1, 2, 2],
                "vision_config.backbone_config.patch_stride": [0, 0],
            },
        )
    )
    with pytest.raises(OutputError, match="a sam2 that fails"):
        proposer(IMAGES)


def test_a_weight_of_another_shape_is_named(model):
    folder = model("sam", {})
    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    save_file({**weights, name: torch.zeros(3, 3)}, folder / "model.safetensors")
    with pytest.raises(FileError, match=rf"another shape: {name}"):
        load_proposer(folder)
