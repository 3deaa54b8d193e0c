"""The adapter of three parts: the score kind, the output path and the image input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from csl_plugin._options import checked_integer
from csl_plugin.adapters.image_batch import ImageBatch
from csl_plugin.adapters.inputs import ImageInput, Order
from csl_plugin.adapters.output_path import Items, OutputPath, Steps
from csl_plugin.adapters.score_kinds import Direction, NonNegative, RawScore, ScoreKind, Sigmoid, Softmax
from csl_plugin.arrays import as_tensor, describe, shown
from csl_plugin.calibration import Calibration
from csl_plugin.errors import DTypeError, OptionError

Score: TypeAlias = "Literal['logits', 'binary_logits', 'probabilities'] | Calibration | ScoreKind"
"""What a model's scores are: by name, a calibration of a raw score, or a kind of your own."""

_QUERY_MASKS = ("masks_queries_logits", "pred_masks")
_KINDS = {"logits": Softmax(), "binary_logits": Sigmoid(), "probabilities": NonNegative()}
_PLAIN = ImageInput()


class OutputAdapter:
    """An adapter for outputs that hold their scores as tensors, with the score kind declared.

    Args:
        score: What the tensor holds. "logits": (B, C, h, w), C >= 2, softmax over C. "binary_logits":
            sigmoid of each value. "probabilities": non-negative scores, used unchanged. A `Calibration`: raw
            scores, which it maps. Or a `ScoreKind`. With a single channel the tensor may also be (B, h, w) or
            (h, w). Several channels are classes that compete for a pixel: wrap independent scores, such as
            two anomaly scores, one at a time.
        item: Where the tensor is: None if it is the output itself, an index of a tuple or list, a key of a
            mapping (a transformers ModelOutput is one), the name of an attribute, a tuple of such steps, or
            an `OutputPath`.
        mean: Mean of each channel that the preprocessing subtracts, on the scale of `peak`, in the order of
            the channels.
        std: Standard deviation of each channel that the preprocessing divides by. The model's input becomes
            RGB in [0, 1] again by ``(input * std + mean) / peak``. Omit `mean` and `std` for an input that is
            not normalized.
        order: Order of the input's channels, "RGB" or "BGR".
        peak: The value of white in the input before `mean` and `std`, 1 or 255.
        align_corners: None reads D at the model's resolution. With True or False `CSLWrapper` upsamples the
            scores to the images' size, before the softmax, by bilinear interpolation with that option. The
            result stays at that size.
        max_batch: The largest batch that the model takes; None for any.

    Raises:
        OptionError: An unknown score kind, masks of queries as logits of classes, or another argument of a
            value not named above.

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
        item: int | str | Steps | OutputPath | None = None,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        order: Order = "RGB",
        peak: float = 1.0,
        align_corners: bool | None = None,
        max_batch: int | None = None,
    ) -> None:
        known = _KINDS.get(score) if isinstance(score, str) else score
        if isinstance(known, Calibration):
            known = RawScore(known)
        if not isinstance(known, ScoreKind):
            raise OptionError(
                "score",
                shown(score),
                '"logits", "binary_logits", "probabilities" or a Calibration',
                "Declare what the model returns; it is never guessed from values.",
            )
        self.score_kind = known
        self.output_path = _path(item)
        if isinstance(score, str) and score == "logits" and isinstance(item, str) and item in _QUERY_MASKS:
            hint = 'Masks belong to queries, not to classes: use the preset "mask2former", "detr" or alike.'
            raise OptionError("item", shown(item), "the scores of classes", hint)
        self.image_input = ImageInput(mean, std, order, peak)
        if align_corners is not None and not isinstance(align_corners, (bool, np.bool_)):
            hint = "Name the option of the interpolation that the model's code applies to its scores."
            raise OptionError("align_corners", shown(align_corners), "None, True or False", hint)
        if max_batch is not None:
            hint = "Omit it for a model that takes any batch."
            max_batch = checked_integer("max_batch", max_batch, 1, None, hint)
        self.align_corners = None if align_corners is None else bool(align_corners)
        self.max_batch = max_batch

    @property
    def direction(self) -> Direction:
        """Whether a higher value of the model's own score means more of the class, "up", or less, "down"."""
        return self.score_kind.direction

    @property
    def per_image(self) -> bool:
        """Whether the output is a list with one object for each image."""
        return bool(getattr(self.output_path, "each", False))

    def batch(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ImageBatch:
        """The first images among the model's arguments, not normalized, and their padding.

        Errors are those of `ImageInput.batch`.
        """
        return self.image_input.batch(args, kwargs)

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1]: the first images among the model's arguments, not normalized.

        Raises:
            OutputError: There are none.
            ShapeError: They have different sizes.
            ScoreRangeError: Their values are not in [0, 1] after `mean` and `std` are undone.
        """
        return self.image_input.images(args, kwargs)

    def read(self, output: Any, size: tuple[int, int] | None = None) -> Tensor:
        """D, (B, C, h, w) >= 0, float32 or float64.

        Args:
            output: The model's output.
            size: The (H, W) to upsample to before the activation; used only with `align_corners`.

        Raises:
            OutputError: There is no tensor at `item`.
            ShapeError: The tensor has a shape that its score kind cannot have.
            OptionError: The score kind needs a calibration or another option that is missing.
        """
        return self.score_kind.read(*self._tensors(output, size))

    def raw(self, output: Any) -> Tensor:
        """The score before its calibration, (B, 1, h, w), higher for more: fit a calibration to it."""
        return self.score_kind.raw(*self._tensors(output, None))

    def write(self, output: Any, fused: Tensor) -> Any:
        """A shallow copy of the output with `fused` in place of the scores, in their dtype and axes."""
        taken = self.output_path.take(output)
        written = self.score_kind.write(fused, *taken)
        pairs = zip(written, taken, strict=True)
        return self.output_path.put(output, [_like(new, old) for new, old in pairs])

    def _tensors(self, output: Any, size: tuple[int, int] | None) -> tuple[Tensor, ...]:
        tensors = tuple(_as_scores(tensor) for tensor in self.output_path.take(output))
        if size is None or self.align_corners is None:
            return tensors
        return tuple(
            F.interpolate(tensor, size, mode="bilinear", align_corners=self.align_corners)
            if tensor.ndim == 4
            else tensor
            for tensor in tensors
        )

    def __repr__(self) -> str:
        kind: Any = next(
            (name for name, known in _KINDS.items() if known == self.score_kind), self.score_kind
        )
        if isinstance(kind, RawScore) and kind == RawScore(kind.calibration):
            kind = kind.calibration
        own = self.image_input
        options = {
            "item": None if self.output_path == Items() else _item(self.output_path),
            "mean": None if own.mean == _PLAIN.mean else own.mean,
            "std": None if own.std == _PLAIN.std else own.std,
            "order": None if own.order == _PLAIN.order else own.order,
            "peak": None if own.peak == _PLAIN.peak else own.peak,
            "align_corners": self.align_corners,
            "max_batch": self.max_batch,
        }
        given = [f"{name}={value!r}" for name, value in options.items() if value is not None]
        return f"OutputAdapter({', '.join([repr(kind), *given])})"


def _path(item: int | str | Steps | OutputPath | None) -> OutputPath:
    if item is None:
        return Items()
    if hasattr(item, "take") and hasattr(item, "put"):
        return item
    steps: Any = item if isinstance(item, tuple) else (item,)
    if any(isinstance(step, bool) or not isinstance(step, (int, str)) for step in steps):
        expected = "an index, a key, the name of an attribute, a tuple of these, or an OutputPath"
        raise OptionError("item", shown(item), expected, 'For example item="out", or item=(0, "logits").')
    return Items((steps,))


def _item(path: OutputPath) -> int | str | Steps | OutputPath | None:
    """An output path as `OutputAdapter` takes it."""
    if type(path) is not Items or path != Items(path.paths) or len(path.paths) != 1:
        return path
    steps = path.paths[0]
    return steps[0] if len(steps) == 1 else steps


def _as_scores(tensor: Tensor) -> Tensor:
    """A tensor of the output in the dtype of the arithmetic; uint8, which stands for [0, 1], as it is.

    Raises:
        DTypeError: It is not dense, or holds integers, booleans or complex numbers.
    """
    dense = as_tensor("model output", tensor)
    if dense.dtype in (torch.float16, torch.bfloat16):
        return dense.float()
    if dense.dtype not in (torch.float32, torch.float64, torch.uint8):
        raise DTypeError(
            "model output",
            describe(tensor),
            "floating-point scores",
            "Pass item=... of the scores; labels, the arg max, hold no distribution.",
        )
    return dense


def _like(new: Tensor, old: Tensor) -> Tensor:
    """A written tensor with the dtype and the number of axes of the one it replaces."""
    while new.ndim > old.ndim:
        new = new.squeeze(1) if new.ndim == 4 else new.squeeze(0)
    return new.to(old.dtype)
