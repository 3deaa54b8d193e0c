"""Options of any type and size end in an error of the package, on one short line, or are accepted."""

import numpy as np
import pytest
import torch

from csl_plugin import CSLError, CSLWrapper, RegionMap, fuse, load_proposer
from csl_plugin.adapters import ImageInput, OutputAdapter, preset
from csl_plugin.datasets import open_dataset
from csl_plugin.evaluation.run import run_benchmark
from csl_plugin.proposers import NetworkRegions, Superpixels

ODD = {
    "endless integer": 10**5000,
    "array": np.array([1, 2]),
    "names": np.array(["a", "b"]),
    "tensor": torch.zeros(2, 2),
    "list": [],
    "dict": {},
    "type": object,
    "bytes": b"x",
    "nan": float("nan"),
    "negative": -1,
    "half a pair": "\ud800",
    "long": "a" * 5000,
}
SCORES, REGIONS = torch.rand(1, 3, 4, 4), RegionMap(torch.zeros(1, 4, 4, dtype=torch.int32))
NETWORK = load_proposer("csl-tiny").network
CALLS = {
    "score": OutputAdapter,
    "item": lambda value: OutputAdapter("logits", item=value),
    "align_corners": lambda value: OutputAdapter("logits", align_corners=value),
    "max_batch": lambda value: OutputAdapter("logits", max_batch=value),
    "mean": lambda value: ImageInput(mean=value),
    "peak": lambda value: ImageInput(peak=value),
    "order": lambda value: ImageInput(order=value),
    "preset": preset,
    "data set": lambda value: open_dataset(value, "nowhere"),
    "subset": lambda value: open_dataset("cityscapes", "nowhere", subset=value),
    "folder": lambda value: open_dataset("folder", "nowhere", subset=value),
    "space": lambda value: open_dataset("coco-stuff", "nowhere", space=value),
    "benchmark": lambda value: run_benchmark(value, "nowhere", "out"),
    "teacher": lambda value: run_benchmark("folder", "nowhere", "out", teacher=value),
    "source": load_proposer,
    "device": lambda value: load_proposer("csl-tiny", device=value),
    "revision": lambda value: load_proposer("csl-tiny", revision=value),
    "variant": lambda value: load_proposer("csl-tiny", variant=value),
    "scale": Superpixels,
    "network's scale": lambda value: NetworkRegions(NETWORK, value),
    "adapter": lambda value: CSLWrapper(torch.nn.Identity(), load_proposer("superpixels"), value),
    "rule": lambda value: fuse(SCORES, REGIONS, rule=value),
    "rule of a wrapper": lambda value: CSLWrapper(
        torch.nn.Identity(), load_proposer("superpixels"), rule=value
    ),
    "num_regions": lambda value: RegionMap(REGIONS.labels, value),
}


@pytest.mark.parametrize("name", CALLS)
def test_any_value_is_accepted_or_refused_in_one_line(name):
    refused = []
    for value in ODD.values():
        try:
            CALLS[name](value)
        except CSLError as error:
            refused.append(str(error))
    assert len(refused) >= 5
    assert all(map(str.isprintable, refused))
    assert max(map(len, refused)) < 1000
