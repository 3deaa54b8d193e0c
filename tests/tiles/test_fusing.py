"""Fusion band by band is that of the whole map, bit for bit."""

import numpy as np
import pytest
import torch

from csl_plugin import Calibration, fuse, load_proposer, split_components
from csl_plugin.errors import DTypeError, OptionError, OutputError, ScoreRangeError, ShapeError
from csl_plugin.proposers.base import as_partitions
from csl_plugin.tiles import fuse_large, fusing, propose_large
from tests.tiles.pictures import Levels, batch, blobs, same_regions

RULES = ["adaptive", "product", "geometric", "mean"]
SIZE = 90, 70


def ids(count, gaps, seed):
    rng = np.random.default_rng(seed)
    found = rng.integers(0, count, (9, 7)).repeat(10, 0).repeat(10, 1).astype(np.int32)
    found[rng.random(SIZE) < 0.03] = count - 1
    if gaps:
        found[rng.random(SIZE) < 0.1] = -1
    return found


PARTITIONS = {
    "one": [ids(9, False, 0)],
    "one with gaps": [ids(9, True, 1)],
    "finest without gaps": [ids(4, True, 2), ids(9, False, 3), ids(40, False, 4)],
    "finest with gaps": [ids(4, False, 5), ids(9, True, 6), ids(40, True, 7)],
    "large ids": [ids(9, False, 8) * 10_000],
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("maps", PARTITIONS.values(), ids=PARTITIONS)
@pytest.mark.parametrize("values", [500, 2000, 1 << 23])
def test_bands_of_any_height_give_what_the_whole_gives(rule, maps, values, tmp_path, monkeypatch):
    monkeypatch.setattr(fusing, "_VALUES", values)
    for classes, dtype in ((1, np.float64), (1, np.uint8), (4, np.float32), (3, np.float16)):
        scores = np.random.default_rng(9).random((classes, *SIZE))
        scores = (scores * 255).astype(dtype) if dtype == np.uint8 else scores.astype(dtype)
        path = fuse_large(scores, maps, tmp_path / "fused.npy", rule=rule)
        assert np.array_equal(np.load(path), fuse(scores, maps, rule=rule, split=False)), (classes, dtype)


def test_pixels_that_do_not_count_are_in_no_mean(tmp_path, monkeypatch):
    monkeypatch.setattr(fusing, "_VALUES", 1000)
    rng = np.random.default_rng(0)
    valid = rng.random(SIZE) < 0.8
    scores = rng.random(SIZE, np.float32)
    scores[~valid] = np.nan
    path = fuse_large(scores, PARTITIONS["one"], tmp_path / "fused.npy", valid=valid)
    whole = fuse(scores, PARTITIONS["one"], split=False, valid=valid)
    assert np.array_equal(np.load(path), whole, equal_nan=True)
    assert np.isfinite(np.load(path)[valid]).all()


def test_logits_and_raw_scores_are_mapped_first(tmp_path):
    raw = np.random.default_rng(0).normal(size=(3, *SIZE)).astype(np.float32)
    maps, out = PARTITIONS["finest with gaps"], tmp_path / "fused.npy"
    assert np.array_equal(
        np.load(fuse_large(raw, maps, out, logits=True)), fuse(raw, maps, split=False, logits=True)
    )
    calibration = Calibration.sigmoid(0.0, 1.0)
    mapped = fuse(calibration(raw[0]), maps, split=False)
    assert np.array_equal(np.load(fuse_large(raw[0], maps, out, calibration=calibration)), mapped)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_steps_of_integers_are_fractions_for_a_calibration(dtype, tmp_path):
    stored = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, SIZE, dtype)
    calibration = Calibration.sigmoid(0.5, 0.2)
    raw = stored / np.float32(np.iinfo(dtype).max)
    whole = fuse(calibration(raw), PARTITIONS["one"], split=False)
    path = fuse_large(stored, PARTITIONS["one"], tmp_path / "fused.npy", calibration=calibration)
    assert np.abs(np.load(path) - whole * float(np.iinfo(dtype).max)).max() <= 0.51


