"""The adapter made of three parts: where the scores lie, what they are, and how images went in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from csl_plugin.adapters.inputs import ImageInput, Order
from csl_plugin.adapters.output_path import Container, Items, Path
from csl_plugin.adapters.score_kinds import Direction, Kind, NonNegative, Raw, Sigmoid, Softmax
from csl_plugin.calibration import Calibration
from csl_plugin.errors import OptionError

Score: TypeAlias = "Literal['logits', 'binary_logits', 'probabilities'] | Calibration | Kind"

_KINDS = {"logits": Softmax(), "binary_logits": Sigmoid(), "probabilities": NonNegative()}


class OutputAdapter:
    """A lens on the scores in a model's output, with the kind of score they are declared.

    Args:
        score: What the tensor holds. "logits": (B, C, h, w), C >= 2, softmax over C. "binary_logits":
            sigmoid of each value. "probabilities": non-negative scores, taken as they are. A `Calibration`:
            raw scores, mapped by it. Or a kind of `csl_plugin.adapters.score_kinds`. With a single channel
            the tensor may also be (B, h, w) or (h, w).
        item: Where the tensor is: None if it is the output itself, an index into a tuple or list, a key of a
            mapping (a transformers ModelOutput is one), the name of an attribute, a tuple of such steps, or a
            container of `csl_plugin.adapters.output_path`.
        mean: Mean of the three channels that the caller's preprocessing subtracted, on the scale of `peak`,
            in the order of the channels.
        std: Their standard deviation it divided by. The model's input is turned back into RGB in [0, 1] as
            ``(input * std + mean) / peak``; left out, the input is RGB in [0, 1] already.
        order: Order of the input's channels, "RGB" or "BGR".
        peak: What white is in the input before `mean` and `std`, 1 or 255.
        align_corners: None reads D at the model's resolution. True or False: `CSLWrapper` has the scores
            upsampled to the images' size, before the softmax, by bilinear interpolation of that kind, and the
            result stays at that size.
        max_batch: How many images the model can take in one call; None for any number.

    Raises:
        OptionError: An unknown kind of score or order, or `mean` or `std` that is not three numbers.

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
        item: int | str | Path | Container | None = None,
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
            known = Raw(known)
        if not isinstance(known, Kind):
            raise OptionError(
                "score",
                repr(score),
                '"logits", "binary_logits", "probabilities" or a Calibration',
                "Declare what the model returns; it is never guessed from values.",
            )
        self.kind = known
        self.container = _container(item)
        self.image_input = ImageInput(mean, std, order, peak)
        self.align_corners = align_corners
        self.max_batch = max_batch

    @property
    def direction(self) -> Direction:
        """Whether a higher value of the model's own score means more ("up") or less ("down") of the class."""
        return self.kind.direction

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """RGB (B, 3, H, W) in [0, 1]: the first images among the model's arguments, denormalized.

        Raises:
            OutputError: There are none.
            ShapeError: They have different sizes.
            ScoreRangeError: Their values are not in [0, 1] after `mean` and `std` are undone.
        """
        return self.image_input.images(args, kwargs)

    def read(self, output: Any, size: tuple[int, int] | None = None) -> Tensor:
        """D, (B, C, h, w) >= 0, in single precision at least.

        Args:
            output: What the model returned.
            size: Where `align_corners` is given: the (H, W) to upsample to, before the activation.

        Raises:
            OutputError: The tensor is not where `item` says.
            ShapeError: It has another shape than its kind needs.
            OptionError: Its kind needs a calibration, or other facts, that were not given.
        """
        return self.kind.read(*self._tensors(output, size))

    def raw(self, output: Any) -> Tensor:
        """The score before its calibration, (B, 1, h, w), higher for more: what to fit a calibration to."""
        return self.kind.raw(*self._tensors(output, None))

    def write(self, output: Any, fused: Tensor) -> Any:
        """A shallow copy of the output with `fused` in the scores' place, in their own dtype and axes."""
        taken = self.container.take(output)
        written = self.kind.write(fused, *taken)
        pairs = zip(written, taken, strict=True)
        return self.container.put(output, [_as_came(new, old) for new, old in pairs])

    def _tensors(self, output: Any, size: tuple[int, int] | None) -> tuple[Tensor, ...]:
        tensors = tuple(
            tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
            for tensor in self.container.take(output)
        )
        if size is None or self.align_corners is None:
            return tensors
        return tuple(
            F.interpolate(tensor, size, mode="bilinear", align_corners=self.align_corners)
            if tensor.ndim == 4
            else tensor
            for tensor in tensors
        )

    def __repr__(self) -> str:
        return f"OutputAdapter({self.kind!r}, item={self.container!r})"


def _container(item: int | str | Path | Container | None) -> Container:
    if item is None:
        return Items()
    if isinstance(item, (int, str)):
        return Items(((item,),))
    return Items((item,)) if isinstance(item, tuple) else item


def _as_came(new: Tensor, old: Tensor) -> Tensor:
    """A written tensor with the dtype, and without the axes of size one, of what it replaces."""
    while new.ndim > old.ndim:
        new = new.squeeze(1) if new.ndim == 4 else new.squeeze(0)
    return new.to(old.dtype)
