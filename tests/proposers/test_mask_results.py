"""Results of other tools as regions: each is read whole, or refused with what was seen."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from csl_plugin import fuse
from csl_plugin.errors import CSLError, DeviceError, OptionError, ShapeError
from csl_plugin.proposers import regions_from_masks

IDS = np.array([[1, 1, 2, 0], [1, 2, 2, 5]], np.int32)
EXPECTED = [[0, 0, 1, -1], [0, 1, 1, 2]]
INFO = [{"id": i, "label_id": 3, "was_fused": False, "score": 0.9} for i in (1, 2, 5)]
PLANES = np.stack([i == IDS for i in (1, 2, 5)])


def labels(masks, **options):
    return regions_from_masks(masks, **options).labels[0].tolist()


# transformers


@pytest.mark.parametrize(
    "segmentation",
    [
        torch.from_numpy(IDS),
        IDS,
        torch.where(torch.from_numpy(IDS) == 0, -1, torch.from_numpy(IDS)).float(),
        torch.from_numpy(IDS).long(),
    ],
)
def test_a_panoptic_result_is_its_segments(segmentation):
    found = {"segmentation": segmentation, "segments_info": INFO}
    assert labels(found) == EXPECTED
    assert labels([found]) == EXPECTED  # as the post-processing of a batch of one returns it


def test_an_instance_result_counts_from_0_and_covered_segments_have_no_pixel():
    segmentation = torch.tensor([[0.0, 0.0, -1.0, 2.0]])
    info = [{"id": i, "label_id": 1, "score": 0.9} for i in range(3)]
    regions = regions_from_masks({"segmentation": segmentation, "segments_info": info})
    assert regions.labels.tolist() == [[[0, 0, -1, 2]]]
    assert regions.num_regions == 3


def test_fused_segments_share_an_id():
    assert labels({"segmentation": IDS, "segments_info": [*INFO, INFO[0]]}) == EXPECTED


def test_binary_maps_overlap_by_score():
    stack = torch.tensor([[[1, 1, 0]], [[0, 1, 1]]])
    info = [{"id": 0, "score": 0.6}, {"id": 1, "score": 0.8}]
    assert labels({"segmentation": stack, "segments_info": info}) == [[0, 1, 1]]


def test_no_segment_is_no_region():
    for value in (0, -1):
        nothing = {"segmentation": torch.full((2, 3), float(value)), "segments_info": []}
        assert labels(nothing) == [[-1] * 3] * 2
    assert labels({"segmentation": None, "segments_info": []}, size=(1, 2)) == [[-1, -1]]


def test_a_real_processors_result_is_read():
    hf = pytest.importorskip("transformers")
    kind = getattr(hf, "MaskFormerImageProcessorPil", None) or hf.MaskFormerImageProcessor
    output = hf.models.maskformer.modeling_maskformer.MaskFormerForInstanceSegmentationOutput(
        masks_queries_logits=torch.from_numpy(np.where(PLANES, 9.0, -9.0)).float()[None],
        class_queries_logits=torch.tensor([[9.0, 0.0, 0.0], [0.0, 9.0, 0.0], [9.0, 0.0, 0.0]])[None],
    )
    panoptic = kind().post_process_panoptic_segmentation(output)
    instance = kind().post_process_instance_segmentation(output)
    assert len(panoptic[0]["segments_info"]) == 3
    inside = IDS > 0
    assert np.array_equal(np.array(labels(panoptic))[inside], np.array(EXPECTED)[inside])
    assert len(np.unique(np.array(labels(instance))[inside])) == 3
    assert np.array_equal(np.array(labels(instance)) == -1, ~inside)
    scores = torch.rand(2, 4)
    torch.testing.assert_close(
        fuse(scores, regions_from_masks(panoptic)), fuse(scores, np.array(labels(panoptic)))
    )


# Other tools


class Instances:
    """detectron2's `Instances`, as far as its attributes."""

    def __init__(self, image_size, **fields):
        self.image_size, self._fields = image_size, fields

    def __getattr__(self, name):
        if name == "_fields" or name not in self._fields:
            raise AttributeError(f"Cannot find field '{name}' in the given Instances!")
        return self._fields[name]


@dataclass
class Detections:
    """supervision's `Detections`."""

    xyxy: np.ndarray
    mask: np.ndarray | None = None
    confidence: np.ndarray | None = None
    class_id: np.ndarray | None = None
    tracker_id: np.ndarray | None = None
    data: dict = field(default_factory=dict)


def boxes(count):
    return SimpleNamespace(conf=torch.linspace(0.9, 0.5, count) if count else torch.zeros(0))


FOUND = torch.from_numpy(PLANES)
SCORES = torch.tensor([0.9, 0.8, 0.7])
FIELDS = {"boxes": torch.rand(3, 4), "labels": torch.ones(3), "scores": SCORES}
NUMBERED = [{"id": i, "isthing": True, "category_id": 7} for i in (1, 2, 5)]


