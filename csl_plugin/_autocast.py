"""The dtype of arithmetic, whatever autocast is around a call."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from csl_plugin._torch_internals import cpu_multiplies_bfloat16


def without_autocast(device: torch.device) -> AbstractContextManager[Any]:
    """A block in which autocast is off for a device."""
    if not torch.amp.is_autocast_available(device.type):
        return nullcontext()
    return torch.autocast(device.type, enabled=False)


def in_bfloat16_where_fast(images: Tensor) -> AbstractContextManager[Any]:
    """A block in bfloat16 for float32 on a processor with instructions for it; else autocast is off."""
    if images.device.type == "cpu" and images.dtype == torch.float32 and cpu_multiplies_bfloat16():
        return torch.autocast("cpu", torch.bfloat16)
    return without_autocast(images.device)
