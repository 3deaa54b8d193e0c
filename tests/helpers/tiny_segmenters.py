"""The segmentation models of transformers with random weights, as small as their layers allow."""

from __future__ import annotations

import pytest
import torch

from tests.helpers import tiny_prompted
from tests.helpers.tiny_prompted import of_transformers

hf = pytest.importorskip("transformers")

QUERIES, CLASSES = 7, 3


def _swin():
    return hf.SwinConfig(
        image_size=64,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _resnet():
    return hf.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 8, 16, 16],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )


def _detr_config(width, heads, classes=CLASSES):
    return hf.DetrConfig(
        backbone_config=_resnet(),
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        d_model=width,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=QUERIES,
        num_labels=classes,
    )


def mask2former(classes=CLASSES):
    return hf.Mask2FormerForUniversalSegmentation(
        hf.Mask2FormerConfig(
            backbone_config=_swin(),
            feature_size=32,
            mask_feature_size=32,
            hidden_dim=32,
            encoder_feedforward_dim=32,
            dim_feedforward=32,
            encoder_layers=1,
            decoder_layers=2,
            num_attention_heads=2,
            num_queries=QUERIES,
            num_labels=classes,
        )
    )


def maskformer(classes=CLASSES):
    return hf.MaskFormerForInstanceSegmentation(
        hf.MaskFormerConfig(
            backbone_config=_swin(),
            fpn_feature_size=32,
            mask_feature_size=32,
            decoder_config=_detr_config(16, 2),
            num_labels=classes,
        )
    )


def oneformer(classes=CLASSES):
    return hf.OneFormerForUniversalSegmentation(
        hf.OneFormerConfig(
            backbone_config=_swin(),
            conv_dim=32,
            mask_dim=32,
            hidden_dim=32,
            encoder_feedforward_dim=16,
            dim_feedforward=16,
            encoder_layers=1,
            decoder_layers=2,
            num_attention_heads=2,
            num_queries=QUERIES,
            query_dec_layers=1,
            text_encoder_width=32,
            text_encoder_num_layers=1,
            text_encoder_vocab_size=20,
            num_labels=classes,
            is_training=False,
        )
    )


def eomt(classes=CLASSES):
    return hf.EomtForUniversalSegmentation(
        hf.EomtConfig(
            hidden_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=64,
            patch_size=8,
            num_queries=QUERIES,
            num_blocks=1,
            num_upscale_blocks=1,
            num_labels=classes,
        )
    )


def detr(classes=CLASSES):
    return hf.DetrForSegmentation(_detr_config(128, 8, classes))


def conditional_detr(classes=CLASSES):
    return of_transformers("ConditionalDetrForSegmentation")(
        hf.ConditionalDetrConfig(
            backbone_config=_resnet(),
            use_timm_backbone=False,
            use_pretrained_backbone=False,
            backbone=None,
            d_model=128,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=8,
            decoder_attention_heads=8,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            num_queries=QUERIES,
            num_labels=classes,
        )
    )


def _plain_vit(config, classes):
    return config(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        num_queries=QUERIES,
        num_blocks=1,
        num_upscale_blocks=1,
        num_register_tokens=1,
        num_labels=classes,
    )


def eomt_dinov3(classes=CLASSES):
    config = _plain_vit(of_transformers("EomtDinov3Config"), classes)
    config.intermediate_size = 32
    return of_transformers("EomtDinov3ForUniversalSegmentation")(config)


def videomt(classes=CLASSES):
    return of_transformers("VideomtForUniversalSegmentation")(
        _plain_vit(of_transformers("VideomtConfig"), classes)
    )


def rf_detr(classes=CLASSES):
    backbone = {
        "model_type": "rf_detr_dinov2",
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "image_size": 64,
        "patch_size": 8,
        "num_windows": 2,
        "mlp_ratio": 2,
        "out_features": ["stage2", "stage4"],
    }
    return of_transformers("RfDetrForInstanceSegmentation")(
        of_transformers("RfDetrConfig")(
            backbone_config=backbone,
            d_model=32,
            decoder_ffn_dim=32,
            decoder_layers=2,
            decoder_self_attention_heads=2,
            decoder_cross_attention_heads=2,
            num_queries=QUERIES,
            group_detr=2,
            intermediate_size=32,
            num_labels=classes,
        )
    )


MASK_CLASSIFIERS = {
    maker.__name__: maker
    for maker in (
        mask2former, maskformer, oneformer, eomt, eomt_dinov3, videomt, detr, conditional_detr, rf_detr,
    )
}  # fmt: skip
POINTED = tiny_prompted.MAKERS


def build(name, **options):
    """A model in evaluation mode, the same one every time."""
    torch.manual_seed(0)
    return {**MASK_CLASSIFIERS, **POINTED}[name](**options).eval()
