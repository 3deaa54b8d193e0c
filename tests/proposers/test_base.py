"""What a proposer takes and gives, and the names that the package of proposers exports."""

from __future__ import annotations

import inspect

import pytest
import torch

import csl_plugin.proposers
from csl_plugin import CSLWrapper, RegionMap, RegionProposals, fuse, load_proposer
from csl_plugin.adapters import OutputAdapter
from csl_plugin.end_to_end import EndToEnd
from csl_plugin.errors import OptionError
from csl_plugin.io import write_region_map
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import (
    NetworkProposals,
    NetworkRegions,
    Proposer,
    RegionMapFolder,
    Scales,
    Superpixels,
    Together,
)
from csl_plugin.proposers.base import as_partitions
from csl_plugin.proposers.on_files import propose_regions

SIZE = (24, 32)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    small = {"num_queries": 4, "embedding_width": 8, "query_width": 8, "num_heads": 1, "num_layers": 1}
    return CSLNetwork(NetworkConfig(**small, num_classes=3, boundary=True)).eval()


def image():
    return torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0))


def halves(images):
    right = torch.arange(images.shape[3]) >= images.shape[3] // 2
    return RegionMap(right.int().expand(len(images), *images.shape[2:]))


# Partitions


def test_every_proposer_of_the_package_gives_a_tuple(network, tmp_path):
    write_region_map(tmp_path / "a.png", halves(image()).labels[0].numpy())
    folder = RegionMapFolder(tmp_path)
    proposers = [
        (Superpixels(), 1),
        (NetworkProposals(network), 1),
        (NetworkRegions(network), 1),
        (Scales(Superpixels(), (40,)), 1),
        (Scales(Superpixels(), (40, 150)), 2),
        (Together((halves, Superpixels())), 2),
        (folder, 1),
        (load_proposer("superpixels"), 1),
        (load_proposer("csl-tiny"), 1),
        (load_proposer(), 2),
    ]
    for proposer, count in proposers:
        assert isinstance(proposer, Proposer)
        partitions = proposer(image(), **({"names": ["a"]} if proposer is folder else {}))
        assert type(partitions) is tuple
        assert len(partitions) == count
        assert all(isinstance(each, (RegionMap, RegionProposals)) for each in partitions)


def test_partitions_are_read_from_whatever_a_proposer_returns():
    one, other = halves(image()), halves(image())
    assert as_partitions(one) == (one,)
    assert as_partitions((one,)) == (one,)
    assert as_partitions((one, other)) == as_partitions([one, other]) == (one, other)
    assert as_partitions(()) == ()


@pytest.mark.parametrize(
    "wrap", [lambda regions: regions, lambda regions: (regions,), lambda regions: [regions]]
)
def test_a_user_s_proposer_may_return_one_partition_or_a_tuple(network, wrap):
    def proposer(images):
        return wrap(halves(images))

    images, model = image(), torch.nn.Conv2d(3, 4, 1)
    with torch.inference_mode():
        wrapped = CSLWrapper(model, proposer, OutputAdapter("logits"))(images)
        assert torch.equal(wrapped, fuse(model(images), halves(images), logits=True))
        fused = EndToEnd(network, proposer=proposer)(images)
        assert torch.equal(fused, EndToEnd(network, proposer=halves)(images))
    assert len(Together((proposer, halves))(images)) == 2
    pixels = (images[0].permute(1, 2, 0) * 255).to(torch.uint8).numpy()
    (regions,) = propose_regions(proposer, pixels, "a")
    assert torch.equal(regions.labels, halves(images).labels)


# Exports


def test_the_exported_names_are_these():
    assert csl_plugin.proposers.__all__ == [
        "BUILT_IN",
        "DEFAULT",
        "ImageProposer",
        "Images",
        "NetworkProposals",
        "NetworkRegions",
        "Proposer",
        "RegionMapFolder",
        "Scales",
        "Superpixels",
        "Together",
        "load_proposer",
        "proposer_from_model",
        "regions_from_masks",
    ]
    assert dir(csl_plugin.proposers) == csl_plugin.proposers.__all__
    for name in csl_plugin.proposers.__all__:
        exported = getattr(csl_plugin.proposers, name)
        assert isinstance(exported, (str, tuple)) or ">>> " in inspect.getdoc(exported), name
    with pytest.raises(AttributeError, match=r"'csl_plugin\.proposers' has no attribute 'Superpixel'"):
        csl_plugin.proposers.Superpixel  # noqa: B018


@pytest.mark.parametrize("source", ["", "csl-tiny+", "+superpixels", "superpixels++csl-tiny"])
def test_an_empty_name_is_not_the_current_folder(source):
    with pytest.raises(OptionError, match="source: got an empty name"):
        load_proposer(source)
