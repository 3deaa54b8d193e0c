"""What the processors of transformers find in an output after fusion: the segments of the plain output."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("transformers")

import transformers as hf

from csl_plugin import RegionMap, fuse
from csl_plugin.adapters import preset

SIZE, CLASSES = (16, 16), 4
FAMILIES = ("mask2former", "maskformer", "oneformer", "eomt", "detr")
THRESHOLDS = (0.5, 0.65, 0.8)
RULES = ("product", "geometric", "mean", "trust")
OUTPUTS = {
    "mask2former": hf.models.mask2former.modeling_mask2former.Mask2FormerForUniversalSegmentationOutput,
    "maskformer": hf.models.maskformer.modeling_maskformer.MaskFormerForInstanceSegmentationOutput,
    "oneformer": hf.models.oneformer.modeling_oneformer.OneFormerForUniversalSegmentationOutput,
    "eomt": hf.models.eomt.modeling_eomt.EomtForUniversalSegmentationOutput,
    "detr": hf.models.detr.modeling_detr.DetrSegmentationOutput,
}


def output(family, masks, classes):
    if family == "detr":
        boxes = torch.rand(*masks.shape[:2], 4, generator=torch.Generator().manual_seed(0))
        return OUTPUTS[family](logits=classes, pred_boxes=boxes, pred_masks=masks)
    return OUTPUTS[family](masks_queries_logits=masks, class_queries_logits=classes)


@pytest.fixture(scope="module")
def processors(tmp_path_factory):
    folder = tmp_path_factory.mktemp("oneformer")
    info = {str(k): {"name": f"class {k}", "isthing": 1} for k in range(CLASSES)}
    (folder / "classes.json").write_text(json.dumps(info))

    def made(name, **options):
        kind: Any = getattr(hf, f"{name}ImageProcessorPil", None) or getattr(hf, f"{name}ImageProcessor")
        return kind(**options)

    return {
        "mask2former": made("Mask2Former"),
        "maskformer": made("MaskFormer"),
        "oneformer": made("OneFormer", class_info_file="classes.json", repo_path=str(folder)),
        "eomt": made("Eomt"),
        "detr": made("Detr"),
    }


def options(family, batch):
    if family == "eomt":
        return {"target_sizes": [SIZE] * batch, "size": {"shortest_edge": 16, "longest_edge": 16}}
    return {} if family == "oneformer" else {"target_sizes": [SIZE] * batch}


def panoptic(processors, family, given_, threshold):
    call = processors[family].post_process_panoptic_segmentation
    return call(given_, threshold=threshold, **options(family, len(first(given_))))


def instances(processors, family, given_, threshold):
    call = processors[family].post_process_instance_segmentation
    return call(given_, threshold=threshold, **options(family, len(first(given_))))


def first(given_):
    return given_["pred_masks"] if "pred_masks" in given_ else given_["masks_queries_logits"]


def found(result):
    """How often each label is found with each score."""
    return Counter((one["label_id"], round(one["score"], 3)) for one in result["segments_info"])


def void(result):
    ids = {one["id"] for one in result["segments_info"]}
    return sum(int((result["segmentation"] == value).sum()) for value in result["segmentation"].unique()
               if int(value) not in ids)  # fmt: skip


def scene(seed, batch=1, segments=5, overlapping=True):
    """Mask and class logits as a trained network gives them: segments of which some repeat a class, unsure
    second queries, a duplicate, and queries of no object."""
    draw = torch.Generator().manual_seed(seed)
    y, x = torch.meshgrid(*(torch.arange(size) for size in SIZE), indexing="ij")
    images = []
    for _ in range(batch):
        seeds = torch.rand(segments, 2, generator=draw) * 16
        nearest = ((y - seeds[:, :1, None]) ** 2 + (x - seeds[:, 1:, None]) ** 2).argmin(0)
        masks, rows = [], []
        for index in range(segments + 4):
            part = nearest == index % segments
            scale = 3 + 5 * torch.rand((), generator=draw)
            soft = torch.where(part, scale, -scale) + 1.5 * torch.randn(SIZE, generator=draw)
            sure = index < segments
            probability = 0.52 + 0.47 * torch.rand((), generator=draw)
            if not sure and not (overlapping and index == segments):
                probability = 0.45 * torch.rand((), generator=draw)
            if index == segments + 3:
                probability = torch.tensor(0.01)
            label = int(torch.randint(0, CLASSES, (), generator=draw)) if sure else index % CLASSES
            row = torch.full((CLASSES + 1,), float((1 - probability) / (4 * CLASSES)))
            row[label], row[-1] = probability, (1 - probability) * (1 - (CLASSES - 1) / (4 * CLASSES))
            masks.append(soft)
            rows.append((row / row.sum()).log())
        images.append((torch.stack(masks), torch.stack(rows)))
    masks, rows = zip(*images, strict=True)
    return torch.stack(masks), torch.stack(rows)


def owners(masks, classes):
    """The label of the sure query that owns each pixel, -1 without one."""
    probability, labels = classes.softmax(-1).max(-1)
    strength = masks.sigmoid() * (probability * (labels < CLASSES) * (probability > 0.5))[..., None, None]
    return torch.where(
        strength.amax(1) > 0, labels.gather(1, strength.argmax(1).flatten(1)).view(len(masks), *SIZE), -1
    )


def agreeing(masks, classes, seed, peak=0.6):
    """A map of low scores whose arg max is the class of each pixel's owner."""
    draw = torch.Generator().manual_seed(seed)
    labels = owners(masks, classes).clamp(min=0)
    top = torch.nn.functional.one_hot(labels, CLASSES).movedim(-1, 1)
    return 0.2 * torch.rand(top.shape, generator=draw) + top * (
        0.2 + (peak - 0.2) * torch.rand(top.shape, generator=draw)
    )


