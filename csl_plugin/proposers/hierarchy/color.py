"""Color, and how much it changes: what tells one region of an image from another.

Colors are integers, and what their gradient adds up are integers that float32 holds exactly: the order of
additions does not matter.
"""

from __future__ import annotations

import math
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from csl_plugin._tracing import is_exporting, top_left
from csl_plugin.proposers.hierarchy.bands import bands

UNIT = 64
"""Steps of an opponent color per CIELAB unit."""

_CHROMA_WEIGHT = 2.0  # within an object, shading changes the lightness but hardly the chroma
_SURROUNDINGS_CELL, _SURROUNDINGS_SIGMA = 4, 3.0  # pixels, and cells of so many pixels
_FAINT_GRADIENT = 4.0  # CIELAB units per pixel; below it an edge is faint even in flat surroundings

# sRGB to XYZ relative to D65 (IEC 61966-2-1), whose rows sum to one.
_XYZ = ((0.433953, 0.376219, 0.189828), (0.212671, 0.715160, 0.072169), (0.017758, 0.109477, 0.872766))
_LEVELS = 1 << 14
_BINOMIAL_RADIUS = 2
_BAND_OF_SUMS = 1 << 21  # torch widens all of what it sums
_BAND = 1 << 17  # pixels whose intermediate values stay in a processor's cache


def opponent_color(image: Tensor) -> Tensor:
    """CIELAB with chroma counted twice, `UNIT` steps each, (3, H, W) int16, of RGB in [0, 1]."""
    tables = color_tables(image.device)
    if is_exporting():
        return torch.stack(_opponent_channels(image, tables)).to(torch.int16)
    found = torch.empty(image.shape, dtype=torch.int16, device=image.device)
    for rows in bands(image[0], _BAND):
        for channel, values in zip(found[:, rows], _opponent_channels(image[:, rows], tables), strict=True):
            channel.copy_(values)
    return found


def _opponent_channels(image: Tensor, tables: tuple[Tensor, Tensor]) -> list[Tensor]:
    linear, cubic = tables
    matrix = torch.tensor(_XYZ, dtype=torch.float32, device=image.device)
    light = _looked_up(linear, image.float())
    x, y, z = (
        _looked_up(cubic, (row[0] * light[0] + row[1] * light[1] + row[2] * light[2]).clamp_(0, 1).sqrt_())
        for row in matrix
    )
    lab = (y * 116 - 16, (x - y) * (500 * _CHROMA_WEIGHT), (y - z) * (200 * _CHROMA_WEIGHT))
    return [channel.mul_(UNIT).round_() for channel in lab]


def color_gradient(color: Tensor) -> Tensor:
    """Largest change of color per pixel in any direction (Di Zenzo), (H, W) float32, in CIELAB units.

    The color, (3, H, W) int16, is smoothed by a binomial kernel of variance 1.
    """
    radius = _BINOMIAL_RADIUS + 1
    if is_exporting():
        return _gradient(F.pad(color.float()[None], (0, 0, radius, radius), mode="replicate")[0])
    found = torch.empty(color.shape[1:], dtype=torch.float32, device=color.device)
    for rows in bands(color[0], _BAND):
        found[rows] = _gradient(_with_rows(color, rows, radius).float())
    return found


def _gradient(wide: Tensor) -> Tensor:
    """The gradient of rows of a color that are given with those around them."""
    # Two differences and two times four sums of neighbors.
    scale = 1 / (2 * 2.0**8 * UNIT)
    radius = _BINOMIAL_RADIUS + 1
    wide = F.pad(wide[None], (radius, radius, 0, 0), mode="replicate")[0]
    for _ in range(_BINOMIAL_RADIUS * 2):
        wide = wide[:, :, 1:] + wide[:, :, :-1]
    for _ in range(_BINOMIAL_RADIUS * 2):
        wide = wide[:, 1:] + wide[:, :-1]
    across = (wide[:, 1:-1, 2:] - wide[:, 1:-1, :-2]).mul_(scale)
    down = (wide[:, 2:, 1:-1] - wide[:, :-2, 1:-1]).mul_(scale)
    xx, yy, xy = _dot(across, across), _dot(down, down), _dot(across, down)
    difference = xx - yy
    return ((difference * difference + 4 * xy * xy).sqrt_() + xx + yy).div_(2).sqrt_()


