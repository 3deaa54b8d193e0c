"""Which files belong together, what is left over, and the forms that score files come in."""

import json
import unicodedata

import cv2
import numpy as np
import pytest

from csl_plugin import Calibration, fuse, load_proposer
from csl_plugin.cli import main
from csl_plugin.io import image_batch, read_scores, write_png, write_region_map, write_scores
from csl_plugin.io.score_layout import fits, is_channels_last

SIZE = 40, 56
COMPOSED, DECOMPOSED = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"


def make_image(seed):
    blocks = np.random.default_rng(seed).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    return cv2.resize(blocks, SIZE[::-1], interpolation=cv2.INTER_NEAREST)


def make_scores(seed, shape=SIZE):
    return np.random.default_rng(seed).random(shape).astype(np.float32)


@pytest.fixture
def place(tmp_path):
    """A folder with images a, b and their scores."""
    for seed, stem in enumerate("ab"):
        write_png(tmp_path / "images" / f"{stem}.png", make_image(seed))
        write_scores(tmp_path / "scores" / f"{stem}.npy", make_scores(seed))
    return tmp_path


def run(place, *options, images="images", scores="scores", out="out"):
    words = ["fuse", *(str(place / name) for name in (images, scores, out)), *options]
    return main([*words, "--proposer", "superpixels:40", "--rule", "mean"])


def answer(capsys):
    return json.loads(capsys.readouterr().out)


def expected(seed, scores, **options):
    regions = load_proposer("superpixels:40")(image_batch(make_image(seed)))
    return fuse(scores, regions, rule="mean", **options)


# --- names ----------------------------------------------------------------------------------------------


def test_one_image_and_one_score_are_a_pair_whatever_their_names(place):
    write_scores(place / "other.npz", make_scores(0), key="anomaly")
    assert run(place, images="images/a.png", scores="other.npz") == 0
    np.testing.assert_array_equal(read_scores(place / "out" / "a.npz"), expected(0, make_scores(0)))


def test_an_image_and_a_folder_are_still_matched_by_stem(place, capsys):
    (place / "scores" / "a.npy").unlink()
    assert run(place, images="images/a.png") == 2
    error = capsys.readouterr().err
    assert "b.npy, and none of any image, expected one named after each image, such as a.npy" in error


@pytest.mark.parametrize(("image", "score"), [(COMPOSED, DECOMPOSED), (DECOMPOSED, COMPOSED)])
def test_names_are_matched_in_any_unicode_form(place, capsys, image, score):
    (place / "images" / "a.png").rename(place / "images" / f"{image}.png")
    (place / "scores" / "a.npy").rename(place / "scores" / f"{score}.npy")
    write_png(place / "labels" / f"{score}.png", make_scores(3).round().astype(np.uint8))
    write_png(place / "labels" / "b.png", make_scores(4).round().astype(np.uint8))
    assert run(place, "--json") == 0
    facts = answer(capsys)
    assert (facts["done"], facts["scores_without_image"]) == (2, 0)
    np.testing.assert_array_equal(read_scores(place / "out" / f"{image}.npy"), expected(0, make_scores(0)))
    assert main(["eval", "anomaly", str(place / "out"), str(place / "labels"), "--json"]) == 0
    assert answer(capsys)["num_frames"] == 2
    for stem in (score, "b"):
        write_region_map(place / "maps" / f"{stem}.png", np.zeros(SIZE, np.int32))
    assert run(place, "--proposer", str(place / "maps"), out="mapped") == 0


def test_a_benchmark_matches_names_in_any_unicode_form(place, capsys):
    (place / "images" / "a.png").rename(place / "images" / f"{COMPOSED}.png")
    (place / "scores" / "a.npy").rename(place / "scores" / f"{DECOMPOSED}.npy")
    for stem in (DECOMPOSED, "b"):
        write_png(place / "labels" / f"{stem}.png", make_scores(3).round().astype(np.uint8))
    words = ["--data", str(place), "--scores", str(place / "scores"), "--out", str(place / "out")]
    assert main(["benchmark", "folder", *words, "--proposer", "superpixels", "--draws", "5", "--json"]) == 0
    assert answer(capsys)["num_measured"] == 2


