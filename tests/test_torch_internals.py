"""Ordinary calls on a version of torch that lacks the names which are not public."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import torch

from csl_plugin import CSLWrapper, fuse, load_proposer
from csl_plugin.adapters import OutputAdapter

CALLS = """
import numpy as np
from csl_plugin import CSLWrapper, fuse, load_proposer
from csl_plugin.adapters import OutputAdapter

scores = torch.linspace(0, 1, 2 * 24 * 32).reshape(1, 2, 24, 32)
labels = torch.arange(24 * 32).reshape(1, 24, 32) // 64
leaf = scores.clone().requires_grad_()
fuse(leaf, labels).sum().backward()
images = torch.linspace(0, 1, 3 * 24 * 32).reshape(1, 3, 24, 32)
segment = CSLWrapper(lambda x: x, load_proposer("superpixels"), OutputAdapter("probabilities"))
found = {
    "fuse": fuse(scores, labels),
    "two": fuse(scores, [labels, labels // 2]),
    "array": torch.from_numpy(fuse(scores.numpy(), labels.numpy(), split=False)),
    "gradient": leaf.grad,
    "wrapper": segment(images),
}
"""
WITHOUT = """
import sys
import torch
import torch._functorch.pyfunctorch
import torch._subclasses.fake_tensor

names = ("get_unwrapped", "is_batchedtensor", "is_functorch_wrapped_tensor", "maybe_current_level")
places = [(torch._C._functorch, name) for name in names]
places += [(torch._subclasses.fake_tensor, "FakeTensor"), (torch.compiler, "is_exporting")]
places += [(torch._C, "_get_dispatch_mode")]
for place, name in places:
    if hasattr(place, name):
        delattr(place, name)
"""


def test_ordinary_calls_need_none_of_them(tmp_path):
    path = tmp_path / "found.npz"
    program = (
        f"{WITHOUT}{CALLS}np.savez({str(path)!r}, **{{n: v.detach().numpy() for n, v in found.items()}})"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], check=True)
    names = {"torch": torch, "CSLWrapper": CSLWrapper, "fuse": fuse, "load_proposer": load_proposer}
    names["OutputAdapter"] = OutputAdapter
    exec(CALLS, names)
    with np.load(path) as found:
        assert set(found) == names["found"].keys()
        for name, value in names["found"].items():
            np.testing.assert_array_equal(found[name], value.detach().numpy(), err_msg=name)
