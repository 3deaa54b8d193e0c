"""What a job's settings say of a proposer: the same in every process, another one for other results."""

import functools
import subprocess
import sys
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from csl_plugin import load_proposer
from csl_plugin.errors import OptionError
from csl_plugin.io import write_region_map
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import NetworkProposals, NetworkRegions, Scales, Superpixels
from csl_plugin.proposers.bundled import DIGESTS
from csl_plugin.proposers.identity import identity_of

PLUG_IN = """
import torch
from csl_plugin import RegionMap

class Plain:
    def __init__(self, parts=2):
        self.parts = parts
    def __call__(self, images):
        return RegionMap(torch.zeros(len(images), *images.shape[2:], dtype=torch.int32))

class Module(torch.nn.Module):
    def __init__(self, value=0.0):
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)
        torch.nn.init.constant_(self.layer.weight, value)
        torch.nn.init.constant_(self.layer.bias, value)

def function(images):
    return Plain()(images)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A module of another package."""
    (tmp_path / "mine.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("mine", None)
    yield import_module("mine")
    sys.modules.pop("mine", None)


def test_a_plug_in_is_the_same_in_every_process(package, tmp_path):
    here = [identity_of(made) for made in (package.Plain(), package.Module(), package.function)]
    of = "from csl_plugin.proposers.identity import identity_of as of"
    code = f"import mine; {of}; print(of(mine.Plain()), of(mine.Module()), of(mine.function), sep='\\n')"
    there = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert there.stdout.splitlines() == here
    assert " at 0x" not in there.stdout
    assert [line.partition(" ")[0] for line in here] == ["mine.Plain", "mine.Module", "mine.function"]


def test_other_attributes_weights_or_code_are_another_proposer(package):
    found = [package.Plain(), package.Plain(3), package.Module(), package.Module(1e-6), package.function]
    names = list(map(identity_of, found))
    assert len(set(names)) == len(names)
    file = Path(package.__file__)
    file.write_text(file.read_text() + "\n# another version\n")
    assert not set(names) & set(map(identity_of, found))


class Holder:
    def __init__(self, **held):
        vars(self).update(held)


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


@dataclass
class Shown:
    scale: float
    model: object = field(default_factory=object)


VALUES = [
    1,
    2,
    1.0,
    True,
    None,
    "1",
    b"1",
    (1, 2),
    [1, 2],
    {"a": 1},
    {"a": 2},
    {1, 2},
    np.array([1, 2]),
    np.array([1.0, 2.0]),
    np.array([[1, 2]]),
    torch.tensor([1, 2]),
    torch.tensor([1.0, 2.0]),
    torch.tensor([1, 2], dtype=torch.bfloat16),
    torch.device("meta"),
    torch.float16,
    Slotted(1),
    Slotted(2),
    functools.partial(max, 1),
    functools.partial(max, 2),
    torch.nn.Dropout(0.1),
    torch.nn.Dropout(0.2),
    Shown(1.0),
    Shown(2.0),
]


def test_every_value_in_an_attribute_counts():
    names = [identity_of(Holder(held=value)) for value in VALUES]
    assert len(set(names)) == len(VALUES)
    assert names == [identity_of(Holder(held=value)) for value in VALUES]
    deep = [identity_of(Holder(held=[{"x": Holder(held=value)}])) for value in VALUES]
    assert len(set(deep)) == len(VALUES)
    assert identity_of(Holder(a=1, b=2)) == identity_of(Holder(b=2, a=1))


def test_a_proposer_that_holds_itself_ends():
    one = Holder()
    one.own = [one]
    assert identity_of(one) == identity_of(one)


def test_its_own_text_is_shown_and_an_address_is_not():
    assert "Shown(scale=2.0, model=1)" in identity_of(Shown(2.0, 1))
    assert "0x" not in identity_of(Shown(2.0))

    class Named:
        def identity(self):
            return "my regions, third version"

    assert identity_of(Named()) == "my regions, third version"


def test_functions_are_told_apart_by_what_they_close_over():
    def made(value):
        return lambda images: (images, value)

    assert identity_of(made(1)) == identity_of(made(1))
    assert identity_of(made(1)) != identity_of(made(2))
    assert identity_of(Holder(held=1).__class__.__init__) != identity_of(Slotted.__init__)


def test_weights_and_configuration_of_a_network_count(tmp_path):
    config = NetworkConfig(num_queries=4, embedding_width=8, query_width=16, num_heads=1, num_layers=1)
    network = CSLNetwork(config).eval()
    twin = CSLNetwork(NetworkConfig(**{**config.to_json(), "num_heads": 2})).eval()
    twin.load_state_dict(network.state_dict())
    names = [identity_of(NetworkProposals(each)) for each in (network, twin)]
    assert names[0] != names[1], "the heads leave no trace in the weights"
    next(network.parameters()).data[0] += 1
    assert identity_of(NetworkProposals(network)) not in names


def test_built_in_proposers_and_folders(tmp_path, monkeypatch):
    write_region_map(tmp_path / "maps" / "a.png", np.zeros((3, 4), np.int32))
    monkeypatch.chdir(tmp_path)
    folder = "region maps of a folder"  # which one is among the places of a job
    assert identity_of(load_proposer("maps")) == folder
    assert identity_of(load_proposer("maps+superpixels:80")) == f"{folder} + superpixels:80"
    before = identity_of(load_proposer("maps+superpixels:80"))
    write_region_map(tmp_path / "maps" / "b.png", np.zeros((3, 4), np.int32))
    assert identity_of(load_proposer("maps+superpixels:80")) == before, "each file is compared by itself"
    assert identity_of(Scales(Superpixels(), (40, 80))) == "superpixels:40,80"


@pytest.mark.parametrize("name", ["csl-tiny:auto,5", "csl-tiny-strict:auto", "csl-tiny-open:5"])
def test_a_bundled_network_is_named_as_it_is_typed(name):
    kind = name.partition(":")[0]
    assert identity_of(load_proposer(name)).startswith(f"{name} of weights {DIGESTS[kind]}, configuration ")


def test_a_network_of_another_origin_has_no_name():
    network = CSLNetwork(NetworkConfig(num_queries=8, boundary=True)).eval()
    regions, proposals = identity_of(NetworkRegions(network, 5)), identity_of(NetworkProposals(network))
    assert regions.startswith("network:5 of weights compact ")
    assert proposals.startswith("network of weights compact ")


def test_folders_among_several_proposers_get_the_names(tmp_path):
    write_region_map(tmp_path / "maps" / "a.png", np.arange(12, dtype=np.int32).reshape(3, 4))
    together = load_proposer(f"{tmp_path / 'maps'}+superpixels:80")
    maps, superpixels = together(torch.zeros(1, 3, 3, 4), ["a"])
    assert maps.num_regions == 12
    assert superpixels.num_regions == 1
    with pytest.raises(OptionError, match="names"):
        together(torch.zeros(1, 3, 3, 4))
