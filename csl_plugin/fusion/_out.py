"""The out argument: whether a result may be written there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from csl_plugin._tracing import is_differentiated, is_transformed
from csl_plugin.arrays import Array, as_tensor, describe, has_values
from csl_plugin.errors import DeviceError, DTypeError, OptionError, ShapeError
from csl_plugin.fusion.score_argument import Distribution


def check_out(out: Array, read: Distribution) -> None:
    """Refuse an `out` that does not fit the result, or that shares memory with D in another arrangement.

    Raises:
        DTypeError, ShapeError, DeviceError, OptionError: As `csl_plugin.fuse` documents.
    """
    source = read.source
    hint = "Pass the distribution itself, or an array made with empty_like(distribution)."
    if read.is_resized:
        hint = f"Pass an array of shape {read.result_shape} and the distribution's dtype."
    if _is_plain_array(out) and isinstance(source, np.ndarray):
        writable = out.flags.writeable and _is_injective(out.shape, out.strides, out.itemsize)
        same_device = True
        same_view = _address(out) == _address(source) and out.strides == source.strides
        apart = not np.may_share_memory(out, source)
    elif isinstance(out, Tensor) and isinstance(source, Tensor):
        as_tensor("out", out)
        traced = torch.compiler.is_compiling()
        if not traced and has_values(out) != has_values(source):
            raise DeviceError("out", describe(out), f"the distribution's device, {source.device}", hint)
        same_device = out.device == source.device
        if traced or not has_values(out) or is_transformed(out) or is_transformed(source):
            writable, same_view, apart = True, True, True
        else:
            writable = _is_injective(out.shape, out.stride(), 1) and not out.is_neg()
            same_view = out.data_ptr() == source.data_ptr() and out.stride() == source.stride()
            first, second = _extent(out), _extent(source)
            apart = first.stop <= second.start or second.stop <= first.start
    else:
        raise DTypeError("out", describe(out), f"the distribution's kind, {describe(source)}", hint)
    if out.dtype != source.dtype:
        raise DTypeError("out", describe(out), f"the distribution's dtype, {source.dtype}", hint)
    if tuple(out.shape) != read.result_shape:
        raise ShapeError("out", describe(out), f"the result's shape, {read.result_shape}", hint)
    if not same_device:
        raise DeviceError("out", describe(out), "an array on the distribution's device", hint)
    if not writable:
        raise OptionError(
            "out",
            "a read-only, expanded, overlapping or lazily negated array",
            "one with memory of its own",
            hint,
        )
    if not (apart or same_view):
        raise OptionError(
            "out", "another view of the distribution's memory", "the very same view, or none", hint
        )
    if any(isinstance(array, Tensor) and is_differentiated(array) for array in (out, source)):
        raise OptionError(
            "out",
            "a call that records gradients",
            "one that does not, since writing in place loses them",
            "Omit out=, or call under torch.no_grad().",
        )


def _is_plain_array(value: Array) -> TypeGuard[np.ndarray[Any, Any]]:
    return isinstance(value, np.ndarray) and not isinstance(value, np.ma.MaskedArray)


def _address(array: np.ndarray[Any, Any]) -> int:
    return int(array.__array_interface__["data"][0])


def _extent(tensor: Tensor) -> range:
    """The addresses from the first to the last byte of a tensor."""
    reach = sum((side - 1) * stride for side, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return range(tensor.data_ptr(), tensor.data_ptr() + (reach + 1) * tensor.itemsize)


def _is_injective(shape: Sequence[int], strides: Sequence[int], unit: int) -> bool:
    """Whether no two elements share memory: every axis steps beyond the reach of all finer ones."""
    reach = unit
    for stride, side in sorted(
        (abs(stride), side) for stride, side in zip(strides, shape, strict=True) if side > 1
    ):
        if stride < reach:
            return False
        reach += (side - 1) * stride
    return True
