"""The callable over batches of columns: results, pickle, errors."""

import pickle
import subprocess
import sys

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from csl_plugin import Calibration, CSLError, fuse, load_proposer, ops
from csl_plugin.batch import Fuser
from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.io import image_batch, write_region_map

SIZE = 24, 32
SEGMENTS = "superpixels:20"


def picture(seed, size=SIZE):
    blocks = np.random.default_rng(seed).integers(0, 256, (3, 4, 3)).astype(np.uint8)
    return cv2.resize(blocks, size[::-1], interpolation=cv2.INTER_NEAREST)


def score(seed, shape=SIZE, dtype=np.float32):
    return np.random.default_rng(100 + seed).random(shape).astype(dtype)


def columns(count=3):
    """Stacked columns of one size, and one that nobody names."""
    return {
        "image": np.stack([picture(seed) for seed in range(count)]),
        "scores": np.stack([score(seed) for seed in range(count)]),
        "id": np.arange(count),
    }


def objects(*values):
    column = np.empty(len(values), object)
    for index, value in enumerate(values):
        column[index] = value
    return column


def alone(image, scores, proposer=SEGMENTS, **options):
    """What `fuse` gives for one row."""
    return fuse(scores, load_proposer(proposer)(image_batch(image)), **options)


def test_every_row_is_what_fuse_gives():
    batch = columns()
    found = Fuser(proposer=SEGMENTS)(batch)
    assert set(found) == {"image", "scores", "id", "fused"}
    assert found["id"] is batch["id"]
    assert isinstance(found["fused"], np.ndarray)
    for row in range(3):
        np.testing.assert_array_equal(found["fused"][row], alone(batch["image"][row], batch["scores"][row]))


def test_the_default_proposer_and_rule_are_those_of_the_library():
    batch = columns(1)
    (found,) = Fuser()(batch)["fused"]
    np.testing.assert_array_equal(found, alone(batch["image"][0], batch["scores"][0], None))


def test_a_row_does_not_depend_on_its_batch():
    batch = columns()
    together = Fuser()(batch)["fused"]
    parts = [Fuser()({name: column[row : row + 1] for name, column in batch.items()}) for row in range(3)]
    np.testing.assert_array_equal(together, np.concatenate([part["fused"] for part in parts]))


def test_rows_of_several_sizes_classes_and_dtypes():
    sizes = (24, 32), (20, 44), (24, 32)
    images = objects(*(picture(seed, size) for seed, size in enumerate(sizes)))
    maps = [score(0, sizes[0]), score(1, (3, *sizes[1]), np.float64), score(2, sizes[2], np.float16)]
    found = Fuser(proposer=SEGMENTS)({"image": images, "scores": objects(*maps)})["fused"]
    assert isinstance(found, list)
    for image, values, fused in zip(images, maps, found, strict=True):
        assert fused.dtype == values.dtype
        np.testing.assert_array_equal(fused, alone(image, values))


def test_images_come_in_every_form_that_a_proposer_takes(tmp_path):
    batch = columns()
    expected = Fuser(proposer=SEGMENTS)(batch)["fused"]
    pictures = [Image.fromarray(image) for image in batch["image"]]
    for index, picture in enumerate(pictures):
        picture.save(tmp_path / f"{index}.png")
    forms = {
        "pictures": pictures,
        "paths": [str(tmp_path / f"{index}.png") for index in range(len(pictures))],
        "floats": np.float32(batch["image"]) / np.float32(255),
        "channels first": batch["image"].transpose(0, 3, 1, 2),
        "wide integers": batch["image"].astype(np.int64),
    }
    for name, images in forms.items():
        assert np.array_equal(Fuser(proposer=SEGMENTS)({**batch, "image": images})["fused"], expected), name


