"""The inputs of a case: proposals, labels and a distribution."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from torch import Tensor

from benchmarks.speed import inputs
from benchmarks.speed.contestants import Spec
from csl_plugin import ops


@lru_cache(maxsize=8)
def _proposals(source: str, size: tuple[int, int]) -> inputs.Proposals:
    makers = {"scene": inputs.scene, "noise": inputs.white_noise}
    return makers[source](size) if source in makers else inputs.from_file(Path(source))


@lru_cache(maxsize=8)
def _labels(source: str, size: tuple[int, int]) -> Tensor:
    p = _proposals(source, size)
    return ops.assign(p.logits[None], p.validity[None], p.size, "before")


# Two, because the warm-up of a case uses a small image.
@lru_cache(maxsize=2)
def _distribution(source: str, size: tuple[int, int], classes: int) -> Tensor:
    return inputs.distribution(_labels(source, size)[0], classes)


class Subject:
    """The inputs of one case, shared between cases; read-only."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @property
    def proposals(self) -> inputs.Proposals:
        """The network's raw outputs."""
        return _proposals(self.spec.source, self.spec.size)

    @property
    def labels(self) -> Tensor:
        """The soft assignment, (1, H, W) int32."""
        return _labels(self.spec.source, self.spec.size)

    @property
    def count(self) -> int:
        """N."""
        return len(self.proposals.validity)

    @property
    def distribution(self) -> Tensor:
        """D, (1, C, H, W)."""
        return _distribution(self.spec.source, self.spec.size, self.spec.classes)

    def restored(self, scratch: Tensor) -> Tensor:
        """Copy D into `scratch`, after a call has overwritten it."""
        return scratch.copy_(self.distribution)


def installed(module: str, missing: list[str]) -> bool:
    """Whether a peer's module is installed; if not, a line is added to `missing`."""
    if find_spec(module) is not None:
        return True
    missing.append(f"{module} is not installed")
    return False
