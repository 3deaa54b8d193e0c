"""The devices of this machine."""

from __future__ import annotations

import torch

from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError


def checked_device(device: object) -> torch.device:
    """A device of this machine on which tensors can hold values; the CPU for None.

    Raises:
        OptionError: torch does not know it, it is not there, or it holds no values ("meta").

    Example:
        >>> checked_device(None), checked_device("cpu")
        (device(type='cpu'), device(type='cpu'))
    """
    if device is None:
        return torch.device("cpu")
    try:
        if isinstance(device, bool) or not isinstance(device, (str, int, torch.device)):
            raise TypeError
        wanted = torch.device(device)
    except (RuntimeError, TypeError, ValueError, OverflowError):
        raise _no_device(device, "a device torch knows") from None
    if wanted.type == "cpu" and not wanted.index:
        return wanted
    if str(wanted) not in _devices():
        raise _no_device(device, "a device of this machine")
    return wanted


def _no_device(device: object, expected: str) -> OptionError:
    hint = f"There {'is' if len(_devices()) == 1 else 'are'}: {', '.join(_devices())}."
    return OptionError("device", shown(device), expected, hint)


def _devices() -> list[str]:
    """The devices of this machine: "cpu", and for an accelerator its name and that of each device."""
    found = ["cpu"]
    for kind in ("cuda", "xpu", "mps"):
        module = getattr(torch, kind, None)
        if module is not None and getattr(torch.backends if kind == "mps" else torch, kind).is_available():
            found += [kind, *(f"{kind}:{index}" for index in range(module.device_count()))]
    return found