@pytest.mark.parametrize(
    "found",
    [
        (torch.from_numpy(IDS), NUMBERED),
        {"panoptic_seg": (torch.from_numpy(IDS), NUMBERED), "sem_seg": torch.rand(5, 2, 4)},
        [{"panoptic_seg": (torch.from_numpy(IDS), NUMBERED)}],
        {"instances": Instances((2, 4), pred_masks=FOUND, scores=SCORES), "sem_seg": torch.rand(5, 2, 4)},
        Instances((2, 4), pred_masks=SimpleNamespace(tensor=FOUND), scores=SCORES),
        {**FIELDS, "masks": FOUND[:, None].float()},
        [{**FIELDS, "masks": FOUND[:, None].float() * 0.8}],
        {**FIELDS, "masks": FOUND},
        {"boxes": FIELDS["boxes"], "labels": FIELDS["labels"], "masks": FOUND.byte()},
        {"masks": list(FOUND), "scores": SCORES},
        Detections(np.zeros((3, 4)), PLANES, SCORES.numpy()),
        Detections(np.zeros((3, 4)), PLANES),
        SimpleNamespace(masks=SimpleNamespace(data=FOUND), boxes=None, orig_shape=(2, 4)),
        SimpleNamespace(masks=SimpleNamespace(data=FOUND), boxes=boxes(3), orig_shape=(2, 4), obb=None),
        list(PLANES),
        tuple(FOUND),
        PLANES[::-1][::-1],
        PLANES.astype(np.uint8) * 255,
        PLANES * np.array([1, 2, 5])[:, None, None],
        [{"segmentation": plane.astype(np.uint8) * 255, "image_id": 7} for plane in PLANES],
    ],
)
def test_every_result_is_the_same_regions(found):
    assert labels(found) == EXPECTED


def test_the_order_of_masks_is_the_order_of_ids():
    assert labels(PLANES[::-1]) == [[{0: 2, 1: 1, 2: 0, -1: -1}[n] for n in row] for row in EXPECTED]


@pytest.mark.parametrize(
    "found",
    [
        Detections(np.zeros((0, 4))),
        SimpleNamespace(masks=None, boxes=None, orig_shape=(2, 3)),
        SimpleNamespace(masks=None, boxes=boxes(0), orig_shape=(2, 3), obb=None, probs=None),
        SimpleNamespace(masks=SimpleNamespace(data=torch.zeros(0, 2, 3)), boxes=boxes(0), orig_shape=(2, 3)),
        Instances((2, 3), pred_masks=torch.zeros(0, 2, 3), scores=torch.zeros(0)),
        {"boxes": torch.zeros(0, 4), "labels": [], "scores": [], "masks": torch.zeros(0, 1, 2, 3)},
        (),
    ],
)
def test_nothing_found_is_no_region(found):
    assert labels(found, size=(2, 3)) == [[-1] * 3] * 2


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (IDS[None], "more than two in one mask.*A map of ids is a partition"),
        (IDS, r"shape \(2, 4\).*map of ids is a partition"),
        ([{"segmentation": IDS}], "more than two in one mask"),
        ([{"segmentation": IDS - 1}], "more than two in one mask"),
        (-PLANES.astype(np.int8), "more than two in one mask"),
        (PLANES * 255.0, "Divide by 255"),
        (PLANES * 14.0 - 7.0, "from_logits"),
        ({"segmentation": IDS, "segments_info": INFO[:2]}, "ids 5, which segments_info does not have"),
        ({"segmentation": IDS + 0.5, "segments_info": INFO}, "segments_info does not have"),
        ({"segmentation": [[1, 3]], "segments_info": INFO}, "return_coco_annotation"),
        ({"segmentation": None, "segments_info": INFO}, "return_coco_annotation"),
        ({"segmentation": IDS, "segments_info": None}, "'segments_info'"),
        ({"segmentation": PLANES, "segments_info": INFO[:2]}, "2 scores"),
        ([{"segmentation": IDS, "segments_info": INFO}] * 2, "of 2: "),
        ((torch.from_numpy(IDS), None), "a builtins.tuple of 2"),
        ({"panoptic_seg": (IDS, NUMBERED), "instances": Instances((2, 4))}, "Choose one"),
        (Instances((8, 8), pred_masks=FOUND, scores=SCORES), "detector_postprocess"),
        (Instances((2, 4), gt_masks=FOUND), "Instances"),
        ({**FIELDS, "masks": FOUND[:2, None].float()}, "one a mask"),
        ({"boxes": FIELDS["boxes"], "labels": FIELDS["labels"], "scores": SCORES}, "'boxes'"),
        ({"masks": [PLANES[0], PLANES[1][:1]], "scores": [1, 1]}, "one size"),
        ([PLANES[0], PLANES[1][:1]], "one size"),
        ([PLANES[0], PLANES[1].astype(np.uint8)], "one type"),
        ([PLANES, PLANES], "of 2: "),
        ({"masks": [], "scores": [0.5]}, "1 scores"),
        (np.array([PLANES[0], None], dtype=object), "object"),
        (PLANES[:, None], "without a batch axis"),
        (PLANES * 1j, "complex"),
        (Detections(np.zeros((2, 4))), "2 boxes without masks"),
        (SimpleNamespace(masks=None, boxes=boxes(2), orig_shape=(2, 3)), "boxes and without masks"),
        (SimpleNamespace(masks=None, boxes=None, obb=1, orig_shape=(2, 3)), "obb and without masks"),
        (SimpleNamespace(masks=None, boxes=None, probs=1, orig_shape=(2, 3)), "probs and without masks"),
        (SimpleNamespace(masks=SimpleNamespace(data=FOUND), boxes=boxes(2), orig_shape=(2, 4)), "2 scores"),
        ((PLANES, SCORES, np.zeros((3, 2, 4))), "a builtins.tuple of 3"),  # SAM's predictor
        ((0, [1, 2], torch.zeros(2, 1, 2, 4)), "a builtins.tuple of 3"),  # SAM2's video predictor
        ({"iou_scores": torch.rand(1, 1, 3), "pred_masks": torch.randn(1, 1, 3, 8, 8)}, "'iou_scores'"),
        ({"pred_logits": torch.rand(1, 5, 3), "pred_masks": torch.randn(1, 5, 8, 8)}, "'pred_logits'"),
        ([{"segmentation": PLANES[0], "image_id": n} for n in (1, 2)], "records of 2 images"),
        ([{"segmentation": PLANES[0]}, {"bbox": [0, 0, 1, 1]}], "of 2: "),
        ({"annotations": []}, "'annotations'"),
        ({}, "nothing"),
    ],
)
def test_what_is_something_else_is_refused_with_what_was_seen(found, said):
    with pytest.raises(CSLError, match=said):
        regions_from_masks(found, (2, 4))


