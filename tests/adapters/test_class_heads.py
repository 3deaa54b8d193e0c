"""Queries whose classes are no softmax with a class "no object": RF-DETR and Conditional DETR."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

import transformers as hf

from csl_plugin import CSLWrapper, RegionMap, fuse
from csl_plugin.adapters import QuerySum, preset
from csl_plugin.adapters.presets.class_heads import Exhaustive, Sigmoids, WithNone
from csl_plugin.errors import CSLError
from tests.adapters.test_written_queries import CLASSES, SIZE, columns, found, masked, scene
from tests.helpers.tiny_segmenters import build

HEADS = {"conditional_detr": Exhaustive(), "rf_detr": Sigmoids()}
RULES = ("adaptive", "product", "geometric", "mean")


def plain(family, masks, classes):
    """A scene as an output of the model: classes as sigmoids, or "no object" as the last of the classes."""
    boxes = torch.rand(*masks.shape[:2], 4, generator=torch.Generator().manual_seed(0))
    if family == "rf_detr":
        if not hasattr(hf, "RfDetrConfig"):
            pytest.skip(f"transformers {hf.__version__} has no RF-DETR")
        kind = hf.models.rf_detr.modeling_rf_detr.RfDetrInstanceSegmentationOutput
        return kind(logits=classes.softmax(-1)[..., :-1].logit(), pred_boxes=boxes, pred_masks=masks)
    kind = hf.models.conditional_detr.modeling_conditional_detr.ConditionalDetrSegmentationOutput
    return kind(logits=classes, pred_boxes=boxes, pred_masks=masks)


def agreeing(family, output, seed):
    """A map whose arg max is the class of the sure query that claims a pixel most."""
    shares = HEADS[family].probabilities(output.logits)
    probability, labels = shares.max(-1)
    strength = output.pred_masks.sigmoid() * (probability * (probability > 0.5))[..., None, None]
    owners = labels.gather(1, strength.argmax(1).flatten(1)).view(len(labels), *SIZE)
    top = F.one_hot(owners, shares.shape[-1]).movedim(-1, 1)
    draw = torch.Generator().manual_seed(seed)
    return 0.2 * torch.rand(top.shape, generator=draw) + top * (
        0.2 + 0.4 * torch.rand(top.shape, generator=draw)
    )


def written_out(output, threshold):
    """RF-DETR's instance post-processing, whose module needs torchvision: the best score is on top."""
    results = []
    for shares, masks in zip(output.logits.sigmoid(), output.pred_masks, strict=True):
        scores, pairs = shares.flatten().topk(len(shares))
        segmentation = torch.full(masks.shape[1:], -1, dtype=torch.int32)
        segments = []
        for score, pair in zip(scores.tolist(), pairs.tolist(), strict=True):
            free = (masks[pair // shares.shape[1]] > 0) & (segmentation == -1)
            if score > threshold and free.any():
                segments.append(
                    {"id": len(segments) + 1, "label_id": pair % shares.shape[1], "score": round(score, 6)}
                )
                segmentation[free] = len(segments)
        results.append({"segmentation": segmentation, "segments_info": segments})
    return results


def segments(family, output, threshold=0.5):
    """What the processor finds: panoptic of Conditional DETR, instances of RF-DETR."""
    if family == "rf_detr":
        return written_out(output, threshold)
    processor = hf.models.conditional_detr
    kind = getattr(processor, "ConditionalDetrImageProcessorPil", None)
    made = (kind or processor.ConditionalDetrImageProcessor)()
    sizes = [SIZE] * len(output.logits)
    return made.post_process_panoptic_segmentation(output, threshold=threshold, target_sizes=sizes)


@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.65, 0.8]))
@settings(max_examples=10)
def test_what_is_written_out_is_rf_detrs_own(seed, threshold):
    pytest.importorskip("torchvision", reason="RF-DETR's processor needs it")
    from transformers.models.rf_detr.image_processing_rf_detr import RfDetrImageProcessor

    output = plain("rf_detr", *scene(seed, batch=2))
    own = RfDetrImageProcessor().post_process_instance_segmentation(output, threshold=threshold)
    for one, other in zip(own, written_out(output, threshold), strict=True):
        assert one["segmentation"].equal(other["segmentation"])
        assert one["segments_info"] == other["segments_info"]


@pytest.mark.parametrize("family", HEADS)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.65, 0.8]))
@settings(max_examples=12)
def test_a_map_that_agrees_leaves_every_segment_as_it_is(family, seed, threshold):
    output = plain(family, *scene(seed, batch=2))
    fused = agreeing(family, output, seed)
    written = preset(family).write(output, fused)
    for old, new in zip(
        segments(family, output, threshold), segments(family, written, threshold), strict=True
    ):
        assert found(new) == found(old)
        assert new["segmentation"].equal(old["segmentation"])
    assert preset(family).read(written).argmax(1).equal(fused.argmax(1))