def test_names_that_only_differ_in_unicode_form_are_refused(place, capsys):
    for stem in (COMPOSED, DECOMPOSED):
        write_png(place / "images" / f"{stem}.png", make_image(0))
    if len({path.name for path in (place / "images").iterdir()}) < 4:
        pytest.skip("the file system keeps one of the two")
    assert run(place) == 2
    error = capsys.readouterr().err
    assert "cafe\\u0301.png" in error
    assert "Unicode form" in error
    assert unicodedata.normalize("NFC", DECOMPOSED) == COMPOSED


# --- what is left over ----------------------------------------------------------------------------------


def test_what_is_not_read_is_said(place, capsys):
    for name in ("c.gif", "d.gif", "e.HEIC", "notes", ".hidden.gif"):
        (place / "images" / name).touch()
    for name in ("c.pt", "d.mat", "e.exr", "f.tiff"):
        (place / "scores" / name).touch()
    (place / "images" / "more.gif").mkdir()
    write_scores(place / "scores" / "alone.npy", make_scores(0))
    assert run(place, "--json") == 0
    facts = answer(capsys)
    assert facts["skipped_images"] == {".gif": 2, ".heic": 1, "without a suffix": 1}
    assert facts["skipped_scores"] == {".exr": 1, ".mat": 1, ".pt": 1, ".tiff": 1}
    assert facts["unpaired_scores"] == ["alone.npy"]
    assert run(place) == 0
    printed = capsys.readouterr().out
    assert "skipped images: 4 (2 .gif, 1 .heic, 1 without a suffix)" in printed
    assert "skipped scores: 4 (1 .exr, 1 .mat, 1 .pt, 1 .tiff)" in printed
    assert "unpaired scores: alone.npy" in printed
    assert main(["propose", str(place / "images"), str(place / "maps"), "--proposer", "superpixels"]) == 0
    assert "skipped images: 4 (2 .gif" in capsys.readouterr().out


def test_images_and_scores_in_one_folder(place, capsys):
    for path in (place / "scores").iterdir():
        path.rename(place / "images" / path.name)
    (place / "images" / "c.gif").touch()
    with pytest.raises(SystemExit):
        main(["fuse"])
    capsys.readouterr()
    assert run(place, "--json", scores="images") == 2  # a.png is a score file too
    assert "a.npy and a.png" in answer(capsys)["error"]
    for stem in "ab":
        (place / "images" / f"{stem}.png").unlink()
        cv2.imwrite(str(place / "images" / f"{stem}.jpg"), make_image(0))
    assert run(place, "--json", scores="images") == 0
    facts = answer(capsys)
    assert (facts["done"], facts["skipped_images"], facts["skipped_scores"]) == (2, {".gif": 1}, {})


@pytest.mark.parametrize("command", ["fuse", "propose", "eval", "benchmark"])
def test_a_folder_of_other_files_says_what_it_holds(place, capsys, command):
    for stem in "ab":
        (place / "images" / f"{stem}.png").rename(place / "images" / f"{stem}.gif")
        (place / "scores" / f"{stem}.npy").rename(place / "scores" / f"{stem}.pt")
        write_png(place / "labels" / f"{stem}.png", np.zeros(SIZE, np.uint8))
    images, scores, labels, out = (str(place / name) for name in ("images", "scores", "labels", "out"))
    words = {
        "fuse": [images, scores, out],
        "propose": [images, out],
        "eval": ["anomaly", scores, labels],
        "benchmark": ["folder", "--data", str(place), "--scores", scores, "--out", out],
    }[command]
    assert main([command, *words]) == 2
    assert f"it holds 2 {'.pt' if command == 'eval' else '.gif'}" in capsys.readouterr().err


def test_eval_says_what_it_skips(place, capsys):
    for stem in "ab":
        write_png(place / "labels" / f"{stem}.png", make_scores(3).round().astype(np.uint8))
    (place / "labels" / "c.gif").touch()
    (place / "scores" / "c.pt").touch()
    words = ["eval", "anomaly", str(place / "scores"), str(place / "labels")]
    assert main([*words, "--json"]) == 0
    assert answer(capsys)["skipped_files"] == {".pt": 1, ".gif": 1}
    assert main(words) == 0
    assert "skipped files: 2 (1 .pt, 1 .gif)" in capsys.readouterr().out


