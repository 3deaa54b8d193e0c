"""Other ways from an image, or from a network's masks, to regions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from benchmarks.speed import inputs
from benchmarks.speed.peers.mask_heads import network_outputs, transformers_processor


def regions_of(image: Tensor) -> dict[str, Callable[[], Any]]:
    """Calls that segment an image (1, 3, H, W); those whose package is missing are left out."""
    size = image.shape[2], image.shape[3]
    found: dict[str, Callable[[], Any]] = {}
    try:
        from skimage.segmentation import felzenszwalb, slic
    except ImportError:
        pass
    else:
        pixels = image[0].permute(1, 2, 0).numpy()
        found["SLIC, 100 regions (scikit-image)"] = lambda: slic(pixels, n_segments=100)
        found["Felzenszwalb (scikit-image)"] = lambda: felzenszwalb(pixels, scale=100, sigma=0.8, min_size=64)
    try:
        processor = transformers_processor()
    except ImportError:
        return found
    scene = inputs.scene(size)
    outputs = network_outputs(scene.logits, scene.validity)
    found["panoptic post-processing of 100 given queries (transformers)"] = lambda: (
        processor.post_process_panoptic_segmentation(outputs, target_sizes=[size])
    )
    return found
