"""Every preset against an output of the structure that the method's own code returns."""

from __future__ import annotations

from collections import namedtuple
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from csl_plugin import Calibration, CSLError, CSLWrapper, RegionMap, fuse
from csl_plugin.adapters import (
    PRESETS,
    ClassStatistics,
    ObserverPair,
    SavedScores,
    check_adapter,
    preset,
    recognize,
)
from csl_plugin.io import write_scores

IMAGENET = (
    torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1),
    torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1),
)
SIZE = (24, 32)
FIT = Calibration.sigmoid(0.5, 2.0)


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def share(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


RGB = share(1, 3, *SIZE, seed=7)
NORMALIZED = (RGB - IMAGENET[0]) / IMAGENET[1]
BYTES = (RGB * 255).round()
BGR = BYTES[0].flip(0).movedim(0, -1).numpy().astype(np.uint8)
CAFFE = (RGB * 255).flip(1) - torch.tensor([104.00698793, 116.66876762, 122.67891434]).view(3, 1, 1)
DETECTRON = [{"image": BYTES[0], "height": 30, "width": 40}]
LOGITS = 3 * draw(1, 19, *SIZE)
SUMS = 1.5 * share(1, 19, *SIZE)


def sem_seg(maps):
    return [{"sem_seg": maps[0]}]


def softmax(logits):
    return logits.softmax(1)


def field(output):
    return output[0]["sem_seg"][None]


def gaussian(raw):
    """The blur of PEBAL and RPL, without convolutions of its own: a two-dimensional kernel, mirrored."""
    steps = torch.arange(-3.0, 4.0)
    kernel = torch.exp(-(steps[:, None] ** 2 + steps**2) / 2)
    return F.conv2d(F.pad(raw, (3,) * 4, mode="reflect"), (kernel / kernel.sum()).view(1, 1, 7, 7))


QUERY_MASKS, QUERY_CLASSES = draw(1, 6, *SIZE, seed=2), draw(1, 6, 20, seed=3)
OPEN_CLASSES = draw(1, 6, 21, seed=3)
OPEN = [{"sem_seg": SUMS[0], "mask_pred": QUERY_MASKS[0], "mask_cls": QUERY_CLASSES[0]}]
OPEN_UNO = [{"sem_seg": SUMS[0], "mask_pred": QUERY_MASKS[0], "mask_cls": OPEN_CLASSES[0]}]


def eam(output):
    best = output[0]["mask_cls"].softmax(-1)[:, :-1].max(-1).values
    return (1 - (output[0]["mask_pred"].sigmoid() * best[:, None, None]).sum(0)).clamp(min=0)[None, None]


def uno(output):
    shares = output[0]["mask_cls"].softmax(-1)
    unknown = shares[:, -2] - shares[:, :-2].max(-1).values
    return FIT((output[0]["mask_pred"].sigmoid() * unknown[:, None, None]).sum(0))[None, None]


def lowered(probabilities, unseen):
    seen = torch.ones(probabilities.shape[1], dtype=torch.bool)
    seen[list(unseen)] = False
    return torch.where(seen[:, None, None], probabilities - 0.1, probabilities)


class Pixels:
    """mmengine's PixelData and mmsegmentation's SegDataSample, as far as an adapter sees them."""

    def __init__(self, data):
        self.data = data


def sample(scores):
    return SimpleNamespace(
        seg_logits=Pixels(scores[0]), pred_sem_seg=Pixels(scores.argmax(1)), metainfo={"ori_shape": SIZE}
    )


def results(masks, classes, confidences):
    """An ultralytics Results: five names, three objects."""
    rows = [[0, 0, 5, 5, confidence, c] for confidence, c in zip(confidences, classes, strict=True)]

    class Boxes:
        def __init__(self, data):
            self.data = data

        conf = property(lambda self: self.data[:, -2])
        cls = property(lambda self: self.data[:, -1])

    names = dict(enumerate("abcde"))
    return [
        SimpleNamespace(
            masks=Pixels(masks), boxes=Boxes(torch.tensor(rows)), names=names, orig_shape=(30, 40)
        )
    ]


Predicted = namedtuple("Predicted", ["pred_score", "pred_label", "anomaly_map", "pred_mask"])
MASKS = (draw(3, *SIZE, seed=4) > 0).to(torch.uint8)
DETECTED = results(MASKS, [2.0, 0.0, 2.0], [0.9, 0.5, 0.7])
UNSEEN = (19, 23, 28, 29, 36, 51, 76, 88, 94, 112, 133, 136, 137, 157, 160)
STUFF = share(1, 171, 6, 8)
VOC = share(1, 20, *SIZE)
STATISTICS = ClassStatistics(tuple(float(c) for c in range(19)), tuple(1 + c / 19 for c in range(19)))
WINNERS = LOGITS.max(1, keepdim=True)
STANDARD = (WINNERS.values - WINNERS.indices) / (1 + WINNERS.indices / 19).sqrt()

# name: the arguments of the call, what it returned, D, and the options of the preset.
CASES = {
    "msp": ((NORMALIZED,), LOGITS, lambda o: 1 - softmax(o).max(1, keepdim=True).values, {}),
    "max_logit": ((NORMALIZED,), LOGITS, lambda o: FIT(-o.max(1, keepdim=True).values), {"calibration": FIT}),
    "entropy": (
        (NORMALIZED,),
        LOGITS,
        lambda o: torch.special.entr(softmax(o)).sum(1, keepdim=True) / np.log(19),
        {},
    ),
    "energy": (
        (NORMALIZED,),
        LOGITS,
        lambda o: FIT(-o.exp().sum(1, keepdim=True).log()),
        {"calibration": FIT},
    ),
    "standardized_max_logit": (
        (NORMALIZED,),
        LOGITS,
        lambda o: FIT(-STANDARD),
        {"calibration": FIT, "statistics": STATISTICS},
    ),
    "sml": (
        (NORMALIZED,),
        (LOGITS, draw(1, *SIZE)),
        lambda o: FIT(-o[1])[:, None],
        {"calibration": FIT},
    ),
    "obsnet": ((NORMALIZED,), draw(1, 1, *SIZE), torch.sigmoid, {}),
    "image_resynthesis": (
        (NORMALIZED, NORMALIZED, torch.zeros(1, *SIZE, dtype=torch.uint8)),
        draw(1, 2, *SIZE),
        lambda o: (o[:, 1:] - o[:, :1]).sigmoid(),
        {},
    ),
    "image_resynthesis_saved": ((RGB,), share(1, 1, *SIZE), lambda o: o, {}),
    "dacup": ((RGB,), share(1, *SIZE), lambda o: o[:, None], {}),
    "nflowjs": ((RGB,), draw(1, 1, *SIZE), FIT, {"calibration": FIT}),
    "densehybrid": (
        (RGB, SIZE),
        (LOGITS, draw(1, 2, *SIZE)),
        lambda o: FIT(-o[0].logsumexp(1, keepdim=True) + softmax(o[1])[:, 1:].log()),
        {"calibration": FIT},
    ),
    "pebal": ((NORMALIZED,), draw(*SIZE), lambda o: FIT(o)[None, None], {"calibration": FIT}),
    "rpl": (
        (NORMALIZED,),
        (draw(1, 19, *SIZE), LOGITS),
        lambda o: FIT(gaussian(-o[1].logsumexp(1, keepdim=True))),
        {"calibration": FIT},
    ),
    "rba": ((DETECTRON,), sem_seg(SUMS), lambda o: 1 - field(o).tanh().mean(1, keepdim=True), {}),
    "mask2anomaly": (
        (BGR,),
        {"sem_seg": torch.cat([SUMS / 2, share(1, 3, *SIZE, seed=5)], 1)[0]},
        lambda o: ((1 - o["sem_seg"].max(0).values).clamp(min=0) * (o["sem_seg"][19:].max(0).values < 0.5))[
            None, None
        ],
        {},
    ),
    "eam": ((DETECTRON,), OPEN, eam, {}),
    "uno": ((DETECTRON,), OPEN_UNO, uno, {"calibration": FIT}),
    "pixood": ((RGB,), share(*SIZE), lambda o: o[None, None], {}),
    "zegformer": (
        (DETECTRON,),
        sem_seg(lowered(VOC, [15, 16])),
        lambda o: VOC,
        {"unseen": [15, 16]},
    ),
    "zsseg": ((DETECTRON,), sem_seg(SUMS), field, {}),
    "zegclip": ((NORMALIZED,), lowered(STUFF, UNSEEN), lambda o: STUFF, {}),
    "catseg": ((DETECTRON,), sem_seg(VOC), field, {}),
    "sed": ((DETECTRON,), sem_seg(VOC), field, {}),
    "advent": ((CAFFE,), (draw(1, 19, 4, 5), 2 * draw(1, 19, 4, 5, seed=1)), lambda o: softmax(o[1]), {}),
    "source_only_deeplabv2": ((CAFFE,), (None, 2 * draw(1, 19, 4, 5)), lambda o: softmax(o[1]), {}),
    "torchvision": ((NORMALIZED,), {"out": LOGITS, "aux": LOGITS}, lambda o: softmax(o["out"]), {}),
    "smp": ((NORMALIZED,), LOGITS, softmax, {}),
    "smp_binary": ((NORMALIZED,), draw(1, 1, *SIZE), torch.sigmoid, {}),
    "smp_with_label": ((NORMALIZED,), (LOGITS, draw(1, 4)), lambda o: softmax(o[0]), {}),
    "logits": ((RGB,), LOGITS, softmax, {}),
    "probabilities": ((RGB,), VOC, lambda o: o, {}),
    "mmseg0_logits": ((NORMALIZED, [{}]), LOGITS, softmax, {}),
    "mmseg1_logits": ((BGR,), sample(LOGITS), lambda o: softmax(o.seg_logits.data[None]), {}),
    "mmseg1_probabilities": ((BGR,), sample(VOC), lambda o: o.seg_logits.data[None], {}),
    "detectron2_logits": ((DETECTRON,), sem_seg(LOGITS), lambda o: softmax(field(o)), {}),
    "detectron2_query_sum": ((DETECTRON,), sem_seg(SUMS), field, {}),
    "ultralytics": (
        (BGR,),
        DETECTED,
        lambda o: torch.stack(
            [
                MASKS[1] * 0.5,
                torch.zeros(SIZE),
                torch.maximum(MASKS[0] * 0.9, MASKS[2] * 0.7),
                torch.zeros(SIZE),
                torch.zeros(SIZE),
            ]
        )[None],
        {},
    ),
    "anomalib": ((RGB,), Predicted(share(1), None, VOC[:, :1], None), lambda o: o.anomaly_map, {}),
    "anomalib_torch": ((NORMALIZED,), Predicted(None, None, VOC[:, 3:4], None), lambda o: o[2], {}),
    "pytorch_ood": ((NORMALIZED,), draw(1, *SIZE), lambda o: FIT(o)[:, None], {"calibration": FIT}),
    **{
        name: ((NORMALIZED, [{"ori_shape": SIZE}]), softmax(LOGITS), lambda o: o, {})
        for name in ("source_only_segformer", "daformer", "hrda", "mic", "mmseg0_probabilities")
    },
}
TRANSFORMERS = {known.name for known in PRESETS.values() if "(transformers)" in known.title}


def halves(images):
    columns = torch.arange(images.shape[-1]) * 2 // images.shape[-1]
    return RegionMap(columns.expand(len(images), images.shape[-2], -1).contiguous())


def test_no_preset_is_without_a_case():
    assert set(CASES) | TRANSFORMERS == set(PRESETS)


@pytest.mark.parametrize("name", CASES)
def test_the_distribution_is_the_methods_own(name):
    arguments, output, formula, options = CASES[name]
    adapter = preset(name, **options)
    torch.testing.assert_close(adapter.read(output), formula(output).float(), atol=2e-6, rtol=1e-5)
    seen = BYTES / 255 if arguments[0] is DETECTRON or arguments[0] is BGR else RGB
    torch.testing.assert_close(adapter.images(arguments, {}), seen, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", CASES)
def test_the_adapter_keeps_the_laws(name):
    arguments, output, _, options = CASES[name]
    check_adapter(preset(name, **options), output, arguments)


@pytest.mark.parametrize("name", CASES)
def test_wrapped_is_read_fuse_write(name):
    arguments, output, _, options = CASES[name]
    adapter = preset(name, **options)
    wrapped = CSLWrapper(lambda *a: output, halves, adapter)(*arguments)
    assert type(wrapped) is type(output)
    expected = adapter.read(output, SIZE)
    fused = fuse(expected, halves(RGB).resize(expected.shape[-2:]))
    by_hand = adapter.write(output, fused)
    for got, wanted in zip(adapter.output_path.take(wrapped), adapter.output_path.take(by_hand), strict=True):
        torch.testing.assert_close(got, wanted, atol=1e-6, rtol=0)
    if name not in ("eam", "uno", "densehybrid", "image_resynthesis", "sml", "zegformer", "zegclip"):
        torch.testing.assert_close(adapter.output_path.take(wrapped)[-1].reshape(fused.shape), fused)


# What a row of the table cannot say.


def test_seen_classes_are_lowered_after_fusion():
    arguments, output, _, _ = CASES["zegclip"]
    wrapped = CSLWrapper(lambda x: output, halves, "zegclip", rule="geometric")(*arguments)
    fused = fuse(STUFF, halves(RGB).resize((6, 8)), rule="geometric")
    torch.testing.assert_close(wrapped, lowered(fused, UNSEEN))
    assert not wrapped.argmax(1).equal(fused.argmax(1))


@pytest.mark.parametrize(
    ("options", "shape", "message"),
    [
        ({}, (1, 150, 4, 4), "unseen: got .* indices below 150"),
        ({"unseen": [150]}, (1, 150, 4, 4), "unseen"),
    ],
)
def test_unseen_classes_must_fit_the_model(options, shape, message):
    with pytest.raises(CSLError, match=message):
        preset("zegclip", **options).read(torch.zeros(shape))


def test_zegformer_asks_for_the_unseen_classes():
    with pytest.raises(CSLError, match=r"unseen: got None.*preset\(name, unseen=\[\.\.\.\]\)"):
        preset("zegformer").read(sem_seg(VOC))


@pytest.mark.parametrize("name", [name for name, known in PRESETS.items() if known.calibration == "fit one"])
def test_what_must_be_fitted_says_how_and_can_be(name):
    arguments, output, _, options = CASES[name]
    options = {key: value for key, value in options.items() if key != "calibration"}
    open_ended = preset(name, **options)
    with pytest.raises(CSLError, match=r"fit_quantile\(adapter\.raw\(model\(image\)\) for image in images\)"):
        CSLWrapper(lambda *a: output, halves, open_ended)(*arguments)
    fitted = Calibration.fit_quantile([open_ended.raw(output)])
    raw, scores = open_ended.raw(output), preset(name, calibration=fitted, **options).read(output)
    assert raw.flatten()[raw.flatten().argsort()].diff().ge(0).all()
    assert scores.flatten()[raw.flatten().argsort()].diff().ge(-1e-6).all()
    assert scores.min() < 0.1 < 0.9 < scores.max()


def test_sml_goes_back_in_the_direction_it_came():
    """Its own evaluation multiplies by -1; done to the wrapped output, that gives the fused map."""
    arguments, output, _, options = CASES["sml"]
    adapter = preset("sml", **options)
    assert adapter.direction == "down"
    logits, score = CSLWrapper(lambda x: output, halves, adapter)(*arguments)
    fused = fuse(FIT(-output[1])[:, None], halves(RGB))
    torch.testing.assert_close(-score[:, None], fused)
    assert logits is output[0]


def test_rejecting_queries_are_written_so_that_their_formula_gives_the_fused_map():
    for name, formula in (("eam", eam), ("uno", lambda o: (uno(o).logit() * 2.0) + 0.5)):
        arguments, output, _, options = CASES[name]
        adapter = preset(name, **options)
        wrapped = CSLWrapper(lambda x, o=output: o, halves, adapter)(*arguments)
        torch.testing.assert_close(
            formula(wrapped), fuse(adapter.read(output), halves(RGB)), atol=1e-5, rtol=1e-4
        )
        assert wrapped[0]["sem_seg"] is output[0]["sem_seg"]


def test_advents_scores_are_upsampled_before_the_softmax_with_their_corners_aligned():
    _, output, _, _ = CASES["advent"]
    wrapped = CSLWrapper(lambda x: output, halves, "advent")(CAFFE)
    upsampled = F.interpolate(output[1], SIZE, mode="bilinear", align_corners=True)
    torch.testing.assert_close(wrapped[1], fuse(upsampled.softmax(1), halves(RGB)))
    assert wrapped[0] is output[0]


@pytest.mark.parametrize("name", [name for name, known in PRESETS.items() if known.max_batch == 1])
def test_methods_of_one_image_refuse_two(name):
    arguments, _, _, options = CASES[name]
    first = arguments[0]
    two = torch.cat([first, first]) if isinstance(first, torch.Tensor) else [*first, *first]
    if isinstance(first, np.ndarray):
        two = [first, first]
    called = []
    with pytest.raises(CSLError, match="at most 1"):
        CSLWrapper(lambda *a: called.append(a), halves, preset(name, **options))(two, *arguments[1:])
    assert not called


def test_an_answer_for_the_first_image_only_is_noticed():
    with pytest.raises(CSLError, match=r"scores of 1 images, expected of the 2"):
        CSLWrapper(lambda x: sem_seg(VOC), halves, "zsseg")(DETECTRON * 2)


def test_images_of_two_sizes_are_asked_for_one_at_a_time():
    other = [{"image": torch.zeros(3, 8, 8)}]
    with pytest.raises(CSLError, match=r"one size for all images.*one at a time"):
        CSLWrapper(lambda x: None, halves, "zsseg")(DETECTRON + other)
    with pytest.raises(CSLError, match=r"one shape for all images.*one at a time"):
        preset("zsseg").read([*sem_seg(VOC), {"sem_seg": torch.zeros(20, 3, 3)}])


def test_mmsegmentations_own_label_map_is_written_anew():
    wrapped = CSLWrapper(lambda x: sample(LOGITS), halves, "mmseg1_logits", rule="product")(BGR)
    fused = fuse(softmax(LOGITS), halves(RGB), rule="product")
    assert wrapped.pred_sem_seg.data.equal(fused.argmax(1))
    assert not wrapped.pred_sem_seg.data.equal(LOGITS.argmax(1))
    several = preset("mmseg1_logits").write([sample(LOGITS)], fused)
    assert isinstance(several, list)
    assert several[0].pred_sem_seg.data.equal(fused.argmax(1))


def test_a_result_without_detections_is_no_score_anywhere_and_comes_back():
    nothing = SimpleNamespace(masks=None, boxes=None, names={0: "a", 1: "b"}, orig_shape=SIZE)
    wrapped = CSLWrapper(lambda x: [nothing], halves, "ultralytics")(BGR)
    assert wrapped == [nothing]
    assert preset("ultralytics").read([nothing]).equal(torch.zeros(1, 2, *SIZE))


def test_a_letterboxs_padding_is_no_part_of_the_image():
    padded = results(MASKS, [2.0, 0.0, 2.0], [0.9, 0.5, 0.7])
    padded[0].orig_shape = (30, 30)
    with pytest.raises(CSLError, match="retina_masks=True"):
        preset("ultralytics").read(padded)


def test_mask2anomaly_refines_with_two_masks_or_more():
    read = preset("mask2anomaly").read
    maps = torch.full((21, 1, 1), 0.6)
    assert read({"sem_seg": maps}).item() == 0.0
    assert read({"sem_seg": maps[:20]}).item() == pytest.approx(0.4)
    assert read({"sem_seg": maps[:19]}).item() == pytest.approx(0.4)


@torch.no_grad()
def test_torchvisions_own_models_with_random_weights():
    try:
        segmentation = pytest.importorskip("torchvision.models.segmentation")
    except RuntimeError as error:  # its binary belongs to another torch
        pytest.skip(f"torchvision cannot be imported: {error}")
    torch.manual_seed(0)
    for maker in (segmentation.lraspp_mobilenet_v3_large, segmentation.fcn_resnet50):
        model = maker(weights=None, weights_backbone=None, num_classes=5).eval()
        output = model(NORMALIZED)
        wrapped = CSLWrapper(model, halves, "torchvision")(NORMALIZED)
        assert type(wrapped) is type(output)
        torch.testing.assert_close(wrapped["out"], fuse(softmax(output["out"]), halves(RGB)))
        assert recognize(output).read(output).equal(softmax(output["out"]))
        check_adapter(preset("torchvision"), model, (NORMALIZED,))


def test_obsnet_is_a_pair():
    features = [RGB.mean(1, keepdim=True), draw(1, 1, *SIZE)]
    seen = []

    def segmenter(images, return_feat=False):
        seen.append(return_feat)
        return features

    pair = ObserverPair(segmenter, lambda images, given: given[-1])
    assert torch.equal(pair(NORMALIZED), features[-1])
    assert seen == [True]
    fused = CSLWrapper(pair, halves, "obsnet")(NORMALIZED)
    torch.testing.assert_close(fused, fuse(features[-1].sigmoid(), halves(RGB)))


@pytest.mark.parametrize(
    ("name", "suffix", "key", "options"),
    [
        ("image_resynthesis_saved", "hdf5", "discrepancy", {}),
        ("nflowjs", "hdf5", "value", {"calibration": FIT}),
        ("nflowjs", "npz", "arr_0", {"calibration": FIT}),
    ],
)
def test_saved_maps_are_a_teacher(tmp_path, name, suffix, key, options):
    if suffix == "hdf5":
        pytest.importorskip("h5py")
    scores = share(2, *SIZE).half().numpy()
    for stem, one in zip(("left", "right"), scores, strict=True):
        write_scores(tmp_path / f"{stem}.{suffix}", one, key=key)
    adapter = preset(name, **options)
    segment = CSLWrapper(SavedScores(tmp_path, key), halves, adapter)
    images = RGB.expand(2, -1, -1, -1)
    fused = segment(images, names=["right", "left"])
    raw = torch.from_numpy(scores[::-1].copy()).float()[:, None]
    torch.testing.assert_close(fused, fuse(FIT(raw) if options else raw, halves(images)))
    with pytest.raises(CSLError, match="no map 'middle'"):
        segment(images, names=["right", "middle"])
    with pytest.raises(CSLError, match="names: got 1 names"):
        segment(images, names=["right"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "segformer",
            {"calibration": FIT},
            "calibration: got a value, expected none for the preset 'segformer'",
        ),
        ("msp", {"calibration": FIT}, "calibration"),
        ("zsseg", {"unseen": [1]}, "unseen"),
        ("energy", {"statistics": STATISTICS}, "statistics"),
        ("segformer", {"mean": (1, 2)}, "mean: got"),
    ],
)
def test_options_without_a_use_are_refused(name, options, message):
    with pytest.raises(CSLError, match=message):
        preset(name, **options)


def test_a_place_can_be_given_where_there_is_one():
    assert preset("dacup", item="anomaly_score").read({"anomaly_score": share(1, 1, 2, 2)}).shape == (
        1,
        1,
        2,
        2,
    )
    with pytest.raises(CSLError, match="item: got 'x', expected none"):
        preset("eam", item="x")


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(CSLError, match=r"name: got 'xyz', expected one of msp, .*zegclip.*segformer"):
        preset("xyz")


def test_standardized_logits_need_statistics_of_their_classes():
    with pytest.raises(CSLError, match="statistics: got None"):
        preset("standardized_max_logit", calibration=FIT).read(LOGITS)
    with pytest.raises(CSLError, match="statistics: got 2 classes"):
        preset(
            "standardized_max_logit", calibration=FIT, statistics=ClassStatistics((1.0, 2.0), (1.0, 1.0))
        ).read(LOGITS)


def test_densehybrids_certain_pixels_stay_finite():
    certain = torch.tensor([300.0, -300.0]).view(1, 2, 1, 1)
    adapter = preset("densehybrid", calibration=FIT)
    assert adapter.raw((LOGITS[..., :1, :1], certain)).isfinite().all()
