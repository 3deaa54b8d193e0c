"""Reading, describing and resizing tensors and numpy arrays alike."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

import numpy as np
import torch
from torch import Tensor

from csl_plugin._autocast import without_autocast
from csl_plugin._torch_internals import FakeTensor
from csl_plugin._tracing import all_values, is_exported, outside_transforms
from csl_plugin.errors import DeviceError, DTypeError

__all__ = ["Array"]

Array: TypeAlias = "Tensor | np.ndarray[Any, Any]"
"""A tensor of torch or an array of numpy; what comes in comes out."""
ArrayT = TypeVar("ArrayT", Tensor, np.ndarray[Any, Any])

_WIDENED_TORCH = {torch.uint16: torch.int32, torch.uint32: torch.int64}
_WIDENED = {np.dtype(np.uint16): np.int32, np.dtype(np.uint32): np.int64}
_SERIAL_DTYPES = (torch.float32, torch.float64)
_LINE = 80
_PIECE = 1 << 17  # elements that stay in the cache between two passes


def describe(value: object) -> str:
    """A value, described for an error message."""
    if isinstance(value, Tensor):
        if value.is_nested:
            return f"a nested torch tensor of {value.dtype} and {value.size(0)} parts"
        where = "" if value.device.type == "cpu" else f" on {value.device}"
        return f"a torch tensor of {value.dtype} and shape {tuple(value.shape)}{where}"
    if isinstance(value, np.ndarray):
        kind = "masked array" if isinstance(value, np.ma.MaskedArray) else "array"
        return f"a numpy {kind} of {value.dtype} and shape {value.shape}"
    return f"a {type(value).__module__}.{type(value).__qualname__}"


def shown(value: object) -> str:
    """Any value on one short line, for an error message."""
    if isinstance(value, (Tensor, np.ndarray)):
        return describe(value)
    try:
        line = " ".join(repr(value).split())
    except Exception:  # an integer of thousands of digits, or another package's own repr
        return describe(value)
    return line if len(line) <= _LINE else f"{line[: _LINE - 3]}..."


def as_tensor(argument: str, value: object) -> Tensor:
    """The value as a tensor, which shares its memory wherever torch can.

    Raises:
        DTypeError: It is neither a dense torch tensor nor a plain numpy array of numbers.
    """
    if isinstance(value, Tensor):
        if value.is_nested:
            hint = "Pass its parts, value.unbind(), one at a time, or pad them to one size."
            raise DTypeError(argument, describe(value), "a dense tensor", hint)
        if value.is_quantized:
            raise DTypeError(argument, describe(value), "a dense tensor", "Convert it with .dequantize().")
        if value.layout != torch.strided:
            raise DTypeError(
                argument,
                f"a tensor of layout {value.layout}",
                "a dense tensor",
                "Convert it with .to_dense().",
            )
        value = value.resolve_neg()
        return value.to(_WIDENED_TORCH[value.dtype]) if value.dtype in _WIDENED_TORCH else value
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            argument,
            describe(value),
            "a plain array",
            "Pass value.filled(0), and ~value.mask as `valid` where it is accepted.",
        )
    if not isinstance(value, np.ndarray):
        raise DTypeError(
            argument,
            describe(value),
            "a torch tensor or a numpy array",
            "Convert it with numpy.asarray(...).",
        )
    native = value.dtype.newbyteorder("=")
    array = value.astype(_WIDENED.get(native, native), copy=False)
    # torch takes no memory that is read-only, and no steps back or between elements, as of a record's field.
    odd = any(stride < 0 or stride % max(array.itemsize, 1) for stride in array.strides)
    if odd or not (array.flags.writeable and array.flags.aligned):
        array = np.array(array)
    try:
        return torch.from_numpy(array)
    except TypeError:
        raise DTypeError(
            argument,
            describe(value),
            "an element type that torch supports",
            "Convert it with value.astype(...).",
        ) from None


def as_array(argument: str, value: object) -> np.ndarray[Any, Any]:
    """The value as a numpy array on the CPU, without gradients; bfloat16 becomes float32.

    Raises:
        DTypeError: As for `as_tensor`.
        DeviceError: It holds no values.
    """
    tensor = as_tensor(argument, value).detach()
    if not has_values(tensor):
        raise DeviceError(
            argument, "a tensor without values (meta or fake)", "one that holds values", "Pass data."
        )
    try:
        return np.asarray((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).cpu().numpy())
    except TypeError:  # numpy has no such elements, as those of 8 bits with a point
        hint = "Convert it with value.float()."
        raise DTypeError(argument, describe(value), "an element type that numpy has", hint) from None


def bounds(values: Tensor) -> tuple[float, float]:
    """The smallest and the largest value; nan if any is nan, 0 and 0 if there are none.

    On the CPU it uses one thread and pieces that fit the cache. torch.aminmax uses several threads, and waits
    for the slowest where cores are busy.
    """
    if values.numel() == 0:
        return 0.0, 0.0
    values = all_values(values.detach())
    with outside_transforms():
        plain = values.device.type == "cpu" and values.dtype in _SERIAL_DTYPES and values.is_contiguous()
        if not plain or torch.compiler.is_compiling():
            with without_autocast(values.device):
                low, high = torch.stack(torch.aminmax(values)).tolist()  # waits for a device once
            return float(low), float(high)
        flat = values.view(-1).numpy()
    starts = range(0, flat.size, _PIECE)
    pieces = (flat[start : start + _PIECE] for start in starts)
    found = np.array([(piece.min(), piece.max()) for piece in pieces])
    return float(found[:, 0].min()), float(found[:, 1].max())


def has_values(tensor: Tensor) -> bool:
    """Whether a tensor holds values to read: it is not on meta, fake, or recorded by torch.export."""
    return not (is_exported() or tensor.is_meta or isinstance(tensor, FakeTensor))


def resize_nearest(values: ArrayT, size: tuple[int, int]) -> ArrayT:
    """Values (..., H, W) at another size (h, w): each new pixel takes the value at its center."""
    device = values.device if isinstance(values, Tensor) else "cpu"
    rows, columns = (
        (2 * torch.arange(new, device=device) + 1) * old // (2 * new)
        for new, old in zip(size, values.shape[-2:], strict=True)
    )
    if isinstance(values, np.ndarray):
        return values[..., rows.numpy()[:, None], columns.numpy()]
    return values[..., rows, :][..., columns]
