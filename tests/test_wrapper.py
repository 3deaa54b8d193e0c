"""CSLWrapper and its adapters, around models that run."""

from __future__ import annotations

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from csl_plugin import Calibration, CSLError, CSLWrapper, RegionMap, RegionProposals, fuse, load_proposer
from csl_plugin.adapters import OutputAdapter

Named = namedtuple("Named", ["scores", "features"])


class Segmenter(nn.Module):
    """A small network with dropout and batch norm, so that a touched training flag shows."""

    def __init__(self, classes=4, stride=1, container=lambda logits: logits):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, stride=stride), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1)
        )
        self.head = nn.Conv2d(8, classes, 1)
        self.container = container

    def forward(self, x):
        return self.container(self.head(self.body(x)))


def quarters(images):
    """A proposer: four rectangles, as proposals of low resolution."""
    scores = torch.zeros(len(images), 4, 2, 2)
    for n in range(4):
        scores[:, n, n // 2, n % 2] = 1.0
    return RegionProposals(scores, torch.ones(len(images), 4))


def halves(images):
    """A proposer: two halves, as a map at the images' size."""
    labels = torch.zeros(len(images), *images.shape[-2:], dtype=torch.int32)
    labels[:, :, images.shape[-1] // 2 :] = 1
    return RegionMap(labels)


CONTAINERS = {
    "tensor": (lambda t: t, None, lambda o: o),
    "tuple": (lambda t: ("extra", t), 1, lambda o: o[1]),
    "tuple from the end": (lambda t: ("extra", t), -1, lambda o: o[1]),
    "list": (lambda t: [t, None], 0, lambda o: o[0]),
    "namedtuple by index": (lambda t: Named(t, 7), 0, lambda o: o.scores),
    "namedtuple by name": (lambda t: Named(t, 7), "scores", lambda o: o.scores),
    "dict": (lambda t: {"out": t, "aux": None}, "out", lambda o: o["out"]),
    "ordered dict": (lambda t: OrderedDict(aux=1, out=t), "out", lambda o: o["out"]),
    "attribute": (lambda t: SimpleNamespace(logits=t, loss=None), "logits", lambda o: o.logits),
}


@pytest.fixture
def images():
    return torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=CONTAINERS)
def container(request):
    return CONTAINERS[request.param]


def test_same_output_type_with_the_fused_distribution_in_its_place(container, images):
    wrap, item, pick = container
    model = Segmenter(container=wrap).eval()
    plain = model(images)
    before = pick(plain).clone()
    wrapped = CSLWrapper(model, quarters, OutputAdapter("logits", item))(images)
    assert type(wrapped) is type(plain)
    torch.testing.assert_close(pick(wrapped), fuse(before.softmax(1), quarters(images)))
    rest = [
        key
        for key in ("aux", "features", "loss")
        if key in dir(plain) or key in getattr(plain, "keys", list)()
    ]
    for key in rest:
        get = (lambda o, k=key: o[k]) if hasattr(plain, "keys") else (lambda o, k=key: getattr(o, k))
        assert get(wrapped) == get(plain)


def test_writing_leaves_the_output_that_was_read_alone(container, images):
    wrap, item, pick = container
    adapter = OutputAdapter("probabilities", item)
    output = wrap(torch.full((1, 2, 3, 3), 0.5))
    written = adapter.write(output, torch.ones(1, 2, 3, 3))
    assert pick(output).eq(0.5).all()
    assert pick(written).eq(1.0).all()
    assert adapter.read(adapter.write(output, adapter.read(output))).equal(adapter.read(output))


@pytest.mark.parametrize("key", ["out", "logits"])
@pytest.mark.parametrize(("classes", "squash"), [(4, lambda t: t.softmax(1)), (1, torch.sigmoid)])
def test_named_logits_need_no_adapter(images, key, classes, squash):
    model = Segmenter(classes, container=lambda t: {key: t}).eval()
    fused = CSLWrapper(model, quarters)(images)[key]
    torch.testing.assert_close(fused, fuse(squash(model(images)[key]), quarters(images)))


@pytest.mark.parametrize(
    ("score", "squash"),
    [
        ("binary_logits", torch.sigmoid),
        (Calibration.sigmoid(0.1, 0.5), lambda t: ((t - 0.1) / 0.5).sigmoid()),
        (Calibration.affine(1.0, -1.0), lambda t: ((1 - t) / 2).clamp(0, 1)),
    ],
)
def test_every_kind_of_score(images, score, squash):
    model = Segmenter(1).eval()
    fused = CSLWrapper(model, quarters, OutputAdapter(score))(images)
    torch.testing.assert_close(fused, fuse(squash(model(images)), quarters(images)))


def test_probabilities_pass_as_they_are_and_may_lack_the_channel_axis(images):
    model = Segmenter(1, container=lambda t: t[:, 0].sigmoid()).eval()
    fused = CSLWrapper(model, halves, OutputAdapter("probabilities"))(images)
    assert fused.shape == (2, 24, 32)
    torch.testing.assert_close(fused, fuse(model(images)[:, None], halves(images))[:, 0])


@pytest.mark.parametrize("proposer", [quarters, halves, None])
def test_a_model_of_stride_four_keeps_its_resolution(images, proposer):
    model = Segmenter(stride=4).eval()
    fused = CSLWrapper(model, proposer, OutputAdapter("logits"))(images)
    assert fused.shape == model(images).shape == (2, 4, 6, 8)
    if proposer is halves:
        small = RegionMap(halves(images).labels[:, 2::4, 2::4])
        torch.testing.assert_close(fused, fuse(model(images).softmax(1), small))


@pytest.mark.parametrize("options", [{"rule": "mean"}, {"rule": "geometric"}, {"split": False}])
def test_fusion_options_reach_fusion(images, options):
    model = Segmenter().eval()

    def stripes(batch):
        columns = torch.arange(batch.shape[-1]) // 5 % 2
        return RegionMap(columns.expand(len(batch), batch.shape[-2], -1).contiguous())

    fused = CSLWrapper(model, stripes, OutputAdapter("logits"), **options)(images)
    expected = fuse(model(images).softmax(1), stripes(images), **options)
    torch.testing.assert_close(fused, expected)
    assert not torch.allclose(fused, fuse(model(images).softmax(1), stripes(images)))


def test_the_proposer_sees_rgb_again(images):
    seen = []
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

    def record(batch):
        seen.append(batch)
        return halves(batch)

    normalized = (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    CSLWrapper(Segmenter(), record, OutputAdapter("logits", mean=mean, std=std))(normalized)
    torch.testing.assert_close(seen[0], images, atol=1e-6, rtol=0)


def test_images_are_found_among_keywords():
    class Keyworded(nn.Module):
        def forward(self, mask=None, pixel_values=None):
            return {"logits": pixel_values[:, :2] * 5, "mask": mask}

    pixels = torch.rand(1, 3, 8, 8)
    wrapped = CSLWrapper(Keyworded(), halves)(mask=torch.zeros(1, 3, 8, 8), pixel_values=pixels)
    torch.testing.assert_close(wrapped["logits"], fuse((pixels[:, :2] * 5).softmax(1), halves(pixels)))


@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_left_alone_and_comes_back_untouched(images, training):
    model = Segmenter().train(training)
    model.head.eval()
    flags = [module.training for module in model.modules()]
    state = copy.deepcopy(model.state_dict())
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    wrapper = CSLWrapper(model, quarters, OutputAdapter("logits"))
    assert wrapper.training is training
    assert [module.training for module in model.modules()] == flags
    model.eval()
    wrapper(images)
    assert wrapper.eject() is model
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == hooks


def test_it_is_a_module_that_moves_and_learns(images):
    model = Segmenter()
    wrapper = CSLWrapper(model, quarters, OutputAdapter("logits"))
    wrapper.eval()
    assert not model.training
    assert {id(p) for p in wrapper.parameters()} == {id(p) for p in model.parameters()}
    wrapper(images).square().sum().backward()
    assert all(
        parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters()
    )


def test_batch_equals_singles(images):
    wrapper = CSLWrapper(Segmenter().eval(), adapter=OutputAdapter("logits"))
    with torch.inference_mode():
        together = wrapper(images)
        alone = torch.cat([wrapper(image[None]) for image in images])
    torch.testing.assert_close(together, alone)


def test_half_precision_models_work(images):
    model = Segmenter().eval().to(torch.bfloat16)
    fused = CSLWrapper(model, adapter=OutputAdapter("logits"))(images.to(torch.bfloat16))
    assert fused.dtype == torch.bfloat16
    assert fused.isfinite().all()


def test_a_plain_function_can_be_wrapped(images):
    def model(x):
        return {"out": x[:, :2] * 4 - 2}

    torch.testing.assert_close(
        CSLWrapper(model, halves)(images)["out"], fuse(model(images)["out"].softmax(1), halves(images))
    )


def test_the_default_proposer_is_the_best_built_in(images):
    model = Segmenter().eval()
    explicit = CSLWrapper(model, load_proposer(), OutputAdapter("logits"))
    assert torch.equal(CSLWrapper(model, adapter=OutputAdapter("logits"))(images), explicit(images))


@dataclass
class Opaque:
    value: int = 3


@pytest.mark.parametrize(
    "output",
    [
        torch.rand(1, 4, 24, 32),
        (torch.rand(1, 4, 24, 32), torch.rand(1, 1, 24, 32)),
        {"semantic": torch.rand(1, 4, 24, 32)},
        {"logits": torch.rand(1, 100, 5)},
        {"logits": torch.rand(1, 4, 24, 32), "out": torch.rand(1, 4, 24, 32)},
        Opaque(),
        None,
    ],
)
def test_an_output_that_cannot_be_told_apart_says_what_to_pass(output, images):
    with pytest.raises(TypeError, match="adapter=OutputAdapter") as caught:
        CSLWrapper(lambda x: output, halves)(images)
    assert isinstance(caught.value, CSLError)


@pytest.mark.parametrize(
    ("adapter", "model", "message"),
    [
        (OutputAdapter("logits", "out"), lambda x: {"seg": x}, r"'seg'.*expected a tensor at 'out'"),
        (OutputAdapter("logits", 2), lambda x: (x,), "expected a tensor at 2"),
        (OutputAdapter("logits"), lambda x: [x], "a list of a torch tensor"),
        (OutputAdapter("logits"), lambda x: x[:, :1], "C >= 2.*binary_logits"),
        (OutputAdapter("probabilities"), lambda x: x - 2, "negative"),
    ],
)
def test_a_wrong_declaration_is_named(adapter, model, message, images):
    with pytest.raises(CSLError, match=message):
        CSLWrapper(model, halves, adapter)(images)


def test_scores_are_not_checked_where_that_is_asked_for(images):
    segment = CSLWrapper(lambda x: x - 2, halves, OutputAdapter("probabilities"), check=False, rule="mean")
    assert segment(images).max() < 0


def test_a_preset_is_given_by_name(images):
    model = Segmenter().eval()
    by_name, declared = (
        CSLWrapper(model, quarters, adapter) for adapter in ("logits", OutputAdapter("logits"))
    )
    assert torch.equal(by_name(images), declared(images))
    with pytest.raises(CSLError, match="adapter: got 'nothing', expected one of"):
        CSLWrapper(model, quarters, "nothing")


def test_input_outside_the_unit_range_asks_for_mean_and_std(images):
    with pytest.raises(CSLError, match=r"mean=\.\.\., std="):
        CSLWrapper(Segmenter(), halves, OutputAdapter("logits"))(images * 4 - 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model": 3}, "model: got a builtins.int"),
        ({"model": None}, "model: got"),
        ({"model": nn.Identity(), "proposer": "superpixels"}, "proposer: got"),
        ({"model": nn.Identity(), "adapter": 3}, "adapter: got"),
    ],
)
def test_wrong_parts_are_refused_at_construction(arguments, message):
    with pytest.raises(TypeError, match=message):
        CSLWrapper(**arguments)


@pytest.mark.parametrize("score", ["softmax", None, 3])
def test_unknown_kinds_of_score_are_refused(score):
    with pytest.raises(CSLError, match="score: got"):
        OutputAdapter(score)


@pytest.mark.parametrize("constants", [(0.5,), "rgb", 0.5, (1, 2, 3, 4)])
def test_wrong_preprocessing_constants_are_refused(constants):
    with pytest.raises(CSLError, match="mean: got"):
        OutputAdapter("logits", mean=constants)


@pytest.mark.parametrize("shape", [(2, 24, 32, 5), (2, 6, 8, 5), (2, 24, 32, 1)])
def test_scores_with_the_channels_last_are_refused(shape):
    segment = CSLWrapper(lambda x: torch.rand(shape), lambda x: None, OutputAdapter("logits"))
    with pytest.raises(CSLError, match="channels last"):
        segment(torch.rand(2, 3, 24, 32))


@pytest.mark.parametrize(
    "shape", [(2, 24, 24, 32), (2, 24, 32, 32), (2, 3, 4, 6), (2, 9, 12, 16), (2, 6, 1, 1)]
)
def test_scores_with_the_channels_first_are_not(shape):
    whole = RegionMap(torch.zeros(2, 24, 32, dtype=torch.int32))
    segment = CSLWrapper(lambda x: torch.rand(shape), lambda x: whole, OutputAdapter("logits"))
    assert segment(torch.rand(2, 3, 24, 32)).shape == shape


def test_flags_and_counts_of_numpy_are_flags_and_counts():
    adapter = OutputAdapter("logits", align_corners=np.False_, max_batch=np.int64(1))
    segment = CSLWrapper(nn.Conv2d(3, 4, 1), halves, adapter, split=np.True_, check=np.True_)
    assert segment(torch.rand(1, 3, 24, 32)).shape == (1, 4, 24, 32)
    with pytest.raises(CSLError, match="at most 1"):
        segment(torch.rand(2, 3, 24, 32))


def test_the_class_of_an_adapter_is_none():
    with pytest.raises(CSLError, match="adapter: got"):
        CSLWrapper(nn.Conv2d(3, 4, 1), halves, OutputAdapter)


def test_a_mask_without_values_is_refused():
    segment = CSLWrapper(
        lambda pixel_values, pixel_mask: pixel_values, halves, OutputAdapter("probabilities")
    )
    mask = torch.ones(1, 24, 32, device="meta")
    with pytest.raises(CSLError, match="pixel_mask: got"):
        segment(pixel_values=torch.rand(1, 3, 24, 32), pixel_mask=mask)
