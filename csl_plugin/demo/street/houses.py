"""Rows of houses in perspective: fronts with windows and shops, walls toward the camera, roofs."""

from __future__ import annotations

import numpy as np

from csl_plugin.demo.street.canvas import Canvas
from csl_plugin.demo.street.classes import BUILDING
from csl_plugin.demo.street.noise import Noise, Plane
from csl_plugin.demo.street.plan import NEAR, House, Plan

_ROOF = np.array([0.33, 0.30, 0.30])
_DEPTH = 11.0


def paint_houses(canvas: Canvas, plan: Plan, noise: Noise) -> None:
    """Paint both rows, from far to near."""
    rows = [(house, side) for side in (-1, 1) for house in plan.houses[side > 0]]
    for house, side in sorted(rows, key=lambda entry: -entry[0].start):
        if house.end > NEAR:
            _paint_wall(canvas, plan, noise, house, side)
            _paint_front(canvas, plan, noise, house, side)


def _paint_front(canvas: Canvas, plan: Plan, noise: Noise, house: House, side: int) -> None:
    """The front, in the plane of x = the wall; each column of the image is at one distance."""
    camera, wall = plan.camera, plan.walls[side > 0]
    height, width = camera.size
    start = max(house.start, NEAR)
    ends = sorted(camera.center + camera.focal * wall / z for z in (start, house.end))
    left, right = max(int(np.floor(ends[0])), 0), min(int(np.ceil(ends[1])), width)
    if left >= right:
        return
    column = np.arange(left, right, dtype=np.float32) + 0.5
    offset = (column - camera.center) * side
    z = (camera.focal * abs(wall) / offset.clip(1e-3)).clip(start, house.end)[None]
    top = max(int(camera.horizon + camera.focal * (camera.height - house.height - house.roof) / start), 0)
    bottom = min(int(camera.row(start)) + 2, height)
    if bottom <= top:
        return
    row = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
    y = camera.height - (row - camera.horizon) * z / camera.focal
    z = np.broadcast_to(z, y.shape)
    pixel = z / camera.focal

    inside = np.clip((house.height + house.roof - y) / pixel + 0.5, 0, 1) * (y > -2 * pixel)
    ends_cover = np.clip(offset - abs(wall) * camera.focal / house.end + 0.5, 0, 1)
    if house.start > NEAR:
        ends_cover *= np.clip(abs(wall) * camera.focal / house.start - offset + 0.5, 0, 1)
    cover = np.asarray(inside * ends_cover[None], np.float32)
    seen = cover > 0
    color = np.zeros((*y.shape, 3), np.float32)
    y, z = y[seen], z[seen]
    lit = plan.lit(wall - side * 0.05, y, z)
    color[seen] = plan.light.haze(_front_color(house, noise, y, z, lit, plan), z)
    canvas.paint(cover, color, BUILDING, top, left)


