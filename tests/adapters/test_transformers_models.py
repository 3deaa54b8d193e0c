"""The segmentation models of transformers as teachers: run for real, with random weights."""

from __future__ import annotations

import copy
import functools

import pytest
import torch
from torch import nn

pytest.importorskip("transformers")

import transformers as hf

from csl_plugin import Calibration, CSLWrapper, RegionMap, fuse
from csl_plugin.adapters import PRESETS, check_adapter, preset, recognize
from csl_plugin.errors import CSLError
from tests.helpers import tiny_segmenters
from tests.helpers.tiny_prompted import of_transformers

QUERIES = (
    "mask2former", "maskformer", "oneformer", "eomt", "eomt_dinov3", "videomt", "detr", "conditional_detr",
    "rf_detr",
)  # fmt: skip
DETRS = ("detr", "conditional_detr", "rf_detr")
CLASSES = 5


def _segformer():
    return hf.SegformerForSemanticSegmentation(
        hf.SegformerConfig(
            depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2],
            decoder_hidden_size=16, num_labels=CLASSES,
        )
    )  # fmt: skip


def _upernet():
    return hf.UperNetForSemanticSegmentation(
        hf.UperNetConfig(
            backbone_config=tiny_segmenters._swin(), hidden_size=16, pool_scales=[1, 2],
            use_auxiliary_head=False, num_labels=CLASSES,
        )
    )  # fmt: skip


def _dpt():
    return hf.DPTForSemanticSegmentation(
        hf.DPTConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64,
            patch_size=16, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 8, 8],
            fusion_hidden_size=8, semantic_loss_ignore_index=255, num_labels=CLASSES,
        )
    )  # fmt: skip


def _beit():
    return hf.BeitForSemanticSegmentation(
        hf.BeitConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=32, image_size=64,
            patch_size=16, out_indices=[1, 2, 3, 4], use_auxiliary_head=False, num_labels=CLASSES,
            use_relative_position_bias=True,
        )
    )  # fmt: skip


def _mobilevit():
    return hf.MobileViTForSemanticSegmentation(
        hf.MobileViTConfig(
            hidden_sizes=[16, 16, 16], neck_hidden_sizes=[8, 8, 8, 16, 16, 16, 16], aspp_out_channels=16,
            num_attention_heads=2, num_labels=CLASSES,
        )
    )  # fmt: skip


def _clipseg():
    text = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "vocab_size": 20, "bos_token_id": 0, "eos_token_id": 19, "pad_token_id": 1,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2,
        "image_size": 64, "patch_size": 16,
    }  # fmt: skip
    return hf.CLIPSegForImageSegmentation(
        hf.CLIPSegConfig(
            text_config=text, vision_config=vision, projection_dim=16, reduce_dim=8,
            extract_layers=[0, 1, 2], decoder_num_attention_heads=2, decoder_intermediate_size=16,
        )
    )  # fmt: skip


def _sapiens2():
    head = of_transformers("Sapiens2HeadConfig")(upsample_out_channels=[8, 8], conv_out_channels=[8])
    return of_transformers("Sapiens2ForSemanticSegmentation")(
        hf.Sapiens2Config(
            hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
            num_key_value_attention_heads=1, num_first_full_attention_layers=1,
            num_last_full_attention_layers=1, image_size=64, patch_size=16, num_register_tokens=1,
            num_labels=CLASSES, head_config=head,
        )
    )  # fmt: skip


def _tipsv2_dpt(dense=False):
    backbone = {
        "model_type": "tipsv2_vision_model", "hidden_size": 16, "num_hidden_layers": 4,
        "num_attention_heads": 2, "mlp_ratio": 2, "image_size": 64, "patch_size": 8,
        "out_indices": [1, 2, 3, 4], "apply_layernorm": True, "reshape_hidden_states": False,
    }  # fmt: skip
    config = of_transformers("Tipsv2DptConfig")(
        backbone_config=backbone, neck_hidden_sizes=[8, 8, 8, 8], fusion_hidden_size=8, num_depth_bins=8,
        num_labels=CLASSES,
    )  # fmt: skip
    return (hf.Tipsv2DptForDensePrediction if dense else hf.Tipsv2DptForSemanticSegmentation)(config)


SEMANTIC = {
    "segformer": _segformer,
    "upernet": _upernet,
    "dpt": _dpt,
    "beit": _beit,
    "mobilevit": _mobilevit,
    "sapiens2": _sapiens2,
    "tipsv2_dpt": _tipsv2_dpt,
    "clipseg": _clipseg,
}
ALL = (*SEMANTIC, *QUERIES)