@given(arrays(np.int32, (5, 6), elements=st.integers(0, 4)))
def test_a_map_and_the_stack_of_its_masks_are_the_same_regions(ids):
    info = [{"id": i} for i in range(1, 5)]
    stack = np.stack([ids == i for i in range(1, 5)])
    assert labels({"segmentation": ids, "segments_info": info}) == labels(stack) == (ids - 1).tolist()


# What fuse takes as regions


@pytest.mark.parametrize(
    ("regions", "said"),
    [
        ({"segmentation": IDS, "segments_info": INFO}, "regions_from_masks"),
        ([{"segmentation": PLANES[0]}], "regions_from_masks"),
        (PLANES, "regions_from_masks"),
        (PLANES.astype(np.uint8), "batch of 3.*regions_from_masks"),
        (torch.from_numpy(IDS).float(), "integer type"),
        (np.zeros((2, 4, 3), np.uint8), r"R \+ 256 \* G"),
        (np.array([IDS, None], dtype=object), "object"),
        ([], "an empty list"),
    ],
)
def test_what_is_no_partition_says_how_to_make_one(regions, said):
    with pytest.raises(CSLError, match=said):
        fuse(np.ones((2, 4), np.float32), regions)


META = torch.zeros(2, 3, 4, device="meta")


@pytest.mark.parametrize(
    "masks",
    [
        META,
        [META[0], META[1]],
        [{"segmentation": META[0]}],
        {"segmentation": META[0], "segments_info": []},
        {"masks": META, "scores": None},
        {"masks": PLANES, "scores": torch.zeros(3, device="meta")},
    ],
)
def test_tensors_without_values_are_named(masks):
    with pytest.raises(DeviceError, match=r"^(masks|scores): got a tensor without values"):
        regions_from_masks(masks)


def test_on_top_is_one_of_two_names():
    for on_top in ("best", None, 10**5000, np.array(["score", "smallest"]), ["score"], b"score"):
        with pytest.raises(OptionError, match=r'^on_top: .* "score" or "smallest"'):
            regions_from_masks(PLANES, on_top=on_top)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.float32])
def test_masks_on_the_last_axis_are_refused_and_moved_ones_are_read(kind):
    masks = np.zeros((12, 16, 3), kind)
    masks[:6, :, 0], masks[6:, :8, 1], masks[6:, 8:, 2] = 1, 1, 1
    with pytest.raises(ShapeError, match=r"masks were last.*moveaxis\(masks, -1, 0\)"):
        regions_from_masks(masks)
    assert regions_from_masks(np.moveaxis(masks, -1, 0)).num_regions == 3


def test_masks_of_a_narrow_image_pass_as_a_list():
    narrow = np.zeros((12, 16, 3), bool)
    narrow[4] = True
    assert regions_from_masks(list(narrow)).size == (16, 3)
