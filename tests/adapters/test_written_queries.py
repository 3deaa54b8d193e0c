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

from csl_plugin import Calibration, CSLWrapper, RegionMap, fuse
from csl_plugin.adapters import OutputAdapter, QuerySum, check_adapter, preset
from csl_plugin.adapters.presets.queries import QueryObjectness, QueryRejection
from csl_plugin.errors import DeviceError, ScoreRangeError
from tests.helpers import tiny_segmenters

SIZE, CLASSES = (16, 16), 4
FAMILIES = ["mask2former", "maskformer", "oneformer", "eomt", "detr"]
THRESHOLDS = (0.5, 0.65, 0.8)
RULES = ("adaptive", "product", "geometric", "mean")
OUTPUTS = {
    "mask2former": hf.models.mask2former.modeling_mask2former.Mask2FormerForUniversalSegmentationOutput,
    "maskformer": hf.models.maskformer.modeling_maskformer.MaskFormerForInstanceSegmentationOutput,
    "oneformer": hf.models.oneformer.modeling_oneformer.OneFormerForUniversalSegmentationOutput,
    "eomt": hf.models.eomt.modeling_eomt.EomtForUniversalSegmentationOutput,
    "detr": hf.models.detr.modeling_detr.DetrSegmentationOutput,
}
if hasattr(hf, "VideomtForUniversalSegmentation"):
    FAMILIES.append("videomt")
    OUTPUTS["videomt"] = hf.models.videomt.modeling_videomt.VideomtForUniversalSegmentationOutput


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

    of_videos = {}
    if "videomt" in FAMILIES:
        from transformers.models.videomt.video_processing_videomt import VideomtVideoProcessor

        of_videos["videomt"] = VideomtVideoProcessor()
    return {
        **of_videos,
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


def scores(result):
    return sorted(one["score"] for one in result["segments_info"])


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
@given(st.integers(0, 10_000), st.sampled_from(THRESHOLDS), st.sampled_from([0.3, 1.0]))
@settings(max_examples=6)
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
            if step is panoptic:
                assert new["segmentation"].equal(old["segmentation"])
                assert void(new) == void(old)


@pytest.mark.parametrize("family", FAMILIES)
@given(st.integers(0, 10_000), st.sampled_from(RULES), st.booleans())
@settings(max_examples=8)
def test_after_fusion_no_segment_is_lost_and_none_is_found_twice(processors, family, seed, rule, own):
    masks, classes = scene(seed, batch=2, overlapping=False)
    plain = output(family, masks, classes)
    adapter = preset(family)
    labels = masks[:, :5].argmax(1) if own else scene(seed + 1)[0][:, :5].argmax(1).expand(2, -1, -1)
    regions = RegionMap(labels.int().contiguous())
    fused = fuse(adapter.read(plain), regions, rule=rule)
    written = adapter.write(plain, fused)
    both = (panoptic(processors, family, one, 0.5) for one in (plain, written))
    for old, new in zip(*both, strict=True):
        assert scores(new) == pytest.approx(scores(old), abs=1e-5)
        assert void(new) <= void(old) + 2
    assert adapter.read(written).argmax(1).equal(fused.argmax(1))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_semantic_map_is_the_fused_one(processors, family):
    masks, classes = scene(3, batch=2)
    plain = output(family, masks, classes)
    fused = torch.rand(2, CLASSES, *SIZE, generator=torch.Generator().manual_seed(0)) ** 2
    written = preset(family).write(plain, fused)
    assert preset(family).read(written).argmax(1).equal(fused.argmax(1))
    if family == "mask2former":  # its masks go to 384 x 384 first: compared in the middle of each pixel
        maps = processors[family].post_process_semantic_segmentation(written)
        assert (torch.stack(maps)[:, 12::24, 12::24] != fused.argmax(1)).float().mean() < 0.02
        return
    if family == "eomt":  # one patch is the whole image
        written.patch_offsets = [(0, 0, SIZE[1]), (1, 0, SIZE[1])]
    maps = processors[family].post_process_semantic_segmentation(written, **options(family, 2))
    assert torch.stack(maps).equal(fused.argmax(1))


def masked(shape, logit=6.0):
    return torch.where(shape, logit, -logit)


def rows(*classes):
    """Class logits of queries (label, probability)."""
    made = torch.zeros(len(classes), CLASSES + 1)
    for row, (label, probability) in zip(made, classes, strict=True):
        row[:-1], row[-1] = (1 - probability) / (2 * CLASSES - 2), (1 - probability) / 2
        row[label] = probability
    return made.log()[None]


def columns(low, high):
    return (torch.arange(16) >= low) & (torch.arange(16) < high) & torch.ones(SIZE, dtype=torch.bool)


def test_two_cars_stay_two_and_each_gets_its_own_pixels(processors):
    """Masks miss a column of each car, which fusion gives back: to the car that it belongs to."""
    left, right = columns(0, 4), columns(10, 13)
    masks = torch.stack([masked(left), masked(right), masked(columns(4, 10) | columns(13, 16))])[None]
    masks[0, 0, :, 4], masks[0, 1, :, 4] = -1.0, -6.0
    masks[0, 1, :, 13], masks[0, 0, :, 13] = -1.0, -6.0
    plain = output("detr", masks, rows((1, 0.9), (1, 0.9), (0, 0.97)))
    car = columns(0, 5) | columns(10, 14)
    fused = torch.full((1, CLASSES, *SIZE), 0.01)
    fused[:, 0], fused[:, 1] = torch.where(car, 0.1, 0.9), torch.where(car, 0.8, 0.01)
    (result,) = panoptic(processors, "detr", preset("detr").write(plain, fused), 0.5)
    assert sorted(one["label_id"] for one in result["segments_info"]) == [0, 1, 1]
    ids = result["segmentation"][0]
    assert ids[4] == ids[0]
    assert ids[13] == ids[10]
    assert len(ids.unique()) == 3


def test_a_segment_takes_the_class_of_the_fused_map(processors):
    masks = torch.stack([masked(columns(0, 8)), masked(columns(8, 16))])[None]
    plain = output("maskformer", masks, rows((0, 0.9), (1, 0.7)))
    fused = torch.full((1, CLASSES, *SIZE), 0.01)
    fused[:, 0, :, :8], fused[:, 3, :, 8:] = 0.8, 0.6
    (result,) = panoptic(processors, "maskformer", preset("maskformer").write(plain, fused), 0.5)
    assert found(result) == {(0, 0.9): 1, (3, 0.7): 1}


@pytest.mark.parametrize("second", [0.05, 0.2, 0.4, 0.49])
@pytest.mark.parametrize("label", [1, 2])
def test_an_unsure_second_query_is_no_second_object(processors, second, label):
    """The sums over queries exceed 1, where each class once became several equal queries."""
    masks = torch.stack([masked(columns(0, 8)), masked(columns(8, 16)), masked(columns(8, 16))])[None]
    plain = output("mask2former", masks, rows((0, 0.97), (1, 0.9), (label, second)))
    adapter = preset("mask2former")
    regions = RegionMap(columns(8, 16).int()[None])
    written = adapter.write(plain, fuse(adapter.read(plain), regions))
    for step in (panoptic, instances):
        (result,) = step(processors, "mask2former", written, 0.5)
        assert found(result).keys() == {(0, 0.97), (1, 0.9)} or step is instances
        assert len(result["segments_info"]) == 2


def detectron2(masks, classes, sure=0.8, overlap=0.8):
    """The panoptic inference of MaskFormer's and Mask2Former's own code, its labels in the order found."""
    scores, labels = classes[0].softmax(-1).max(-1)
    keep = (labels != classes.shape[-1] - 1) & (scores > sure)
    if not keep.any():
        return []
    shares, labels = masks[0, keep].sigmoid(), labels[keep]
    owned = (scores[keep].view(-1, 1, 1) * shares).argmax(0)
    segments = []
    for k, label in enumerate(labels.tolist()):
        inside, mine = shares[k] >= 0.5, owned == k
        if mine.sum() and inside.sum() and (mine & inside).sum() and mine.sum() / inside.sum() >= overlap:
            segments.append((label, int((mine & inside).sum())))
    return segments


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_detectron2s_panoptic_inference_finds_the_same(seed):
    masks, classes = scene(seed)
    written = QuerySum().write(agreeing(masks, classes, seed), masks, classes)
    assert detectron2(*written) == detectron2(masks, classes)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_the_segments(dtype):
    for seed in range(8):
        masks, classes = (tensor.to(dtype) for tensor in scene(seed))
        fused = agreeing(masks.float(), classes.float(), seed)
        written = [tensor.to(dtype) for tensor in QuerySum().write(fused, masks, classes)]
        expected = detectron2(masks.float(), classes.float(), sure=0.5)
        assert detectron2(*(tensor.float() for tensor in written), sure=0.5) == expected
        again = QuerySum().read(*(tensor.float() for tensor in written))
        assert again.argmax(1).eq(fused.argmax(1)).float().mean() > 0.98


def test_autocast_around_a_call_changes_nothing():
    masks, classes = scene(6, batch=2)
    fused = agreeing(masks, classes, 6)
    for kind in (QuerySum(), QueryRejection(), QueryObjectness(Calibration.sigmoid())):
        maps = fused if isinstance(kind, QuerySum) else fused[:, :1]
        expected = [kind.read(masks, classes), *kind.write(maps, masks, classes)]
        with torch.autocast("cpu", torch.bfloat16):
            got = [kind.read(masks, classes), *kind.write(maps, masks, classes)]
        assert all(torch.equal(one, other) for one, other in zip(got, expected, strict=True))


@pytest.mark.parametrize("bad", [torch.inf, torch.nan, 1e12])
def test_a_map_that_no_number_of_queries_holds_is_refused(bad):
    masks, classes = scene(6)
    fused = agreeing(masks, classes, 6)
    fused[0, 1, 2, 3] = bad
    with pytest.raises(ScoreRangeError, match=r"fused map.*check=True"):
        QuerySum().write(fused, masks, classes)


def test_a_map_without_values_is_refused_by_name():
    masks, classes = (tensor.to("meta") for tensor in scene(6))
    with pytest.raises(DeviceError, match="queries on meta"):
        QuerySum().write(torch.zeros(1, CLASSES, *SIZE, device="meta"), masks, classes)


def test_a_batch_is_written_as_its_images_are():
    masks, classes = scene(5, batch=3)
    fused = torch.rand(3, CLASSES, *SIZE, generator=torch.Generator().manual_seed(1))
    together = QuerySum().read(*QuerySum().write(fused, masks, classes))
    for index in range(3):
        part = slice(index, index + 1)
        alone = QuerySum().read(*QuerySum().write(fused[part], masks[part], classes[part]))
        torch.testing.assert_close(alone, together[part], atol=2e-6, rtol=1e-5)


def test_the_sum_is_the_fused_map_or_what_is_kept():
    masks, classes = scene(2, overlapping=False)
    fused = agreeing(masks, classes, 2)
    again = QuerySum().read(*QuerySum().write(fused, masks, classes))
    probability, labels = classes.softmax(-1).max(-1)
    sure = (labels < CLASSES) & (probability > 0.5)
    held = torch.zeros_like(fused)
    for query in sure[0].nonzero().flatten().tolist():
        held[0, labels[0, query]] += probability[0, query] * masks[0, query].sigmoid()
    others = held.scatter(1, fused.argmax(1, keepdim=True), 0.0).amax(1, keepdim=True)
    least = torch.maximum(fused, held)
    assert (again >= least - 2e-6).all()
    assert (again <= torch.maximum(least, 1.5 * others) + 2e-6).all()


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_one_class_is_written_exactly(seed):
    masks, classes = scene(seed)
    classes = torch.stack([classes[..., :-1].logsumexp(-1), classes[..., -1]], -1)
    fused = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(seed)) * 2
    written = QuerySum().write(fused, masks, classes)
    torch.testing.assert_close(QuerySum().read(*written), fused, atol=2e-6, rtol=2e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=15)
