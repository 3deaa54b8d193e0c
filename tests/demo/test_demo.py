import math
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.stats import chi2

import csl_plugin.demo
from csl_plugin import RegionMap, fuse, load_proposer
from csl_plugin.cli import main
from csl_plugin.demo import demonstrate
from csl_plugin.demo.picture import TOP, top_share
from csl_plugin.demo.rx import pixel_features, rx_distance, rx_score
from csl_plugin.io import read_image
from csl_plugin.proposers.on_files import propose_regions


def noise(height=30, width=40, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


def literal_distance(features):
    """Reed and Yu's statistic as it is written: (x - m)^T C^-1 (x - m), pixel by pixel."""
    height, width, _ = features.shape
    pixels = [features[y, x] for y in range(height) for x in range(width)]
    mean = sum(pixels) / len(pixels)
    covariance = sum(np.outer(pixel - mean, pixel - mean) for pixel in pixels) / len(pixels)
    inverse = np.linalg.inv(covariance)
    distances = [(pixel - mean) @ inverse @ (pixel - mean) for pixel in pixels]
    return np.array(distances).reshape(height, width)


@pytest.mark.parametrize("bands", [1, 2, 5, 8])
def test_rx_is_the_literal_formula(bands):
    features = np.random.default_rng(bands).normal(3.0, 2.0, (7, 9, bands))
    distance, freedom = rx_distance(features)
    assert freedom == bands
    np.testing.assert_allclose(distance, literal_distance(features), rtol=1e-9)
    assert distance.mean() == pytest.approx(bands)


def test_rx_does_not_change_with_an_affine_map_of_the_features():
    rng = np.random.default_rng(1)
    features = rng.normal(size=(20, 25, 4))
    moved = features @ rng.normal(size=(4, 4)) * 3 + rng.normal(size=4) * 50
    np.testing.assert_allclose(rx_distance(moved)[0], rx_distance(features)[0], rtol=1e-6)


def test_rx_does_not_change_with_the_order_of_the_pixels():
    features = np.random.default_rng(2).normal(size=(6, 8, 3))
    order = np.random.default_rng(3).permutation(48)
    shuffled = features.reshape(48, 3)[order].reshape(6, 8, 3)
    expected = rx_distance(features)[0].ravel()[order].reshape(6, 8)
    np.testing.assert_allclose(rx_distance(shuffled)[0], expected, rtol=1e-9)


def test_directions_without_variation_are_left_out():
    features = np.random.default_rng(4).normal(size=(10, 10, 2))
    doubled = np.dstack([features, features[..., :1] + features[..., 1:], np.full((10, 10), 7.0)])
    distance, freedom = rx_distance(doubled)
    assert freedom == 2
    np.testing.assert_allclose(distance, rx_distance(features)[0], rtol=1e-6)


def test_the_score_is_the_chi_square_distribution_function():
    image = noise()
    distance, freedom = rx_distance(pixel_features(image))
    score = rx_score(image)
    np.testing.assert_allclose(score, chi2.cdf(distance, freedom), atol=1e-12)
    assert score.dtype == np.float64
    assert score.min() >= 0
    assert score.max() <= 1


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2), (16, 16)])
@pytest.mark.parametrize("value", [0, 77, 255])
def test_an_image_of_one_color_has_no_anomaly(size, value):
    score = rx_score(np.full((*size, 3), value, np.uint8))
    assert np.array_equal(score, np.zeros(size))


def test_a_gray_image_is_scored_by_its_texture():
    gray = noise()[..., :1].repeat(3, axis=2)
    assert rx_distance(pixel_features(gray))[1] == 3
    assert np.isfinite(rx_score(gray)).all()


def test_what_is_rare_scores_high():
    image = np.clip(np.random.default_rng(5).normal(120, 6, (60, 60, 3)), 0, 255).astype(np.uint8)
    image[20:26, 30:36] = (230, 40, 40)
    score = rx_score(image)
    assert score[21:25, 31:35].min() > 0.999
    assert np.median(score) < 0.6


def test_features_are_in_lab_and_leave_the_image_alone():
    image = noise()
    kept = image.copy()
    features = pixel_features(image)
    assert features.shape == (30, 40, 5)
    assert np.array_equal(image, kept)
    assert 0 <= features[..., 0].min() < features[..., 0].max() <= 100.001
    assert features[..., 3:].min() >= 0
    ramp = np.arange(200, dtype=np.uint8)[None, :, None].repeat(40, axis=0).repeat(3, axis=2)
    light = pixel_features(ramp)[20, 10:-10, 0]
    gradient = pixel_features(ramp)[20, 10:-10, 3]
    np.testing.assert_allclose(gradient, np.gradient(light), atol=0.06)


