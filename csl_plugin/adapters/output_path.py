"""Where in a model's output its tensors lie, and the same output with others in their places."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

from csl_plugin.arrays import describe
from csl_plugin.errors import OutputError, ShapeError

Path: TypeAlias = tuple[int | str, ...]
"""Steps into an output, each an index, a key or the name of an attribute; no step: the output itself."""


class Container(Protocol):
    """A place in an output: what `OutputAdapter` asks of it."""

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """The tensors there, with the batch as their first axis where the output has one."""
        ...

    def put(self, output: Any, tensors: Sequence[Tensor]) -> Any:
        """A copy of the output, as deep as it takes, with other tensors in their places."""
        ...


@dataclass(frozen=True)
class Items:
    """Tensors at fixed paths inside an output.

    Args:
        paths: One path for each tensor.
        each: The output is a list with one such object per image, or that object alone (one image); the
            tensors come without a batch axis there.
        labels: Where the model's own arg max lies, if it gives one: it is written anew.

    Example:
        >>> import torch
        >>> place = Items((("out",),))
        >>> output = {"out": torch.zeros(1, 2, 1, 1), "aux": None}
        >>> place.put(output, place.take(output)).keys() == output.keys()
        True
    """

    paths: tuple[Path, ...] = ((),)
    each: bool = False
    labels: Path | None = None

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """The tensors at the paths; those of several images stacked.

        Raises:
            OutputError: No tensor lies there.
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
        """A copy of the output with `tensors` at the paths, and their arg max where its labels lie."""
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

    def _tensor(self, output: Any, path: Path) -> Tensor:
        found = _at(output, path)
        if not isinstance(found, Tensor):
            place = ", ".join(repr(step) for step in path)
            raise OutputError(
                "model output",
                contents(output),
                f"a tensor at {place}" if path else "a tensor",
                "Pass OutputAdapter(score, item=...) with the index or key of the scores, or the preset of "
                "this model.",
            )
        return found


def contents(output: Any) -> str:
    """What a model returned, in the words of an error message."""
    if isinstance(output, Mapping):
        inside = ", ".join(f"{key!r}: {describe(value)}" for key, value in output.items())
        return f"a {type(output).__name__} of {inside or 'nothing'}"
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {', '.join(describe(value) for value in output) or 'nothing'}"
    return describe(output)


def _at(output: Any, path: Path) -> Any:
    """What lies at a path, or None."""
    for step in path:
        if isinstance(step, str) and not isinstance(output, Mapping):
            output = getattr(output, step, None)
        else:
            try:
                output = output[step]
            except (KeyError, IndexError, TypeError):
                return None
    return output


def _replaced(output: Any, path: Path, tensor: Tensor) -> Any:
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
        # Also a transformers ModelOutput, of which a compiler copies only the fields this way.
        return replace(output, **{step: inner})
    changed = copy.copy(output)
    if isinstance(step, str) and not isinstance(output, Mapping):
        setattr(changed, step, inner)
    else:
        changed[step] = inner
    return changed
