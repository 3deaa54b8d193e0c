"""What is recognized without a preset, and what only has the names of it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from csl_plugin import CSLError, CSLWrapper, RegionMap
from csl_plugin.adapters import preset, recognize

DRAW = torch.Generator().manual_seed(0)
LOGITS = torch.randn(2, 5, 8, 8, generator=DRAW)
MASKS, CLASSES = torch.randn(2, 6, 8, 8, generator=DRAW), torch.randn(2, 6, 5, generator=DRAW)
BOXES = torch.rand(2, 6, 4, generator=DRAW)


@pytest.mark.parametrize(
    "output",
    [
        {"logits": LOGITS},
        {"out": LOGITS, "aux": LOGITS},
        {"logits": LOGITS, "loss": torch.tensor(1.0), "hidden_states": None, "pred_masks": None},
        {"out": LOGITS[:, :1]},
        {"logits": LOGITS.abs()},
        {"out": 0.2 + 0.3 * LOGITS[:, :1].sigmoid()},  # a network before its training
        {"out": torch.zeros(2, 1, 8, 8)},
        {"logits": LOGITS.half()},
        {"masks_queries_logits": MASKS, "class_queries_logits": CLASSES, "auxiliary_logits": None},
    ],
)
def test_mappings_that_hold_what_they_name(output):
    assert recognize(output).read(output).shape[0] == 2


@pytest.mark.parametrize(
    "output",
    [
        {"logits": CLASSES, "pred_boxes": BOXES, "pred_masks": MASKS},  # softmax or sigmoid?
        {"pred_logits": CLASSES, "pred_boxes": BOXES, "pred_masks": MASKS},
        {"logits": LOGITS, "pred_boxes": BOXES},
        {"logits": LOGITS, "out": LOGITS},
        {"logits": LOGITS[:, :, 0, 0]},  # a classification
        {"logits": LOGITS.softmax(1)},
        {"out": LOGITS.softmax(1)},
        {"out": LOGITS.softmax(1).half()},
        {"out": (9 * LOGITS[:, :1]).sigmoid()},
        {"out": (9 * LOGITS).sigmoid()},  # classes that do not exclude each other
        {"out": (LOGITS[:, :1] > 0).float()},
        {"out": LOGITS.argmax(1, keepdim=True)},
        {"out": LOGITS, "predicted_depth": LOGITS[:, 0]},
        {"predicted_depth": LOGITS[:, 0]},
        {"masks_queries_logits": MASKS, "class_queries_logits": CLASSES[:, :5]},
        {"masks_queries_logits": MASKS, "class_queries_logits": CLASSES[..., :1]},
        {"masks_queries_logits": MASKS, "class_queries_logits": None},
        {"masks_queries_logits": MASKS[:, :, 0], "class_queries_logits": CLASSES},
        {"masks": MASKS, "scores": BOXES[..., 0]},
        {"segmentation": torch.zeros(8, 8), "segments_info": []},
        [{"boxes": BOXES[0], "labels": torch.ones(6), "scores": torch.ones(6), "masks": MASKS[0][:, None]}],
        SimpleNamespace(logits=LOGITS),
        {},
        None,
        "logits",
    ],
)
def test_what_only_has_the_names_is_refused_with_what_was_seen(output):
    with pytest.raises(CSLError, match="model output: got") as caught:
        recognize(output)
    assert "adapter=OutputAdapter" in str(caught.value)
    if isinstance(output, dict):
        assert all(repr(key) in str(caught.value) for key in output)


def test_a_few_shares_among_logits_are_logits():
    logits = LOGITS.clone()
    logits[..., ::16, ::16] = 0.2
    assert recognize({"out": logits}).read({"out": logits}).equal(logits.softmax(1))


# transformers' own classes


@pytest.fixture(scope="module")
def hf():
    return pytest.importorskip("transformers")


def lookalikes(hf):
    outputs, models = hf.modeling_outputs, hf.models
    return {
        "classification": outputs.ImageClassifierOutput(logits=CLASSES[:, 0]),
        "depth": outputs.DepthEstimatorOutput(predicted_depth=LOGITS[:, 0]),
        "sam": models.sam.modeling_sam.SamImageSegmentationOutput(
            iou_scores=torch.rand(2, 1, 3), pred_masks=torch.randn(2, 1, 3, 8, 8)
        ),
        "perceiver's flow": models.perceiver.modeling_perceiver.PerceiverClassifierOutput(
            logits=torch.randn(1, 16, 16, 2)
        ),
        "detection": models.detr.modeling_detr.DetrObjectDetectionOutput(logits=CLASSES, pred_boxes=BOXES),
    }


def of_queries(hf):
    """Outputs with the names of DETR's, by the preset that reads them."""
    models = hf.models
    conditional = models.conditional_detr.modeling_conditional_detr.ConditionalDetrSegmentationOutput
    made = {"conditional_detr": conditional}
    if hasattr(models, "rf_detr"):  # transformers >= 5.21
        made["rf_detr"] = models.rf_detr.modeling_rf_detr.RfDetrInstanceSegmentationOutput
    return {name: kind(logits=CLASSES, pred_boxes=BOXES, pred_masks=MASKS) for name, kind in made.items()}