def test_rejection_and_objectness_keep_the_known_segments(seed):
    """EAM and UNO: the score is the fused one, the segments are the model's where nothing is rejected."""
    masks, classes = scene(seed, overlapping=False)
    fused = 0.02 * torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(seed))
    objectness = QueryObjectness(Calibration.sigmoid())
    for kind in (QueryRejection(), objectness):
        written = kind.write(fused, masks, classes)
        torch.testing.assert_close(kind.raw(*written), fused, atol=3e-6, rtol=1e-4)
        kept, plain = (
            Counter(label for label, _ in detectron2(*one, sure=0.5)) for one in (written, (masks, classes))
        )
        assert kept >= plain if kind is not objectness else kept == plain


def test_what_is_rejected_is_no_part_of_a_segment():
    masks, classes = masked(columns(0, 16))[None, None], rows((1, 0.97))
    fused = torch.where(columns(10, 16), 0.9, 0.01)[None, None]
    assert detectron2(*QueryRejection().write(fused, masks, classes)) == [(1, 160)]


def test_detrs_boxes_keep_a_row_for_each_query(processors):
    masks, classes = scene(4)
    plain = output("detr", masks, classes)
    written = preset("detr").write(plain, agreeing(masks, classes, 4))
    boxes = [processors["detr"].post_process_object_detection(one, 0.5)[0] for one in (plain, written)]
    for name in ("boxes", "labels", "scores"):
        torch.testing.assert_close(boxes[1][name], boxes[0][name])
    assert written.pred_boxes[:, : masks.shape[1]].equal(plain.pred_boxes)


