"""The sky: a gradient, a glow about the sun, clouds."""

from __future__ import annotations

import numpy as np

from csl_plugin.demo.street.camera import Camera
from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.light import Light
from csl_plugin.demo.street.noise import Noise


def paint_sky(canvas: Canvas, camera: Camera, light: Light, noise: Noise, label: int) -> None:
    """Paint everything above the horizon."""
    height, width = camera.size
    bottom = min(height, int(camera.horizon) + 2)
    row, column = np.mgrid[0:bottom, 0:width].astype(np.float32)
    above = (camera.horizon - row).clip(1) / height
    fade = np.exp(-above * 4.5)[..., None]
    color = light.zenith + fade * (light.horizon - light.zenith)

    sun = camera.center + light.side * 0.55 * width, camera.horizon - 0.42 * height
    near = np.exp(-np.hypot(column - sun[0], row - sun[1]) / (0.33 * height))[..., None]
    color = color + near * light.sun * 0.55

    # A layer of clouds at one height: the farther, the lower and the denser in the image.
    depth = 0.16 / (above + 0.05)
    across = (column - camera.center) / height * depth
    density = noise.clouds(across, depth * 1.6, 3.2) + 0.35 * noise.grain(across, depth * 1.6, 1.7)
    cover = 1 / (1 + np.exp(-2.6 * (density - 1.6 + 3.2 * light.clouds)))
    thick = noise.clouds(across + 0.05 * light.side, depth * 1.6 - 0.06, 3.2) - density
    white = np.clip(light.shade * 0.55 + light.sun * 0.5 + 0.32, 0, 1)
    lit = (0.94 + 0.07 * thick.clip(-2, 2))[..., None] * white
    share = (0.85 * cover * (1 - 0.5 * fade[..., 0]))[..., None]
    canvas.color[:bottom] = color + share * (lit - color)
    canvas.classes[:bottom] = label