def test_logits_that_are_fractions_or_mapped_are_refused(tmp_path):
    scores = np.ones((3, *SIZE), np.uint16)
    with pytest.raises(DTypeError, match="logits"):
        fuse_large(scores, PARTITIONS["one"], tmp_path / "fused.npy", logits=True)
    with pytest.raises(OptionError, match="calibration"):
        fuse_large(
            scores.astype(np.float32),
            PARTITIONS["one"],
            tmp_path / "fused.npy",
            logits=True,
            calibration=Calibration.sigmoid(0.5, 0.2),
        )


def test_pixels_that_are_left_out_are_seen_as_in_the_plain_call(tmp_path):
    image, proposer = blobs(100, 100), load_proposer("superpixels")
    valid = np.random.default_rng(0).random((100, 100)) < 0.8
    [path] = propose_large(image, tmp_path, proposer, split=False, valid=valid)
    [plain] = as_partitions(proposer(batch(image)))
    plain = plain.labels[0].numpy()
    assert same_regions(np.load(path), np.where(valid, plain, -1))
    dark = image / np.float32(255)
    dark[~valid] = np.nan
    [path] = propose_large(dark, tmp_path, proposer, valid=valid)
    assert (np.load(path)[valid] >= 0).all()


@pytest.mark.parametrize("proposer", ["csl-tiny:auto,5", "superpixels"])
def test_a_single_tile_is_the_plain_call(proposer, tmp_path):
    image, proposer = blobs(96, 120), load_proposer(proposer)
    scores = np.random.default_rng(0).random((96, 120), np.float32)
    paths = propose_large(image, tmp_path, proposer, tile=128, overlap=64)
    whole = proposer(batch(image))
    for path, regions in zip(paths, whole, strict=True):
        assert np.array_equal(np.load(path), split_components(regions).labels[0].numpy())
    fused = fuse_large(scores, paths, tmp_path / "fused.npy")
    assert np.array_equal(np.load(fused), fuse(scores, whole))


def test_fused_values_of_regions_do_not_depend_on_the_tiles(tmp_path):
    image, proposer = blobs(150, 210), Levels(radius=4)
    scores = np.random.default_rng(0).random((150, 210), np.float32)
    whole = fuse(scores, proposer(batch(image)))
    for tile, overlap in ((64, 16), (100, 40), (256, 16)):
        folder = tmp_path / str(tile)
        paths = propose_large(image, folder, proposer, tile=tile, overlap=overlap)
        assert np.array_equal(np.load(fuse_large(scores, paths, folder / "fused.npy")), whole)


def test_pixels_of_the_image_that_do_not_count_are_in_no_region(tmp_path):
    image = blobs(100, 100)
    valid = np.ones((100, 100), bool)
    valid[:, 48:52] = False
    [path] = propose_large(image, tmp_path, Levels(), tile=64, overlap=16, valid=valid)
    found = np.load(path)
    assert ((found == -1) == ~valid).all()
    assert not set(np.unique(found[:, :48])) & set(np.unique(found[:, 52:]))
    [path] = propose_large(image, tmp_path, Levels(), tile=64, overlap=16, valid=np.zeros((100, 100), bool))
    assert (np.load(path) == -1).all()


class Wide:
    """A raster that says how much of it was read at once."""

    dtype = np.dtype(np.float32)

    def __init__(self, values, most):
        self.shape, self._values, self._most = values.shape, values, most

    def read(self, rows, columns):
        assert (rows.stop - rows.start) * (columns.stop - columns.start) <= self._most
        return self._values[:, rows, columns]

    def valid(self, rows, columns):
        return None


