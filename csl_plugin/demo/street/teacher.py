"""The teacher: a small segmenter of streets, whose scores per pixel are fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.demo.street.classes import STREET_CLASSES

WEIGHTS = Path(__file__).resolve().parent / "teacher.safetensors"
"""The trained weights, in half precision; `examples/train_street_teacher.py` makes them."""

_WIDTHS = (24, 32, 48, 72, 96)  # at strides 2, 4, 8, 16 and 32
_BLOCKS = (0, 1, 1, 2, 1)
_DECODER = 48
_MEAN, _DEVIATION = 0.45, 0.25


class StreetTeacher(nn.Module):
    """A segmenter of drawn streets: a residual encoder and a feature pyramid, half a million parameters.

    Without trained weights; `load_teacher` has them. The logits are computed at a quarter of the size and
    upsampled.

    Example:
        >>> import torch
        >>> StreetTeacher().eval()(torch.rand(1, 3, 64, 96))["out"].shape
        torch.Size([1, 8, 64, 96])
    """

    def __init__(self) -> None:
        super().__init__()
        before, stages = 3, []
        for width, blocks in zip(_WIDTHS, _BLOCKS, strict=True):
            stages.append(
                nn.Sequential(_convolution(before, width, 2), *(_Block(width) for _ in range(blocks)))
            )
            before = width
        self.stages = nn.ModuleList(stages)
        self.laterals = nn.ModuleList(nn.Conv2d(width, _DECODER, 1) for width in _WIDTHS[1:])
        self.smooth = _convolution(_DECODER, _DECODER, 1)
        self.head = nn.Conv2d(_DECODER, len(STREET_CLASSES), 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits of the classes.

        Args:
            images: (B, 3, H, W) RGB in [0, 1].

        Returns:
            {"out": logits (B, C, H, W)}, as torchvision's segmenters.
        """
        values, features = (images - _MEAN) / _DEVIATION, []
        for stage in self.stages:
            values = stage(values)
            features.append(values)
        merged: Any = None
        for lateral, feature in zip(reversed(self.laterals), reversed(features), strict=False):
            side = lateral(feature)
            merged = side if merged is None else side + _upsampled(merged, side.shape[2:])
        logits = self.head(self.smooth(merged))
        return {"out": _upsampled(logits, images.shape[2:])}


def load_teacher() -> StreetTeacher:
    """The trained teacher in evaluation mode, on the CPU.

    It was trained on streets of `draw_street(..., unseen=False)`, at last with blobs of one color on which
    it is to be unsure, so it has never seen the things that stand on the road with `unseen=True`.

    Raises:
        FileError: The weights in the package are missing or damaged.

    Example:
        >>> import torch
        >>> from csl_plugin import CSLWrapper
        >>> model = CSLWrapper(load_teacher())
        >>> model(torch.rand(1, 3, 96, 160))["out"].shape
        torch.Size([1, 8, 96, 160])
    """
    from csl_plugin.io.limits import check_file
    from csl_plugin.models.hub.safetensors_io import largest_weights, read_weights
    from csl_plugin.models.hub.weight_files import WeightFiles

    teacher = StreetTeacher()
    expected = teacher.state_dict()
    check_file(WEIGHTS, largest_weights(expected))
    teacher.load_state_dict(read_weights(WeightFiles(str(WEIGHTS), (WEIGHTS,)), expected))
    return teacher.eval()


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _convolution(width, width, 1)
        self.second = nn.Sequential(nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))

    def forward(self, values: Tensor) -> Tensor:
        return F.relu(values + self.second(self.first(values)))


def _convolution(before: int, after: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)
    )


def _upsampled(values: Tensor, size: Any) -> Tensor:
    return F.interpolate(values, size, mode="bilinear", align_corners=False)
