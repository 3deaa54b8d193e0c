"""The paper's Figures 2, 3 and 4 on pictures of ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import skimage.data
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.guide.gallery.panels import Easel, counted
from benchmarks.guide.gallery.plot import Plot
from benchmarks.guide.gallery.scene import fused, logits_of, network, partitions, proposals, scene
from csl_plugin import RegionMap, hard_assignment, soft_assignment, split_components
from csl_plugin.demo import STREET_CLASSES
from csl_plugin.io import image_batch
from csl_plugin.viz.colors import MASK, Picture
from csl_plugin.viz.line_plot import Axis
from csl_plugin.viz.scaling import resize
from csl_plugin.viz.sheet import Panel, sheet

SEED = 5
_ABOVE, _BELOW = np.array((203, 24, 29)), np.array((33, 102, 172))
_FOUND, _FALSE, _DARK = (255, 255, 255), (128, 128, 134), (24, 24, 27)
_SEA = (120, 150, 185)
_REAL = 0.3  # validity from which a prototype is drawn


def scores_and_masks() -> Picture:
    """Figure 2: scores around the value at which 95 % of the thing is found, and the masks above it."""
    seen = scene(SEED)
    street, score = seen.street, seen.score()
    found = proposals(street.image)
    after = fused(score, partitions(street.image))
    easel = Easel(street.image, 430)

    def signed(title: str, values: Any) -> Panel:
        level = _level(values, street.unseen)
        reach = max(float(values.max()) - level, level - float(values.min()))
        above = np.clip((values - level) / reach, -1, 1)[..., None].astype(np.float32)
        colors = np.where(above > 0, 255 - above * (255 - _ABOVE), 255 + above * (255 - _BELOW))
        drawn = resize(np.rint(colors).astype(np.uint8), easel.size)
        return Panel(drawn, title, f"red above {level:.2f}, blue below")

    def masked(title: str, values: Any) -> Panel:
        above = values >= _level(values, street.unseen)
        colors = np.full((*above.shape, 3), _DARK, np.uint8)
        colors[above], colors[above & street.unseen] = _FALSE, _FOUND
        false = float((above & ~street.unseen).sum() / (~street.unseen).sum())
        return Panel(
            resize(colors, easel.size), title, f"white: found, gray: false, {100 * false:.0f} % of the rest"
        )

    at = _region_of(street.unseen, found.scores[0])
    validity = float(found.validity[0, at])
    score_of_region = resize(found.scores[0, at].numpy(), street.image.shape[:2])
    return sheet(
        [
            [
                easel.picture("Street, the unseen thing outlined", f"a {street.thing}", street.unseen),
                signed("Score of the teacher", score),
                signed("Score fused with regions", after),
            ],
            [
                easel.heat("R of one region", f"its validity V is {validity:.2f}", score_of_region),
                masked("Teacher at TPR 95 %", score),
                masked("Fused at TPR 95 %", after),
            ],
        ],
        text=15.0,
    )


def assignment() -> Picture:
    """Figure 3: regions from classes, by hard and by soft assignment."""
    pictures = (
        ("Street with a cow", "drawn", scene(SEED).street.image),
        ("Street with a deer", "drawn", scene(6).street.image),
        ("Cat", "Stefan van der Walt, CC0", skimage.data.chelsea()),  # type: ignore[no-untyped-call]
    )
    rows = []
    for name, credit, image in pictures:
        size, easel, found = image.shape[:2], Easel(image, 360), proposals(image)
        classes = split_components(RegionMap(logits_of(image).argmax(1).int()))
        hard, soft = hard_assignment(found, size), soft_assignment(found, size)
        missed = float((hard.labels < 0).float().mean())
        rows.append(
            [
                easel.picture(name, credit),
                easel.regions(
                    "Classes as regions",
                    f"{counted(classes)} parts of {len(STREET_CLASSES)} classes",
                    classes,
                ),
                easel.regions(
                    "Hard assignment", f"{counted(hard)} regions, {100 * missed:.1f} % in none (orange)", hard
                ),
                easel.regions("Soft assignment", f"{counted(soft)} regions, every pixel in one", soft),
            ]
        )
    return sheet(rows, text=15.0)


def embeddings() -> Picture:
    """Figure 4: pixel embeddings and region prototypes in the plane of the first two principal components."""
    street = scene(SEED).street
    pixels, prototypes, scores, validity = _embedded(street.image)
    height, width, channels = pixels.shape
    flat = pixels.reshape(-1, channels)
    middle = flat.mean(axis=0)
    variances, axes = np.linalg.eigh(np.cov((flat - middle).T))
    axes, shares = axes[:, ::-1][:, :3], variances[::-1] / variances.sum()
    axes = axes * np.sign(axes.sum(axis=0))  # eigenvectors have no sign of their own
    placed, marks = (flat - middle) @ axes, (prototypes - middle) @ axes
    low, high = np.percentile(placed, [1, 99], axis=0)
    colors = np.clip((placed - low) / (high - low), 0, 1).reshape(height, width, 3)

    easel = Easel(street.image, 480)
    inside = resize(street.unseen.astype(np.float32), (height, width)).ravel() > 0.5
    real = validity > _REAL
    first, second = (
        Axis.around(
            np.append(placed[:, n], marks[real, n]),
            f"component {n + 1}, {100 * shares[n]:.0f} % of the variance",
        )
        for n in (0, 1)
    )
    plot = Plot(easel.size, first, second)
    sample = np.random.default_rng(0).permutation(np.flatnonzero(~inside))[:4000]
    plot.dots(placed[sample, :2], _SEA, 1.4)
    plot.dots(placed[inside, :2], MASK, 1.4)
    plot.crosses(marks[real, :2], (2 + 6 * validity[real]).tolist(), _DARK)
    own = _region_of(street.unseen, scores)
    plot.crosses(marks[own : own + 1, :2], [2 + 6 * validity[own]], (203, 24, 29))
    return sheet(
        [
            [
                easel.picture("Street, the unseen thing outlined", f"a {street.thing}", street.unseen),
                Panel(
                    resize(np.rint(255 * colors).astype(np.uint8), easel.size),
                    "Embeddings as colors",
                    "components 1 to 3 as red, green and blue",
                ),
                Panel(
                    plot.picture(),
                    "Embeddings and prototypes",
                    "x: prototypes, by validity; red: that of the thing",
                ),
            ]
        ],
        text=15.0,
    )


def _embedded(image: Picture) -> tuple[Any, Any, Tensor, Any]:
    """Pixel embeddings (h, w, D) and prototypes (N, D) of unit length, R (N, h, w) and V (N,).

    R is the sigmoid of their product; which prototype is nearest to a pixel is a matter of direction.
    """
    model, kept = network(), {}

    def keep(name: str) -> Any:
        return lambda _module, _given, out: kept.__setitem__(name, out)

    hooks = [
        model.mask_features.register_forward_hook(keep("pixels")),
        model.region_decoder.prototype.register_forward_hook(keep("prototypes")),
    ]
    try:
        with torch.inference_mode():
            output = model(image_batch(image))
    finally:
        for hook in hooks:
            hook.remove()
    pixels, prototypes = kept["pixels"][0].permute(1, 2, 0), kept["prototypes"][0]
    last = output.regions[-1]
    scores, validity = last.mask_logits[0].sigmoid(), last.validity_logits[0].sigmoid()
    directions = (F.normalize(each.double(), dim=-1).numpy() for each in (pixels, prototypes))
    return (*directions, scores, validity.double().numpy())


def _level(values: Any, truth: NDArray[np.bool_]) -> float:
    """The value that 95 % of the thing's pixels reach."""
    return float(np.quantile(values[truth], 0.05, method="lower"))


def _region_of(truth: NDArray[np.bool_], scores: Tensor) -> int:
    """The region whose R agrees best with a mask."""
    inside = resize(truth.astype(np.float32), (scores.shape[1], scores.shape[2]))
    share = torch.from_numpy(inside)
    both = torch.minimum(scores, share).sum((1, 2))
    return int((both / torch.maximum(scores, share).sum((1, 2))).argmax())