@pytest.mark.parametrize("family", FAMILIES)
@given(st.integers(0, 10_000), st.sampled_from(THRESHOLDS), st.sampled_from([0.3, 1.0, 6.0]))
@settings(max_examples=12)
def test_a_map_that_agrees_leaves_every_segment_as_it_is(processors, family, seed, threshold, peak):
    """Whatever the scale of its scores: those of a product are far below the thresholds."""
    masks, classes = scene(seed, batch=2)
    plain = output(family, masks, classes)
    written = preset(family).write(plain, agreeing(masks, classes, seed, peak))
    for step in (panoptic, instances):
        before = step(processors, family, plain, threshold)
        after = step(processors, family, written, threshold)
        for old, new in zip(before, after, strict=True):
            assert found(new) == found(old)
            assert void(new) == void(old)
            if step is panoptic:
                assert new["segmentation"].equal(old["segmentation"])


@pytest.mark.parametrize("family", FAMILIES)
@given(st.integers(0, 10_000), st.sampled_from(RULES), st.booleans())
@settings(max_examples=12)
def test_after_fusion_no_segment_is_lost_and_none_is_found_twice(processors, family, seed, rule, own):
    masks, classes = scene(seed, batch=2, overlapping=False)
    plain = output(family, masks, classes)
    adapter = preset(family)
    scores = adapter.read(plain)
    _, other = scene(seed + 1, batch=2)
    labels = masks[:, :5].argmax(1) if own else scene(seed + 1)[0][:, :5].argmax(1).expand(2, -1, -1)
    regions = RegionMap(labels.int().contiguous())
    fused = fuse(scores, [regions, regions] if rule == "trust" else regions, rule=rule)
    written = adapter.write(plain, fused)
    assert other.shape == classes.shape
    for old, new in zip(
        panoptic(processors, family, plain, 0.5), panoptic(processors, family, written, 0.5), strict=True
    ):
        kept = {round(one["score"], 3) for one in new["segments_info"]}
        assert kept >= {round(one["score"], 3) for one in old["segments_info"]}
        assert len(new["segments_info"]) == len(old["segments_info"])
        assert void(new) <= void(old)
    assert adapter.read(written).argmax(1).equal(fused.argmax(1))