def test_top_share():
    values = np.arange(1000.0).reshape(20, 50)
    assert top_share(values, 0.05).sum() == 50
    assert values[top_share(values, 0.05)].min() == 950
    assert top_share(np.ones((5, 5)), 0.05).sum() == 0
    saturated = np.minimum(values, 900)
    assert top_share(saturated, 0.05).sum() == 0


def test_demonstration_is_fair_and_repeatable():
    image = noise(48, 64)
    labels = (np.arange(48)[:, None] // 16 * 4 + np.arange(64)[None] // 16).astype(np.int32)
    labels[:4] = -1
    first, second = (demonstrate(image, (RegionMap(labels[None]),), "note") for _ in range(2))
    assert first.picture.tobytes() == second.picture.tobytes()
    assert first.num_regions == 12
    assert np.array_equal(first.score, rx_score(image))
    inside = labels == 5
    expected = fuse(first.score, labels)
    np.testing.assert_allclose(first.fused[inside], expected[inside], rtol=1e-5)
    np.testing.assert_allclose(first.fused[:4], first.score[:4], rtol=1e-5)
    most = math.ceil(TOP * image.shape[0] * image.shape[1])
    assert top_share(first.score, TOP).sum() == top_share(first.fused, TOP).sum() == most


def run(capsys, *arguments):
    code = main(["demo", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


CAT = Path(csl_plugin.__file__).parent / "app" / "chelsea.jpg"


def test_on_the_photograph_regions_take_the_place_of_specks():
    image = read_image(CAT)
    shown = demonstrate(image, propose_regions(load_proposer(), image, ""), "")
    before, after = shown.pieces
    assert after < before / 3
    assert CAT.stat().st_size < 150_000
    assert "CC0" in CAT.with_suffix(".txt").read_text(encoding="utf-8")


def test_a_photograph_names_its_picture(tmp_path, capsys):
    path = tmp_path / "a photograph.jpg"
    cv2.imwrite(str(path), noise())
    code, said, _ = run(capsys, path, "--out", tmp_path / "new" / "folder")
    target = tmp_path / "new" / "folder" / "a photograph.png"
    assert code == 0
    assert [entry.name for entry in target.parent.iterdir()] == [target.name]
    assert 1500 < cv2.imread(str(target)).shape[1] < 2000
    assert said.splitlines()[0] == str(target)
    assert "Reed-Xiaoli" in said
    assert "ground truth" in said
    assert " s." in said


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (37, 53), (90, 1500)])
def test_the_command_takes_any_image(tmp_path, capsys, size):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), noise(*size))
    code, said, _ = run(capsys, path, "--out", tmp_path / "out")
    assert code == 0
    assert cv2.imread(str(tmp_path / "out" / "image.png")) is not None
    scale = min(1, 1024 / max(size))
    assert f"{round(size[1] * scale)} x {round(size[0] * scale)} pixels" in said


def test_only_its_own_picture_is_replaced(tmp_path, capsys):
    out = tmp_path / "out"
    image, target = tmp_path / "image.png", out / "image.png"
    out.mkdir()
    cv2.imwrite(str(image), noise())
    for content in (image.read_bytes(), b"", b"a text"):
        target.write_bytes(content)
        code, _, complaint = run(capsys, image, "--out", out)
        assert (code, target.read_bytes()) == (2, content)
        assert f"{target}: got a file that this command did not write" in complaint
    target.unlink()
    assert run(capsys, image, "--out", out)[0] == 0
    first = target.read_bytes()
    cv2.imwrite(str(image), noise(seed=3))
    assert run(capsys, image, "--out", out)[0] == 0
    assert target.read_bytes() != first
    before = target.read_bytes()
    code, _, complaint = run(capsys, target, "--out", out)
    assert (code, target.read_bytes()) == (2, before)
    assert "the photograph itself" in complaint


def test_an_image_of_one_color_has_little_to_see(tmp_path, capsys):
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), np.full((30, 40, 3), 90, np.uint8))
    code, said, _ = run(capsys, path, "--out", tmp_path / "out")
    assert code == 0
    assert "little to see" in said


def test_a_missing_or_broken_image_is_named(tmp_path, capsys):
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff not an image")
    for path in (tmp_path / "missing.jpg", broken, tmp_path):
        code, said, complaint = run(capsys, path, "--out", tmp_path / "out")
        assert code == 2
        assert said == ""
        assert str(path) in complaint
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    image = tmp_path / "image.png"
    cv2.imwrite(str(image), noise())
    code, _, complaint = run(capsys, image, "--out", tmp_path / "file")
    assert code == 2
    assert str(tmp_path / "file" / "image.png") in complaint
