"""Region proposals: a network's region scores and validities for a batch of images."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from csl_plugin.arrays import Array, as_tensor, bounds, has_values
from csl_plugin.errors import DeviceError, DTypeError, ScoreRangeError, ShapeError

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


class RegionProposals:
    """Region scores R and validity V of N proposed regions, for a batch of images.

    R[b, n, y, x] is the probability that a pixel belongs to region n, V[b, n] the probability that region n
    is a real region of image b (paper, "Class-Agnostic Training" and eq. 2). R may have any resolution;
    `soft_assignment` brings it to the image's. N = 0 is legal and means that nothing was proposed.

    Args:
        scores: R, (B, N, h, w), floating point in [0, 1]; tensor or numpy array.
        validity: V, (B, N), floating point in [0, 1]; on the device of `scores`.
        check: Read all values once and refuse what lies outside [0, 1]. Switch it off for values that
            are in range by construction, such as a sigmoid's.

    Raises:
        DTypeError: Not a floating-point tensor or array.
        ShapeError: Not (B, N, h, w) with (B, N), or B, h or w is 0.
        DeviceError: `scores` and `validity` lie on different devices.
        ScoreRangeError: A value is outside [0, 1] or not finite.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionProposals
        >>> RegionProposals(torch.rand(2, 5, 24, 32), torch.rand(2, 5))
        RegionProposals(batch_size=2, num_regions=5, resolution=(24, 32))
    """

    def __init__(self, scores: Array, validity: Array, *, check: bool = True) -> None:
        self._values = as_tensor("scores", scores)
        self._validity = as_tensor("validity", validity)
        self._holds_logits = False
        _check_proposals(self._values, self._validity, "scores", "validity")
        if check:
            _check_unit_interval("scores", self._values)
            _check_unit_interval("validity", self._validity)

    @classmethod
    def from_logits(
        cls, mask_logits: Array, validity_logits: Array, *, check: bool = True
    ) -> RegionProposals:
        """Proposals from the raw outputs of a network: both pass through a sigmoid.

        The mask logits are kept, so that `soft_assignment(..., interpolate="logits")` upsamples them
        exactly as given.

        Args:
            mask_logits: (B, N, h, w), floating point, finite.
            validity_logits: (B, N), floating point, finite.
            check: Read all values once and refuse what is not finite.

        Raises:
            DTypeError, ShapeError, DeviceError: As for the constructor.
            ScoreRangeError: A logit is not finite.

        Example:
            >>> import torch
            >>> from csl_plugin import RegionProposals
            >>> proposals = RegionProposals.from_logits(torch.randn(1, 3, 8, 8), torch.zeros(1, 3))
            >>> proposals.validity
            tensor([[0.5000, 0.5000, 0.5000]])
        """
        logits = as_tensor("mask_logits", mask_logits)
        validity = as_tensor("validity_logits", validity_logits)
        _check_proposals(logits, validity, "mask_logits", "validity_logits")
        if check:
            _check_finite("mask_logits", logits)
            _check_finite("validity_logits", validity)
        proposals = cls.__new__(cls)
        proposals._values = logits
        proposals._validity = validity.sigmoid()
        proposals._holds_logits = True
        return proposals

    @property
    def scores(self) -> Tensor:
        """R, (B, N, h, w) in [0, 1]."""
        return self._values.sigmoid() if self._holds_logits else self._values

    @property
    def holds_logits(self) -> bool:
        """Whether the mask logits are what is stored, and `scores` is computed when asked for."""
        return self._holds_logits

    @property
    def mask_logits(self) -> Tensor:
        """The logits of R, (B, N, h, w): as given, or recovered from scores clamped to keep them finite."""
        if self._holds_logits:
            return self._values
        scores = self._values.float() if self._values.itemsize < 4 else self._values
        return torch.logit(scores, eps=torch.finfo(scores.dtype).eps)

    @property
    def validity(self) -> Tensor:
        """V, (B, N) in [0, 1]."""
        return self._validity

    @property
    def batch_size(self) -> int:
        """B, the number of images."""
        return self._values.shape[0]

    @property
    def num_regions(self) -> int:
        """N, the number of proposed regions."""
        return self._values.shape[1]

    @property
    def resolution(self) -> tuple[int, int]:
        """(h, w) of the region scores."""
        return self._values.shape[2], self._values.shape[3]

    @property
    def device(self) -> torch.device:
        """Where the proposals lie."""
        return self._values.device

    def __repr__(self) -> str:
        shape = f"batch_size={self.batch_size}, num_regions={self.num_regions}, resolution={self.resolution}"
        return f"RegionProposals({shape})"


def _check_proposals(values: Tensor, validity: Tensor, argument: str, validity_argument: str) -> None:
    for name, tensor in ((argument, values), (validity_argument, validity)):
        if tensor.dtype not in _DTYPES:
            raise DTypeError(
                name,
                f"dtype {tensor.dtype}",
                "float16, bfloat16, float32 or float64",
                f"Convert it with {name}.float().",
            )
    batch_ok = values.ndim == 4 and 0 not in (values.shape[0], *values.shape[2:])
    if not batch_ok:
        raise ShapeError(
            argument,
            f"shape {tuple(values.shape)}",
            "(B, N, h, w) with B, h and w at least 1",
            f"Add the batch axis of a single image with {argument}[None].",
        )
    if validity.shape != values.shape[:2]:
        raise ShapeError(
            validity_argument,
            f"shape {tuple(validity.shape)}",
            f"(B, N) = {tuple(values.shape[:2])}, as {argument} has it",
            "Give one validity per proposed region.",
        )
    if validity.device != values.device:
        raise DeviceError(
            validity_argument,
            f"a tensor on {validity.device}",
            f"one on {values.device}, where {argument} lies",
            f"Move it with {validity_argument}.to('{values.device}').",
        )


def _check_unit_interval(argument: str, values: Tensor) -> None:
    if values.numel() == 0:
        return
    low, high = _bounds(argument, values)
    if not (low >= 0.0 and high <= 1.0):
        raise ScoreRangeError(
            argument,
            f"values between {low:.4g} and {high:.4g}",
            "finite values in [0, 1]",
            "For a network's raw outputs use RegionProposals.from_logits(mask_logits, validity_logits).",
        )


def _check_finite(argument: str, values: Tensor) -> None:
    if values.numel() == 0:
        return
    low, high = _bounds(argument, values)
    if not (low > -math.inf and high < math.inf):
        raise ScoreRangeError(
            argument,
            f"values between {low:.4g} and {high:.4g}",
            "finite logits",
            "Give a region that does not exist a low validity instead.",
        )


def _bounds(argument: str, values: Tensor) -> tuple[float, float]:
    if not has_values(values):
        raise DeviceError(
            argument,
            "a tensor without values (meta, fake, or recorded by torch.export)",
            "one that holds values",
            "Pass check=False to trace shapes only.",
        )
    return bounds(values)