@pytest.mark.parametrize("family", HEADS)
@given(st.integers(0, 10_000), st.sampled_from(RULES))
@settings(max_examples=10)
def test_after_fusion_every_pixel_has_the_class_of_the_fused_map(family, seed, rule):
    output = plain(family, *scene(seed, batch=2, overlapping=False))
    adapter = preset(family)
    labels = scene(seed + 1)[0][:, :5].argmax(1).expand(2, -1, -1)
    fused = fuse(adapter.read(output), RegionMap(labels.int().contiguous()), rule=rule)
    written = adapter.write(output, fused)
    again = adapter.read(written)
    assert again.argmax(1).equal(fused.argmax(1))
    assert written.logits.shape[:2] == written.pred_boxes.shape[:2] == written.pred_masks.shape[:2]
    count = output.logits.shape[1]
    assert written.pred_boxes[:, :count].equal(output.pred_boxes)
    assert (written.logits[:, count:].sigmoid() <= 0.5).all(), "no box of a query that was added"
    for old, new in zip(segments(family, output), segments(family, written), strict=True):
        classes = {one["label_id"] for one in new["segments_info"]}
        assert len(new["segments_info"]) <= len(old["segments_info"]) + 1
        assert classes <= set(fused.argmax(1).unique().tolist()) | {
            one["label_id"] for one in old["segments_info"]
        }


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_conditional_detrs_semantic_post_processing_gives_the_fused_map(seed):
    output = plain("conditional_detr", *scene(seed, batch=2))
    fused = torch.rand(2, CLASSES + 1, *SIZE, generator=torch.Generator().manual_seed(seed)) ** 2
    processor = hf.models.conditional_detr
    kind = getattr(processor, "ConditionalDetrImageProcessorPil", None)
    made = (kind or processor.ConditionalDetrImageProcessor)()
    written = preset("conditional_detr").write(output, fused)
    count = CLASSES + (int(hf.__version__.partition(".")[0]) >= 5)  # it left out the last class before
    maps = made.post_process_semantic_segmentation(written, target_sizes=[SIZE] * 2)
    winners = fused.argmax(1)
    assert torch.stack(maps)[winners < count].equal(winners[winners < count])
    plainly = made.post_process_semantic_segmentation(output, target_sizes=[SIZE] * 2)
    assert torch.stack(plainly).equal(preset("conditional_detr").read(output)[:, :count].argmax(1))
    boxes = [made.post_process_object_detection(one, 0.5, target_sizes=None) for one in (output, written)]
    for old, new in zip(*boxes, strict=True):
        assert sorted(new["scores"].tolist()) == pytest.approx(
            sorted(score for score in old["scores"].tolist() if score in new["scores"].tolist())
        )


def test_where_masks_do_not_overlap_the_largest_score_is_that_of_rf_detrs_segment():
    masks = torch.stack([masked(columns(0, 6)), masked(columns(6, 11)), masked(columns(11, 16))])[None]
    logits = torch.full((1, 3, CLASSES), -4.0)
    for query, label in enumerate((2, 0, 2)):
        logits[0, query, label] = 1.5
    output = plain("rf_detr", masks, torch.zeros(1, 3, CLASSES + 1))
    output.logits = logits
    (result,) = written_out(output, 0.5)
    labels = torch.tensor([one["label_id"] for one in result["segments_info"]])
    assert preset("rf_detr").read(output)[0].argmax(0).equal(labels[result["segmentation"].long() - 1])


def test_sigmoids_are_not_a_softmax():
    """Two likely classes of one query, which a softmax would halve."""
    masks, logits = masked(columns(0, 16))[None, None], torch.tensor([[[4.0, 4.0, -4.0]]])
    assert QuerySum(Sigmoids()).read(masks, logits)[0, :, 0, 0].tolist() == pytest.approx(
        [0.98, 0.98, 0.018], abs=0.003
    )
    assert QuerySum(WithNone()).read(masks, logits)[0, :, 0, 0].max() < 0.6


@given(st.integers(0, 10_000))
@settings(max_examples=10)
def test_one_class_of_sigmoids_is_written_exactly(seed):
    masks, classes = scene(seed)
    logits = classes[..., :-1].logsumexp(-1, keepdim=True)
    fused = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(seed)) * 2
    written = QuerySum(Sigmoids()).write(fused, masks, logits)
    torch.testing.assert_close(QuerySum(Sigmoids()).read(*written), fused, atol=2e-6, rtol=2e-6)
    with pytest.raises(CSLError, match="2 or more"):
        QuerySum(Exhaustive()).read(masks, logits)


@pytest.mark.parametrize("family", HEADS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_segments(family, dtype):
    for seed in range(6):
        output = plain(family, *(tensor.to(dtype) for tensor in scene(seed)))
        wide = plain(family, *(tensor.to(dtype).float() for tensor in scene(seed)))
        wide.logits = output.logits.float()
        fused = agreeing(family, wide, seed)
        written = preset(family).write(output, fused)
        assert written.logits.dtype == written.pred_masks.dtype == dtype
        written.logits, written.pred_masks = written.logits.float(), written.pred_masks.float()
        old, new = (  # equal scores come in any order
            sorted(segments(family, one)[0]["segments_info"], key=lambda one: (one["label_id"], one["score"]))
            for one in (wide, written)
        )
        assert [one["label_id"] for one in new] == [one["label_id"] for one in old]
        assert [one["score"] for one in new] == pytest.approx([one["score"] for one in old], abs=0.004)


@torch.no_grad()
@pytest.mark.parametrize("family", HEADS)
def test_a_real_model_that_is_sure(family):
    model = build(family)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))

    def sure(pixel_values):
        made = model(pixel_values=pixel_values)
        spread = made.logits - made.logits.mean((0, 1), keepdim=True)
        made.logits = 3 * spread / spread.std()
        return made

    regions = torch.arange(64).expand(2, 64, -1).div(16, rounding_mode="floor")
    segment = CSLWrapper(sure, lambda images: RegionMap(regions.contiguous()), family)
    wrapped, before = segment(images), sure(images)
    adapter = preset(family)
    assert (HEADS[family].probabilities(before.logits).amax(-1) > 0.5).float().mean() > 0.1
    fused = fuse(adapter.read(before), RegionMap(regions.contiguous()).resize((16, 16)))
    assert adapter.read(wrapped).argmax(1).equal(fused.argmax(1))
    assert type(wrapped) is type(before)
