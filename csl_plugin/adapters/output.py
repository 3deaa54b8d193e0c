"""The adapter for models that return their scores as a tensor, alone or inside a container."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

from torch import Tensor

from csl_plugin.arrays import bounds, describe
from csl_plugin.calibration import Calibration
from csl_plugin.errors import DTypeError, OptionError, OutputError, ScoreRangeError, ShapeError

Score: TypeAlias = "Literal['logits', 'binary_logits', 'probabilities'] | Calibration"

_INPUT_NAMES = ("pixel_values", "images", "image", "x", "inputs", "input")


class OutputAdapter:
    """A lens on one tensor of a model's output, with the kind of score it holds declared.

    Args:
        score: What the tensor holds. "logits": (B, C, h, w), C >= 2, softmax over C. "binary_logits":
            sigmoid of each value. "probabilities": non-negative scores, taken as they are. A `Calibration`:
            raw scores, mapped by it. With a single channel the tensor may also be (B, h, w).
        item: Where the tensor is: None if it is the output itself, an index into a tuple or list, a key of a
            mapping (a transformers ModelOutput is one), or the name of an attribute.
        mean: Mean of the three channels that the caller's preprocessing subtracted, in the [0, 1] scale.
        std: Their standard deviation it divided by. The model's input is turned back into RGB in [0, 1] as
            ``input * std + mean``; left out, the input is RGB in [0, 1] already.

    Raises:
        OptionError: An unknown kind of score, or `mean` or `std` that is not three finite numbers.

    Example:
        >>> import torch
        >>> from csl_plugin.adapters import OutputAdapter
        >>> adapter = OutputAdapter("logits", item="out")
        >>> output = {"out": torch.tensor([[[[2.0]], [[0.0]]]]), "aux": None}
        >>> adapter.read(output).flatten()
        tensor([0.8808, 0.1192])
        >>> adapter.write(output, torch.ones(1, 2, 1, 1))["out"].flatten()
        tensor([1., 1.])
    """

    def __init__(
        self,
        score: Score,
        item: int | str | None = None,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ) -> None:
        if not isinstance(score, Calibration) and score not in ("logits", "binary_logits", "probabilities"):
            raise OptionError(
                "score",
                repr(score),
                '"logits", "binary_logits", "probabilities" or a Calibration',
                "Declare what the model returns; it is never guessed from values.",
            )
        self.score: Score = score
        self.item = item
        self.mean = _three("mean", mean, 0.0)
        self.std = _three("std", std, 1.0)

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1]: the first such tensor among the model's arguments, denormalised.

        Raises:
            OutputError: There is none.
            ScoreRangeError: Its values are not in [0, 1] after `mean` and `std` are undone.
        """
        named = [kwargs[name] for name in _INPUT_NAMES if name in kwargs]
        for value in (*args, *named, *kwargs.values()):
            if isinstance(value, Tensor) and value.ndim == 4 and value.shape[1] == 3:
                return self._to_rgb(value.detach())
        raise OutputError(
            "model input",
            ", ".join(describe(value) for value in (*args, *kwargs.values())) or "no argument",
            "a tensor (B, 3, H, W) among the arguments",
            "Pass an adapter whose images(args, kwargs) finds the images.",
        )

    def read(self, output: Any) -> Tensor:
        """D, (B, C, h, w) in [0, 1], or >= 0 for "probabilities".

        Raises:
            OutputError: The tensor is not where `item` says, or of another shape.
        """
        scores = self._tensor(output)
        scores = scores[:, None] if scores.ndim == 3 and self.score != "logits" else scores
        if self.score == "logits":
            if scores.ndim != 4 or scores.shape[1] < 2:
                raise self._wrong(scores, "logits (B, C, h, w) with C >= 2")
            return scores.softmax(1)
        if scores.ndim != 4:
            raise self._wrong(scores, "scores (B, C, h, w) or (B, h, w)")
        if self.score == "binary_logits":
            return scores.sigmoid()
        return self.score(scores) if isinstance(self.score, Calibration) else scores

    def write(self, output: Any, fused: Tensor) -> Any:
        """A shallow copy of the output with `fused` in the tensor's place, in the tensor's own shape."""
        fused = fused.reshape(self._tensor(output).shape)
        if self.item is None:
            return fused
        if isinstance(output, tuple):
            return _replaced(output, self.item, fused)
        replaced = copy.copy(output)
        if isinstance(self.item, str) and not isinstance(output, Mapping):
            setattr(replaced, self.item, fused)
        else:
            replaced[self.item] = fused
        return replaced

    def _tensor(self, output: Any) -> Tensor:
        found = output
        if isinstance(self.item, str) and not isinstance(output, Mapping):
            found = getattr(output, self.item, None)
        elif self.item is not None:
            try:
                found = output[self.item]
            except (KeyError, IndexError, TypeError):
                found = None
        if not isinstance(found, Tensor):
            raise OutputError(
                "model output",
                contents(output),
                "a tensor" if self.item is None else f"a tensor at {self.item!r}",
                "Pass OutputAdapter(score, item=...) with the index or key of the scores.",
            )
        return found

    def _to_rgb(self, images: Tensor) -> Tensor:
        if not images.is_floating_point():
            raise DTypeError(
                "model input",
                describe(images),
                "floating-point images",
                "Pass an adapter that converts them.",
            )
        images = images.float()
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.std))
        rgb = images * std + mean
        # Denormalising leaves rounding errors outside [0, 1], half precision larger ones.
        low, high = bounds(rgb)
        if not (low >= -0.01 and high <= 1.01):
            raise ScoreRangeError(
                "model input",
                f"images between {low:.3g} and {high:.3g}",
                "RGB in [0, 1] once mean and std are undone",
                "Pass OutputAdapter(score, item, mean=..., std=...) with the preprocessing's constants.",
            )
        return rgb.clamp(0.0, 1.0)

    def _wrong(self, scores: Tensor, expected: str) -> ShapeError:
        return ShapeError(
            "model output",
            f"{describe(scores)} as {self.score!r}",
            expected,
            'Declare another kind of score, such as "binary_logits", or another item.',
        )

    def __repr__(self) -> str:
        return f"OutputAdapter({self.score!r}, item={self.item!r})"


def _three(argument: str, values: Sequence[float] | None, default: float) -> tuple[float, float, float]:
    if values is None:
        return default, default, default
    try:
        red, green, blue = (float(value) for value in values)
    except (TypeError, ValueError):
        raise OptionError(
            argument, repr(values), "three numbers, in RGB order", "Take them from the model's preprocessing."
        ) from None
    return red, green, blue


def _replaced(output: tuple[Any, ...], item: int | str, fused: Tensor) -> tuple[Any, ...]:
    """The tuple, of its own type, with another tensor in one place."""
    if isinstance(item, str):
        return output._replace(**{item: fused})  # type: ignore[attr-defined, no-any-return]
    items = list(output)
    items[item] = fused
    return type(output)(*items) if hasattr(output, "_fields") else type(output)(items)


def contents(output: Any) -> str:
    """What a model returned, in the words of an error message."""
    if isinstance(output, Mapping):
        inside = ", ".join(f"{key!r}: {describe(value)}" for key, value in output.items())
        return f"a {type(output).__name__} of {inside or 'nothing'}"
    if isinstance(output, (tuple, list)):
        return f"a {type(output).__name__} of {', '.join(describe(value) for value in output) or 'nothing'}"
    return describe(output)