@functools.cache
def model(name):
    if name not in SEMANTIC:
        return tiny_segmenters.build(name)
    torch.manual_seed(0)
    made = SEMANTIC[name]().eval()
    if name != "clipseg":  # logits that differ from pixel to pixel, which no initialization gives
        convolutions = [layer for layer in made.modules() if isinstance(layer, nn.Conv2d)]
        with torch.no_grad():
            for layer in made.modules():
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight)
                if isinstance(layer, nn.BatchNorm2d):
                    layer.momentum = 1.0
            made.train()(**arguments(name)[1])
            made.eval()
            convolutions[-1].weight.mul_(2 / made(**arguments(name)[1]).logits.std((2, 3)).mean())
    return made


def arguments(name, batch=2, dtype=torch.float32):
    """RGB images, and what the model is called with for them."""
    images = torch.rand(batch, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    known = PRESETS[name].images
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (known.mean, known.std))
    ordered = images.flip(1) if known.order == "BGR" else images
    named = {"pixel_values": ((ordered * known.peak - mean) / std).to(dtype)}
    if name == "oneformer":
        named["task_inputs"] = torch.arange(77).expand(batch, -1) % 20
    if name == "videomt":  # the frames of one video
        return images, {"pixel_values_videos": named["pixel_values"][None]}
    if name == "clipseg":
        named["input_ids"] = torch.tensor([[0, 5, 7, 19]]).expand(batch, -1)
    return images, named


def blocks(images):
    """A proposer: two halves that follow nothing, at the images' size."""
    columns = torch.arange(images.shape[-1]) * 2 // images.shape[-1]
    return RegionMap(columns.expand(len(images), images.shape[-2], -1).contiguous())


def distribution(name, output):
    """D by the formula, without an adapter."""
    if name in QUERIES:
        masks = output.pred_masks if name in DETRS else output.masks_queries_logits
        classes = (output.logits if name in DETRS else output.class_queries_logits).float()
        shares = classes.sigmoid() if name == "rf_detr" else classes.softmax(-1)
        shares = shares if name in ("conditional_detr", "rf_detr") else shares[..., :-1]
        return torch.einsum("bqhw,bqc->bchw", masks.float().sigmoid(), shares)
    if name == "clipseg":
        return output.logits.float().sigmoid()[:, None]
    return output.logits.float().softmax(1)


