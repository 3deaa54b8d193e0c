"""Proposers made of transformers' segmentation models, with random weights."""

from __future__ import annotations

import functools
import json
from importlib.util import find_spec

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("transformers")

from safetensors.torch import load_file, save_file

from csl_plugin import CSLError, load_proposer, soft_assignment
from csl_plugin.errors import FileError, MissingExtraError, OptionError, OutputError
from csl_plugin.models.validity import class_validity_logits, object_validity_logits
from csl_plugin.proposers import proposer_from_model
from csl_plugin.proposers.transformers.families import MODEL_TYPES
from csl_plugin.proposers.transformers.frames import StretchedSquare
from csl_plugin.proposers.transformers.preprocessing import Normalization, cropped, read_normalization
from tests.helpers.tiny_prompted import sam3_tracker_parts
from tests.helpers.tiny_segmenters import CLASSES, MASK_CLASSIFIERS, POINTED, QUERIES, build

# transformers 4.57's OneFormer
pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")

ALL = (*MASK_CLASSIFIERS, *POINTED)
SQUARE = ("eomt", "eomt_dinov3", "videomt", "rf_detr")
PARTS = ("vision_config", "prompt_encoder_config", "mask_decoder_config")
SIGMOIDS = ("conditional_detr", "rf_detr")
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)


@functools.cache
def model(name, **options):
    return build(name, **options)


def read(name, output):
    """Mask logits and both validities by the formulas, from an output of the model."""
    detr = name in ("detr", *SIGMOIDS)
    masks = output.pred_masks if detr else output.masks_queries_logits
    classes = output.logits if detr else output.class_queries_logits
    if name in SIGMOIDS:
        return masks, dict.fromkeys(("object", "class"), classes.sigmoid().amax(-1))
    shares = classes.softmax(-1)
    return masks, {"object": 1 - shares[..., -1], "class": shares[..., :-1].amax(-1)}


def images(*shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(1))


# Networks that classify masks


@pytest.mark.parametrize("name", [name for name in MASK_CLASSIFIERS if name not in SQUARE])
def test_scores_and_validities_are_the_models_own(name):
    batch = images(2, 3, 64, 96)
    more = {}
    if name == "oneformer":
        more["task_inputs"] = torch.zeros(2, 77, dtype=torch.long)
        more["task_inputs"][:, :7] = torch.tensor([49406, 518, 10549, 533, 1072, 24755, 49407])
    with torch.inference_mode():
        output = model(name)(pixel_values=(batch - MEAN) / DEVIATION, **more)
    masks, expected = read(name, output)
    for validity in ("object", "class"):
        (proposals,) = proposer_from_model(model(name), validity=validity)(batch)
        assert (proposals.num_regions, proposals.resolution) == (QUERIES, (16, 24))
        torch.testing.assert_close(proposals.mask_logits, masks)
        torch.testing.assert_close(proposals.scores, masks.sigmoid())
        torch.testing.assert_close(proposals.validity, expected[validity])


@pytest.mark.parametrize("name", ["eomt", "eomt_dinov3"])
def test_eomt_sees_a_square_and_its_masks_show_the_image(name):
    batch = images(1, 3, 32, 64)
    square = F.pad((batch - MEAN) / DEVIATION, (0, 0, 0, 32))
    with torch.inference_mode():
        output = model(name)(pixel_values=square)
    (proposals,) = proposer_from_model(model(name))(batch)
    torch.testing.assert_close(proposals.mask_logits, output.masks_queries_logits[:, :, :8])
    torch.testing.assert_close(proposals.validity, 1 - output.class_queries_logits.softmax(-1)[..., -1])
    assert proposer_from_model(model(name))(images(1, 3, 300, 200))[0].resolution == (16, 11)  # 42.67 / 4


