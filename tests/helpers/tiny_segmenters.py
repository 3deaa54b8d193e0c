"""The segmentation models of transformers with random weights, as small as their layers allow."""

from __future__ import annotations

import pytest
import torch

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


def sam():
    return hf.SamModel(
        hf.SamConfig(
            vision_config=hf.SamVisionConfig(
                hidden_size=16,
                output_channels=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                image_size=64,
                patch_size=8,
                window_size=4,
                global_attn_indexes=[1],
                mlp_dim=32,
                num_pos_feats=8,
            ),
            prompt_encoder_config=hf.SamPromptEncoderConfig(
                hidden_size=16, image_size=64, patch_size=8, mask_input_channels=4
            ),
            mask_decoder_config=hf.SamMaskDecoderConfig(
                hidden_size=16,
                mlp_dim=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                iou_head_hidden_dim=16,
                iou_head_depth=2,
            ),
        )
    )


def sam2():
    return hf.Sam2Model(
        hf.Sam2Config(
            vision_config=hf.Sam2VisionConfig(
                backbone_config=hf.Sam2HieraDetConfig(
                    hidden_size=8,
                    num_attention_heads=1,
                    image_size=[64, 64],
                    blocks_per_stage=[1, 1, 2, 1],
                    embed_dim_per_stage=[8, 16, 32, 64],
                    num_attention_heads_per_stage=[1, 1, 2, 2],
                    window_size_per_stage=[4, 4, 4, 4],
                    global_attention_blocks=[3],
                    window_positional_embedding_background_size=[4, 4],
                ),
                backbone_channel_list=[64, 32, 16, 8],
                backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
                fpn_hidden_size=16,
            ),
            prompt_encoder_config=hf.Sam2PromptEncoderConfig(
                hidden_size=16, image_size=64, patch_size=16, mask_input_channels=4
            ),
            mask_decoder_config=hf.Sam2MaskDecoderConfig(
                hidden_size=16,
                mlp_dim=16,
                num_hidden_layers=2,
                num_attention_heads=2,
                iou_head_hidden_dim=16,
                iou_head_depth=2,
            ),
        )
    )


MASK_CLASSIFIERS = {maker.__name__: maker for maker in (mask2former, maskformer, oneformer, eomt, detr)}
POINTED = {maker.__name__: maker for maker in (sam, sam2)}


def build(name, **options):
    """A model in evaluation mode, the same one every time."""
    torch.manual_seed(0)
    return {**MASK_CLASSIFIERS, **POINTED}[name](**options).eval()