def _front_color(house: House, noise: Noise, y: Plane, z: Plane, lit: Plane, plan: Plan) -> Plane:
    light = plan.light
    across = z - house.start
    color = _plaster(house, noise, across, y)
    trim = np.array(house.trim, np.float32)
    roof = y > house.height
    floors = max(1, int(house.height / house.floor))
    below = house.height - y
    # Ledges: under the roof, above the ground floor.
    ledge = (below > 0) & (below < 0.35)
    band = np.abs(y - house.floor) < 0.12
    color[ledge | band] = trim
    color *= (1 - 0.35 * np.exp(-((below - 0.5) / 0.18).clip(0)) * (below > 0.35))[..., None]
    shone = light.on(color, lit)

    bay = across / house.bay
    number = np.floor(y / house.floor)
    u, v = bay - np.floor(bay) - 0.5, y / house.floor - number - 0.52
    index = (np.floor(bay) * 37 + number * 101 + house.seed % 997).astype(np.int64)
    half = house.pane[0] / 2, house.pane[1] / 2
    upper = (number >= 1) & (number < floors) & ~roof
    window = (np.abs(u) < half[0]) & (np.abs(v) < half[1]) & upper
    frame_u, frame_v = 0.10 / house.bay, 0.10 / house.floor
    surround = (np.abs(u) < half[0] + frame_u) & (np.abs(v) < half[1] + frame_v) & upper & ~window
    shone[surround] = light.on(trim, lit)[surround]
    sill = (np.abs(u) < half[0] + 1.6 * frame_u) & (np.abs(v + half[1] + 1.4 * frame_v) < frame_v) & upper
    shone[sill] = 1.04 * light.on(trim, lit)[sill]
    shadow = (np.abs(u) < half[0] + frame_u) & (np.abs(v + half[1] + 4 * frame_v) < 1.6 * frame_v) & upper
    shone[shadow] *= 0.82
    if house.kind == "plaster":
        cross = (np.abs(u) < 0.025 / house.bay * 2) | (np.abs(v - 0.12) < 0.02)
    else:
        cross = np.abs(np.mod(u + half[0], half[0]) - half[0] / 2) < 0.02
    glass = _glass(house, light.zenith, light.horizon, index, v / house.pane[1] + 0.5)
    shone[window] = glass[window]
    shone[window & cross] = (0.9 * light.on(trim, lit))[window & cross]
    reveal = window & (v > half[1] - 0.07)
    shone[reveal] *= 0.6
    _ground_floor(shone, house, y, u, lit, index, plan)
    slate = light.on(_ROOF * (0.9 + 0.1 * np.sin(y * 24))[..., None], 0.3 + 0.6 * lit)
    dormer = (
        roof & (np.abs(u) < 0.2) & (np.abs(y - house.height - 0.9) < 0.55) & (np.mod(np.floor(bay), 2) == 0)
    )
    shone[roof] = slate[roof]
    if house.roof > 1.9:
        shone[dormer] = light.on(trim, lit)[dormer]
        pane = dormer & (np.abs(u) < 0.13) & (np.abs(y - house.height - 0.9) < 0.4)
        shone[pane] = glass[pane]
    shone *= (0.80 + 0.20 * np.clip(y / 3.0, 0, 1))[..., None]  # less of the sky is seen from below
    return np.asarray(shone, np.float32)


def _plaster(house: House, noise: Noise, across: Plane, y: Plane) -> Plane:
    value = 1 + 0.045 * noise.clouds(across + house.seed % 71, y, 19.0)
    value -= 0.05 * np.clip(noise.grain(across * 3 + house.seed % 13, y * 0.25, 9.0), 0, 2)
    if house.kind == "brick":
        course = np.floor(y / 0.22)
        value += 0.05 * np.sin(12.9898 * course + 78.233 * np.floor(across / 0.44 + 0.5 * np.mod(course, 2)))
        value += 0.06 * (np.mod(y, 0.22) < 0.035)
    if house.kind == "office":
        value -= 0.18 * (np.mod(across, house.bay) < 0.08)
    color: Plane = (value[..., None] * np.array(house.color, np.float32)).astype(np.float32)
    return color


def _glass(house: House, zenith: Plane, horizon: Plane, index: Plane, up: Plane) -> Plane:
    """Panes reflect the sky, each to its own degree; some have curtains, a few have light."""
    one, two = _chance(index, 12.9898), _chance(index, 78.233)
    sky = horizon + (0.3 + 0.7 * up.clip(0, 1))[..., None] * (zenith - horizon)
    dark = np.array(house.glass, np.float32)
    color = dark + (0.12 + 0.5 * one**2)[..., None] * (sky - dark)
    curtain = (two < 0.35) & (up > 0.15 + one)
    color = np.where(curtain[..., None], color * 0.4 + np.array([0.46, 0.44, 0.40]), color)
    lamp = (two > 0.94)[..., None]
    return np.asarray(np.where(lamp, color * 0.4 + np.array([0.55, 0.42, 0.22]), color), np.float32)


