"""A set with only its tiny objects as anomalies."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.effect.frames.sets import FrameSet
from csl_plugin.datasets.dataset import Frame

TINY = "tiny"
_LARGEST = 200  # pixels of a component that is still tiny
_VOID = 255


@dataclass(frozen=True)
class TinyObjects(FrameSet):
    """Frames of which larger connected components of anomalies are void."""

    @staticmethod
    def among(frames: FrameSet) -> TinyObjects:
        """The same frames."""
        known = {name: getattr(frames, name) for name in FrameSet.__dataclass_fields__}
        return replace(TinyObjects(**known), key=TINY, title=f"{frames.title}, only the tiny")

    def label(self, frame: Frame) -> NDArray[np.uint8]:
        """(H, W): 0 normal, 1 anomaly, 255 void."""
        found = super().label(frame)
        _, component, stats, _ = cv2.connectedComponentsWithStats((found == 1).astype(np.uint8))
        large = np.flatnonzero(stats[:, cv2.CC_STAT_AREA] >= _LARGEST)
        return np.where((found == 1) & np.isin(component, large), np.uint8(_VOID), found)

    def identity(self, frame: Frame) -> str:
        """Changes when the image, the label or the size does."""
        return f"{super().identity(frame)} below {_LARGEST}"