def mean(gradient: Tensor) -> Tensor:
    """The mean of (H, W) as a scalar; summed in float64."""
    if is_exporting():
        return (gradient.sum(dtype=torch.float64) / gradient.numel()).float()
    sums = [gradient[rows].sum(dtype=torch.float64) for rows in bands(gradient, _BAND_OF_SUMS)]
    return (torch.stack(sums).sum() / gradient.numel()).float()


def relative_to_surroundings(gradient: Tensor) -> Tensor:
    """A gradient divided by its local root mean square, (H, W): lowers texture, which is many close edges."""
    cell = _SURROUNDINGS_CELL
    if is_exporting():
        cells = _mean_squares(gradient)
    else:
        cells = gradient.new_empty([(side + cell - 1) // cell for side in gradient.shape])
        for rows in bands(cells, _BAND // cell**2):
            cells[rows] = _mean_squares(gradient[rows.start * cell : rows.stop * cell])
    power = _gaussian(cells, _SURROUNDINGS_SIGMA)
    whole = [side * cell for side in cells.shape]
    power = F.interpolate(power[None, None], whole, mode="bilinear", align_corners=False)
    power = top_left(power, gradient.shape)[0, 0].add_(_FAINT_GRADIENT**2).sqrt_()
    return gradient / power if is_exporting() else torch.div(gradient, power, out=power)


def _mean_squares(part: Tensor) -> Tensor:
    """The mean square of each cell of some rows; beyond the image its last row and column again."""
    cell = _SURROUNDINGS_CELL
    below, right = ((side + cell - 1) // cell * cell - side for side in part.shape)
    square = F.pad((part * part)[None, None], (0, right, 0, below), mode="replicate")
    return F.avg_pool2d(square, cell)[0, 0]


def _gaussian(values: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of (H, W); sigma in cells."""
    radius = round(4 * sigma)
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    for _ in range(2):
        padded = F.pad(values[None, None], (radius, radius, 0, 0), mode="replicate")[0, 0]
        size = values.shape[1]
        blurred = values * (weights[0] / total)
        for step, weight in enumerate(weights[1:], 1):
            both = padded[:, radius - step :][:, :size] + padded[:, radius + step :][:, :size]
            blurred += both * (weight / total)
        values = blurred.T.contiguous()
    return values


def _dot(one: Tensor, two: Tensor) -> Tensor:
    product = one * two
    return product[0] + product[1] + product[2]


def _with_rows(values: Tensor, rows: slice, radius: int) -> Tensor:
    """Rows of (C, H, W) and so many more on either side; beyond the image its first and last row again."""
    height = values.shape[1]
    inner = values[:, max(rows.start - radius, 0) : rows.stop + radius]
    above, below = max(radius - rows.start, 0), max(rows.stop + radius - height, 0)
    if not above and not below:
        return inner
    return torch.cat([inner[:, :1].expand(-1, above, -1), inner, inner[:, -1:].expand(-1, below, -1)], 1)


def _looked_up(table: Tensor, values: Tensor) -> Tensor:
    """A function of values in [0, 1] that is tabulated at `_LEVELS` + 1 of them."""
    nearest = (values * _LEVELS).add_(0.5).to(torch.int32)
    return table.index_select(0, nearest.flatten()).view(values.shape)


@cache
def color_tables(device: torch.device) -> tuple[Tensor, Tensor]:
    """Linear light of sRGB; and of a square, the cube root of CIELAB, which is linear near 0."""
    steps = torch.arange(_LEVELS + 1, dtype=torch.float64, device="cpu") / _LEVELS
    linear = torch.where(steps <= 0.04045, steps / 12.92, ((steps + 0.055) / 1.055) ** 2.4)
    return linear.float().to(device), _cubic(steps * steps).float().to(device)


def _cubic(light: Tensor) -> Tensor:
    edge = 6 / 29
    return torch.where(light > edge**3, light ** (1 / 3), light / (3 * edge**2) + 4 / 29)