def test_other_classes_of_transformers_are_refused_by_name(hf):
    for name, output in lookalikes(hf).items():
        with pytest.raises(CSLError, match=type(output).__name__) as caught:
            recognize(output)
        fitting = str(caught.value).partition("of which these fit: ")[2]
        assert not {"detr", "mask2former", "segformer", "clipseg"} & set(fitting.rstrip(".").split(", ")), (
            name
        )


@pytest.mark.parametrize("name", ["detr", "mask2former", "segformer", "clipseg"])
def test_a_preset_of_transformers_refuses_another_models_output(hf, name):
    for output in (*lookalikes(hf).values(), *of_queries(hf).values()):
        with pytest.raises(CSLError, match=type(output).__name__):
            preset(name).read(output)


def test_the_class_decides_what_class_logits_mean(hf):
    shares = {"conditional_detr": CLASSES.softmax(-1), "rf_detr": CLASSES.sigmoid()}
    for name, output in of_queries(hf).items():
        expected = torch.einsum("bqc,bqhw->bchw", shares[name], MASKS.sigmoid())
        for adapter in (recognize(output), preset(name)):
            torch.testing.assert_close(adapter.read(output), expected)
        with pytest.raises(CSLError, match=f'expected DetrSegmentationOutput.*pass the preset "{name}"'):
            preset("detr").read(output)
        segment = CSLWrapper(
            lambda x, made=output: made, lambda x: RegionMap(torch.zeros(2, 8, 8).int()), "detr"
        )
        with pytest.raises(CSLError, match=f'pass the preset "{name}"'):
            segment(torch.rand(2, 3, 8, 8))


def test_a_class_of_ones_own_is_read_by_its_keys(hf):
    from dataclasses import dataclass

    @dataclass
    class Mine(hf.utils.ModelOutput):
        logits: torch.Tensor | None = None

    assert recognize(Mine(logits=LOGITS)).read(Mine(logits=LOGITS)).equal(LOGITS.softmax(1))


# ultralytics


class Boxes:
    """ultralytics' `Boxes`: rows of x1, y1, x2, y2, (track,) confidence, class."""

    def __init__(self, data):
        self.data = data

    conf = property(lambda self: self.data[:, -2])
    cls = property(lambda self: self.data[:, -1])


def result(masks=None, boxes=None, size=(8, 8), **more):
    masks = None if masks is None else SimpleNamespace(data=masks)
    boxes = None if boxes is None else Boxes(torch.as_tensor(boxes).reshape(-1, 6).float())
    names = {0: "car", 1: "person"}
    return SimpleNamespace(masks=masks, boxes=boxes, names=names, orig_shape=size, **more)


ONE = [[0, 0, 4, 4, 0.9, 1]]


@pytest.mark.parametrize(
    ("given_", "said"),
    [
        (result(torch.ones(1, 8, 8)), "no boxes"),
        (result(torch.ones(2, 8, 8), ONE), "with 1 boxes"),
        (result(None, ONE), "boxes and without masks"),
        (result(None, None, obb=torch.zeros(1, 7)), "obb and without masks"),
        (result(None, None, probs=torch.zeros(5)), "probs and without masks"),
        (result(torch.ones(1, 8, 8), [[0, 0, 4, 4, 0.9, 2]]), "the class 2"),
        (result(torch.ones(1, 8, 8), ONE, (6, 8)), "retina_masks=True"),
    ],
)
def test_results_with_one_half_are_refused(given_, said):
    with pytest.raises(CSLError, match=said):
        preset("ultralytics").read([given_])


@pytest.mark.parametrize("size", [(8, 8), (16, 16)])
def test_an_image_without_objects_beside_one_with_objects(size):
    """Its D has the size of the other's masks, also without retina_masks."""
    output = [result(torch.ones(1, 8, 8), ONE, size), result(None, [], size), result(None, None, size)]
    read = preset("ultralytics").read(output)
    assert read.shape == (3, 2, 8, 8)
    assert read[0, 1].eq(0.9).all()
    assert read[1:].eq(0).all()
    written = preset("ultralytics").write(output, read)
    assert written[1:] == output[1:]
    assert written[0].masks.data.equal(read[0])


def test_results_of_arrays_are_read():
    given_ = result(np.ones((1, 8, 8), np.uint8), ONE)
    assert preset("ultralytics").read([given_])[0, 1].eq(0.9).all()