def _chance(index: Plane, seed: float) -> Plane:
    """A number in [0, 1) for each index, as good as random."""
    value = np.abs(np.sin(index * seed)) * 43758.547
    return np.asarray(value - np.floor(value), np.float32)


def _ground_floor(
    shone: Plane, house: House, y: Plane, u: Plane, lit: Plane, index: Plane, plan: Plan
) -> None:
    light = plan.light
    ground = y < house.floor - 0.12
    trim = np.array(house.trim, np.float32)
    if house.shop is None:
        door = ground & (np.abs(u) < 0.2) & (y < 2.3) & (np.mod(index, 3) == 0)
        pane = ground & (np.abs(u) < house.pane[0] / 2) & (np.abs(y - 1.75) < 0.75) & (np.mod(index, 3) != 0)
        shone[door] = light.on(trim * 0.45, lit)[door]
        rim = (
            ground
            & (np.abs(u) < house.pane[0] / 2 + 0.04)
            & (np.abs(y - 1.75) < 0.87)
            & (np.mod(index, 3) != 0)
        )
        shone[rim] = light.on(trim, lit)[rim]
        shone[pane] = _glass(house, light.zenith, light.horizon, index, (y - 1.0) / 1.5)[pane]
        return
    awning = np.array(house.shop, np.float32)
    base = ground & (y < 0.5)
    shone[base] = light.on(awning * 0.6, lit)[base]
    pane = ground & (np.abs(u) < 0.46) & (y > 0.5) & (y < 2.4)
    inside = _glass(house, light.zenith, light.horizon, index, (y - 0.5) / 2)
    inside = inside * 0.75 + np.array([0.10, 0.08, 0.05]) * (1 + np.sin(index * 5.1))[..., None]
    shone[pane] = inside[pane]
    sign = ground & (y > 2.9)
    shone[sign] = light.on(awning * 0.8, lit)[sign]
    stripe = np.where((np.mod(np.floor(u * 8), 2) == 0)[..., None], awning, 0.5 * awning + 0.42)
    cloth = ground & (y > 2.35) & (y < 2.95)
    shone[cloth] = light.on(stripe, lit)[cloth]
    under = ground & (y > 2.05) & (y <= 2.35)
    shone[under] *= 0.6


def _paint_wall(canvas: Canvas, plan: Plan, noise: Noise, house: House, side: int) -> None:
    """The wall toward the camera, which a nearer house may hide."""
    if house.start <= NEAR:
        return
    camera, wall = plan.camera, plan.walls[side > 0]
    height, width = camera.size
    z = house.start
    ends = sorted(camera.center + camera.focal * x / z for x in (wall, wall + side * _DEPTH))
    left, right = max(int(ends[0]), 0), min(int(np.ceil(ends[1])), width)
    top = max(int(camera.horizon + camera.focal * (camera.height - house.height - house.roof) / z), 0)
    bottom = min(int(camera.row(z)) + 1, height)
    if left >= right or top >= bottom:
        return
    row = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5
    column = np.arange(left, right, dtype=np.float32)[None] + 0.5
    y = camera.height - (row - camera.horizon) * z / camera.focal
    depth = side * ((column - camera.center) * z / camera.focal - wall)
    slope = house.height + house.roof * np.clip(np.minimum(depth, _DEPTH - depth) / 3.0, 0, 1)
    pixel = z / camera.focal
    cover = np.clip((slope - y) / pixel + 0.5, 0, 1) * np.clip(depth / pixel + 0.5, 0, 1)
    y, depth = np.broadcast_arrays(y, depth)
    facing = 0.55 if plan.light.ahead > 0 else 0.12
    lit = np.full(y.shape, facing * (0.6 if side == plan.light.side else 1.0), np.float32)
    color = plan.light.on(_plaster(house, noise, depth + 31, y), lit)
    color *= (0.82 + 0.18 * np.clip(y / 4.0, 0, 1))[..., None]
    canvas.paint(np.asarray(cover, np.float32), plan.light.haze(color, z), BUILDING, top, left)
