"""What a case works on: proposals, labels and a distribution, made anew from a spec."""

from __future__ import annotations

from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from benchmarks import inputs
from benchmarks.contestants import Spec
from csl_plugin import ops


class Subject:
    """The inputs of one case, each made when first asked for."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @cached_property
    def proposals(self) -> inputs.Proposals:
        """The network's raw outputs."""
        makers = {"scene": inputs.scene, "noise": inputs.white_noise}
        if self.spec.source in makers:
            return makers[self.spec.source](self.spec.size)
        return inputs.from_file(Path(self.spec.source))

    @cached_property
    def labels(self) -> Tensor:
        """The soft assignment, (1, H, W) int32."""
        p = self.proposals
        return ops.assign(p.logits[None], p.validity[None], p.size, "before")

    @property
    def count(self) -> int:
        """N."""
        return len(self.proposals.validity)

    @cached_property
    def distribution(self) -> Tensor:
        """D, (1, C, H, W)."""
        return inputs.distribution(self.labels[0], self.spec.classes)

    def restored(self, scratch: Tensor) -> Tensor:
        """`scratch` holding D again, after a call has written into it."""
        return scratch.copy_(self.distribution)


def installed(module: str, missing: list[str]) -> bool:
    """Whether a peer's module is installed; if not, a line that says so joins `missing`."""
    if find_spec(module) is not None:
        return True
    missing.append(f"{module} is not installed")
    return False