@pytest.mark.parametrize("name", ["videomt", "rf_detr"])
def test_some_see_the_image_stretched_to_a_square(name):
    batch = images(2, 3, 40, 80)
    square = F.interpolate(batch, (64, 64), mode="bilinear", antialias=True, align_corners=False)
    pixels = (square - MEAN) / DEVIATION
    network = model(name)  # which may skip the test
    with torch.inference_mode():
        call = {"pixel_values": pixels} if name == "rf_detr" else {"pixel_values_videos": pixels[:, None]}
        masks, expected = read(name, network(**call))
    for validity in ("object", "class"):
        (proposals,) = proposer_from_model(network, validity=validity)(batch)
        torch.testing.assert_close(proposals.mask_logits, masks)
        torch.testing.assert_close(proposals.validity, expected[validity])
    assert proposals.resolution == (16, 16)


def test_a_frame_of_a_video_is_an_image_of_its_own():
    """Frames of one video influence each other: their queries pass from one to the next."""
    network, batch = model("videomt"), images(2, 3, 64, 64)
    with torch.inference_mode():
        video = network(pixel_values_videos=((batch - MEAN) / DEVIATION)[None]).masks_queries_logits
    ours = proposer_from_model(network)(batch)[0].mask_logits
    torch.testing.assert_close(ours[0], video[0])
    assert not torch.allclose(ours[1], video[1], atol=1e-4)


def test_rf_detrs_side_is_what_its_windows_divide():
    """As published: positions for 518 pixels, and 560 pixels of input, in 4 windows of patches of 14."""
    network = build("rf_detr")
    import transformers

    assert MODEL_TYPES["rf_detr"].frame_of(transformers.RfDetrConfig()) == StretchedSquare(560)
    network.config.backbone_config.image_size = 50
    assert proposer_from_model(network)(images(1, 3, 64, 64))[0].resolution == (16, 16)


def test_with_one_class_both_validities_are_its_probability():
    one = model("mask2former", classes=1)
    batch = images(1, 3, 64, 64)
    with torch.inference_mode():
        expected = one(pixel_values=(batch - MEAN) / DEVIATION).class_queries_logits.softmax(-1)[..., 0]
    for validity in ("object", "class"):
        torch.testing.assert_close(proposer_from_model(one, validity=validity)(batch)[0].validity, expected)


def test_validity_is_not_rounded_where_softmax_is():
    classes = torch.tensor([[[40.0, 0.0, 0.0], [-40.0, -40.0, 0.0]]])
    logits = object_validity_logits(classes)
    torch.testing.assert_close(logits, torch.tensor([[40.0, -40.0 + torch.log(torch.tensor(2.0)).item()]]))
    best = class_validity_logits(classes)
    torch.testing.assert_close(best.sigmoid(), classes.softmax(-1)[..., :-1].amax(-1))