def test_a_missing_score_names_its_folder(place, capsys):
    write_png(place / "images" / "c.png", make_image(2))
    assert run(place, "--json") == 1
    (failed,) = answer(capsys)["failed"]
    assert failed["name"] == "c.png"
    assert failed["reason"].startswith(f"{place / 'scores'}: got no score map, expected one named c")


# --- forms ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.npy", "a.npz", "a.hdf5"])
@pytest.mark.parametrize("classes", [1, 3])
def test_channels_last_is_read_and_written_as_it_is(tmp_path, name, classes):
    if name.endswith("hdf5"):
        pytest.importorskip("h5py", reason="the extra hdf5 is not installed")
    write_png(tmp_path / "images" / "a.png", make_image(0))
    first = make_scores(5, (classes, *SIZE))
    write_scores(tmp_path / "scores" / name, np.moveaxis(first, 0, -1).copy())
    assert run(tmp_path) == 0
    (written,) = (tmp_path / "out").glob("a.*")
    last = read_scores(written, size=SIZE)
    assert last.shape == first.shape
    np.testing.assert_array_equal(last, expected(0, first))
    raw = {"a.npy": np.load, "a.npz": lambda path: np.load(path)["arr_0"]}.get(name)
    assert raw is None or raw(written).shape == (*SIZE, classes)


def test_one_class_in_the_last_axis_is_measured(tmp_path, capsys):
    labels = make_scores(3).round().astype(np.uint8)
    for seed, shape in enumerate([(*SIZE, 1), (1, *SIZE), SIZE]):
        write_scores(tmp_path / "scores" / f"{seed}.npy", make_scores(7).reshape(shape))
        write_png(tmp_path / "labels" / f"{seed}.png", labels)
    values = []
    for seed in range(3):
        files = [str(tmp_path / "scores" / f"{seed}.npy"), str(tmp_path / "labels" / f"{seed}.png")]
        assert main(["eval", "anomaly", *files, "--json"]) == 0
        values.append(answer(capsys)["ap"])
    assert values[0] == values[1] == values[2]


def test_a_benchmark_reads_channels_last(place, capsys):
    (place / "classes.json").write_text('{"names": ["road", "car", "sky"]}')
    written = []
    for form in ("first", "last"):
        for seed, stem in enumerate("ab"):
            first = make_scores(seed, (3, *SIZE))
            np.save(place / "scores" / f"{stem}.npy", first if form == "first" else np.moveaxis(first, 0, -1))
            write_png(place / "labels" / f"{stem}.png", first.argmax(axis=0).astype(np.uint8))
        words = ["--data", str(place), "--scores", str(place / "scores"), "--out", str(place / form)]
        assert (
            main(["benchmark", "folder", *words, "--proposer", "superpixels", "--draws", "5", "--json"]) == 0
        )
        written.append(answer(capsys)["figures"])
    assert written[0] == written[1]


def test_layouts():
    assert is_channels_last("a", (*SIZE, 1))
    assert is_channels_last("a", (*SIZE, 19), SIZE)
    assert is_channels_last("a", (20, 28, 19), SIZE)
    assert not is_channels_last("a", (*SIZE, 19)), "without the image's size it stays (C, H, W)"
    for shape in ((1, *SIZE), (19, *SIZE), (19, 10, 14), (1, 2, 3), SIZE):
        assert not is_channels_last("a", shape, SIZE)
    assert not is_channels_last("a", (40, 40, 40), (40, 40)), "as documented, where both fit exactly"
    assert not is_channels_last("a", (5, 40, 1), (40, 1))


def test_a_form_that_may_be_either_is_refused_by_name(place, capsys):
    write_scores(place / "scores" / "a.npy", make_scores(0, (10, 14, 19)))
    assert run(place, "--json") == 1
    (failed,) = answer(capsys)["failed"]
    assert "a.npy: got shape (10, 14, 19), which is (C, h, w) or (h, w, C)" in failed["reason"]


