"""The normalization of a recognized model: what its class and its files say, and what the values refute."""

from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from csl_plugin import CSLError, CSLWrapper, RegionMap
from csl_plugin.adapters import ImageInput, OutputAdapter, preset
from csl_plugin.adapters.model_input import PublishedInput, published_input, read_processor
from csl_plugin.errors import FileError, ScoreRangeError

SIZE = (64, 64)
PIXELS = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
RGB = torch.from_numpy(PIXELS).permute(2, 0, 1)[None] / 255
IMAGENET = preset("segformer").image_input
HALVES = ImageInput((0.5,) * 3, (0.5,) * 3)


class Recorder:
    """A proposer that keeps the images that it is given."""

    def __call__(self, images):
        self.images = images
        return RegionMap(torch.zeros(len(images), *images.shape[2:], dtype=torch.int32))


def normalized(rgb, how=IMAGENET):
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (how.mean, how.std))
    return ((rgb.flip(1) if how.order == "BGR" else rgb) * how.peak - mean) / std


def seen(model, **arguments):
    recorder = Recorder()
    with torch.no_grad():
        CSLWrapper(model, recorder)(**arguments)
    return recorder.images


def close(images, rgb, tolerance=1e-6):
    return images.shape == rgb.shape and (images - rgb).abs().max() <= tolerance


# Models of transformers with their own processors


@pytest.fixture(scope="module")
def hf():
    return pytest.importorskip("transformers")


@pytest.fixture
def model(hf):
    from tests.adapters.test_transformers_models import model

    return model


def processor(hf, name, **options):
    kind = getattr(hf, f"{name}ImageProcessorPil", None) or getattr(hf, f"{name}ImageProcessor")
    return kind(size={"height": SIZE[0], "width": SIZE[1]}, **options)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("segformer", "Segformer"),
        ("upernet", "Segformer"),
        ("mask2former", "Mask2Former"),
        ("maskformer", "MaskFormer"),
        ("dpt", "DPT"),
        ("beit", "Beit"),
    ],
)
def test_the_batch_of_the_models_own_processor_becomes_the_picture_again(hf, model, name, kind):
    options = {"do_center_crop": False} if name == "beit" else {}
    batch = processor(hf, kind, **options)(Image.fromarray(PIXELS), return_tensors="pt")
    assert float(batch["pixel_values"].min()) < 0
    assert close(seen(model(name), pixel_values=batch["pixel_values"]), RGB)


def test_the_output_is_that_of_the_named_preset(model):
    from tests.adapters.test_transformers_models import arguments

    for name in ("segformer", "mask2former"):
        _, named = arguments(name)
        with torch.no_grad():
            told, named_one = (CSLWrapper(model(name), "superpixels", how)(**named) for how in (None, name))
        assert all(torch.equal(told[key], named_one[key]) for key in told if torch.is_tensor(told[key]))


@pytest.mark.parametrize("name", ["segformer", "mask2former", "upernet"])
def test_values_refute_it_and_the_error_names_what_to_pass(model, name):
    plain = f"preset({name!r}, mean=(0, 0, 0), std=(1, 1, 1))"
    with pytest.raises(ScoreRangeError, match=r"images in \[0, 1\], as RGB that is not normalized") as caught:
        seen(model(name), pixel_values=RGB)
    assert plain in str(caught.value)
    assert f"adapter={name!r}" in str(caught.value)
    with pytest.raises(ScoreRangeError, match="once the normalization of the preset") as caught:
        seen(model(name), pixel_values=normalized(normalized(RGB)))
    assert plain in str(caught.value)
    recorder = Recorder()
    with torch.no_grad():
        CSLWrapper(model(name), recorder, preset(name, mean=(0, 0, 0), std=(1, 1, 1)))(pixel_values=RGB)
        assert recorder.images.equal(RGB)
        CSLWrapper(model(name), recorder, name)(pixel_values=RGB)  # who names it is believed
        assert close(recorder.images, RGB * torch.tensor(IMAGENET.std).view(3, 1, 1) + torch.tensor(
            IMAGENET.mean).view(3, 1, 1))  # fmt: skip


def test_channels_in_another_order_are_put_right(model):
    assert close(seen(model("mobilevit"), pixel_values=RGB.flip(1)), RGB)


def test_padding_is_not_looked_at(model):
    batch = normalized(RGB)
    mask = torch.ones(1, *SIZE, dtype=torch.long)
    mask[:, 40:] = 0
    batch[:, :, 40:] = 0  # not in [0, 1] as RGB would be, and in no image
    network = model("segformer")

    def padded(pixel_values, pixel_mask):
        return network(pixel_values=pixel_values)

    padded.config = network.config
    recorder = Recorder()
    with torch.no_grad():
        CSLWrapper(padded, recorder)(pixel_values=batch, pixel_mask=mask)
    assert close(recorder.images, RGB[:, :, :40])