def test_masks_read_at_another_size_are_written_at_it():
    masks, classes = scene(1)
    adapter = OutputAdapter(QuerySum(), preset("mask2former").output_path, align_corners=False)
    plain = output("mask2former", masks, classes)
    fused = adapter.read(plain, (32, 48))
    written = adapter.write(plain, fused)
    assert adapter.read(written, (32, 48)).argmax(1).equal(fused.argmax(1))


@torch.no_grad()
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_a_real_model_that_is_sure(family, processors):
    """Random weights, with class logits stretched until half of the queries are sure."""
    model = tiny_segmenters.build(family)
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    named = {"task_inputs": torch.arange(77).expand(2, -1) % 20} if family == "oneformer" else {}

    def sure(pixel_values):
        call = {"pixel_values_videos": pixel_values[:, None]} if family == "videomt" else {}
        made = model(**(call or {"pixel_values": pixel_values}), **named)
        name = "logits" if family == "detr" else "class_queries_logits"
        spread = made[name] - made[name].mean((0, 1), keepdim=True)
        made[name] = 2 * spread / spread.std() + torch.tensor([0.5, 0.5, 0.5, 0.0])
        return made

    regions = torch.arange(64).expand(2, 64, -1).div(16, rounding_mode="floor")
    wrapped = CSLWrapper(sure, lambda images: RegionMap(regions.contiguous()), family)(images)
    plain, adapter = sure(images), preset(family)
    assert (adapter.output_path.take(plain)[1].softmax(-1)[..., :-1].amax(-1) > 0.5).float().mean() > 0.1
    fused = fuse(adapter.read(plain), RegionMap(regions.contiguous()).resize((16, 16)))
    assert adapter.read(wrapped).argmax(1).equal(fused.argmax(1))
    unfused = adapter.write(plain, adapter.read(plain))
    each = (panoptic(processors, family, one, 0.5) for one in (plain, unfused, wrapped))
    for old, same, new in zip(*each, strict=True):
        assert len(new["segments_info"]) >= len(old["segments_info"])
        assert void(new) <= void(same), "no more than where the classes are written as they were"
    check_adapter(adapter, plain, kwargs={"pixel_values": images})