# --- low resolution -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10, 14), (3, 10, 14), (1, 5, 7), (13, 19), (14, 19), (3, 14, 19)])
def test_smaller_scores_are_fused_at_the_images_size(tmp_path, capsys, shape):
    write_png(tmp_path / "images" / "a.png", make_image(0))
    write_scores(tmp_path / "scores" / "a.npy", make_scores(5, shape).astype(np.float16))
    assert run(tmp_path) == 0
    fused = np.load(tmp_path / "out" / "a.npy")
    assert (fused.dtype, fused.shape) == (np.float16, (*shape[:-2], *SIZE))
    read = make_scores(5, shape).astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(fused, expected(0, read, size=SIZE).astype(np.float16))
    assert "scores upsampled: 1" in capsys.readouterr().out


@pytest.mark.parametrize("shape", [(5, 5), (14, 10), (80, 112), (39, 56), SIZE[::-1], (10, 16), (40, 28)])
def test_another_aspect_ratio_or_a_larger_size_is_refused(place, capsys, shape):
    write_scores(place / "scores" / "a.npy", make_scores(5, shape))
    assert run(place, "--json") == 1
    (failed,) = answer(capsys)["failed"]
    assert f"a.npy: got size {shape}, expected the image's {SIZE}" in failed["reason"]
    assert ("EXIF" in failed["reason"]) == (shape == SIZE[::-1])


def test_common_strides_fit():
    for image in ((480, 640), (1080, 1920), (375, 1242), (333, 500), (513, 1025)):
        for factor in (2, 4, 8, 14, 16, 32):
            for rounded in (np.floor, np.ceil, np.round):
                assert fits(tuple(int(rounded(side / factor)) for side in image), image)
            if factor < 14:
                assert not fits((image[0] // factor, image[1] // factor + factor), image)


@pytest.mark.parametrize("shape", [SIZE, (10, 14), (3, *SIZE), (3, 10, 14), (10, 14, 1)])
def test_logits(place, shape):
    logits = make_scores(5, shape) * 8 - 4
    write_scores(place / "scores" / "a.npy", logits)
    assert run(place, "--logits", images="images/a.png") == 0
    last = shape[-1] == 1
    read = np.moveaxis(logits, -1, 0) if last else logits
    fused = expected(0, read, size=SIZE, logits=True)
    written = np.load(place / "out" / "a.npy")
    np.testing.assert_array_equal(np.moveaxis(written, -1, 0) if last else written, fused)


def test_logits_are_refused_where_they_cannot_be(place, capsys):
    Calibration.sigmoid(center=0.5, scale=0.2).save(place / "c.json")
    assert run(place, "--logits", "--calibration", str(place / "c.json")) == 2
    assert "--logits, --calibration: got both" in capsys.readouterr().err
    write_scores(place / "scores" / "a.npy", make_scores(0), dtype=np.uint8)
    scores = make_scores(1)
    scores[3, 4] = np.nan
    write_scores(place / "scores" / "b.npy", scores)
    assert run(place, "--logits", "--json") == 1
    reasons = [failed["reason"] for failed in answer(capsys)["failed"]]
    assert reasons[0].startswith("a.npy: got uint8 fractions")
    assert reasons[1].startswith("b.npy: got nan or infinity in 1 of 2240 values, expected finite logits")


def test_smaller_raw_scores_are_upsampled_before_they_are_calibrated(place):
    calibration = Calibration.sigmoid(center=0.5, scale=0.1)
    calibration.save(place / "c.json")
    write_scores(place / "scores" / "a.npy", make_scores(5, (10, 14)))
    assert run(place, "--calibration", str(place / "c.json"), "--overlays", images="images/a.png") == 0
    large = cv2.resize(make_scores(5, (10, 14)), SIZE[::-1], interpolation=cv2.INTER_LINEAR)
    written = np.load(place / "out" / "a.npy")
    np.testing.assert_allclose(written, expected(0, calibration(large)), atol=1e-5)
    assert (place / "out" / "overlays" / "a.png").is_file()


def test_a_folder_of_folders_is_named_so(tmp_path, capsys):
    (tmp_path / "images" / "city").mkdir(parents=True)
    assert main(["propose", str(tmp_path / "images"), str(tmp_path / "out")]) == 2
    assert "a folder without an image (it holds 1 folder)" in capsys.readouterr().err