def test_the_processor_beside_the_weights_goes_before_the_preset(hf, model, tmp_path):
    model("segformer").save_pretrained(tmp_path)
    processor(hf, "Segformer", image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(tmp_path)
    loaded = hf.SegformerForSemanticSegmentation.from_pretrained(tmp_path).eval()
    assert close(seen(loaded, pixel_values=normalized(RGB, HALVES)), RGB)
    with pytest.raises(ScoreRangeError, match=r"preprocessor_config\.json is undone"):
        seen(loaded, pixel_values=normalized(RGB))
    (tmp_path / "preprocessor_config.json").write_text("{", encoding="utf-8")
    with pytest.raises(FileError, match=r"preprocessor_config\.json"):
        CSLWrapper(loaded, Recorder())
    CSLWrapper(loaded, Recorder(), "segformer")


def test_what_stands_around_a_model_does_not_hide_it(model):
    network = model("segformer")
    for around in (network, nn.DataParallel(network), torch.compile(network, backend="eager")):
        assert published_input(around).preset == "segformer"


# Others


def test_torchvision_is_known_by_its_module(monkeypatch):
    class FCN(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Conv2d(3, 4, 1)

        def forward(self, x):
            return {"out": 9 * self.layer(x)}

    assert close(seen(Keyworded(FCN()), x=RGB), RGB)
    FCN.__module__ = "torchvision.models.segmentation.fcn"
    monkeypatch.setitem(sys.modules, FCN.__module__, ModuleType(FCN.__module__))
    assert published_input(FCN()).preset == "torchvision"
    assert close(seen(FCN(), x=normalized(RGB)), RGB)
    with pytest.raises(ScoreRangeError, match=r"not normalized.*adapter='torchvision'"):
        seen(FCN(), x=RGB)


class Keyworded(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


@pytest.mark.parametrize(
    "model",
    [
        nn.Conv2d(3, 4, 1),
        lambda x: x,
        SimpleNamespace(config=SimpleNamespace(model_type="segformer")),
        SimpleNamespace(config={"model_type": "segformer"}),
        SimpleNamespace(config=None),
    ],
)
def test_a_model_of_another_class_takes_rgb(model):
    assert published_input(model) is None


def test_a_hint_names_a_preset_where_none_is_known():
    def model(x):
        return {"out": 9 * x.repeat(1, 2, 1, 1)}

    with pytest.raises(CSLError, match=r"images between .* expected RGB in .0, 1.*adapter="):
        CSLWrapper(model, Recorder())(normalized(RGB))


@pytest.mark.parametrize(
    ("stated", "default", "expected"),
    [
        ({}, IMAGENET, IMAGENET),
        ({}, HALVES, HALVES),
        ({"do_normalize": False}, IMAGENET, ImageInput()),
        ({"image_mean": [0.5] * 3, "image_std": [0.5] * 3}, IMAGENET, HALVES),
        (
            {"image_mean": [0.5] * 3, "image_std": [0.5] * 3},
            ImageInput(),
            ImageInput(),
        ),  # stated, not applied
        ({"do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}, ImageInput(), HALVES),
        ({"do_rescale": False, "do_normalize": False}, IMAGENET, ImageInput(peak=255)),
        ({"rescale_factor": 1 / 255}, IMAGENET, IMAGENET),
        ({"rescale_factor": 1 / 127.5, "do_normalize": False}, IMAGENET, ImageInput(peak=2)),
        ({"do_flip_channel_order": True}, ImageInput(), ImageInput(order="BGR")),
        ({"do_flip_channel_order": False}, ImageInput(order="BGR"), ImageInput()),
        ({"image_processor": {"do_normalize": False}}, IMAGENET, ImageInput()),
        ({"image_mean": None, "do_normalize": None, "size": 5}, IMAGENET, IMAGENET),
    ],
)
def test_what_a_processor_states(tmp_path, stated, default, expected):
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(stated), encoding="utf-8")
    assert read_processor(file, default) == expected


@pytest.mark.parametrize(
    "stated",
    [
        [],
        {"image_mean": [0.5]},
        {"image_mean": ["a", "b", "c"]},
        {"image_std": [0, 1, 1]},
        {"do_normalize": "no"},
        {"rescale_factor": 0},
        {"rescale_factor": 1e300},
        {"image_processor": 3},
    ],
)
def test_a_processor_that_states_nonsense_is_refused(tmp_path, stated):
    file = tmp_path / "preprocessor_config.json"
    file.write_text(json.dumps(stated), encoding="utf-8")
    with pytest.raises(FileError, match=r"preprocessor_config\.json"):
        read_processor(file, IMAGENET)


@pytest.mark.parametrize("how", [IMAGENET, HALVES, ImageInput(HALVES.mean, HALVES.std, "BGR"),
                                 ImageInput((104, 117, 123), (1, 1, 1), "BGR", 255)])  # fmt: skip
def test_only_what_lies_in_the_unit_interval_on_all_channels_may_be_plain(how):
    published = PublishedInput(how.mean, how.std, how.order, how.peak, preset="segformer", says="the test")
    assert close(published.images((normalized(RGB, how),), {}), RGB, 1e-5)
    with pytest.raises(ScoreRangeError, match="not normalized"):
        published.images((RGB,), {})
    with pytest.raises(ScoreRangeError, match="normalization of the test"):
        published.images((RGB * 1.1 - 0.05,), {})  # as a bicubic resize leaves them
    one_channel_leaves = RGB.clone()
    one_channel_leaves[:, 1] = -0.2
    published.images((one_channel_leaves,), {})


def test_an_adapter_that_is_given_is_believed():
    def model(x):
        return 9 * x.repeat(1, 2, 1, 1)

    recorder = Recorder()
    CSLWrapper(model, recorder, OutputAdapter("logits"))(RGB)
    assert recorder.images.equal(RGB)
