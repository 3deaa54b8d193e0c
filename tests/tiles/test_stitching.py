"""Regions of neighboring tiles become one where they agree, and components are those of the whole image."""

import itertools

import numpy as np
import pytest
import torch

from csl_plugin import RegionMap, fuse, split_components
from csl_plugin.ops.cpu.runs import compacted, find_runs
from csl_plugin.tiles import fuse_large, propose_large
from csl_plugin.tiles.layout import Tiling
from csl_plugin.tiles.splitting import Splitting
from csl_plugin.tiles.stitching import Stitching, agreeing, unions
from tests.tiles.pictures import Levels, batch, blobs, same_regions


def _whole(image, proposer, split=True):
    found = proposer(batch(image))
    return (split_components(found) if split else found).labels[0].numpy()


@pytest.mark.parametrize(("tile", "overlap"), [(64, 16), (50, 8), (96, 40), (64, 32)])
@pytest.mark.parametrize("split", [True, False])
def test_local_regions_are_those_of_the_whole_image(tile, overlap, split, tmp_path):
    image, proposer = blobs(150, 210), Levels(radius=overlap // 4)
    [path] = propose_large(image, tmp_path, proposer, tile=tile, overlap=overlap, split=split)
    tiled = np.load(path)
    if split:
        assert same_regions(tiled, _whole(image, proposer))
    # What is connected through tiles only is one region; the whole image's ids never cut it.
    parts = split_components(RegionMap(torch.from_numpy(tiled)[None])).labels[0].numpy()
    assert same_regions(parts, _whole(image, proposer))


def test_a_radius_beyond_the_margin_shows():
    image, far = blobs(150, 210), Levels(radius=20)
    window = far(batch(image[:64, :64])).labels[0].numpy()
    assert not np.array_equal(window[:, :48], far(batch(image)).labels[0, :64, :48].numpy())


def test_a_region_that_winds_through_all_tiles_is_one(tmp_path):
    image = np.zeros((200, 200, 3), np.uint8)
    for number, top in enumerate(range(4, 196, 12)):  # a serpentine, 4 pixels wide
        image[top : top + 4, 4:196] = 255
        side = 192 if number % 2 else 4
        image[top : top + 12 if top + 12 < 196 else top + 4, side : side + 4] = 255
    [path] = propose_large(image, tmp_path, Levels(levels=1), tile=48, overlap=16)
    tiled = np.load(path)
    assert len(np.unique(tiled[image[..., 0] == 255])) == 1
    assert same_regions(tiled, _whole(image, Levels(levels=1)))


def test_pixels_that_touch_at_a_corner_of_four_cores_are_connected(tmp_path):
    image = np.zeros((96, 96, 3), np.uint8)
    border = next(Tiling((96, 96), 64, 32).tiles()).core.rows.stop
    image[border - 1, border - 1] = image[border, border] = 255
    [path] = propose_large(image, tmp_path, Levels(levels=1), tile=64, overlap=32)
    tiled = np.load(path)
    assert tiled[border - 1, border - 1] == tiled[border, border] != tiled[border - 1, border]


def test_pieces_agree_when_more_than_three_quarters_of_either_are_in_both():
    before = np.zeros((4, 12), int)
    after = np.zeros((4, 12), int)
    after[:, 2:] = 1  # 40 of the 48 pixels
    assert agreeing(before, after).tolist() == [[0, 1]]
    after[:, :3] = 0  # 36 are not more than three quarters
    assert agreeing(before, after).tolist() == []
    assert agreeing(before - 1, after).tolist() == []


def test_a_piece_has_one_partner_at_most():
    rng = np.random.default_rng(3)
    for _ in range(20):
        pairs = agreeing(*rng.integers(-1, 4, (2, 1, 40)).repeat(3, 1))
        assert len(pairs) == len({tuple(pair) for pair in pairs})
    halves = np.repeat([[0, 1, 2]], 9, 1)
    assert agreeing(halves, halves).tolist() == [[0, 0], [1, 1], [2, 2]]


def test_the_order_of_the_tiles_does_not_matter():
    image, proposer = blobs(150, 110, seed=1), Levels(radius=20)  # beyond the margin: the tiles differ
    tiling = Tiling((150, 110), 64, 32)
    tiles = list(tiling.tiles())
    found = {}
    for tile in tiles:
        runs, count = compacted(find_runs(proposer(batch(image[tile.window])).labels[0].numpy()))
        found[tile.place] = runs.paint(), count
    first = None
    for order in itertools.islice(itertools.permutations(tiles), 0, 720, 37):
        stitching = Stitching(tiling)
        for tile in order:
            stitching.add(tile, *found[tile.place])
        numbers = {place: list(each) for place, each in stitching.numbers().items()}
        first = numbers if first is None else first
        assert numbers == first
    assert len(set().union(*first.values())) < sum(count for _, count in found.values())


def test_groups_are_numbered_by_their_first_item():
    assert unions(6, [np.array([[5, 1]]), np.array([[4, 3], [3, 0]])]).tolist() == [0, 1, 2, 0, 0, 1]
    assert unions(0, []).tolist() == []


@pytest.mark.parametrize("side", [16, 23, 64])
def test_components_of_tiles_are_those_of_the_whole(side):
    rng = np.random.default_rng(side)
    ids = rng.integers(-1, 2, (50, 70)).astype(np.int32)
    tiling = Tiling((50, 70), side, 4)
    splitting = Splitting(tiling)
    parts = [splitting.add(tile, ids[tile.core]) for tile in tiling.tiles()]
    found = np.empty_like(ids)
    for tile, part, numbers in zip(tiling.tiles(), parts, splitting.numbers(), strict=True):
        found[tile.core] = np.append(numbers, -1)[part]
    assert same_regions(found, split_components(RegionMap(ids[None])).labels[0].numpy())


@pytest.mark.slow
def test_a_map_of_4096_pixels_a_side_is_that_of_the_whole_image(tmp_path):
    image, proposer = blobs(4096, 4096, sigma=12.0), Levels(radius=16, levels=12)
    rng = np.random.default_rng(0)
    scores = rng.random((4096, 4096), np.float32)
    paths = propose_large(image, tmp_path, proposer, tile=1024, overlap=64)
    fused = np.load(fuse_large(scores, paths, tmp_path / "fused.npy"))
    assert same_regions(np.load(paths[0]), _whole(image, proposer))
    assert np.array_equal(fused, fuse(scores, proposer(batch(image))))
