"""Calls that are traced or transformed: torch.jit, torch.compile, torch.export, torch.func.

The engine reads values: it counts regions, follows their outlines, checks ranges. A tracer records operations
on tensors without their values, and would keep the values of its example.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad

from csl_plugin import _torch_internals as internals
from csl_plugin.errors import OptionError

ResultT = TypeVar("ResultT")

_HAS_EXPORTING = hasattr(torch.compiler, "is_exporting")  # from torch 2.7 on


def refuse_jit(argument: str, kept: str = "regions") -> None:
    """Refuse a call that torch.jit.trace, or the ONNX exporter that is built on it, records.

    Args:
        argument: Of the call.
        kept: What a trace would keep of its example.

    Raises:
        OptionError: It is one.
    """
    if torch.jit.is_tracing():  # type: ignore[attr-defined,no-untyped-call]
        raise OptionError(
            argument,
            "a tensor that torch.jit.trace records, as torch.onnx.export(dynamo=False) does",
            f"one outside of torch.jit: the trace would keep the {kept} of its example for every input",
            "Use torch.export, torch.onnx.export(dynamo=True) or `csl-plugin export`, or trace your model by "
            "itself: docs/guide/export.md.",
        )


def refuse_symbols(argument: str, *values: object) -> None:
    """Refuse a call in which torch.fx.symbolic_trace stands for the values.

    Raises:
        OptionError: One of them is its symbol.
    """
    if not torch.compiler.is_dynamo_compiling() and any(isinstance(each, torch.fx.Proxy) for each in values):
        raise OptionError(
            argument,
            "a symbol of torch.fx.symbolic_trace",
            "tensors: regions are found in the values of images",
            "Trace the model by itself, and wrap what comes out.",
        )


def is_exporting() -> bool:
    """Whether torch.export or make_fx records the call."""
    if torch.compiler.is_dynamo_compiling():
        return _HAS_EXPORTING and torch.compiler.is_exporting()
    if not _HAS_EXPORTING and torch.compiler.is_compiling():
        return True
    return (_HAS_EXPORTING and torch.compiler.is_exporting()) or internals.is_recorded()


def top_left(values: Tensor, size: Sequence[int]) -> Tensor:
    """The upper left part of maps (..., H, W), of a size that is no larger."""
    if not is_exporting():
        return values[..., : size[0], : size[1]]
    # Of open sizes torch.export cannot tell that a slice is no larger than what it is taken from.
    for axis, side in ((-2, size[0]), (-1, size[1])):
        values = values.index_select(axis, torch.arange(side, device=values.device))
    return values


def is_exported() -> bool:
    """`is_exporting`; where torch.export reads Python code, strict=True, it stops here."""
    if not is_exporting():
        return False
    if torch.compiler.is_dynamo_compiling():
        from csl_plugin._graph_break import values_are_read

        values_are_read()
    return True


def refuse_export(argument: str, got: str, expected: str, hint: str) -> None:
    """Refuse what a graph of torch.export cannot hold.

    Raises:
        OptionError: The call is being exported.
    """
    if is_exported():
        raise OptionError(argument, f"{got} in a call that torch.export records", expected, hint)


def is_differentiated(values: Tensor) -> bool:
    """Whether derivatives of any kind are taken through a tensor, or torch.func.vmap maps over it."""
    if values.requires_grad and torch.is_grad_enabled():
        return True
    if torch.compiler.is_dynamo_compiling():
        return False
    dual = forward_ad.unpack_dual(values)  # type: ignore[no-untyped-call]
    return is_transformed(values) or dual.tangent is not None


def is_transformed(values: Tensor) -> bool:
    """Whether a tensor belongs to a transform of torch.func."""
    # torch.compile traces the transforms itself, and its graph cannot hold this question.
    return not torch.compiler.is_dynamo_compiling() and internals.is_functorch_wrapped_tensor(values)


def untransformed(argument: str, values: Tensor) -> Tensor:
    """The values beneath torch.func.grad, vjp, jvp and the like.

    Raises:
        OptionError: torch.func.vmap maps over them: each of its calls has values of its own.
    """
    while is_transformed(values):
        if internals.is_batchedtensor(values):
            raise OptionError(
                argument,
                "a tensor that torch.func.vmap maps over",
                "one that is the same in each of its calls",
                "Call with the whole batch: (B, C, H, W) scores, (B, H, W) regions, (B, 3, H, W) images.",
            )
        values = internals.get_unwrapped(values)
    return values


def refuse_transforms(argument: str) -> None:
    """Refuse a call within a transform of torch.func, which would wrap what the call computes.

    Raises:
        OptionError: One is active.
    """
    if not torch.compiler.is_dynamo_compiling() and internals.maybe_current_level() is not None:
        raise OptionError(
            argument,
            "a call within a transform of torch.func",
            "one outside of it: no gradient passes through regions",
            "Propose the regions before, and fuse with them inside; or transform a CSLWrapper.",
        )


def all_values(values: Tensor) -> Tensor:
    """The values beneath any transform of torch.func, those of all calls of a vmap together."""
    while is_transformed(values):
        values = internals.get_unwrapped(values)
    return values


def outside_transforms() -> AbstractContextManager[Any]:
    """A block in which no transform of torch.func is active: no gradient passes through it."""
    if torch.compiler.is_dynamo_compiling() or internals.maybe_current_level() is None:
        return nullcontext()
    return internals.temporarily_clear_interpreter_stack()


def outside_graph(call: Callable[..., ResultT], *args: Any) -> ResultT:
    """The result of a call that torch.compile keeps out of its graph; torch.export records it."""
    if torch.compiler.is_compiling() and not is_exporting():
        # Imported here: it imports torch's compiler, which takes longer than this package.
        from csl_plugin._graph_break import called_outside

        return called_outside(call, *args)  # type: ignore[no-any-return]
    return call(*args)


def whole(call: Callable[..., ResultT], *args: Any) -> ResultT:
    """The result of a call whose steps torch.compile does not compile one by one.

    Where its graph ends within a transform of torch.func, it tries every function called from there by
    itself, and fails on tensors that are no leaves.
    """
    broken = "torch._dynamo" in sys.modules and not torch.compiler.is_compiling()
    if broken and internals.maybe_current_level() is not None:
        from csl_plugin._graph_break import called_outside

        return called_outside(call, *args)  # type: ignore[no-any-return]
    return call(*args)