def test_no_more_than_a_window_or_a_band_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(fusing, "_VALUES", 2048)
    image = Wide(np.moveaxis(blobs(200, 150), 2, 0).astype(np.float32) / 255, 32 * 32)
    maps = propose_large(image, tmp_path, Levels(), tile=32, overlap=8)
    fuse_large(Wide(np.ones((1, 200, 150), np.float32), 2048), maps, tmp_path / "fused.npy")


@pytest.mark.parametrize("at", [0, 3, 8])
def test_an_interrupted_proposer_leaves_nothing(at, tmp_path):
    calls = iter(range(100))

    def stopped(images):
        if next(calls) == at:
            raise KeyboardInterrupt
        return Levels()(images)

    with pytest.raises(KeyboardInterrupt):
        propose_large(blobs(100, 100), tmp_path, stopped, tile=48, overlap=16)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_fusion_leaves_the_map_as_it_was(tmp_path):
    path = tmp_path / "fused.npy"
    path.write_bytes(b"before")

    class Stopped(Wide):
        reads = 0

        def read(self, rows, columns):
            self.reads += 1
            if self.reads == 2:  # when the map is being written
                raise KeyboardInterrupt
            return self._values[:, rows, columns]

    with pytest.raises(KeyboardInterrupt):
        fuse_large(Stopped(np.ones((1, *SIZE), np.float32), 0), PARTITIONS["one"], path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "argument", "options"),
    [
        (OptionError, "tile", {"tile": 8}),
        (OptionError, "overlap", {"overlap": 40}),
        (OptionError, "overlap", {"overlap": 2}),
        (ShapeError, "valid", {"valid": np.ones((3, 3), bool)}),
        (DTypeError, "valid", {"valid": np.ones((100, 90), np.float32)}),
        (OutputError, "proposer", {"proposer": lambda images: images}),
        (OutputError, "proposer", {"proposer": lambda images: Levels()(images[:, :, :-1])}),
    ],
)
def test_what_cannot_be_proposed_is_refused(error, argument, options, tmp_path):
    given = {"proposer": Levels(), "tile": 64, "overlap": 16, **options}
    with pytest.raises(error) as raised:
        propose_large(blobs(100, 90), tmp_path, **given)
    assert raised.value.argument == argument
    assert list(tmp_path.iterdir()) == []


def test_windows_with_different_numbers_of_partitions_are_refused(tmp_path):
    counts = iter([2, 1, 1, 1])
    with pytest.raises(OutputError, match="1 partitions of one window, 2 of others"):
        propose_large(blobs(100, 90), tmp_path, lambda x: (Levels()(x),) * next(counts), tile=64, overlap=16)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "scores", "regions", "options"),
    [
        (ShapeError, np.ones(SIZE, np.float32), [], {}),
        (ShapeError, np.ones(SIZE, np.float32), np.zeros((3, 3), int), {}),
        (DTypeError, np.ones(SIZE, np.float32), np.zeros(SIZE, np.float32), {}),
        (DTypeError, np.ones(SIZE, complex), np.zeros(SIZE, int), {}),
        (DTypeError, torch.ones(SIZE), np.zeros(SIZE, int), {}),
        (ScoreRangeError, -np.ones(SIZE, np.float32), np.zeros(SIZE, int), {}),
        (ScoreRangeError, np.full(SIZE, np.nan, np.float32), np.zeros(SIZE, int), {}),
        (ScoreRangeError, np.ones(SIZE, np.float32), np.full(SIZE, -2), {}),
        (OptionError, np.ones(SIZE, np.float32), np.full(SIZE, 2**31 - 2), {}),
        (OptionError, np.ones(SIZE, np.float32), np.zeros(SIZE, int), {"rule": "sum"}),
    ],
)
def test_what_cannot_be_fused_is_refused(error, scores, regions, options, tmp_path):
    with pytest.raises(error):
        fuse_large(scores, regions, tmp_path / "fused.npy", **options)
    assert list(tmp_path.iterdir()) == []
