"""An image's result does not depend on the sizes of the images beside it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from csl_plugin import CSLError, CSLWrapper, RegionMap, fuse, load_proposer
from csl_plugin.adapters import FlipAverage, ImageBatch, ImageInput, OutputAdapter, preset
from csl_plugin.adapters.image_batch import reduced

draw = torch.Generator().manual_seed(0)
SIZES = [(40, 64), (64, 40), (24, 72)]
CANVAS = (64, 72)
IMAGES = [
    F.interpolate(torch.rand(1, 3, 6, 8, generator=draw), size, mode="bicubic").clamp(0, 1)[0]
    for size in SIZES
]
SUPERPIXELS = load_proposer("superpixels:40")
DEFAULT = load_proposer()


def padded(images=IMAGES, value=0.3):
    canvas = torch.full((len(images), 3, *CANVAS), value)
    mask = torch.zeros(len(images), *CANVAS, dtype=torch.long)
    for plane, flags, image in zip(canvas, mask, images, strict=True):
        height, width = image.shape[1:]
        plane[:, :height, :width], flags[:height, :width] = image, 1
    return canvas, mask


def pointwise(x):
    """Scores that no neighbor changes: what is left of a difference comes from the fusion."""
    return torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True), 1 - x[:, :1]], 1) * 0.8 + 0.1


def alone(image, proposer=SUPERPIXELS, **options):
    return CSLWrapper(pointwise, proposer, "probabilities", **options)(image[None])[0]


def assert_as_alone(together, proposer=SUPERPIXELS, **options):
    for found, image in zip(together, IMAGES, strict=True):
        expected = alone(image, proposer, **options)
        torch.testing.assert_close(
            found[:, : image.shape[1], : image.shape[2]], expected, atol=1e-6, rtol=1e-5
        )


CANVAS_CALLS = {
    "pixel_mask": lambda c, m: ((), {"pixel_values": c, "pixel_mask": m}),
    "a boolean mask": lambda c, m: ((), {"pixel_values": c, "pixel_mask": m.bool()}),
    "an array": lambda c, m: ((), {"pixel_values": c, "pixel_mask": m.numpy()}),
    "with a channel axis": lambda c, m: ((), {"pixel_values": c, "pixel_mask": m[:, None].float()}),
    "by position": lambda c, m: ((c, m), {}),
    "attention mask": lambda c, m: ((), {"pixel_values": c, "pixel_attention_mask": m}),
    "padding mask": lambda c, m: ((), {"pixel_values": c, "padding_mask": m == 0}),
    "sizes in a square": lambda c, m: ((), {"pixel_values": c, "reshaped_input_sizes": torch.tensor(SIZES)}),
    "a mapping": lambda c, m: (({"pixel_values": c, "pixel_mask": m},), {}),
    "NestedTensor": lambda c, m: ((SimpleNamespace(tensors=c, mask=m == 0),), {}),
    "detectron2's ImageList": lambda c, m: ((SimpleNamespace(tensor=c, image_sizes=SIZES),), {}),
    "torchvision's ImageList": lambda c, m: ((SimpleNamespace(tensors=c, image_sizes=SIZES),), {}),
    "img_metas": lambda c, m: ((c, [{"img_shape": (*s, 3), "pad_shape": (*CANVAS, 3)} for s in SIZES]), {}),
    "img_metas of one augmentation": lambda c, m: (
        ([c],), {"img_metas": [[{"img_shape": (*s, 3)} for s in SIZES]], "rescale": False},
    ),
    "data samples": lambda c, m: (
        (c,),
        {"data_samples": [SimpleNamespace(metainfo={"img_shape": s, "pad_shape": CANVAS}) for s in SIZES]},
    ),
    "mmcv's DataContainers": lambda c, m: (
        (SimpleNamespace(data=[c]),),
        {"img_metas": [SimpleNamespace(data=[[{"img_shape": (*size, 3)} for size in SIZES]])]},
    ),
    "mmdetection's data samples": lambda c, m: (
        (c,),
        {
            "data_samples": [
                SimpleNamespace(metainfo={"img_shape": s, "pad_shape": s, "batch_input_shape": CANVAS})
                for s in SIZES
            ]
        },
    ),
    "mmengine's mapping": lambda c, m: (
        ({"inputs": c, "data_samples": [SimpleNamespace(metainfo={"img_shape": s}) for s in SIZES]},), {},
    ),
}  # fmt: skip


def canvas_of(value):
    value = getattr(value, "data", value) if isinstance(value, SimpleNamespace) else value
    value = value[0] if isinstance(value, list) else value
    if isinstance(value, dict):
        value = value.get("pixel_values", value.get("inputs"))
    return (
        value
        if isinstance(value, torch.Tensor)
        else getattr(value, "tensors", getattr(value, "tensor", None))
    )


@pytest.mark.parametrize("call", CANVAS_CALLS)
def test_padding_is_found_in_every_form(call):
    args, kwargs = CANVAS_CALLS[call](*padded())

    def by_mask(pixel_values, pixel_mask=None, **_):
        return pointwise(canvas_of(pixel_values))

    def by_metas(img, img_metas=None, **_):
        return pointwise(canvas_of(img))

    model = by_metas if "metas" in call else by_mask
    assert_as_alone(CSLWrapper(model, SUPERPIXELS, "probabilities")(*args, **kwargs))


@pytest.mark.parametrize(
    "options", [{}, {"rule": "mean"}, {"rule": "geometric"}, {"rule": "product"}, {"split": False}]
)
def test_so_with_every_rule_and_several_partitions(options):
    canvas, mask = padded()
    model = lambda pixel_values, pixel_mask: pointwise(pixel_values)  # noqa: E731
    for proposer in (SUPERPIXELS, DEFAULT):
        segment = CSLWrapper(model, proposer, "probabilities", **options)
        assert_as_alone(segment(pixel_values=canvas, pixel_mask=mask), proposer, **options)


def test_the_proposer_sees_each_image_alone_and_padding_keeps_its_scores():
    canvas, mask = padded()
    seen = []

    def record(images):
        seen.append(images)
        return SUPERPIXELS(images)

    segment = CSLWrapper(lambda pixel_values, pixel_mask: pointwise(pixel_values), record, "probabilities")
    for rule, kept in (
        ("product", pointwise(canvas) ** 2),
        ("geometric", pointwise(canvas)),
        ("adaptive", pointwise(canvas)),
    ):
        segment.rule = rule
        fused = segment(pixel_values=canvas, pixel_mask=mask)
        outside = (mask == 0)[:, None].expand_as(fused)
        torch.testing.assert_close(fused[outside], kept[outside])
    assert [tuple(one.shape[2:]) for one in seen] == SIZES * 3
    assert all(one.equal(image[None]) for one, image in zip(seen, IMAGES * 3, strict=True))


def test_padding_may_hold_anything():
    canvas, mask = padded(value=9.0)
    scores = pointwise(canvas)
    scores[(mask == 0)[:, None].expand_as(scores)] = float("nan")
    assert_as_alone(
        CSLWrapper(lambda pixel_values, pixel_mask: scores, SUPERPIXELS, "probabilities")(
            pixel_values=canvas, pixel_mask=mask
        )
    )


def test_a_mask_without_padding_is_the_plain_batch():
    images = torch.rand(2, 3, 24, 32, generator=draw)
    model = lambda pixel_values, pixel_mask=None: pointwise(pixel_values)  # noqa: E731
    segment = CSLWrapper(model, SUPERPIXELS, "probabilities")
    assert segment(images, torch.ones(2, 24, 32)).equal(segment(images))


def test_holes_in_a_mask_do_not_count():
    canvas, mask = padded()
    mask[0, 5:9, 5:9] = 0
    fused = CSLWrapper(
        lambda pixel_values, pixel_mask: pointwise(pixel_values), SUPERPIXELS, "probabilities"
    )(canvas, mask)
    valid = mask[0, :40, :64].bool()
    scores = pointwise(IMAGES[0][None])
    torch.testing.assert_close(
        fused[0, :, :40, :64], fuse(scores, SUPERPIXELS(IMAGES[0][None]), valid=valid)[0]
    )


class Strided(nn.Module):
    """A network whose layers round sizes up, as most do."""

    def __init__(self, stride):
        super().__init__()
        self.stride = stride

    def forward(self, pixel_values, pixel_mask=None):
        size = [-(-side // self.stride) * self.stride for side in pixel_values.shape[2:]]
        full = F.pad(
            pixel_values, (0, size[1] - pixel_values.shape[3], 0, size[0] - pixel_values.shape[2]), value=0.3
        )
        return F.avg_pool2d(pointwise(full), self.stride)


@pytest.mark.parametrize("stride", [2, 4, 7, 8, 16])
@pytest.mark.parametrize("proposer", [SUPERPIXELS, DEFAULT])
def test_at_a_lower_resolution_too(stride, proposer):
    segment = CSLWrapper(Strided(stride), proposer, "probabilities")
    together = segment(*padded())
    for found, image in zip(together, IMAGES, strict=True):
        expected = segment(image[None])[0]
        torch.testing.assert_close(
            found[:, : expected.shape[1], : expected.shape[2]], expected, atol=1e-6, rtol=1e-5
        )


def test_a_cell_counts_if_it_holds_a_valid_pixel():
    valid = torch.zeros(1, 10, 9, dtype=torch.bool)
    valid[0, :5, :8] = True
    cells = reduced(valid, (3, 3))  # stride 4: rows 0-3, 4-7, 8-9
    assert cells[0].tolist() == [[True, True, False], [True, True, False], [False, False, False]]
    assert reduced(valid, (10, 9)).equal(valid)
    assert reduced(valid, (20, 18)).equal(valid.repeat_interleave(2, 1).repeat_interleave(2, 2))
    for size in ((7, 5), (1, 1), (13, 9), (4, 2)):
        whole = reduced(torch.ones_like(valid), size)
        assert whole.shape == (1, *size)
        assert whole.all()


def test_aligned_corners_are_upsampled_to_the_canvas():
    canvas, mask = padded()
    adapter = OutputAdapter("probabilities", align_corners=True)
    model = lambda pixel_values, pixel_mask: pointwise(pixel_values)  # noqa: E731
    assert_as_alone(CSLWrapper(model, SUPERPIXELS, adapter)(canvas, mask))


def test_scores_that_the_model_cropped_are_of_the_images_alone():
    image = IMAGES[0]
    canvas, _ = padded([image])
    metas = [{"img_shape": (40, 64, 3), "ori_shape": (80, 128, 3), "pad_shape": (*CANVAS, 3)}]

    def inference(img, img_metas, rescale):
        height, width = img_metas[0]["img_shape"][:2]
        return F.interpolate(pointwise(img[:, :, :height, :width]), img_metas[0]["ori_shape"][:2])

    found = CSLWrapper(inference, SUPERPIXELS, "probabilities")(canvas, metas, rescale=True)
    (regions,) = SUPERPIXELS(image[None])
    scores = F.interpolate(pointwise(image[None]), (80, 128))
    torch.testing.assert_close(found, fuse(scores, regions.resize((80, 128))))
    two = [{**metas[0]}, {**metas[0], "ori_shape": (64, 64, 3)}]
    with pytest.raises(CSLError, match="one at a time"):
        CSLWrapper(inference, SUPERPIXELS, "probabilities")(canvas.expand(2, -1, -1, -1), two, rescale=True)


def test_metainfo_of_another_tensor_is_no_padding():
    """Of a crop, or of images that were padded since."""
    image = torch.rand(1, 3, 32, 32, generator=draw)
    for meta in (
        {"img_shape": (64, 80)},
        {"img_shape": (20, 20), "pad_shape": (64, 64)},
        {"img_shape": None},
    ):
        batch = ImageInput().batch((image, [meta]), {})
        assert batch.valid is None


def test_padding_on_all_sides():
    image = IMAGES[2]
    canvas = F.pad(image, (5, 3, 2, 6), value=0.3)[None]
    meta = {"img_shape": (24, 72), "pad_shape": (32, 80), "padding_size": [5, 3, 2, 6]}
    found = CSLWrapper(lambda img, img_metas: pointwise(img), SUPERPIXELS, "probabilities")(canvas, [meta])
    torch.testing.assert_close(found[0, :, 2:26, 5:77], alone(image))


LISTS = {
    "detectron2": (lambda: [{"image": image, "height": 1} for image in IMAGES], lambda d: d["image"]),
    "tensors": (lambda: list(IMAGES), lambda d: d),
    "arrays": (
        lambda: [image.movedim(0, -1).numpy() for image in IMAGES],
        lambda d: torch.from_numpy(d).movedim(-1, 0),
    ),
    "batches of one": (lambda: [image[None] for image in IMAGES], lambda d: d[0]),
}  # fmt: skip


@pytest.mark.parametrize("form", LISTS)
def test_lists_of_several_sizes_run_image_by_image(form):
    make, pick = LISTS[form]
    adapter = OutputAdapter(preset("probabilities").score_kind, preset("detectron2_query_sum").output_path)
    segment = CSLWrapper(
        lambda batch: [{"sem_seg": pointwise(pick(one)[None])[0]} for one in batch], SUPERPIXELS, adapter
    )
    written = segment(make())
    assert isinstance(written, list)
    assert_as_alone([one["sem_seg"] for one in written])


def test_pictures_of_several_sizes():
    from PIL import Image

    pictures = [Image.fromarray((image.movedim(0, -1) * 255).byte().numpy()) for image in IMAGES]
    seen = []

    def record(images):
        seen.append(tuple(images.shape))
        return SUPERPIXELS(images)

    adapter = OutputAdapter("probabilities", preset("detectron2_query_sum").output_path)
    model = lambda batch: [  # noqa: E731
        {"sem_seg": torch.rand(2, p.height, p.width, generator=draw)} for p in batch
    ]
    CSLWrapper(model, record, adapter)(pictures)
    assert seen == [(1, 3, *size) for size in SIZES]


def test_original_sizes_of_one_call_may_differ():
    """detectron2 returns scores at the height and width that its input names."""
    images = torch.rand(2, 3, 24, 32, generator=draw)
    batch = [{"image": images[0], "height": 48, "width": 64}, {"image": images[1], "height": 12, "width": 16}]

    def model(inputs):
        return [
            {"sem_seg": F.interpolate(pointwise(one["image"][None]), (one["height"], one["width"]))[0]}
            for one in inputs
        ]

    adapter = OutputAdapter("probabilities", preset("detectron2_query_sum").output_path)
    segment = CSLWrapper(model, SUPERPIXELS, adapter)
    for one, written in zip(batch, segment(batch), strict=True):
        assert written["sem_seg"].equal(segment([one])[0]["sem_seg"])


def test_the_model_is_called_once():
    calls = []

    def model(batch):
        calls.append(len(batch))
        return [{"sem_seg": pointwise(one[None])[0]} for one in batch]

    CSLWrapper(
        model, SUPERPIXELS, OutputAdapter("probabilities", preset("detectron2_query_sum").output_path)
    )(IMAGES)
    assert calls == [3]


def test_several_sizes_before_one_tensor_are_refused_before_the_model_runs():
    called = []
    with pytest.raises(CSLError, match=r"(40, 64).*pixel_mask"):
        CSLWrapper(lambda batch: called.append(1), SUPERPIXELS, "probabilities")(list(IMAGES))
    assert not called


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested:UserWarning")
@pytest.mark.parametrize("layout", [torch.strided, torch.jagged])
def test_nested_tensors(layout):
    images = [image[:, :24] for image in (IMAGES[0], IMAGES[2])] if layout == torch.jagged else IMAGES
    if layout == torch.jagged:
        images = [image.transpose(0, 2).contiguous() for image in images]  # one ragged axis, the first
        nested = torch.nested.nested_tensor(images, layout=layout)
        with pytest.raises(CSLError, match="model input: got"):
            CSLWrapper(lambda x: x, SUPERPIXELS, "probabilities")(nested)
        return
    nested = torch.nested.nested_tensor(images)
    adapter = OutputAdapter("probabilities", preset("detectron2_query_sum").output_path)
    segment = CSLWrapper(
        lambda x: [{"sem_seg": pointwise(one[None])[0]} for one in x.unbind()], SUPERPIXELS, adapter
    )
    assert_as_alone([one["sem_seg"] for one in segment(nested)])
    with pytest.raises(CSLError, match="one size"):
        CSLWrapper(lambda x: x, SUPERPIXELS, "probabilities")(nested)
    with pytest.raises(CSLError, match="nested"):
        fuse(nested, torch.zeros(24, 32, dtype=torch.long))


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested:UserWarning")
def test_nested_scores_are_refused():
    nested = torch.nested.nested_tensor([pointwise(image[None])[0] for image in IMAGES])
    with pytest.raises(CSLError, match="nested"):
        CSLWrapper(lambda x: nested, SUPERPIXELS, "probabilities")(padded()[0])


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(3, 8, 8), r"pixel_mask: got .*\(3, 8, 8\)"),
        (torch.zeros(3, *CANVAS), "only padding in image 0"),
        ("all", "pixel_mask: got a builtins.str"),
    ],
)
def test_a_mask_that_does_not_fit_is_named(mask, message):
    model = lambda pixel_values, pixel_mask: pointwise(pixel_values)  # noqa: E731
    with pytest.raises(CSLError, match=message):
        CSLWrapper(model, SUPERPIXELS, "probabilities")(padded()[0], mask)


def test_an_adapter_of_ones_own_may_return_a_plain_tensor_or_a_batch():
    canvas, mask = padded()

    class Plain:
        direction = "up"

        def images(self, args, kwargs):
            return args[0]

        def read(self, output):
            return output

        def write(self, output, fused):
            return fused

    class Aware(Plain):
        def batch(self, args, kwargs):
            return ImageBatch(args[0], args[1] != 0)

    model = lambda x, m: pointwise(x)  # noqa: E731
    assert_as_alone(CSLWrapper(model, SUPERPIXELS, Aware())(canvas, mask))
    plain = CSLWrapper(model, SUPERPIXELS, Plain())(canvas, mask)
    torch.testing.assert_close(plain, fuse(pointwise(canvas), SUPERPIXELS(canvas)))
    with pytest.raises(CSLError, match=r"images: got a builtins\.str"):
        ImageBatch("street.png")


def test_mirror_images_know_the_padding():
    canvas, mask = padded()
    averaged = FlipAverage(pointwise, OutputAdapter("probabilities"))
    assert averaged.adapter.batch((canvas,), {"pixel_mask": mask}).valid.equal(mask == 1)


def test_gradients_reach_images_and_padding():
    canvas, mask = padded()
    canvas.requires_grad_()
    segment = CSLWrapper(
        lambda pixel_values, pixel_mask: pointwise(pixel_values), SUPERPIXELS, "probabilities"
    )
    segment(canvas, mask).sum().backward()
    assert canvas.grad.abs().sum((1, 2, 3)).gt(0).all()
    assert canvas.grad[0, :, 50:].abs().sum() > 0


@pytest.mark.parametrize("name", ["mask2former", "maskformer", "oneformer", "detr"])
@torch.no_grad()
def test_of_transformers(name):
    """The models see the padding themselves: what they say of it is their own, so D is compared with D."""
    pytest.importorskip("transformers")
    from tests.adapters.test_transformers_models import arguments, model

    _, named = arguments(name)
    mask = torch.ones(2, 64, 64, dtype=torch.long)
    mask[0, 40:], mask[0, :, 48:] = 0, 0
    adapter = preset(name)
    seen = []

    def record(images):
        seen.append(tuple(images.shape))
        return RegionMap((torch.arange(images.shape[3]) // 8 % 3).expand(1, *images.shape[2:]).contiguous())

    found = adapter.read(CSLWrapper(model(name), record, name)(**named, pixel_mask=mask))
    assert seen == [(1, 3, 40, 48), (1, 3, 64, 64)]
    scores = adapter.read(model(name)(**named, pixel_mask=mask))
    cells = tuple(side * scores.shape[2] // 64 for side in (40, 48))
    part = scores[:1, :, : cells[0], : cells[1]]
    expected = fuse(part, record(torch.zeros(1, 3, 40, 48)).resize(cells))
    torch.testing.assert_close(found[:1, :, : cells[0], : cells[1]], expected, atol=1e-5, rtol=1e-4)


def test_images_on_another_device_follow_the_scores():
    """detectron2 takes images on the CPU and returns scores on its GPU; meta stands for one."""
    seen = []

    def record(images):
        seen.append(images.device.type)
        return RegionMap(torch.zeros(1, 24, 32, dtype=torch.int32, device=images.device), 1)

    segment = CSLWrapper(
        lambda x: torch.rand(1, 2, 24, 32, device="meta"), record, "probabilities", split=False, check=False
    )
    assert segment(torch.rand(1, 3, 24, 32)).is_meta
    assert seen == ["meta"]


def test_arrays_of_a_single_image_are_read_with_their_mask():
    image = np.zeros((24, 32, 3), np.uint8)
    mask = np.ones((24, 32), np.uint8)
    mask[20:] = 0
    assert ImageInput().batch((image,), {"pixel_mask": mask}).alone(0).shape == (1, 3, 20, 32)
