"""The two types that flow through the library: region proposals and the region map made of them."""

from __future__ import annotations

import torch
from torch import Tensor

from csl_plugin.arrays import Array, as_tensor, describe
from csl_plugin.errors import DeviceError, DTypeError, ScoreRangeError, ShapeError

_ID_DTYPES = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


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
        _check_proposals(self._values, self._validity, "scores")
        if check:
            _check_unit_interval("scores", self._values)
            _check_unit_interval("validity", self._validity)

    @classmethod
    def from_logits(cls, mask_logits: Array, validity_logits: Array) -> RegionProposals:
        """Proposals from the raw outputs of a network: both pass through a sigmoid.

        The mask logits are kept, so that `soft_assignment(..., interpolate="logits")` upsamples them
        exactly as they came.

        Args:
            mask_logits: (B, N, h, w), floating point, finite.
            validity_logits: (B, N), floating point, finite.

        Raises:
            DTypeError, ShapeError, DeviceError: As for the constructor.
            ScoreRangeError: A logit is not a number.

        Example:
            >>> import torch
            >>> from csl_plugin import RegionProposals
            >>> proposals = RegionProposals.from_logits(torch.randn(1, 3, 8, 8), torch.zeros(1, 3))
            >>> proposals.validity
            tensor([[0.5000, 0.5000, 0.5000]])
        """
        logits = as_tensor("mask_logits", mask_logits)
        validity = as_tensor("validity_logits", validity_logits)
        _check_proposals(logits, validity, "mask_logits")
        _check_no_nan("mask_logits", logits)
        _check_no_nan("validity_logits", validity)
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
    def device(self) -> torch.device:
        """Where the proposals lie."""
        return self._values.device

    def __repr__(self) -> str:
        resolution = tuple(self._values.shape[-2:])
        shape = f"batch_size={self.batch_size}, num_regions={self.num_regions}, resolution={resolution}"
        return f"RegionProposals({shape})"


class RegionMap:
    """One partition of each image: a region id per pixel, -1 where a pixel belongs to no region.

    A map holds one partition; several partitions of the same images are a sequence of maps.

    Args:
        labels: (B, H, W) integer ids from 0 on, -1 for unassigned; tensor or numpy array. Ids need not be
            consecutive.
        num_regions: A bound that every id lies below. Left out, it is read from `labels` (one pass, and on
            a GPU one synchronisation); given, it is taken on trust.

    Raises:
        DTypeError: Not an integer tensor or array.
        ShapeError: Not (B, H, W), or an axis is empty.
        ScoreRangeError: An id is below -1.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionMap
        >>> RegionMap(torch.tensor([[[0, 0, 1], [0, -1, 1]]]))
        RegionMap(batch_size=1, size=(2, 3), num_regions=2)
    """

    def __init__(self, labels: Array, num_regions: int | None = None) -> None:
        tensor = as_tensor("labels", labels)
        if tensor.dtype not in _ID_DTYPES:
            raise DTypeError(
                "labels",
                describe(labels),
                "integer region ids",
                "Convert them, for example labels.to(torch.int32).",
            )
        if tensor.ndim != 3 or 0 in tensor.shape:
            raise ShapeError(
                "labels",
                f"shape {tuple(tensor.shape)}",
                "(B, H, W), every axis at least 1",
                "Add the batch axis to a single map with labels[None].",
            )
        if num_regions is None:
            low, high = (int(bound) for bound in torch.aminmax(tensor))
            if low < -1:
                raise ScoreRangeError(
                    "labels",
                    f"the id {low}",
                    "ids from 0 on, and -1 for unassigned pixels",
                    "Replace other negative ids with -1.",
                )
            num_regions = high + 1
        self._labels, self._num_regions = tensor, num_regions

    @property
    def labels(self) -> Tensor:
        """Region ids, (B, H, W) integer, -1 for unassigned."""
        return self._labels

    @property
    def num_regions(self) -> int:
        """One more than the largest id that can occur."""
        return self._num_regions

    @property
    def batch_size(self) -> int:
        """B, the number of images."""
        return self._labels.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(H, W)."""
        return self._labels.shape[1], self._labels.shape[2]

    @property
    def device(self) -> torch.device:
        """Where the map lies."""
        return self._labels.device

    def resize(self, size: tuple[int, int]) -> RegionMap:
        """The map sampled at another size (H, W): every new pixel takes the label at its centre.

        Example:
            >>> import torch
            >>> from csl_plugin import RegionMap
            >>> RegionMap(torch.tensor([[[0, 0, 1, 1]]])).resize((1, 2)).labels
            tensor([[[0, 1]]])
        """
        if size == self.size:
            return self
        height, width = size
        rows = _centres(height, self.size[0], self.device)
        columns = _centres(width, self.size[1], self.device)
        return RegionMap(self._labels[:, rows][:, :, columns], self._num_regions)

    def __repr__(self) -> str:
        return f"RegionMap(batch_size={self.batch_size}, size={self.size}, num_regions={self.num_regions})"


def _centres(count: int, length: int, device: torch.device) -> Tensor:
    """The index of the old pixel that holds the centre of each new one."""
    return (2 * torch.arange(count, device=device) + 1) * length // (2 * count)


def _check_proposals(values: Tensor, validity: Tensor, argument: str) -> None:
    for name, tensor in ((argument, values), ("validity", validity)):
        if not tensor.is_floating_point():
            raise DTypeError(
                name, f"dtype {tensor.dtype}", "floating point", f"Convert it with {name}.float()."
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
            "validity",
            f"shape {tuple(validity.shape)}",
            f"(B, N) = {tuple(values.shape[:2])}, as {argument} has it",
            "Give one validity per proposed region.",
        )
    if validity.device != values.device:
        raise DeviceError(
            "validity",
            f"a tensor on {validity.device}",
            f"one on {values.device}, where {argument} lies",
            f"Move it with validity.to('{values.device}').",
        )


def _check_unit_interval(argument: str, values: Tensor) -> None:
    if values.numel() == 0:
        return
    low, high = (float(bound) for bound in torch.aminmax(values.detach()))
    if not (low >= 0.0 and high <= 1.0):
        raise ScoreRangeError(
            argument,
            f"values between {low:.4g} and {high:.4g}",
            "finite values in [0, 1]",
            "For a network's raw outputs use RegionProposals.from_logits(mask_logits, validity_logits).",
        )


def _check_no_nan(argument: str, values: Tensor) -> None:
    if values.numel() and bool(torch.aminmax(values.detach()).min.isnan()):
        raise ScoreRangeError(
            argument, "nan", "logits that are numbers", "Look for the layer that produced the nan."
        )
