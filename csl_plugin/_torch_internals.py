"""What torch has no public names for; a version without these names is taken to have no such tensors."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

try:
    from torch._C._functorch import (
        get_unwrapped,
        is_batchedtensor,
        is_functorch_wrapped_tensor,
        maybe_current_level,
    )
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
except ImportError:

    def get_unwrapped(tensor: Tensor) -> Tensor:
        """The tensor."""
        return tensor

    def is_batchedtensor(tensor: Tensor) -> bool:  # noqa: ARG001
        """False."""
        return False

    is_functorch_wrapped_tensor = is_batchedtensor

    def maybe_current_level() -> int | None:
        """None: no transform is active."""
        return None

    temporarily_clear_interpreter_stack: Any = nullcontext  # type: ignore[no-redef]

try:
    from torch._subclasses.fake_tensor import FakeTensor
except ImportError:

    class FakeTensor:  # type: ignore[no-redef]
        """Of which no tensor is an instance."""


__all__ = [
    "FakeTensor",
    "cpu_multiplies_bfloat16",
    "get_unwrapped",
    "is_batchedtensor",
    "is_functorch_wrapped_tensor",
    "is_recorded",
    "maybe_current_level",
    "temporarily_clear_interpreter_stack",
]

_PROXY = getattr(getattr(torch._C, "_TorchDispatchModeKey", None), "PROXY", None)
_mode: Any = getattr(torch._C, "_get_dispatch_mode", None) if _PROXY is not None else None


def cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for products of bfloat16; without them they are slower."""
    return any(
        getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )


def is_recorded() -> bool:
    """Whether make_fx records the call, as torch.func.linearize and torch.export do."""
    return _mode is not None and _mode(_PROXY) is not None
