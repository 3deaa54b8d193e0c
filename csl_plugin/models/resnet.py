"""ResNet-50 with torchvision's names, so that published ImageNet weights load strictly."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.models.layers import Extents

_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4


class ResNet50(nn.Module):
    """He et al. 2016 with the stride in the 3 x 3 convolutions; features at strides 2, 4, 8, 16 and 32.

    Parameters are named as in torchvision (`conv1`, `bn1`, `layer1.0.conv1`, ...), without `fc`. Batch
    statistics are never updated: the few images of a step would make them worse.
    """

    widths: ClassVar = {2: 64, 4: 256, 8: 512, 16: 1024, 32: 2048}

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(64, 64, _BLOCKS[0], 1)
        self.layer2 = _layer(256, 128, _BLOCKS[1], 2)
        self.layer3 = _layer(512, 256, _BLOCKS[2], 2)
        self.layer4 = _layer(1024, 512, _BLOCKS[3], 2)

    def train(self, mode: bool = True) -> ResNet50:
        """Set the training mode; batch norms stay in evaluation mode."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()
        return self

    def forward(self, images: Tensor, extents: Extents) -> dict[int, Tensor]:
        """(B, 3, H, W), normalized, to features by stride."""
        values = extents.clear(F.relu(self.bn1(self.conv1(images))), 2)
        features = {2: values}
        values = F.max_pool2d(values, 3, 2, 1)  # padding is zero and a relu's output is not negative
        for stride, layer in ((4, self.layer1), (8, self.layer2), (16, self.layer3), (32, self.layer4)):
            for block in layer:
                values = block(values, extents, stride)
            features[stride] = values
        return features


def _layer(before: int, width: int, blocks: int, step: int) -> nn.Sequential:
    first = _Bottleneck(before, width, step)
    return nn.Sequential(first, *(_Bottleneck(width * _EXPANSION, width, 1) for _ in range(blocks - 1)))


class _Bottleneck(nn.Module):
    def __init__(self, before: int, width: int, step: int) -> None:
        super().__init__()
        after = width * _EXPANSION
        self.step = step
        self.conv1 = nn.Conv2d(before, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, step, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, after, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after)
        self.downsample: nn.Module | None = None
        if step != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, step, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, values: Tensor, extents: Extents, stride: int) -> Tensor:
        inner = extents.clear(F.relu(self.bn1(self.conv1(values))), stride // self.step)
        inner = extents.clear(F.relu(self.bn2(self.conv2(inner))), stride)
        kept = values if self.downsample is None else self.downsample(values)
        return extents.clear(F.relu(kept + self.bn3(self.conv3(inner))), stride)
