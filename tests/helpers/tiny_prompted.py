"""The models of transformers with point prompts, with random weights, as small as their layers allow."""

from __future__ import annotations

import pytest

hf = pytest.importorskip("transformers")


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
            **_prompts("Sam", patch_size=8),
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
            **_prompts("Sam2", patch_size=16),
        )
    )


def sam_hq():
    return of_transformers("SamHQModel")(
        of_transformers("SamHQConfig")(
            vision_config=hf.SamHQVisionConfig(
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
            **_prompts("SamHQ", patch_size=8, vit_dim=16),
        )
    )


def edgetam():
    """With a small network of timm in the place of RepViT."""
    pytest.importorskip("timm", reason="EdgeTAM's backbone is a network of timm")
    backbone = hf.TimmWrapperConfig(
        architecture="test_convnext",
        model_args={"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    )
    return of_transformers("EdgeTamModel")(
        of_transformers("EdgeTamConfig")(
            vision_config=hf.EdgeTamVisionConfig(
                backbone_config=backbone,
                backbone_channel_list=[64, 48, 32, 24],
                backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
                fpn_hidden_size=16,
            ),
            **_prompts("EdgeTam", patch_size=16),
        )
    )


def sam3_tracker():
    return of_transformers("Sam3TrackerModel")(of_transformers("Sam3TrackerConfig")(**sam3_tracker_parts()))


def sam3_tracker_parts(name="Sam3Tracker"):
    """The arguments of a configuration of SAM3's tracker, or of its video model."""
    backbone = of_transformers("Sam3ViTConfig")(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=64,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[1],
        pretrain_image_size=64,
    )
    vision = hf.Sam3VisionConfig(
        backbone_config=backbone, fpn_hidden_size=16, backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]]
    )
    return {"vision_config": vision, **_prompts(name, patch_size=8)}


def _prompts(name, patch_size, **more):
    return {
        "prompt_encoder_config": of_transformers(f"{name}PromptEncoderConfig")(
            hidden_size=16, image_size=64, patch_size=patch_size, mask_input_channels=4
        ),
        "mask_decoder_config": of_transformers(f"{name}MaskDecoderConfig")(
            hidden_size=16,
            mlp_dim=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            iou_head_hidden_dim=16,
            iou_head_depth=2,
            **more,
        ),
    }


def of_transformers(name):
    """A class of transformers; the test is skipped where this version has none."""
    if not hasattr(hf, name):
        pytest.skip(f"transformers {hf.__version__} has no {name}")
    return getattr(hf, name)


MAKERS = {maker.__name__: maker for maker in (sam, sam_hq, sam2, edgetam, sam3_tracker)}