def test_lists_and_read_only_arrays_are_taken_as_arrays():
    batch = columns()
    wanted = Fuser(proposer=SEGMENTS)(batch)["fused"]
    for column in batch.values():
        column.flags.writeable = False
    lists = {name: list(column) for name, column in batch.items()}
    nested = {**lists, "scores": objects(*(objects(*rows) for rows in batch["scores"]))}
    wide = {**batch, "image": batch["image"].astype(np.int64)}  # as datasets formats bytes
    for given in (batch, lists, nested, wide):
        np.testing.assert_array_equal(Fuser(proposer=SEGMENTS)(given)["fused"], wanted)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_are_taken_as_arrays(dtype):
    batch = columns()
    scores = torch.from_numpy(batch["scores"]).to(dtype)
    wanted = Fuser(proposer=SEGMENTS)({**batch, "scores": scores.float().numpy()})["fused"]
    given = {"image": torch.from_numpy(batch["image"]), "scores": scores.requires_grad_()}
    assert np.array_equal(Fuser(proposer=SEGMENTS)(given)["fused"], wanted)


def test_smaller_scores_come_back_at_the_size_of_the_image():
    image, small = picture(0), score(0, (3, 12, 16))
    found = Fuser(proposer=SEGMENTS, logits=True)({"image": image[None], "scores": small[None]})["fused"]
    np.testing.assert_array_equal(found[0], alone(image, small, size=SIZE, logits=True))


@pytest.mark.parametrize("shape", [SIZE, (12, 16), (1, 12, 16)])
def test_a_calibration_maps_what_has_the_size_of_the_image(shape):
    image, raw = picture(0), score(0, shape) * 8 - 4
    calibration = Calibration.sigmoid(0.5, 2.0)
    batch = torch.from_numpy(raw)[(None,) * (4 - raw.ndim)]
    resized = ops.upsample(batch, SIZE, logits=False)[(0,) * (4 - raw.ndim)].numpy()
    fuser = Fuser(proposer=SEGMENTS, calibration=calibration, rule="product")
    found = fuser({"image": image[None], "scores": raw[None]})["fused"]
    np.testing.assert_array_equal(found[0], alone(image, calibration(resized), rule="product"))


def test_pixels_that_do_not_count():
    batch = {**columns(1), "counts": np.ones((1, *SIZE), bool)}
    batch["counts"][:, :9], batch["scores"][:, :9] = False, np.nan
    found = Fuser(proposer=SEGMENTS, valid="counts", fused="scores")(batch)
    wanted = alone(batch["image"][0], batch["scores"][0], valid=batch["counts"][0])
    np.testing.assert_array_equal(found["scores"][0], wanted)
    assert set(found) == set(batch)


def test_no_rows():
    found = Fuser(proposer=SEGMENTS)({"image": [], "scores": [], "id": []})
    assert len(found["fused"]) == 0


def test_another_process_gives_the_same_from_a_small_pickle():
    fuser = Fuser(calibration=Calibration.affine(-1.0, 2.0))
    wanted = fuser(columns(2))["fused"]  # this process has loaded the network: it is in no pickle
    sent = pickle.dumps(fuser)
    assert len(sent) < 1000
    code = (
        "import pickle, sys\n"
        "fuser, batch = pickle.load(sys.stdin.buffer)\n"
        "fuser(batch); sys.stdout.buffer.write(pickle.dumps(fuser(batch)['fused']))"
    )
    there = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps((fuser, columns(2))), capture_output=True, check=True
    )
    np.testing.assert_array_equal(pickle.loads(there.stdout), wanted)  # noqa: S301
    assert pickle.loads(sent) == fuser  # noqa: S301


def test_a_process_loads_the_proposer_once(monkeypatch):
    from csl_plugin.batch import fuser as module

    loaded = []

    def counting(source, device):
        loaded.append(source)
        return load_proposer(source, device=device)

    monkeypatch.setattr(module, "load_proposer", counting)
    name = "superpixels:33"  # which no other test loads
    assert not loaded
    for _ in range(2):
        Fuser(proposer=name)(columns(1))
    assert loaded == [name]


