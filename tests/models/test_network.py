"""The network: its sizes, its names, and that nothing leaks from one image or query into another."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from csl_plugin.errors import DTypeError, OptionError, ShapeError
from csl_plugin.models import CSLNetwork, NetworkConfig, NetworkOutput
from csl_plugin.models.network import STRIDE

SMALL = NetworkConfig(
    num_queries=6,
    embedding_width=16,
    query_width=16,
    num_heads=2,
    num_layers=3,
    feedforward_width=32,
    num_classes=3,
    points=True,
    boundary=True,
    finer_boundary=True,
)


def _network(config: NetworkConfig = SMALL) -> CSLNetwork:
    torch.manual_seed(0)
    network = CSLNetwork(config).eval()
    for module in network.modules():  # as if trained: fresh batch norms would hide what they add to padding
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
    if network.finer_boundary is not None:  # fresh, it repeats the other boundaries
        torch.nn.init.normal_(network.finer_boundary.out.weight, std=0.1)
    return network


@pytest.fixture(scope="module")
def network() -> CSLNetwork:
    return _network()


def _draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _maps(output: NetworkOutput) -> dict[str, torch.Tensor]:
    """Everything that an output holds, by name."""
    names = ("distribution", "boundary", "finer_boundary")
    found = {name: getattr(output, name) for name in names}
    for kind in ("regions", "pointed"):
        for layer, prediction in enumerate(getattr(output, kind) or []):
            found |= {f"{kind} {layer} {name}": value for name, value in prediction._asdict().items()}
    return {name: value for name, value in found.items() if value is not None}


# Sizes


@pytest.mark.parametrize("size", [(64, 96), (1, 1), (33, 47), (5, 200), (31, 32)])
def test_any_size_goes_through(network, size):
    points = torch.tensor([[[0.0, 0.0], [1.0, 1.0], [0.5, 0.3]]])
    with torch.inference_mode():
        finer = _draw(1, 3, 2 * size[0], 2 * size[1], seed=1)
        output = network(_draw(1, 3, *size), points=points, finer=finer)
    quarter = tuple(-(-side // 4) for side in size)
    half = tuple(-(-side // 2) for side in size)
    assert len(output.regions) == len(output.pointed) == 1
    for regions, count in ((output.regions, 6), (output.pointed, 3)):
        for prediction in regions:
            assert prediction.mask_logits.shape == (1, count, *quarter)
            assert prediction.validity_logits.shape == (1, count)
    assert output.distribution.shape == (1, 3, *quarter)
    assert output.boundary.shape == (1, 1, *half)
    assert output.finer_boundary.shape == (1, 1, *size)
    assert all(bool(value.isfinite().all()) for value in _maps(output).values())


@pytest.mark.parametrize("backbone", ["compact", "resnet50"])
def test_what_an_image_gets_does_not_depend_on_its_batch(backbone):
    network = _network(NetworkConfig(**{**SMALL.to_json(), "backbone": backbone}))
    sizes = torch.tensor([[40, 56], [64, 48], [33, 75]])
    points = _draw(3, 4, 2, seed=1)
    # What lies beyond an image is noise, which must not count.
    batch, finer = _draw(3, 3, 64, 75, seed=2), _draw(3, 3, 128, 150, seed=3)
    with torch.inference_mode():
        together = _maps(network(batch, sizes, points, finer))
        for number, (height, width) in enumerate(sizes.tolist()):
            one = slice(number, number + 1)
            own = batch[one, :, :height, :width], finer[one, :, : 2 * height, : 2 * width]
            alone = _maps(network(own[0], points=points[one], finer=own[1]))
            assert alone.keys() == together.keys()
            for name, value in alone.items():
                other = together[name][one]
                if value.ndim == 4:
                    other = other[:, :, : value.shape[2], : value.shape[3]]
                torch.testing.assert_close(other, value, atol=1e-5, rtol=1e-5, msg=lambda m, n=name: n + m)


def test_learned_queries_do_not_see_points_nor_points_each_other(network):
    images, points = _draw(2, 3, 48, 64), _draw(2, 5, 2, seed=1)
    with torch.inference_mode():
        without, given_some = network(images), network(images, points=points)
        fewer = network(images, points=points[:, 1:3])
    assert without.pointed is None
    for before, after in zip(without.regions, given_some.regions, strict=True):
        torch.testing.assert_close(before.mask_logits, after.mask_logits, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(before.validity_logits, after.validity_logits, atol=1e-5, rtol=1e-5)
    for some, few in zip(given_some.pointed, fewer.pointed, strict=True):
        torch.testing.assert_close(some.mask_logits[:, 1:3], few.mask_logits, atol=1e-5, rtol=1e-5)


def test_a_point_is_read_from_the_cell_under_it(network):
    """Points within one cell start from the same embedding; points of other cells do not."""
    network, images = copy.deepcopy(network).train(), _draw(1, 3, 32, 32)
    near = torch.tensor([[[0.51, 0.51], [0.6, 0.6]]])  # 16.3 and 19.2 of 32 pixels: cell 4
    with torch.inference_mode():
        first = network(images, points=near).pointed[0].mask_logits
        second = network(images, points=near + 0.2).pointed[0].mask_logits
    torch.testing.assert_close(first[:, 0], first[:, 1])
    assert not torch.allclose(first, second)


def test_every_layer_predicts_in_training_mode_and_the_last_one_always(network):
    images = _draw(1, 3, 33, 47)
    trained = copy.deepcopy(network).train()
    with torch.no_grad():
        every, last = trained(images).regions, network(images).regions
    assert len(every) == SMALL.num_layers + 1
    assert torch.equal(every[-1].mask_logits, last[0].mask_logits)
    assert torch.equal(every[-1].validity_logits, last[0].validity_logits)
    assert not torch.allclose(every[-2].mask_logits, last[0].mask_logits)


def test_queries_attend_within_the_region_predicted_before(network):
    """The masked attention of Mask2Former, from the masks themselves: their means over cells, at least 0."""
    masks, seen = [], []
    trained = copy.deepcopy(network).train()
    for layer in trained.region_decoder.layers:
        layer.register_forward_pre_hook(lambda _, given: seen.append(given[5]))
    with torch.no_grad():
        output = trained(_draw(1, 3, 64, 96))
    for stride, prediction in zip((32, 16, 8), output.regions, strict=False):
        cells = torch.nn.functional.avg_pool2d(prediction.mask_logits, stride // 4)
        masks.append((cells >= 0).flatten(2))
        clear = (cells.abs() > 1e-5).flatten(2)  # where rounding does not decide
        masks[-1] |= ~masks[-1].any(2, keepdim=True)
        assert torch.equal(masks[-1] & clear, seen[len(masks) - 1] & clear)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # what is detached has no gradient
def test_hooks_see_what_modules_give(network):
    """Steps in place on outputs of modules would change what forward hooks keep, and break backward ones."""
    hooked, images = copy.deepcopy(network), _draw(1, 3, 64, 64).requires_grad_()
    kept, passed = [], []
    convolutions = [each for each in hooked.modules() if isinstance(each, torch.nn.Conv2d)]
    for module in convolutions:
        module.register_forward_hook(lambda _, __, found: kept.append((found, found.clone())))
        module.register_full_backward_hook(lambda *_: passed.append(1))
    output = hooked(images, finer=_draw(1, 3, 128, 128).requires_grad_())
    sum(value.float().square().mean() for value in _maps(output).values()).backward()
    with torch.no_grad():
        hooked(images, finer=_draw(1, 3, 128, 128))
    assert len(passed) == len(convolutions)
    assert len(kept) == 2 * len(convolutions)
    assert all(torch.equal(found, then) for found, then in kept)


def test_autocast_leaves_float64_alone(network):
    double, images = copy.deepcopy(network).double(), _draw(1, 3, 40, 56).double()
    with torch.inference_mode():
        expected = double.boundaries(images).boundary
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(double.boundaries(images).boundary, expected)


def test_fresh_finer_boundaries_repeat_the_others():
    torch.manual_seed(0)
    network, images = CSLNetwork(SMALL).eval(), _draw(2, 3, 33, 47)
    with torch.inference_mode():
        found = network.boundaries(images, finer=_draw(2, 3, 66, 94))
    repeated = found.boundary.repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(found.finer_boundary, repeated[:, :, :33, :47])


def test_boundaries_by_themselves_are_those_of_the_whole(network):
    images, finer = _draw(2, 3, 40, 56), _draw(2, 3, 80, 112, seed=1)
    with torch.inference_mode():
        whole, alone = network(images, finer=finer), network.boundaries(images, finer=finer)
        plain = network.boundaries(images)
    assert torch.equal(whole.boundary, alone.boundary)
    assert torch.equal(whole.boundary, plain.boundary)
    assert torch.equal(whole.finer_boundary, alone.finer_boundary)
    assert plain.finer_boundary is None


def test_finer_images_that_do_not_fit(network):
    images = torch.rand(2, 3, 32, 32)
    for wrong in (images, torch.rand(1, 3, 64, 64), torch.rand(2, 3, 64, 63)):
        with pytest.raises(ShapeError, match="finer"):
            network(images, finer=wrong)
    with pytest.raises(DTypeError, match="float64"):
        network(images, finer=torch.rand(2, 3, 64, 64, dtype=torch.float64))
    plain = _network(NetworkConfig(**{**SMALL.to_json(), "finer_boundary": False}))
    with pytest.raises(OptionError, match="finer_boundary=True"):
        plain.boundaries(images, finer=torch.rand(2, 3, 64, 64))


def test_arguments_that_do_not_fit(network):
    images = torch.rand(2, 3, 32, 32)
    for wrong in (images[0], images[:, :2], images[:0]):
        with pytest.raises(ShapeError, match="images"):
            network(wrong)
    with pytest.raises(DTypeError, match="uint8"):
        network((images * 255).to(torch.uint8))
    with pytest.raises(ShapeError, match="sizes"):
        network(images, sizes=torch.tensor([[32, 32]]))
    with pytest.raises(ShapeError, match="points"):
        network(images, points=torch.rand(1, 4, 2))
    with pytest.raises(OptionError, match="points"):
        _network(NetworkConfig(num_queries=2))(images, points=torch.rand(2, 4, 2))


# How it computes


def test_it_is_deterministic_and_survives_its_state(network):
    images, points = _draw(1, 3, 40, 56), _draw(1, 2, 2, seed=1)
    other = CSLNetwork(SMALL).eval()
    other.load_state_dict(network.state_dict())
    with torch.inference_mode():
        expected = _maps(network(images, points=points))
        for again in (network, other, copy.deepcopy(network)):
            found = _maps(again(images, points=points))
            assert all(torch.equal(found[name], value) for name, value in expected.items())
    assert other.config == copy.deepcopy(network).config == SMALL


def test_channels_last_and_bfloat16_are_close(network):
    images, points = _draw(2, 3, 64, 64), _draw(2, 2, 2, seed=1)
    last = copy.deepcopy(network).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = network(images, points=points)
        found = last(images.contiguous(memory_format=torch.channels_last), points=points)
        with torch.autocast("cpu", torch.bfloat16):
            half = network(images, points=points)
    for name, value in _maps(expected).items():
        torch.testing.assert_close(_maps(found)[name], value, atol=1e-4, rtol=1e-4)
    # After the first look the regions differ where a logit near zero changes its sign: compared before it.
    for one, other in (
        (expected.regions[0].mask_logits, half.regions[0].mask_logits),
        (expected.pointed[0].mask_logits, half.pointed[0].mask_logits),
        (expected.distribution, half.distribution),
        (expected.boundary, half.boundary),
    ):
        apart = (one - other.float()).abs().mean() / one.std()
        assert float(apart) < 0.03
    assert all(bool(value.isfinite().all()) for value in _maps(half).values())


@pytest.mark.slow
def test_it_compiles_without_graph_breaks(network):
    images, points = _draw(2, 3, 40, 56), _draw(2, 2, 2, seed=1)
    sizes = torch.tensor([[40, 56], [33, 20]])
    torch._dynamo.reset()
    compiled = torch.compile(network, fullgraph=True, backend="eager")
    with torch.no_grad():
        for options in ({}, {"points": points}, {"sizes": sizes, "points": points}):
            expected, found = _maps(network(images, **options)), _maps(compiled(images, **options))
            assert expected.keys() == found.keys()
            for name, value in expected.items():
                torch.testing.assert_close(found[name], value, atol=1e-5, rtol=1e-5)
    torch._dynamo.reset()


def test_every_parameter_learns(network):
    trained = copy.deepcopy(network).train()
    output = trained(_draw(1, 3, 64, 64), points=_draw(1, 2, 2, seed=1), finer=_draw(1, 3, 128, 128))
    sum(value.float().square().mean() for value in _maps(output).values()).backward()
    without = [name for name, value in trained.named_parameters() if value.grad is None]
    assert without == []


# ResNet-50


def _resnet_names() -> set[str]:
    def norm(name):
        kinds = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        return {f"{name}.{kind}" for kind in kinds}

    names = {"conv1.weight"} | norm("bn1")
    for layer, blocks in (("layer1", 3), ("layer2", 4), ("layer3", 6), ("layer4", 3)):
        for block in range(blocks):
            for number in (1, 2, 3):
                names |= {f"{layer}.{block}.conv{number}.weight"} | norm(f"{layer}.{block}.bn{number}")
        names |= {f"{layer}.0.downsample.0.weight"} | norm(f"{layer}.0.downsample.1")
    return names


def test_resnet50_has_the_public_names_and_size():
    from csl_plugin.models.resnet import ResNet50

    backbone = ResNet50()
    assert set(backbone.state_dict()) == _resnet_names()
    assert sum(value.numel() for value in backbone.parameters()) == 25_557_032 - 2_049_000  # without fc
    assert backbone.state_dict()["layer4.2.conv3.weight"].shape == (2048, 512, 1, 1)
    backbone.train()
    before = backbone.bn1.running_mean.clone()
    images = _draw(1, 3, 64, 64)
    from csl_plugin.models.layers import Extents

    features = backbone(images, Extents(None, (64, 64)))
    assert {stride: value.shape[1:] for stride, value in features.items()} == {
        stride: (width, 64 // stride, 64 // stride) for stride, width in ResNet50.widths.items()
    }
    assert torch.equal(backbone.bn1.running_mean, before)


# The configuration


@given(
    num_heads=st.integers(1, 16),
    multiple=st.integers(1, 16),
    num_queries=st.integers(1, 1000),
    embedding_width=st.integers(8, 1024),
    num_layers=st.integers(1, 24),
    feedforward_width=st.integers(8, 8192),
    num_classes=st.integers(0, 4096),
    backbone=st.sampled_from(["compact", "resnet50"]),
    points=st.booleans(),
    boundaries=st.sampled_from([(False, False), (True, False), (True, True)]),
)
def test_a_configuration_survives_json(num_heads, multiple, boundaries, **values):
    values |= dict(zip(("boundary", "finer_boundary"), boundaries, strict=True))
    query_width = min(max(1, 2 // num_heads, multiple), 1024 // (4 * num_heads)) * 4 * num_heads
    config = NetworkConfig(num_heads=num_heads, query_width=query_width, **values)
    assert NetworkConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("backbone", ["resnet18", 3, None]),
        ("num_queries", [0, 1001, 2.0, "4", True, None]),
        ("embedding_width", [7, 1025]),
        ("query_width", [4, 1028, 90]),
        ("num_heads", [0, 65, 5]),
        ("num_layers", [0, 25]),
        ("feedforward_width", [7, 8193]),
        ("num_classes", [-1, 4097]),
        ("points", [1, "yes", None]),
        ("boundary", [0]),
        ("finer_boundary", [True, 1]),
    ],
)
def test_a_value_out_of_bounds_is_refused(name, values):
    for value in values:
        with pytest.raises(OptionError):
            NetworkConfig.from_json({name: value})


def test_an_unknown_name_is_refused():
    with pytest.raises(OptionError, match="num_querys"):
        NetworkConfig.from_json({"num_querys": 3})
    with pytest.raises(OptionError, match="list"):
        NetworkConfig.from_json([])
    assert NetworkConfig.from_json({}) == NetworkConfig()
    assert STRIDE == 4
