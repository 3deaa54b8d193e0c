"""The laws of an adapter, and a function that checks them."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from csl_plugin.adapters.adapter import Adapter, read_at
from csl_plugin.adapters.output_path import contents
from csl_plugin.arrays import bounds, describe
from csl_plugin.errors import OutputError

_DTYPES = (torch.float16, torch.bfloat16, torch.float64)
_DEPTH = 6


def check_adapter(
    adapter: Adapter,
    teacher: Any,
    args: tuple[Any, ...] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    odd_sizes: bool = True,
) -> None:
    """Check an adapter with its model, or with an output of the model.

    The laws: `images` gives RGB (B, 3, H, W) in [0, 1]. `read` gives D (B, C, h, w) >= 0, finite, the same
    each time, on the images' device. `direction` is "up" or "down". `write` returns the type of the output,
    and `read` then gives the order of the map that was written. Neither changes its arguments. Every floating
    dtype works and is kept. With a model: an image gives the same D by itself and in a batch (unless
    `max_batch` is 1), and odd sizes work.

    Args:
        adapter: The adapter.
        teacher: The model, called with `args` and `kwargs`; or its output, if that is not callable.
        args: The arguments of the call.
        kwargs: Its keyword arguments.
        odd_sizes: Whether the model takes images of any size.

    Raises:
        OutputError: A law is broken; the message begins with its name.
        CSLError: An error of the adapter itself.

    Example:
        >>> import torch
        >>> from csl_plugin.adapters import OutputAdapter, check_adapter
        >>> check_adapter(OutputAdapter("logits"), torch.nn.Conv2d(3, 4, 1).eval(), (torch.rand(2, 3, 8, 9),))
    """
    named = {} if kwargs is None else dict(kwargs)
    for method in ("images", "read", "write"):
        _law("methods", callable(getattr(adapter, method, None)), f"no {method}", "images, read and write")
    direction = getattr(adapter, "direction", None)
    _law("direction", direction in ("up", "down"), repr(direction), 'an attribute direction, "up" or "down"')
    with torch.no_grad():
        output = teacher(*args, **named) if callable(teacher) else teacher
        _check_output(adapter, output, args, named)
        if not callable(teacher):
            return
        if len(adapter.images(args, named)) > 1 and getattr(adapter, "max_batch", None) != 1:
            _check_batch(adapter, teacher, output, args, named)
        if odd_sizes:
            odd_args, odd_named = (_each(value, _cropped) for value in (args, named))
            _check_output(adapter, teacher(*odd_args, **odd_named), odd_args, odd_named)


def _check_output(adapter: Adapter, output: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    before = _snapshot((output, args, kwargs))
    images = adapter.images(args, kwargs)
    _law(
        "images",
        images.ndim == 4 and images.shape[1] == 3 and images.is_floating_point(),
        describe(images),
        "RGB images (B, 3, H, W), floating point",
    )
    low, high = bounds(images)
    _law("images", low >= 0 and high <= 1, f"values from {low:.3g} to {high:.3g}", "values in [0, 1]")
    size = (images.shape[-2], images.shape[-1])
    scores = read_at(adapter, output, size)
    _check_scores(scores, images)
    _law("repeatable", read_at(adapter, output, size).equal(scores), "two readings", "the same D twice")
    _check_round_trip(adapter, output, scores, size)
    for dtype in _DTYPES:
        _check_dtype(adapter, _each(output, lambda tensor, to=dtype: _to(tensor, to)), size)
    _law(
        "no side effects",
        _same(before, _snapshot((output, args, kwargs))),
        "a changed argument or output",
        "images, read and write to change nothing that they are given",
    )


def _check_scores(scores: Tensor, images: Tensor) -> None:
    _law(
        "distribution",
        scores.ndim == 4 and scores.is_floating_point() and scores.numel() > 0,
        describe(scores),
        "D (B, C, h, w), floating point",
    )
    low, high = bounds(scores)
    _law("sign", low >= 0 and high < float("inf"), f"values from {low:.3g} to {high:.3g}", "finite D >= 0")
    _law("batch", len(scores) == len(images), f"D of {len(scores)} images", f"of {len(images)}")
    _law("device", scores.device == images.device, f"D on {scores.device}", f"on {images.device}")


def _check_round_trip(adapter: Adapter, output: Any, scores: Tensor, size: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(0)
    fused, other = (torch.rand(scores.shape, generator=draw).to(scores) for _ in range(2))
    kept = fused.clone()
    written = adapter.write(output, fused)
    _law("type", type(written) is type(output), contents(written), f"a {type(output).__name__}")
    differ = not _same(_snapshot(written), _snapshot(adapter.write(output, other)))
    _law("round trip", differ, "the same output for two fused maps", "the fused map in the output")
    again = read_at(adapter, written, size)
    got = f"D of shape {tuple(again.shape)} after {tuple(scores.shape)} was written"
    _law("round trip", again.shape == scores.shape, got, "the shape that was written")
    _law("round trip", _keeps_order(fused, again), "scores in another order", "the order that was written")
    _law("no side effects", fused.equal(kept), "a changed fused map", "write to leave it unchanged")


def _keeps_order(fused: Tensor, again: Tensor) -> bool:
    if fused.shape[1] == 1:
        ordered = again.flatten()[fused.flatten().argsort()].double()
        return bool((ordered.diff() >= -1e-6).all())
    first, second = fused.topk(2, dim=1).values.unbind(1)
    return bool(((fused.argmax(1) == again.argmax(1)) | (first - second < 1e-3)).all())


def _check_dtype(adapter: Adapter, output: Any, size: tuple[int, int]) -> None:
    scores = read_at(adapter, output, size)
    low, high = bounds(scores)
    _law("dtype", low >= 0 and high < float("inf"), f"values from {low:.3g} to {high:.3g}", "finite D >= 0")
    old = {tensor.dtype for tensor in _tensors(output)}
    new = {tensor.dtype for tensor in _tensors(adapter.write(output, scores))}
    _law("dtype", new <= old, f"{new} for {old}", "the output's own dtypes")


def _check_batch(
    adapter: Adapter, teacher: Any, output: Any, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    images = adapter.images(args, kwargs)
    size = (images.shape[-2], images.shape[-1])
    together = read_at(adapter, output, size)
    for index in range(len(images)):
        own_args, own = (_row(value, index, len(images)) for value in (args, kwargs))
        single = read_at(adapter, teacher(*own_args, **own), size)
        close = single.shape[1:] == together.shape[1:] and torch.allclose(
            single[0], together[index], rtol=1e-3, atol=1e-4
        )
        _law("batch", close, f"another D of image {index} by itself than in its batch", "the same D")


def _law(name: str, holds: bool, got: str, expected: str) -> None:
    if not holds:
        hint = "See csl_plugin.adapters.check_adapter for the laws of an adapter."
        raise OutputError(f'law "{name}"', got, expected, hint)


def _tensors(value: Any, depth: int = _DEPTH) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif depth and isinstance(value, Mapping):
        for inner in value.values():
            yield from _tensors(inner, depth - 1)
    elif depth and isinstance(value, (list, tuple)):
        for inner in value:
            yield from _tensors(inner, depth - 1)
    elif depth and hasattr(value, "__dict__"):
        yield from _tensors(vars(value), depth - 1)


def _snapshot(value: Any) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in _tensors(value)]


def _same(before: list[Tensor], after: list[Tensor]) -> bool:
    return len(before) == len(after) and all(
        a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())
        for a, b in zip(before, after, strict=True)
    )


def _each(value: Any, change: Any, depth: int = _DEPTH) -> Any:
    """A copy of a value with every tensor in it replaced by `change(tensor)`."""
    if isinstance(value, Tensor):
        return change(value)
    if not depth:
        return value
    if isinstance(value, Mapping):
        changed = copy.copy(value)
        for key, inner in value.items():
            changed[key] = _each(inner, change, depth - 1)  # type: ignore[index]
        return changed
    if isinstance(value, (list, tuple)):
        items = [_each(inner, change, depth - 1) for inner in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if hasattr(value, "__dict__") and not callable(value):
        changed = copy.copy(value)
        for name, inner in vars(value).items():
            if any(True for _ in _tensors(inner)):
                setattr(changed, name, _each(inner, change, depth - 1))
        return changed
    return value


def _to(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor.to(dtype) if tensor.is_floating_point() else tensor


def _cropped(tensor: Tensor) -> Tensor:
    """An image batch cropped to odd height and width."""
    if tensor.ndim < 3 or tensor.shape[-3] != 3:
        return tensor
    height, width = (size - 1 if size % 2 == 0 else size for size in tensor.shape[-2:])
    return tensor[..., :height, :width]


def _row(value: Any, index: int, count: int) -> Any:
    """The arguments of one image: its entry of every tensor and list that has one for each image."""
    if isinstance(value, Tensor):
        return value[index : index + 1] if value.ndim and len(value) == count else value
    if isinstance(value, Mapping):
        return {key: _row(inner, index, count) for key, inner in value.items()}
    if isinstance(value, list) and len(value) == count and not isinstance(value[0], Tensor):
        return [value[index]]
    if isinstance(value, (list, tuple)):
        return type(value)(_row(inner, index, count) for inner in value)
    return value