@pytest.mark.parametrize(
    ("change", "kind", "said"),
    [
        ({"scores": lambda batch: -batch["scores"]}, ScoreRangeError, "row 0, scores"),
        ({"scores": lambda batch: batch["scores"][:, :20, :20]}, ShapeError, "row 0, scores"),
        ({"scores": lambda batch: list(batch["scores"][:, 0])}, ShapeError, "row 0, scores"),
        ({"scores": lambda batch: batch["scores"][:, 0]}, ShapeError, "scores: got one map .* axis of rows"),
        ({"image": lambda batch: batch["image"][0]}, ShapeError, "image: got one image .* axis of rows"),
        ({"image": lambda batch: Image.fromarray(batch["image"][0])}, DTypeError, "image: got .*a list"),
        ({"scores": lambda batch: [*batch["scores"][:2], None]}, DTypeError, "row 2, scores"),
        ({"scores": lambda batch: batch["scores"][:2]}, ShapeError, "3 rows of 'image', 2 rows of 'scores'"),
        ({"image": lambda batch: batch["image"] / 127}, ScoreRangeError, "row 0, image"),
        ({"image": lambda batch: ["a.png"] * 3}, FileError, "row 0, a.png"),
        ({"image": lambda batch: [batch["image"]] * 3}, ShapeError, "row 0, image: got 3 images"),
        ({"image": lambda batch: batch["image"][..., 0]}, ShapeError, "row 0, image"),
        ({"image": lambda batch: [*batch["image"][:2], np.full((*SIZE, 3), 256)]}, ScoreRangeError, "row 2"),
        ({"image": lambda batch: [*batch["image"][:2], [[1, 2], [3]]]}, ShapeError, "row 2, image"),
        ({"image": lambda batch: [b"a", b"b", b"c"]}, DTypeError, "row 0, image"),
        ({"scores": lambda batch: np.ma.masked_greater(batch["scores"], 0.5)}, DTypeError, "masked array"),
        ({"image": lambda batch: [np.ma.masked_equal(batch["image"][0], 0)] * 3}, DTypeError, "masked array"),
        ({"image": lambda batch: [Image.new("F", SIZE)] * 3}, DTypeError, '"F"'),
        ({"scores": lambda batch: 0.5}, DTypeError, "scores: got 0.5, expected a column"),
    ],
)  # fmt: skip
def test_an_error_names_the_row_and_the_column(change, kind, said):
    batch = columns()
    batch |= {name: make(batch) for name, make in change.items()}
    with pytest.raises(kind, match=said):
        Fuser(proposer=SEGMENTS)(batch)


def test_a_missing_column_is_named_with_those_that_are_there():
    with pytest.raises(OptionError, match="the columns 'image', 'scores', 'id', expected a column 'anomaly'"):
        Fuser(scores="anomaly")(columns())
    with pytest.raises(DTypeError, match="a dict of columns"):
        Fuser()([columns()])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rule": "median"}, "rule"),
        ({"image": ""}, "image"),
        ({"proposer": object()}, "proposer"),
        ({"calibration": 0.5}, "calibration"),
        ({"logits": "yes"}, "logits"),
        ({"logits": True, "calibration": Calibration.sigmoid(0, 1)}, "logits, calibration"),
    ],
)
def test_options_are_refused_where_the_fuser_is_made(options, said):
    with pytest.raises(CSLError, match=f"^{said}: got"):
        Fuser(**options)


def test_a_device_that_is_not_there_and_a_folder_of_region_maps_are_refused(tmp_path):
    with pytest.raises(OptionError, match="device"):
        Fuser(proposer=SEGMENTS, device="cuda:63")(columns())
    write_region_map(tmp_path / "a.png", np.zeros(SIZE, np.int32))
    with pytest.raises(OptionError, match="a folder of region maps"):
        Fuser(proposer=str(tmp_path))(columns())