def leveled(name, scores):
    """Scores as they are written: of Conditional DETR up to a constant for each pixel."""
    return scores - scores.mean(1, keepdim=True) if name == "conditional_detr" else scores


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:torch.meshgrid:UserWarning")  # transformers 4.57's OneFormer
@pytest.mark.parametrize("name", ALL)
def test_wrapped_is_read_fuse_write(name):
    images, named = arguments(name)
    adapter = preset(name)
    output = model(name)(**named)
    wrapped = CSLWrapper(model(name), blocks, name)(**named)
    assert type(wrapped) is type(output)
    expected = distribution(name, output)
    torch.testing.assert_close(adapter.read(output), expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(adapter.images((), named), images, atol=1e-6, rtol=0)
    size = expected.shape[-2:]
    fused = fuse(expected, RegionMap(blocks(images).labels).resize(size))
    written = distribution(name, wrapped) if name in QUERIES else wrapped.logits.reshape(fused.shape)
    torch.testing.assert_close(leveled(name, written), leveled(name, fused), atol=1e-6, rtol=1e-5)
    assert (written >= fused - 1e-6).all()
    assert not torch.allclose(fused, expected**2, atol=1e-4)
    named_fields = adapter.output_path.paths
    kept = [key for key in output if (key,) not in named_fields and isinstance(output[key], torch.Tensor)]
    boxes = wrapped.get("pred_boxes", torch.zeros(2, 0))  # with a row for each query, also those added
    assert boxes.shape[1] in (0, wrapped.get("logits", boxes).shape[1])
    for key in kept:
        rows = wrapped[key][:, : output[key].shape[1]] if key == "pred_boxes" else wrapped[key]
        assert rows.equal(output[key]), key


@torch.no_grad()
@pytest.mark.parametrize("name", [name for name in ALL if name != "videomt"])
def test_a_batch_gives_what_its_images_give(name):
    _, named = arguments(name)
    segment = CSLWrapper(model(name), blocks, name)
    together = preset(name).read(segment(**named))
    for index in range(2):
        alone = preset(name).read(segment(**{key: value[index : index + 1] for key, value in named.items()}))
        torch.testing.assert_close(alone[0], together[index], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ALL)
def test_half_precision(name, dtype):
    _, named = arguments(name, dtype=dtype)
    small = copy.deepcopy(model(name)).to(dtype)
    output = small(**named)
    wrapped = CSLWrapper(small, blocks, name)(**named)
    adapter = preset(name)
    for new, old in zip(adapter.output_path.take(wrapped), adapter.output_path.take(output), strict=True):
        assert new.dtype == old.dtype
        assert new.isfinite().all()
    expected = fuse(
        adapter.read(output), blocks(adapter.images((), named)).resize(adapter.read(output).shape[-2:])
    )
    got = adapter.read(wrapped) if name in QUERIES else wrapped.logits.reshape(expected.shape).float()
    # Two roundings of the stored number: of the mask's logit, which is up to 20, and of the score.
    atol = 0.03 if dtype == torch.bfloat16 else 0.004
    torch.testing.assert_close(leveled(name, got), leveled(name, expected), atol=atol, rtol=0.05)


@pytest.mark.parametrize("name", ALL)
def test_the_adapter_keeps_the_laws(name):
    _, named = arguments(name, batch=1 if name == "videomt" else 2)  # frames influence the next ones
    check_adapter(preset(name), model(name), kwargs=named, odd_sizes=name in ("segformer", "detr"))


@torch.no_grad()
@pytest.mark.parametrize("name", ALL)
def test_recognized_without_a_word(name):
    _, named = arguments(name)
    output = model(name)(**named)
    assert recognize(output).read(output).equal(preset(name).read(output))


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "processor", "step"), [("mask2former", "Mask2Former", 24), ("maskformer", "MaskFormer", 1)]
)
def test_the_processors_own_post_processing_finds_the_fused_map(name, processor, step):
    """Mask2Former's first scales masks from 16 to 384: one pixel of 24 is compared, in the middle."""
    _, named = arguments(name)
    output = model(name)(**named)
    winners = torch.randint(0, 3, (2, 16, 16), generator=torch.Generator().manual_seed(2))
    fused = 0.1 + 1.6 * nn.functional.one_hot(winners, 3).movedim(-1, 1).float()
    kind = getattr(hf, f"{processor}ImageProcessorPil", None) or getattr(hf, f"{processor}ImageProcessor")
    written = preset(name).write(output, fused)
    labels = torch.stack(kind().post_process_semantic_segmentation(written))
    assert labels[:, step // 2 :: step, step // 2 :: step].equal(winners)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("msp", lambda z: 1 - z.softmax(1).max(1).values),
        ("entropy", lambda z: torch.special.entr(z.softmax(1)).sum(1) / torch.tensor(CLASSES).log()),
        ("energy", lambda z: (-z.exp().sum(1).log()).sigmoid()),
        ("max_logit", lambda z: (-z.max(1).values).sigmoid()),
    ],
)
def test_anomaly_scores_of_a_real_models_logits(name, formula):
    _, named = arguments("segformer")
    calibration = Calibration.sigmoid() if name in ("energy", "max_logit") else None
    adapter = preset(name, item="logits", calibration=calibration)
    output = model("segformer")(**named)
    torch.testing.assert_close(adapter.read(output)[:, 0], formula(output.logits), atol=1e-6, rtol=1e-5)
    wrapped = CSLWrapper(model("segformer"), blocks, adapter)(**named)
    assert type(wrapped) is type(output)
    fused = fuse(adapter.read(output), blocks(adapter.images((), named)).resize(output.logits.shape[-2:]))
    torch.testing.assert_close(wrapped.logits, fused)
    assert adapter.read(wrapped).equal(wrapped.logits)
    check_adapter(adapter, model("segformer"), kwargs=named)


@torch.no_grad()
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["segformer", "eomt"])
@pytest.mark.slow
def test_compiled_gives_the_same(name):
    torch._dynamo.reset()
    _, named = arguments(name)
    segment = CSLWrapper(model(name), blocks, name, split=False, check=False)
    compiled = torch.compile(segment, backend="eager")
    expected, got = (preset(name).read(call(**named)) for call in (segment, compiled))
    torch.testing.assert_close(got, expected, atol=1e-6, rtol=1e-4)


def test_gradients_pass_through_the_queries():
    _, named = arguments("mask2former", batch=1)
    pixels = named["pixel_values"].requires_grad_()
    segment = CSLWrapper(model("mask2former"), blocks, "mask2former")
    segment(pixel_values=pixels).masks_queries_logits.clamp(-9, 9).sum().backward()
    assert pixels.grad.isfinite().all()
    assert pixels.grad.abs().sum() > 0
    model("mask2former").zero_grad()


def test_label_maps_hold_no_distribution():
    with pytest.raises(CSLError, match="adapter=OutputAdapter"):
        recognize([torch.zeros(64, 64, dtype=torch.long).numpy()])
