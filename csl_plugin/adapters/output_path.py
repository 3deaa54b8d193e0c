"""Where a model's output holds its tensors; reads them there, and writes others there."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from csl_plugin.arrays import describe
from csl_plugin.errors import OutputError, ShapeError

Steps: TypeAlias = tuple[int | str, ...]
"""The way to one tensor: each step an index, a key or the name of an attribute. () is the output itself."""


class OutputPath(Protocol):
    """Reads tensors from an output and writes others in their place, for `OutputAdapter`."""

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """The tensors, with the batch as their first axis where the output has one."""
        ...

    def put(self, output: Any, tensors: Sequence[Tensor]) -> Any:
        """A copy of the output with other tensors in place of these, copied only as deep as needed."""
        ...


@dataclass(frozen=True)
class Items:
    """The output path of tensors at fixed indices, keys or attributes.

    Args:
        paths: The steps to each tensor.
        each: The output is a list with one object per image, or a single such object. The tensors in it have
            no batch axis.
        labels: The steps to the model's own arg max, if it returns one; it is computed again from `fused`.

    Example:
        >>> import torch
        >>> path = Items((("out",),))
        >>> output = {"out": torch.zeros(1, 2, 1, 1), "aux": None}
        >>> path.put(output, path.take(output)).keys() == output.keys()
        True
    """

    paths: tuple[Steps, ...] = ((),)
    each: bool = False
    labels: Steps | None = None

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """The tensors at the paths; those of several images are stacked.

        Raises:
            OutputError: There is no tensor.
            ShapeError: The images of one output have different sizes.
        """
        if not self.each:
            return tuple(self._tensor(output, path) for path in self.paths)
        outputs = output if isinstance(output, (list, tuple)) else [output]
        if not outputs:
            raise OutputError("model output", contents(output), "an object per image", "Pass an image.")
        rows = [[self._tensor(one, path) for path in self.paths] for one in outputs]
        for same in zip(*rows, strict=True):
            if len({tensor.shape for tensor in same}) > 1:
                raise ShapeError(
                    "model output",
                    "maps of shapes " + ", ".join(str(tuple(tensor.shape)) for tensor in same),
                    "one shape for all images of a call",
                    "Pass images of different sizes, or with different classes, one at a time.",
                )
        return tuple(torch.stack(same) for same in zip(*rows, strict=True))

    def put(self, output: Any, tensors: Sequence[Tensor]) -> Any:
        """A copy of the output with `tensors` at the paths, and their arg max at `labels`."""
        if not self.each:
            return self._with(output, tensors, batched=True)
        images = [[tensor[index] for tensor in tensors] for index in range(len(tensors[0]))]
        if not isinstance(output, (list, tuple)):
            return self._with(output, images[0], batched=False)
        written = [self._with(one, own, batched=False) for one, own in zip(output, images, strict=True)]
        return type(output)(written)

    def _with(self, output: Any, tensors: Sequence[Tensor], *, batched: bool) -> Any:
        for path, tensor in zip(self.paths, tensors, strict=True):
            output = _replaced(output, path, tensor)
        if self.labels is not None and isinstance(own := _at(output, self.labels), Tensor):
            winners = tensors[0].argmax(1 if batched else 0)
            output = _replaced(output, self.labels, winners.reshape(own.shape).to(own.dtype))
        return output

    def _tensor(self, output: Any, path: Steps) -> Tensor:
        found = _at(output, path)
        if not isinstance(found, Tensor):
            steps = ", ".join(repr(step) for step in path)
            raise OutputError(
                "model output",
                contents(output),
                f"a tensor at {steps}" if path else "a tensor",
                "Pass OutputAdapter(score, item=...) with the index or key of the scores, or the preset of "
                "this model.",
            )
        return found


def contents(output: Any) -> str:
    """A model's output, described for an error message."""
    if isinstance(output, Mapping):
        inside = ", ".join(f"{key!r}: {describe(value)}" for key, value in output.items())
        return f"a {type(output).__name__} of {inside or 'nothing'}"
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {', '.join(describe(value) for value in output) or 'nothing'}"
    return describe(output)


def _at(output: Any, path: Steps) -> Any:
    """The value at a path, or None."""
    for step in path:
        if isinstance(step, str) and not isinstance(output, Mapping):
            output = getattr(output, step, None)
        else:
            try:
                output = output[step]
            except (KeyError, IndexError, TypeError):
                return None
    return output


def _replaced(output: Any, path: Steps, tensor: Tensor) -> Any:
    """A copy of the output, copied along the path, with `tensor` at its end."""
    if not path:
        return tensor
    step = path[0]
    inner = _replaced(_at(output, path[:1]), path[1:], tensor)
    if isinstance(output, tuple):
        if isinstance(step, str):
            return output._replace(**{step: inner})  # type: ignore[attr-defined]
        items = list(output)
        items[step] = inner
        return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)
    if is_dataclass(output) and not isinstance(output, type) and isinstance(step, str):
        # Also a transformers ModelOutput: under torch.compile only `replace` copies all of its fields.
        return replace(output, **{step: inner})
    # torch.export cannot read copy.copy of a dict.
    changed = {**output} if type(output) is dict else copy.copy(output)
    if isinstance(step, str) and not isinstance(output, Mapping):
        setattr(changed, step, inner)
    else:
        changed[step] = inner
    return changed
