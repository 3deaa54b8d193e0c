"""The page on anomaly scores: rows are those they name, values are right, and nothing is made twice."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from benchmarks.effect import anomaly, objects, semantic
from benchmarks.effect.frames.scored import TITLES
from benchmarks.effect.frames.sets import open_frame_sets
from benchmarks.effect.page import anomaly_tables, cells, frame_changes, published
from benchmarks.effect.rows import anomaly as anomaly_rows
from benchmarks.effect.rows.case import Case
from benchmarks.effect.rows.filters import guided_filter, several_blurs
from benchmarks.effect.rows.regions import FrameRegions, GivenMasks
from benchmarks.effect.states import measure
from benchmarks.effect.states.pixels import PixelCounts, bootstrap_states, values_over
from benchmarks.effect.states.store import StateStore, Unit
from benchmarks.guide import pictures
from csl_plugin import RegionMap, Threshold, find_objects, fuse, load_proposer
from csl_plugin.io import image_batch, read_image
from csl_plugin.metrics import (
    ANOMALY_TRACK,
    AnomalyValues,
    ComponentMetric,
    Interval,
    ObjectMetric,
    PooledAnomaly,
    bootstrap_difference,
)
from examples.ood_scores import ood_scores

pytestmark = pytest.mark.slow

CLASSES, SIZE = 5, (48, 64)
SETS = {
    "anomaly_track_val": ("real/anomaly_track_val/{}", "real/anomaly_track_val/logits", 2),
    "pasted": ("pasted/{}", "teacher/pasted", 4),
    "camvid_val": ("camvid/{}/val", "teacher/camvid_val", 4),
}
NETWORKS = ("fddwnet", "espnetv2")


def _image(seed: int) -> np.ndarray:
    """Some colored rectangles under a little noise, (H, W, 3) uint8."""
    draw = np.random.default_rng(seed)
    picture = np.full((*SIZE, 3), draw.integers(0, 256, 3), np.float32)
    for _ in range(5):
        top, left = draw.integers(0, 30), draw.integers(0, 40)
        picture[top : top + 12, left : left + 16] = draw.integers(0, 256, 3)
    return (picture + draw.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The sets and the logits of their segmenters in the layout that the command reads."""
    root, draw = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    numbers = f'{{"max_logit_mean": {[1.5] * CLASSES}, "max_logit_var": {[0.3] * CLASSES}}}'
    for key, (place, logits, count) in SETS.items():
        folders = [root / place.format(kind) for kind in ("images", "labels")]
        networks = [root / logits / name for name in NETWORKS] if "real" in place else [root / logits]
        for folder in (*folders, *networks):
            folder.mkdir(parents=True)
        for index in range(count):
            label = np.zeros(SIZE, np.uint8)
            label[8:40, 10:40] = 9 if key == "camvid_val" else 1
            label[:2] = 11 if key == "camvid_val" else 255
            if key == "pasted" and index % 2:  # smaller than its region: lost in it
                label[2:] = 0
                label[20:24, 24:28] = 1
            cv2.imwrite(str(folders[0] / f"{index}.png"), _image(index))
            cv2.imwrite(str(folders[1] / f"{index}.png"), label)
            for network in networks:
                values = draw.normal(size=(CLASSES, SIZE[0] // 4, SIZE[1] // 4))
                values[:, 2:9, 3:9] *= 0.4
                if key == "pasted" and index % 2:
                    values[:, 5, 6] = 0
                np.savez(network / f"{index}.npz", logits=values.astype(np.float16))
    for name in ("teacher/statistics.json", *(f"real/statistics_{name}.json" for name in NETWORKS)):
        (root / name).write_text(numbers, encoding="utf-8")
    return root


def _run(data: Path, work: Path, *arguments: object) -> None:
    anomaly.main([str(argument) for argument in ("--data", data, "--work", work, *arguments)])


@pytest.fixture(scope="module")
def work(data, tmp_path_factory) -> Path:
    """Where everything was measured once."""
    folder = tmp_path_factory.mktemp("work")
    _run(data, folder, "--out", folder / "out", "--pictures", folder / "pictures", "--draws", 20)
    return folder


@pytest.fixture(scope="module")
def page(work) -> str:
    return (work / "out" / "anomaly.md").read_text(encoding="utf-8")


def _rows(page: str, heading: str) -> dict[str, list[str]]:
    """The cells of the first table under a heading, by the first of each row."""
    blocks = page.split(heading, 1)[1].split("\n\n")
    table = next(block for block in blocks if block.startswith("|"))
    texts = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {row[0].strip("*"): row[1:] for row in texts}


def _plain(cell: str) -> list[str]:
    return cell.replace("*", "").split(" / ")


def _files(work: Path, pattern: str) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in sorted((work / "anomaly").rglob(pattern))}


# The page


def _expected(data: Path, key: str, network: str, score: str, row: str) -> tuple[str, str, str]:
    frames, metric = open_frame_sets(data)[key], PooledAnomaly()
    teacher = frames.teachers[network]
    for frame in frames.frames:
        image = image_batch(frames.dataset.read_image(frame))
        full = torch.nn.functional.interpolate(
            teacher(image, frame.name)[None], SIZE, mode="bilinear", align_corners=False
        )[0]
        values = ood_scores(teacher.statistics)[score](full).numpy()
        if row == "default":
            values = fuse(values, load_proposer()(image))
        step = frames.step
        metric.update(values[::step, ::step], frames.label(frame)[::step, ::step])
    found = metric.compute()
    return tuple(f"{100 * value:.1f}" for value in (found.ap, found.fpr95, found.auroc))


@pytest.mark.parametrize("row", ["base", "default"])
@pytest.mark.parametrize(
    ("key", "network"),
    [("anomaly_track_val", "espnetv2"), ("pasted", "given teacher"), ("camvid_val", "given teacher")],
)
def test_the_page_has_the_exact_values(data, page, key, network, row):
    title = open_frame_sets(data)[key].title
    table = _rows(page, f"### {title}, {network}, 2 frames: AP / FPR95 / AUROC")
    named = {each.key: each.title for each in anomaly_rows.ROWS}
    for column, score in enumerate(measure.SCORES):
        found = np.array(_plain(table[named[row]][column]), float)
        expected = np.array(_expected(data, key, network, score, row), float)
        np.testing.assert_allclose(found, expected, atol=0.11)  # a last digit that was rounded otherwise


def test_real_sets_come_first_and_every_row_is_there(page):
    assert page.index("In short: real sets") < page.index("In short: pasted objects and CamVid")
    assert page.index("## SMIYC AnomalyTrack val") < page.index("## Objects pasted into street frames")
    titles = [row.title for row in anomaly_rows.ROWS if not row.missing]
    assert list(_rows(page, "Every row over the same cells")) == titles
    for key in NETWORKS:
        assert list(_rows(page, f"### SMIYC AnomalyTrack val, {key}, 2 frames")) == titles
    components = _rows(page, "### SMIYC AnomalyTrack val, fddwnet: sIoU_gt / PPV / mean F1")
    assert list(components) == [row.title for row in anomaly_rows.ROWS if row.components]
    assert page.count("| given teacher | entropy | 2 |") == 2  # frame by frame


def test_pictures_lie_beside_the_page_and_not_in_it(work, page):
    drawn = sorted((work / "pictures").iterdir())
    worst = _rows(page, "### The worst frames")
    assert worst
    assert 0 < len(drawn) <= 10
    assert read_image(drawn[0]).shape[2] == 3
    assert "![" not in page


def test_the_default_is_what_a_user_calls():
    image = image_batch(_image(1))
    score = np.random.default_rng(3).random(SIZE, dtype=np.float32)
    true = RegionMap(torch.zeros(1, *SIZE, dtype=torch.int32))
    case = Case(score, FrameRegions(image), true)
    np.testing.assert_array_equal(anomaly_rows.SHIPPED.method(case), fuse(score, load_proposer()(image)))
    for row in anomaly_rows.ROWS:
        if row.key in ("strict", "open"):
            regions = load_proposer(anomaly_rows.default_with(f"csl-tiny-{row.key}"))(image)
            np.testing.assert_array_equal(row.method(case), fuse(score, regions))
    rows = {row.key: row for row in anomaly_rows.ROWS}
    for name in anomaly_rows.FASTER:
        fused = rows[f"default-{name.replace(':', '-')}"].method(case)
        np.testing.assert_array_equal(fused, fuse(score, load_proposer(name)(image)))


# Nothing is made twice


def test_a_second_call_makes_nothing(data, work, monkeypatch, tmp_path, page):
    def opened(*arguments):
        raise AssertionError("a frame was opened")

    before = _files(work, "*.npz")
    monkeypatch.setattr(measure, "OpenedFrame", opened)
    _run(data, work, "--out", tmp_path, "--draws", 20)
    assert _files(work, "*.npz") == before
    assert (tmp_path / "anomaly.md").read_text(encoding="utf-8") == page


def test_a_named_row_and_a_damaged_file_are_made_again(data, work):
    before = _files(work, "*.npz")
    damaged = next(path for path in before if "pasted" in str(path) and path.name == "blur.npz")
    damaged.write_bytes(b"not a state")
    _run(data, work, "--sets", "pasted", "--again", "guided")
    after = _files(work, "*.npz")
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {
        damaged,
        *(path for path in after if path.name == "guided.npz" and "pasted" in str(path)),
    }


def test_other_logits_are_measured_again(data, work, monkeypatch):
    path = data / "real/anomaly_track_val/logits/fddwnet/1.npz"
    stored = path.read_bytes()
    before = _files(work, "pixels/**/*.npz")
    np.savez(path, logits=np.load(path)["logits"] * np.float16(0.5))
    measure.digest.cache_clear()
    try:
        _run(data, work, "--sets", "anomaly_track_val")
    finally:
        path.write_bytes(stored)
        measure.digest.cache_clear()
    changed = {file for file, when in _files(work, "pixels/**/*.npz").items() if before[file] != when}
    assert {file.parent for file in changed} == {work / "anomaly/pixels/anomaly_track_val/fddwnet/1"}
    assert len(changed) == sum(not row.missing for row in anomaly_rows.ROWS)


def test_a_row_is_left_out_where_its_package_is_missing(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(anomaly_rows, "missing_module", lambda name: name == "pydensecrf")
    monkeypatch.setattr(anomaly, "measure_set", lambda frames, networks, rows, store: seen.append(rows))
    seen = []
    _run(data, tmp_path, "--sets", "pasted")
    assert "crf" not in {row.key for row in seen[0]}
    assert "Without the row crf: pydensecrf is not installed." in capsys.readouterr().out


def test_a_state_of_something_else_is_not_taken(tmp_path):
    store, unit = StateStore(tmp_path), Unit("pixels", "set", "a network", "0", "base")
    assert not store.holds(unit, "one")
    store.write(unit, "one", {"msp": {"normal": np.arange(3)}, "sml": {"normal": np.arange(4)}})
    assert store.holds(unit, "one")
    assert not store.holds(unit, "two")
    assert store.read(unit, "sml")["normal"].tolist() == [0, 1, 2, 3]
    store.discard([unit, unit])
    assert not store.holds(unit, "one")


# Pixels


def _maps(seed: int, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """A score map and its labels, some hundred thousand pixels."""
    draw = np.random.default_rng(seed)
    label = np.zeros((300, 400), np.uint8)
    label[50:90, 100:160] = 1
    label[:20] = 255
    odds = draw.normal(-3, 1.5, label.shape) + 2 * (label == 1)
    if kind == "regions":
        values = draw.normal(-3, 1, 40) * 1.01
        odds = values[draw.integers(0, 40, (30, 40))].repeat(10, 0).repeat(10, 1)
    score = 1 / (1 + np.exp(-odds))
    if kind == "saturated":
        score = np.where(draw.random(label.shape) < 0.4, 0, score**8)
    return score.astype(np.float32), label


@pytest.mark.parametrize("kind", ["noise", "regions", "saturated"])
def test_grouped_pixels_change_no_value_by_a_hundredth_of_a_point(kind):
    metric, frames = PooledAnomaly(), []
    for seed in range(3):
        score, label = _maps(seed, kind)
        metric.update(score, label)
        frames.append(PixelCounts.of(score, label, 1))
        frames[-1] = PixelCounts.from_arrays(frames[-1].arrays())
    expected, found = metric.compute(), values_over(frames)
    for name in ("ap", "auroc", "fpr95"):
        assert abs(getattr(found, name) - getattr(expected, name)) < 1e-4, name
    assert (found.num_positive, found.num_negative) == (expected.num_positive, expected.num_negative)
    if kind == "noise":
        assert max(frame.normal.values.size for frame in frames) < 25_000


def test_intervals_of_grouped_pixels_are_those_of_all_pixels():
    sides: dict[str, list[list]] = {"exact": [[], []], "grouped": [[], []]}
    for seed in range(6):
        score, label = _maps(seed, "noise")
        for index, values in enumerate((score, cv2.blur(score, (5, 5)))):
            metric = PooledAnomaly()
            metric.update(values, label)
            sides["exact"][index].append(metric.state())
            sides["grouped"][index].append(PixelCounts.of(values, label, 1))
    sides["grouped"] = [bootstrap_states(frames) for frames in sides["grouped"]]
    found = {name: bootstrap_difference(PooledAnomaly(), *pair, draws=50) for name, pair in sides.items()}
    for name in ("ap", "auroc", "fpr95"):
        one, other = (found[kind][name] for kind in ("exact", "grouped"))
        assert one.low == pytest.approx(other.low, abs=2e-3)
        assert one.high == pytest.approx(other.high, abs=2e-3)


def test_frames_without_anomalies_count_as_normal():
    score, label = _maps(0, "noise")
    frames = [PixelCounts.of(score, label, 2), PixelCounts.of(score, np.zeros_like(label), 2)]
    assert values_over(frames).num_frames == 2
    assert values_over(frames[1:]).num_positive == 0
    assert np.isnan(values_over(frames[1:]).ap)


# Rows


@pytest.fixture
def case() -> anomaly_rows.Case:
    """Random scores on a picture."""
    score = np.random.default_rng(5).random(SIZE, dtype=np.float32)
    true = RegionMap(torch.from_numpy(np.arange(SIZE[0])[:, None].repeat(SIZE[1], 1) // 10)[None])
    return Case(score, FrameRegions(image_batch(_image(2))), true)


def _method(key: str):
    return next(row.method for row in anomaly_rows.ROWS if row.key == key)


@pytest.mark.parametrize(
    ("key", "source"), [("eq3", anomaly_rows.THREE), ("eq3-default", None), ("eq3-one", "csl-tiny")]
)
def test_eq3_is_the_root_of_the_product(case, key, source):
    expected = fuse(case.score, load_proposer(source)(case.regions.image), rule="product")
    np.testing.assert_allclose(_method(key)(case) ** 2, expected, rtol=1e-5)


def test_a_filled_region_is_never_below_its_mean(case):
    mean = fuse(case.score, load_proposer(anomaly_rows.THREE)(case.regions.image), rule="mean")
    np.testing.assert_allclose(
        anomaly_rows.FILLED.method(case) ** 2, mean * np.maximum(mean, case.score), rtol=1e-5
    )
    np.testing.assert_array_equal(_method("mean")(case), mean)


def test_masks_keep_their_own_means_where_they_overlap(case):
    whole, part = np.ones(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    part[10:20, 10:20] = 1
    whole[:4] = 0
    top = np.where(whole > 0, 0, -1).astype(np.int32)
    smallest = np.where(part > 0, 1, top)
    case.regions.__dict__["masks"] = GivenMasks([whole, part], best=top, smallest=smallest)
    found = _method("masks-smallest")(case)
    np.testing.assert_allclose(found[part > 0], case.score[part > 0].mean(), rtol=1e-5)
    np.testing.assert_allclose(
        found[-1, -1], case.score[4:].mean(), rtol=1e-5
    )  # the part counts in the whole
    np.testing.assert_array_equal(found[:4], case.score[:4])
    assert np.unique(_method("masks-best")(case)[4:]).size == 1


def test_given_masks_are_ordered_by_quality_and_by_size():
    masks = FrameRegions(image_batch(_image(2))).masks
    areas = np.array([int(mask.sum()) for mask in masks.inside])
    for row, column in ((5, 5), (20, 30), (40, 60)):
        here = [index for index, mask in enumerate(masks.inside) if mask[row, column]]
        if here:
            assert areas[masks.smallest[row, column]] == min(areas[here])
            assert masks.best[row, column] in here
        else:
            assert masks.best[row, column] == masks.smallest[row, column] == -1


def test_filters_keep_what_is_even():
    even = np.full((60, 80), 0.3, np.float32)
    guide = cv2.cvtColor(np.tile(_image(0), (2, 2, 1))[:60, :80], cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    np.testing.assert_allclose(several_blurs(even), even, rtol=1e-4)
    np.testing.assert_allclose(guided_filter(even, guide), even, rtol=1e-3)


def test_the_guided_filter_keeps_edges_of_the_image_and_removes_noise():
    edge = np.zeros((80, 80), np.float32)
    edge[:, 40:] = 1
    noisy = 0.2 + 0.6 * edge + np.random.default_rng(0).normal(0, 0.1, edge.shape).astype(np.float32)
    found = guided_filter(noisy, edge)
    assert found[:, :40].std() < 0.03
    assert found[:, 41].mean() - found[:, 38].mean() > 0.5


def test_a_dense_field_follows_the_image():
    pytest.importorskip("pydensecrf", reason="pydensecrf2 is not installed")
    image = np.zeros((*SIZE, 3), np.uint8)
    image[10:30, 10:30] = 255
    score = np.full(SIZE, 0.2, np.float32)
    score[10:30, 10:30] = 0.8
    score[20, 20] = 0.3
    case = Case(score, FrameRegions(image_batch(image)), None)
    found = _method("crf")(case)
    assert found[20, 20] > 0.5
    assert found[40, 50] < 0.2
    np.testing.assert_array_equal(_method("crf")(case), found)  # the field is kept and holds no state


# Tables


def _values(ap: float, fpr95: float, auroc: float = 0.9) -> AnomalyValues:
    return AnomalyValues(ap, auroc, fpr95, 0.5, 0.5, 10, 90, 2)


def _cell(**pixels: AnomalyValues) -> cells.Cell:
    change = cells.Change(0.1, Interval(0.02, 0.2), False)
    worse = cells.Change(0.1, Interval(-0.02, 0.2), True)
    changes = {(row.key, "ap"): change for row in cells.AGAINST.values()}
    changes |= {(row.key, "fpr95"): worse for row in cells.AGAINST.values()}
    return cells.Cell(None, "n", "msp", pixels, {}, changes)


def test_the_best_is_bold_and_what_is_worse_than_the_base_is_not_straight():
    rows = [anomaly_rows.BASE, anomaly_rows.EQ3, anomaly_rows.TRUE]
    cell = _cell(base=_values(0.5, 0.3), eq3=_values(0.4, 0.2), true=_values(0.9, 0.4))
    text = "\n".join(anomaly_tables.pixel_table([cell], rows))
    assert "| base score | **50.0** / 30.0 / **90.0** |" in text
    assert "| *40.0* / **20.0** / **90.0** |" in text
    assert "| true regions, default rule | 90.0 / *40.0* / 90.0 |" in text


def test_the_summary_counts_gains_by_their_direction():
    informative = _cell(base=_values(0.5, 0.3))
    blind = _cell(base=_values(0.5, 0.3, auroc=0.6))
    text = "\n".join(anomaly_tables.summary([informative, informative, blind]))
    assert "| base | AP | 2 | 2 | 2 | 0 | 0 |" in text
    assert "| base | FPR95 | 2 | 0 | 0 | 2 | 0 |" in text


def test_losses_are_listed_and_those_within_the_interval_in_parentheses():
    class Frames:
        title = "set"

    def changed(**losses: cells.Change) -> cells.Cell:
        cell = _cell(**dict.fromkeys(("base", "eq3", "filled"), _values(0.5, 0.3)))
        same = dict.fromkeys(cell.changes, cells.Change(0.0, Interval(-0.1, 0.1), False))
        named = {tuple(name.split("_")): change for name, change in losses.items()}
        return cells.Cell(Frames(), "n", "msp", cell.pixels, {}, same | named)

    little, much = (cells.Change(value, Interval(-0.2, -0.005), False) for value in (-0.009, -0.011))
    assert anomaly_tables.losses_table([changed(eq3_ap=little)]) == ["None.", ""]  # 98 % of 50
    unclear = cells.Change(0.02, Interval(-0.1, 0.1), True)
    text = anomaly_tables.losses_table([changed(base_ap=little, base_fpr95=unclear, filled_ap=much)])[2]
    assert text == "| set | n | msp | AP -0.9 to base, (FPR95 +2.0 to base), AP -1.1 to m max(m, D) |"


def test_the_change_of_f1_is_that_of_the_components():
    label = np.zeros((60, 60), np.uint8)
    label[10:40, 10:40] = 1
    found = []
    for size in (12, 30):  # of what is predicted
        sides = []
        for _ in range(3):
            score = np.zeros(label.shape, np.float32)
            score[10 : 10 + size * 2, 10 : 10 + size] = 1
            metric = ComponentMetric(ANOMALY_TRACK, 0.5)
            metric.update(score, label)
            sides.append(metric.state())
        found.append(sides)

    class Frames:
        components = ANOMALY_TRACK

    change = cells._f1_change(Frames(), *found, 20)
    whole = [cells.components_over(Frames(), side).compute().mean_f1 for side in found]
    assert change.value == pytest.approx(whole[1] - whole[0])
    assert change.interval.low == change.interval.high == pytest.approx(change.value)  # frames are alike


def _change(key: str, network: str, frame: int, after: float) -> frame_changes.FrameChange:
    class Frames:
        title = key

    Frames.key = key
    return frame_changes.FrameChange(Frames(), network, "sml", str(frame), 0.5, after)


def test_the_worst_frames_are_of_different_sets():
    found = frame_changes.worst_frames(
        [_change(key, "n", frame, 0.1 + 0.01 * frame) for key in "abc" for frame in range(4)]
        + [_change("d", "n", 0, 0.9)]
    )
    assert [each.frame for each in found] == ["0", "0", "0", "1", "1", "1"]
    text = "\n".join(frame_changes.counts_table([_change("a", "n", 0, 0.495), _change("a", "n", 1, 0.3)]))
    assert "| a | n | sml | 2 | 0 | 1 | -20.0 |" in text
    reasons = {found[0].key: "the obstacle lies in the road's region"}
    assert "the obstacle lies" in "\n".join(frame_changes.worst_table(found, reasons))


def test_reasons_are_of_frames():
    for key in frame_changes.read_reasons():
        assert re.fullmatch(r"[a-z_]+-[a-z0-9_-]+-(entropy|sml)-\w+", key)


def test_published_rows_stand_with_their_source():
    text = "\n".join(published.published_section())
    assert "| AnomDINO + RbA | SMIYC leaderboard, November 2026 | 97.1 / 0 / 92.8 |" in text
    assert "| ObsNet + CSL | paper, table 1 | 80.1 / 7.2 / 50.4 |" in text


# Classes


def test_classes_by_several_partitions():
    draw = np.random.default_rng(0)
    logits = torch.from_numpy(draw.normal(size=(9, 8, 12)).astype(np.float32))
    maps = tuple(RegionMap(torch.from_numpy(draw.integers(0, count, (1, 8, 12)))) for count in (2, 3))
    found = semantic.labels_by_method(semantic.Case(logits, np.zeros((8, 12), np.uint8), {}, {"two": maps}))
    assert list(found) == ["base", "two, adaptive", "two, average of region means"]
    for name, rule in (("two, adaptive", "adaptive"), ("two, average of region means", "mean")):
        expected = fuse(logits.softmax(0), maps, rule=rule, split=False).argmax(0)
        assert torch.equal(found[name], expected)


# Pictures


@pytest.mark.parametrize("name", ["helps", "hurts"])
def test_pictures_show_what_they_say(name):
    pytest.importorskip("skimage")
    case = getattr(pictures, name)()
    noisy = pictures.noisy_score(case)
    fused = pictures.fused_scores(noisy, pictures.regions_of(case))
    score, eq3, mean, adaptive = (
        pictures.average_precision(values, case.truth) for values in (noisy, *fused.values())
    )
    if name == "helps":
        assert min(eq3, mean, adaptive) > score + 0.1
    else:
        assert mean < score - 0.5
        assert eq3 < score - 0.03
        assert mean < adaptive - 0.5
        assert adaptive < score - 0.03
    drawn = pictures.draw(case)
    stored = Path(__file__).parents[2] / "docs" / "images" / f"fusion-{name}.png"
    assert drawn.shape == read_image(stored).shape


# Objects at fitted thresholds


def test_objects_are_counted_at_thresholds_of_other_frames(data, tmp_path, monkeypatch):
    chosen = {name: objects.BUDGETS[name] for name in ("1 object", "1 % of pixels")}
    monkeypatch.setattr(objects, "BUDGETS", chosen)
    objects.main(["--data", str(data), "--out", str(tmp_path), "--draws", "20"])
    page = (tmp_path / "objects.md").read_text(encoding="utf-8")
    blocks = page.split(f"{TITLES['pasted']}: given teacher, entropy")[1].split("\n\n")
    table = next(block for block in blocks if block.startswith("|"))
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    rows = {(line[0], line[1]): line[2:] for line in lines}
    assert list(rows) == [(budget, row) for budget in chosen for row in objects.ROWS]
    sets = open_frame_sets(data)
    normal, frames = (
        list(objects.ScoredFrames(sets[key]).read("given teacher", "entropy"))
        for key in ("camvid_val", "pasted")
    )
    for budget, row in rows:
        maps = [(*frame.map_and_regions(row), frame.label == 0) for frame in normal]
        if budget == "1 object":
            threshold = Threshold.fit_objects(maps, 1.0, split=False)
        else:
            threshold = Threshold.fit_pixels([values[counts] for values, _, counts in maps], 0.01)
        metric = ObjectMetric(sets["pasted"].components)
        for frame in frames:
            values, regions = frame.map_and_regions(row)
            counts = frame.label != 255
            found = find_objects(values, threshold, regions, split=False, valid=counts)[0]
            metric.update(found, frame.label)
        expected = metric.compute()
        shown = rows[budget, row]
        assert shown[0] == f"{threshold.value:.3f}"
        counts = (expected.counts.found, expected.counts.missed, expected.counts.false)
        assert shown[2] == " / ".join(f"{count / len(frames):.2f}" for count in counts)
        assert _plain(shown[3])[2] == f"{100 * expected.mean_f1:.1f}"
    assert list(_rows(page, "One score for an image")) == ["entropy", "max_logit"]


def test_the_auroc_of_images_is_the_share_of_pairs_in_order():
    low, high = np.array([0.1, 0.5, 0.2]), np.array([0.3, 0.5, 0.1])
    wins = sum((b > a) + 0.5 * (b == a) for a in low for b in high)
    assert objects.auroc(low, high, 10).startswith(f"{100 * wins / 9:.1f} (")
