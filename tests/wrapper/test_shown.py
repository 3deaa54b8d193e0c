"""What a wrapper, its parts and their results show: one line, as a caller writes it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from csl_plugin import (
    Calibration,
    CSLWrapper,
    RegionMap,
    RegionProposals,
    Threshold,
    find_objects,
    load_proposer,
)
from csl_plugin.adapters import ImageInput, NonNegative, OutputAdapter, OutputPath, Sigmoid, preset
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.errors import CSLError, DTypeError, FileError
from csl_plugin.export import StageGraph
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import (
    NetworkProposals,
    NetworkRegions,
    RegionMapFolder,
    Scales,
    Superpixels,
    Together,
)
from csl_plugin.proposers.names import source_of
from csl_plugin.tiles import propose_large

IMAGES = torch.rand(1, 3, 24, 32, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    small = {"num_queries": 4, "embedding_width": 8, "query_width": 8, "num_heads": 1, "num_layers": 1}
    return CSLNetwork(NetworkConfig(**small, num_classes=3, boundary=True)).eval()


def head(module):
    """What a module says of itself, without its parts."""
    return module.extra_repr()


# Proposers


@pytest.mark.parametrize(
    "source",
    ["csl-tiny:auto,5", "csl-tiny", "csl-tiny-open:5", "superpixels:80,40", "csl-tiny+superpixels:40"],
)
def test_a_proposer_shows_the_call_that_loads_it(source):
    proposer = load_proposer(source)
    assert repr(proposer) == f"load_proposer({source!r})"
    assert source_of(proposer) == source
    again = eval(repr(proposer))  # noqa: S307 - our own text
    assert all(one.labels.equal(two.labels) for one, two in zip(again(IMAGES), proposer(IMAGES), strict=True))


def test_a_proposer_shows_what_it_was_changed_to():
    proposer = load_proposer("csl-tiny")
    proposer.scale = 7.0
    assert repr(proposer) == "load_proposer('csl-tiny:7')"
    assert repr(load_proposer()) == "load_proposer('csl-tiny:auto,5')"
    assert source_of(Scales(proposer, (9, "auto"))) == "csl-tiny:9,auto"


def test_a_proposer_that_nothing_loads_shows_what_it_is_made_of(network):
    own = NetworkRegions(network, 5)
    for proposer in (own, NetworkProposals(network), Scales(own, (5,)), Together((own, Superpixels()))):
        assert source_of(proposer) is None
        assert repr(proposer).startswith(f"{type(proposer).__name__}(")
        assert "\n" not in repr(proposer)
    assert repr(Superpixels(40)) == "Superpixels(scale=40)"
    assert source_of(Superpixels(40)) == "superpixels:40"
    assert source_of(lambda images: images) is None


def test_a_folder_is_shown_as_long_as_no_option_chose_within_it(network, tmp_path):
    network.save_pretrained(tmp_path / "a")
    assert repr(load_proposer(tmp_path / "a")) == f"load_proposer({str(tmp_path / 'a')!r})"
    assert repr(load_proposer(tmp_path, subfolder="a")).startswith("NetworkRegions(")


# Adapters and calibrations


class Own(OutputPath):
    def take(self, output):
        return (output,)

    def put(self, output, tensors):
        return tensors[0]

    def __repr__(self):
        return "Own()"


@pytest.mark.parametrize(
    "text",
    [
        "OutputAdapter('logits')",
        "OutputAdapter('binary_logits', item='out')",
        "OutputAdapter('probabilities', item=0)",
        "OutputAdapter('logits', item=(0, 'out'), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))",
        "OutputAdapter('logits', order='BGR', peak=255.0, align_corners=False, max_batch=1)",
        "OutputAdapter(Calibration.sigmoid(center=1.0, scale=-2.0), item='score')",
        "OutputAdapter(Calibration.affine(low=0.0, high=2.0))",
        "OutputAdapter('logits', item=Own())",
        "preset('segformer')",
        "preset('entropy', item='out')",
        "preset('max_logit', mean=[0, 0, 0], calibration=Calibration.sigmoid(center=0.0, scale=1.0))",
    ],
)
def test_an_adapter_shows_the_call_that_makes_it(text):
    adapter = eval(text)  # noqa: S307 - our own text
    assert repr(adapter) == text


def test_an_adapter_of_another_kind_of_score_is_one_line():
    assert "\n" not in repr(OutputAdapter(NonNegative(unseen=(1,), lowered=0.5)))
    assert repr(OutputAdapter(Sigmoid())) == "OutputAdapter('binary_logits')"
    assert OutputAdapter("logits").image_input == ImageInput()


def test_a_quantile_calibration_is_one_short_line():
    maps = [np.random.default_rng(seed).normal(size=(20, 30)) for seed in range(3)]
    calibration = Calibration.fit_quantile(maps)
    assert repr(calibration) == "QuantileCalibration(256 levels, -3.899 -> 0.0625, 3.1 -> 0.938)"
    assert len(repr(OutputAdapter(calibration, "score"))) < 120
    assert repr(Calibration.fit_quantile(maps, lower_is_anomalous=True)).endswith("-> 0.938, 3.1 -> 0.0625)")
    assert repr(eval(repr(Calibration.fit_sigmoid(maps)))) == repr(Calibration.fit_sigmoid(maps))  # noqa: S307


# Thresholds, maps, objects


def test_results_are_one_short_line():
    normal = [np.random.default_rng(seed).random((40, 60)) * 0.5 for seed in range(8)]
    assert repr(Threshold(0.25)) == "Threshold(0.25, 'given')"
    fitted = repr(Threshold.fit_pixels(normal, 0.01))
    assert fitted.startswith("Threshold(0.49")
    assert fitted.endswith(", 'pixels', target=0.01, images=8)")
    score = np.zeros((24, 32), np.float32)
    (none,) = find_objects(score, 0.5)
    score[4:20, 4:20] = 0.75
    (one,) = find_objects(score, 0.5)
    assert repr(none) == "Objects(size=(24, 32), number=0)"
    assert repr(one) == "Objects(size=(24, 32), number=1, best_score=0.75)"
    assert repr(RegionMap(np.zeros((1, 2, 3), int))) == "RegionMap(batch_size=1, size=(2, 3), num_regions=1)"
    proposals = RegionProposals(torch.rand(2, 5, 24, 32), torch.rand(2, 5))
    assert repr(proposals) == "RegionProposals(batch_size=2, num_regions=5, resolution=(24, 32))"


# The wrapper, and a proposer by its name wherever one is taken


def test_a_wrapper_says_what_it_was_made_with(network):
    model = nn.Conv2d(3, 5, 1)
    assert head(CSLWrapper(model)) == "proposer='csl-tiny:auto,5', rule='adaptive', adapter='auto'"
    assert head(CSLWrapper(model, "superpixels", "segformer", rule="mean", check=False)) == (
        "proposer='superpixels', rule='mean', adapter='segformer', check=False"
    )
    declared = CSLWrapper(model, Superpixels(40), OutputAdapter("logits", "out"), split=False)
    assert head(declared) == (
        "proposer='superpixels:40', rule='adaptive', adapter=OutputAdapter('logits', item='out'), split=False"
    )
    assert head(CSLWrapper(model, "superpixels", preset("entropy", item="out"))).endswith(
        "adapter=preset('entropy', item='out')"
    )
    assert repr(declared).startswith("CSLWrapper(\n  proposer=")
    assert "(model): Conv2d(3, 5" in repr(declared)
    bare = repr(CSLWrapper(np.square, NetworkProposals(network)))
    assert bare.startswith("CSLWrapper(model=<ufunc 'square'>, proposer=NetworkProposals(")
    assert "\n" not in bare
    assert head(EndToEnd(network, proposer="superpixels")) == "proposer='superpixels', rule='adaptive'"


def test_a_proposer_is_given_by_its_name_wherever_one_is_taken(network, tmp_path):
    made = Superpixels(40)
    model, name = nn.Conv2d(3, 4, 1), "superpixels:40"
    image = (IMAGES[0].permute(1, 2, 0) * 255).byte().numpy()
    with torch.no_grad():
        pairs = [
            [CSLWrapper(model, each, "logits")(IMAGES) for each in (name, made)],
            [EndToEnd(network, proposer=each)(IMAGES) for each in (name, made)],
        ]
    assert all(one.equal(other) for one, other in pairs)
    assert StageGraph(name).regions.scales == StageGraph(made).regions.scales == [(40,)]
    for folder, proposer in (("a", name), ("b", made)):
        propose_large(image, tmp_path / folder, proposer, tile=16)
    assert (tmp_path / "a/regions-0.npy").read_bytes() == (tmp_path / "b/regions-0.npy").read_bytes()


def test_a_folder_may_be_a_path(tmp_path):
    from csl_plugin.io import write_region_map

    write_region_map(tmp_path / "a.png", np.zeros((2, 3), np.int32))
    assert isinstance(CSLWrapper(abs, tmp_path).proposer, RegionMapFolder)


@pytest.mark.parametrize(
    ("proposer", "kind", "said"),
    [
        (Superpixels, DTypeError, r"the class Superpixels.*Superpixels\(\.\.\.\)"),
        (7, DTypeError, "builtins.int.*superpixels"),
        ("", CSLError, "an empty name"),
        ("nobody-knows", FileError, "neither a built-in proposer"),
        ("superpixels:fine", CSLError, "superpixels:20"),
    ],
)
def test_what_is_no_proposer_is_refused_where_it_is_given(proposer, kind, said):
    for make in (
        lambda: CSLWrapper(abs, proposer),
        lambda: StageGraph(proposer),
        lambda: propose_large(np.zeros((8, 8, 3), np.uint8), "nowhere", proposer),
    ):
        with pytest.raises(kind, match=f"^proposer: got .*{said}"):
            make()


@pytest.mark.parametrize("model", ["nvidia/segformer-b0", nn.Conv2d, None])
def test_what_is_no_model_is_refused(model):
    with pytest.raises(DTypeError, match=r"^model: got .*Pass the loaded model"):
        CSLWrapper(model, "superpixels")