@pytest.mark.parametrize("name", ALL)
def test_a_batch_gives_what_its_images_give_and_sizes_may_change(name):
    proposer = proposer_from_model(model(name), **({"points_per_side": 3} if name in POINTED else {}))
    for size in ((64, 96), (50, 37)):
        batch = images(2, 3, *size)
        (together,) = proposer(batch)
        for index in range(2):
            (alone,) = proposer(batch[index : index + 1])
            count = alone.num_regions
            torch.testing.assert_close(together.scores[index, :count], alone.scores[0], atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(
                together.validity[index, :count], alone.validity[0], atol=1e-5, rtol=1e-5
            )
            assert not together.validity[index, count:].any()
        labels = soft_assignment(together, size).labels
        assert labels.shape == (2, *size)
        assert labels.min() >= 0


@pytest.mark.parametrize("size", [(40, 36), (50, 37)])
def test_padding_is_cropped_from_the_masks(size):
    network = model("mask2former")
    batch = images(1, 3, *size)
    canvas = F.pad((batch - MEAN) / DEVIATION, (0, 64 - size[1], 0, 64 - size[0]))
    with torch.inference_mode():
        logits = network(pixel_values=canvas).masks_queries_logits
    ours = proposer_from_model(network)(batch)[0].mask_logits
    assert tuple(ours.shape[2:]) == (-(-size[0] // 4), -(-size[1] // 4))
    y, x = ((torch.arange(n) + 0.5) / n * side for n, side in zip(ours.shape[2:], size, strict=True))
    y, x = torch.meshgrid(2 * y / 64 - 1, 2 * x / 64 - 1, indexing="ij")
    where = torch.stack([x, y], dim=-1)[None]
    expected = F.grid_sample(logits, where, padding_mode="border", align_corners=False)
    torch.testing.assert_close(ours, expected, atol=1e-5, rtol=1e-5)


def test_cropping_keeps_a_gradient_in_its_place():
    y, x = torch.meshgrid(torch.arange(16) * 4 + 1.5, torch.arange(24) * 4 + 1.5, indexing="ij")
    masks = torch.stack([y, x])[None]
    for size in ((64, 96), (32, 48), (50, 37), (3, 5)):
        part = cropped(masks, (64, 96), size)
        assert part.shape[2:] == (-(-size[0] // 4), -(-size[1] // 4))
        rows = (torch.arange(part.shape[2]) + 0.5) * size[0] / part.shape[2] - 0.5
        columns = (torch.arange(part.shape[3]) + 0.5) * size[1] / part.shape[3] - 0.5
        torch.testing.assert_close(part[0, 0, :, 0], rows.clamp(min=1.5))
        torch.testing.assert_close(part[0, 1, 0], columns.clamp(min=1.5))


def test_large_images_are_shrunk():
    proposer = proposer_from_model(model("mask2former"), longest_side=64)
    assert proposer(images(1, 3, 128, 64))[0].resolution == (16, 8)


def test_another_task_and_another_normalization_are_other_regions():
    batch = images(1, 3, 64, 64)
    (panoptic,) = proposer_from_model(model("oneformer"))(batch)
    (instance,) = proposer_from_model(model("oneformer"), task="instance")(batch)
    assert not torch.equal(panoptic.validity, instance.validity)
    plain = Normalization((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    normalized = (batch - MEAN) / DEVIATION
    inside = (normalized - normalized.min()) / (normalized.max() - normalized.min())
    (first,) = proposer_from_model(model("mask2former"), normalization=plain)(inside)
    with torch.inference_mode():
        expected = model("mask2former")(pixel_values=inside).masks_queries_logits
    torch.testing.assert_close(first.mask_logits, expected)


def test_half_precision_gives_finite_scores():
    half = build("mask2former").to(torch.bfloat16)
    (proposals,) = proposer_from_model(half)(images(1, 3, 64, 48))
    assert proposals.mask_logits.dtype == torch.float32
    (full,) = proposer_from_model(model("mask2former"))(images(1, 3, 64, 48))
    assert (proposals.validity - full.validity).abs().max() < 0.1


# SAM


@pytest.mark.parametrize("name", POINTED)
def test_the_masks_of_points_are_the_models_own(name):
    batch = images(1, 3, 64, 64)
    (proposals,) = proposer_from_model(model(name), points_per_side=1, num_regions=3)(batch)
    points = torch.tensor([[[[32.0, 32.0]]]])
    pixels = 2 * batch - 1 if name == "sam3_tracker" else (batch - MEAN) / DEVIATION
    with torch.inference_mode():
        output = model(name)(pixel_values=pixels, input_points=points)
    quality = output.iou_scores[0, 0].clamp(0, 1)
    assert ("object_score_logits" in output) == (name not in ("sam", "sam_hq"))
    if name not in ("sam", "sam_hq"):
        quality = quality * output.object_score_logits[0, 0].sigmoid()
    assert 1 <= proposals.num_regions <= 3
    for scores, validity in zip(proposals.scores[0], proposals.validity[0], strict=True):
        (index,) = torch.nonzero(torch.isclose(quality, validity)).flatten()[:1]
        torch.testing.assert_close(scores, output.pred_masks[0, 0, index].sigmoid())


@pytest.mark.parametrize("name", ["sam", "sam_hq"])
def test_sam_pads_and_its_points_lie_in_the_image(name):
    batch = images(1, 3, 32, 64)
    (proposals,) = proposer_from_model(model(name), points_per_side=1, num_regions=1)(batch)
    canvas = F.pad((batch - MEAN) / DEVIATION, (0, 0, 0, 32))
    with torch.inference_mode():
        output = model(name)(pixel_values=canvas, input_points=torch.tensor([[[[32.0, 16.0]]]]))
    assert proposals.resolution == (16, 32)
    masks = output.pred_masks[0, 0, :, :16].sigmoid()
    assert any(torch.allclose(proposals.scores[0, 0], mask, atol=1e-5) for mask in masks)


@pytest.mark.parametrize("name", ["sam2", "edgetam", "sam3_tracker"])
def test_its_successors_see_a_square(name):
    (proposals,) = proposer_from_model(model(name), points_per_side=2)(images(1, 3, 40, 80))
    assert proposals.resolution == ((32, 32) if name == "sam3_tracker" else (16, 16))


@pytest.mark.parametrize("name", POINTED)
def test_points_in_half_precision(name):
    (proposals,) = proposer_from_model(build(name).to(torch.bfloat16), points_per_side=2)(
        images(1, 3, 64, 64)
    )
    assert proposals.scores.dtype == proposals.validity.dtype == torch.float32
    assert proposals.num_regions >= 1


@pytest.mark.parametrize("name", ["sam2", "edgetam", "sam3_tracker"])
def test_as_its_video_model_is_published(name, tmp_path):
    """The same weights, with the configuration of the video model beside them."""
    import transformers

    network = build(name)
    network.save_pretrained(tmp_path)
    config = {"sam2": "Sam2Video", "edgetam": "EdgeTamVideo", "sam3_tracker": "Sam3TrackerVideo"}[name]
    parts = {part: getattr(network.config, part).to_dict() for part in PARTS}
    getattr(transformers, f"{config}Config")(**parts, image_size=64).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["model_type"] == f"{name}_video"
    batch = images(1, 3, 64, 64)
    torch.testing.assert_close(
        load_proposer(tmp_path)(batch)[0].scores, proposer_from_model(network)(batch)[0].scores
    )


def test_a_model_of_whole_videos_names_the_one_of_images():
    import transformers

    parts = {part: getattr(model("sam2").config, part).to_dict() for part in PARTS}
    memory = {"memory_attention_hidden_size": 16, "memory_encoder_hidden_size": 16}
    config = transformers.Sam2VideoConfig(
        **parts, **memory, memory_attention_num_layers=1, memory_attention_feed_forward_hidden_size=16
    )
    with pytest.raises(OptionError, match=r"a Sam2VideoModel, expected a Sam2Model.*load_proposer"):
        proposer_from_model(transformers.Sam2VideoModel(config).eval())


def test_the_tracker_in_sam3s_video_model(tmp_path):
    """As facebook/sam3 is: a detector and a tracker, which share the backbone of the detector."""
    import transformers

    network = model("sam3_tracker")
    parts = sam3_tracker_parts("Sam3TrackerVideo")
    text = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    small = {"hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 32}
    layers = {**small, "num_layers": 1}
    detector = transformers.Sam3Config(
        vision_config=parts["vision_config"],
        text_config={**text, "vocab_size": 20, "projection_dim": 16, "bos_token_id": 0, "eos_token_id": 1},
        geometry_encoder_config=layers,
        detr_encoder_config=layers,
        detr_decoder_config={**layers, "num_queries": QUERIES},
        mask_decoder_config={"hidden_size": 16, "num_attention_heads": 2},
    )
    config = transformers.Sam3VideoConfig(
        detector_config=detector, tracker_config=transformers.Sam3TrackerVideoConfig(**parts, image_size=64)
    )
    config.save_pretrained(tmp_path)
    weights = {}
    for key, value in network.state_dict().items():
        if key.startswith("vision_encoder.backbone."):
            key = f"detector_model.{key}"
        elif key.startswith("vision_encoder.neck."):
            key = key.replace("vision_encoder.neck.", "tracker_neck.")
        else:
            key = f"tracker_model.{key}"
        weights[key] = value.clone()
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    batch = images(1, 3, 64, 64)
    torch.testing.assert_close(
        load_proposer(tmp_path)(batch)[0].scores, proposer_from_model(network)(batch)[0].scores
    )


def test_regions_of_points_are_distinct_ordered_and_few():
    proposer = proposer_from_model(model("sam"), points_per_side=9, num_regions=6)
    (proposals,) = proposer(images(1, 3, 64, 64))
    assert proposals.num_regions <= 6
    assert torch.equal(proposals.validity[0], proposals.validity[0].sort(descending=True).values)
    inside = (proposals.scores[0] > 0.5).flatten(1).float()
    common = inside @ inside.T
    union = common.diagonal()[:, None] + common.diagonal() - common
    assert (common / union - torch.eye(len(inside))).max() <= 0.7


def test_no_mask_at_all_is_no_region():
    empty = build("sam")
    with torch.no_grad():
        for layer in empty.mask_decoder.output_hypernetworks_mlps:
            layer.proj_out.weight.zero_()
            layer.proj_out.bias.zero_()
    (proposals,) = proposer_from_model(empty, points_per_side=2)(images(2, 3, 64, 64))
    assert proposals.num_regions == 0
    assert (soft_assignment(proposals, (64, 64)).labels == -1).all()


# Options and errors


def test_a_model_in_training_mode_or_of_another_kind_is_refused():
    with pytest.raises(OptionError, match=r"model\.eval\(\)"):
        proposer_from_model(build("sam").train())
    with pytest.raises(OptionError, match="Linear of model type None"):
        proposer_from_model(torch.nn.Linear(1, 1).eval())
    for options in ({"validity": "best"}, {"longest_side": 0}, {"task": "art"}, {"points_per_side": 3}):
        with pytest.raises(OptionError):
            proposer_from_model(model("mask2former"), **options)
    for options in ({"points_per_side": 0}, {"num_regions": 0}, {"validity": "object"}):
        with pytest.raises(OptionError):
            proposer_from_model(model("sam"), **options)
    for mean, deviation in (((0, 0), (1, 1, 1)), ((0, 0, 0), (1, 1, 0)), (("a", 0, 0), (1, 1, 1))):
        with pytest.raises(OptionError):
            Normalization(mean, deviation)


def test_a_model_without_masks_is_refused():
    headless = build("mask2former").model.eval()
    with pytest.raises(OutputError, match="segmentation head"):
        proposer_from_model(headless)(images(1, 3, 64, 64))


@pytest.mark.parametrize("name", ALL)
def test_the_name_of_a_proposer_tells_its_weights(name):
    first, second = (
        proposer_from_model(model(name)).made_of(),
        proposer_from_model(model(name)).made_of(),
    )
    assert first == second
    assert name in first
    gray = Normalization((0.4, 0.4, 0.4), (0.5, 0.5, 0.5))
    assert proposer_from_model(model(name), normalization=gray).made_of() != first
    other = build(name)
    with torch.no_grad():
        next(other.parameters()).add_(1)
    assert proposer_from_model(other).made_of() != first


# Folders


@pytest.fixture
def folder(tmp_path):
    model("mask2former").save_pretrained(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ALL)
def test_a_saved_folder_gives_the_same_proposals(name, tmp_path):
    model(name).save_pretrained(tmp_path)
    batch = images(1, 3, 64, 80)
    loaded = load_proposer(tmp_path)
    assert loaded.made_of() == proposer_from_model(model(name)).made_of()
    torch.testing.assert_close(loaded(batch)[0].scores, proposer_from_model(model(name))(batch)[0].scores)


def test_the_processor_says_how_to_normalize(folder):
    def normalization(values, name="preprocessor_config.json"):
        (folder / name).write_text(json.dumps(values))
        return load_proposer(folder).normalization

    assert load_proposer(folder).normalization == Normalization()
    nested = {"image_processor": {"image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.25, 0.25]}}
    assert normalization(nested, "processor_config.json").deviation == (0.25, 0.25, 0.25)
    assert normalization({"image_mean": [0.1, 0.2, 0.3]}).mean == (0.1, 0.2, 0.3)
    assert normalization({"do_normalize": False}).deviation == (1, 1, 1)
    for bad in ({"image_std": [1, 1, 0]}, {"image_mean": "ImageNet"}, [1]):
        with pytest.raises(FileError, match="preprocessor_config"):
            normalization(bad)
    with pytest.raises(FileError):
        read_normalization(folder / "model.safetensors")


def _changed(folder, **values):
    config = json.loads((folder / "config.json").read_text())
    config.update(values)
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"model_type": "bert"}, "a model of type 'bert'"),
        ({"num_queries": 1 << 40}, "num_queries.*at most"),
        ({"decoder_layers": 100_000}, "decoder_layers.*at most 1000"),
        ({"hidden_dim": float("nan")}, "NaN is no number"),
        ({"backbone": "hf_hub:someone/else"}, "backbone.*name of an architecture"),
        ({"hidden_dim": 64}, "cannot be built"),
        ({"dim_feedforward": 1 << 20, "encoder_feedforward_dim": 1 << 20}, "parameters for"),
        ({"num_attention_heads": "two"}, "cannot be built"),
    ],
)
def test_a_hostile_configuration_is_refused(folder, values, said):
    _changed(folder, **values)
    with pytest.raises(FileError, match=said):
        load_proposer(folder)


def test_weights_that_are_not_the_models_are_refused(folder):
    path = folder / "model.safetensors"
    whole = load_file(path)
    name = "class_predictor.weight"
    changes = {
        f"no {name}": {key: value for key, value in whole.items() if key != name},
        f"{name} with nan": {**whole, name: torch.full_like(whole[name], torch.nan)},
        "cannot be built": {**whole, name: whole[name][:1].clone()},
    }
    for said, changed in changes.items():
        save_file(changed, path, {"format": "pt"})
        with pytest.raises(FileError, match=said):
            load_proposer(folder)
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(FileError, match="cannot be read"):
        load_proposer(folder)
    path.rename(folder / "pytorch_model.bin")
    with pytest.raises(FileError, match=r"only pytorch_model\.bin.*Pickles are never read"):
        load_proposer(folder)
    assert CLASSES == 3
    assert issubclass(FileError, CSLError)


def test_sizes_of_the_published_models_are_within_the_bounds(tmp_path):
    import transformers as hf

    vision = hf.Sam2VisionConfig(
        backbone_config=hf.Sam2HieraDetConfig(
            embed_dim_per_stage=[144, 288, 576, 1152],
            blocks_per_stage=[2, 6, 36, 4],
            global_attention_blocks=[23, 33, 43],
        )
    )
    huge = hf.SamVisionConfig(hidden_size=1280, num_hidden_layers=32, num_attention_heads=16)
    later = ("EomtDinov3", "Videomt", "RfDetr", "Sam3Tracker", "Sam3TrackerVideo", "Sam3Video")
    for config in (
        hf.ConditionalDetrConfig(),
        hf.SamHQConfig(),
        *(getattr(hf, f"{name}Config")() for name in later if hasattr(hf, f"{name}Config")),
        hf.Mask2FormerConfig(),
        hf.MaskFormerConfig(),
        hf.OneFormerConfig(),
        hf.EomtConfig(),
        hf.DetrConfig(),
        hf.SamConfig(vision_config=huge),
        hf.Sam2Config(vision_config=vision),
    ):
        (tmp_path / "config.json").write_text(config.to_json_string(use_diff=False))
        with pytest.raises(FileError, match=r"model\.safetensors"):  # past the bounds, at the weights
            load_proposer(tmp_path)


@pytest.mark.skipif(find_spec("timm") is not None, reason="says what happens without timm")
def test_a_model_that_needs_another_package_names_it(tmp_path):
    model("detr").save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    config["backbone_config"] = {"model_type": "timm_backbone", "backbone": "resnet50", "num_channels": 3}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(MissingExtraError, match="timm"):
        load_proposer(tmp_path)


def test_remote_code_is_never_run(folder):
    (folder / "modeling_evil.py").write_text("raise SystemExit('ran')\n")
    _changed(
        folder,
        auto_map={
            "AutoConfig": "modeling_evil.Config",
            "AutoModelForUniversalSegmentation": "modeling_evil.Model",
        },
    )
    assert load_proposer(folder)(images(1, 3, 64, 64))[0].num_regions == QUERIES


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu():
    (proposals,) = proposer_from_model(build("mask2former").cuda())(images(1, 3, 64, 48).cuda())
    assert proposals.device.type == "cuda"
