"""Networks that were saved before some weights were renamed."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file, save_file

from csl_plugin.errors import FileError
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.models.former_names import current_name, former_name
from csl_plugin.proposers import NetworkProposals

CONFIG = NetworkConfig(
    num_queries=4,
    embedding_width=8,
    query_width=8,
    num_heads=1,
    num_layers=2,
    feedforward_width=8,
    num_classes=2,
    points=True,
    boundary=True,
)
LINEAR = ("weight", "bias")


def _of(modules, names=LINEAR):
    return {f"{module}.{name}" for module in modules for name in names}


def _attention(layer, kind):
    return _of(f"{layer}.{kind}.{part}" for part in ("query", "key", "value", "out"))


def _first_names():
    """The weights of a network of CONFIG when the first ones were saved, without those of the backbone."""
    names = {"content", "place", "region_decoder.level"}
    names |= _of(
        ("pixels", "point", "distribution", "boundary.coarse", "boundary.out", "pixel_decoder.whole")
    )
    names |= _of(("region_decoder.norm", "region_decoder.validity"))
    names |= _of(f"region_decoder.inputs.{level}" for level in range(3))
    names |= _of(f"region_decoder.prototype.{layer}" for layer in (0, 2, 4))
    for number in range(2):
        layer = f"region_decoder.layers.{number}"
        names |= _attention(layer, "look") | _attention(layer, "confer")
        names |= _of(f"{layer}.{part}" for part in ("think.0", "think.2", "norms.0", "norms.1", "norms.2"))
    convolutions = ["boundary.fine", "boundary.merge"]
    convolutions += [f"pixel_decoder.{kind}.{level}" for kind in ("sides", "merges") for level in range(4)]
    return names | _of(convolutions, ("convolution.weight", "norm.weight", "norm.bias"))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return CSLNetwork(CONFIG).eval()


@pytest.fixture
def folder(network, tmp_path):
    """The network as it was saved under the first names."""
    network.save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    save_file({former_name(name): value for name, value in load_file(path).items()}, path)
    return tmp_path


def _outputs(network):
    images = torch.rand(2, 3, 40, 56, generator=torch.Generator().manual_seed(1))
    points = torch.rand(2, 3, 2, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        output = network(images, points=points)
    predictions = [*output.regions, *output.pointed]
    found = [value for prediction in predictions for value in prediction if value is not None]
    return [*found, output.distribution, output.boundary]


def test_the_first_names_are_these(network):
    names = [name for name in network.state_dict() if not name.startswith("backbone.")]
    assert {former_name(name) for name in names} == _first_names()
    assert all(current_name(former_name(name)) == name for name in network.state_dict())
    assert all(former_name(name) == name for name in network.state_dict() if name.startswith("backbone."))


def test_a_network_saved_under_them_gives_the_same_outputs(network, folder):
    assert _first_names() <= load_file(folder / "model.safetensors").keys()
    loaded = CSLNetwork.from_pretrained(folder)
    assert all(torch.equal(one, two) for one, two in zip(_outputs(network), _outputs(loaded), strict=True))
    assert repr(NetworkProposals(loaded)) == repr(NetworkProposals(network))


def test_a_former_state_dict_loads(network):
    former = {former_name(name): value for name, value in network.state_dict().items()}
    other = CSLNetwork(CONFIG).eval()
    other.load_state_dict(former)
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in network.state_dict().items())
    behind = torch.nn.ModuleDict({"level": CSLNetwork(CONFIG)})  # a name of its own stays
    behind.load_state_dict({f"level.{name}": value for name, value in former.items()})
    with pytest.raises(RuntimeError, match="Missing key"):
        other.load_state_dict({})


def test_it_is_saved_under_the_present_names(network, folder, tmp_path):
    CSLNetwork.from_pretrained(folder).save_pretrained(tmp_path / "again")
    assert load_file(tmp_path / "again" / "model.safetensors").keys() == network.state_dict().keys()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"query_features": torch.zeros(4, 8)}, "content, which is unknown"),
        ({"content": None}, "no query_features"),
        ({"look": torch.zeros(1)}, "look, which is unknown"),
        ({"place": torch.zeros(3, 8)}, r"query_positions of \(3, 8\) for \(4, 8\)"),
    ],
)
def test_they_are_read_as_strictly(folder, changed, said):
    path = folder / "model.safetensors"
    weights = {name: value.clone() for name, value in load_file(path).items()} | changed
    save_file({name: value for name, value in weights.items() if value is not None}, path)
    with pytest.raises(FileError, match=said):
        CSLNetwork.from_pretrained(folder)
