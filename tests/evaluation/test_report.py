"""The report: one page that stands alone, says what was found, and shows names as they are."""

import json
import math
import re
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from csl_plugin.cli import main
from csl_plugin.datasets import DATASETS
from csl_plugin.evaluation import ProtocolValues, Result, benchmark_names, published_rows
from csl_plugin.evaluation.published_results import published_rows_of
from csl_plugin.evaluation.report import InlinePicture, best_and_worst, tables, verdict
from csl_plugin.evaluation.report.curves import curve_svg, reliability_svg
from csl_plugin.evaluation.report.page import page
from csl_plugin.evaluation.report.tables import markdown, per_cent, signed
from csl_plugin.evaluation.result import Curve, FrameChange, ReliabilityCurve
from csl_plugin.io import write_png, write_scores
from csl_plugin.metrics import ObjectCounts

NAN = math.nan
HOSTILE = "<script>alert(\"x\")</script> & 'co'"
VOID = {"meta", "img", "line", "polyline", "br"}


def anomaly(base=0.7, csl=0.8, interval=(0.05, 0.15), **changes):
    values = {"auroc": 0.9, "fpr95": 0.3}
    protocols = (
        ProtocolValues(
            "smiyc", {"ap": base, **values}, {"ap": csl, **values, "fpr95": 0.2}, {"ap": interval}
        ),
        ProtocolValues(
            "pooled", {"ap": base, **values}, {"ap": csl, **values, "fpr95": 0.2}, {"ap": interval}
        ),
        ProtocolValues(
            "components",
            {"siou_gt": 0.4, "ppv": NAN, "mean_f1": 0.3},
            {"siou_gt": 0.5, "ppv": NAN, "mean_f1": 0.2},
            {},
        ),
    )
    curve = Curve((0.0, 0.5, 1.0), (1.0, 0.8, 0.1))
    given = {
        "benchmark": "smiyc-anomaly-track",
        "title": "SegmentMeIfYouCan AnomalyTrack",
        "task": "anomaly",
        "subset": "validation",
        "method": "ObsNet v2",
        "num_frames": 10,
        "num_measured": 10,
        "num_published": 10,
        "protocols": protocols,
        "classes": (),
        "per_class": {},
        "curves": {"base": curve, "csl": curve},
        "changes": tuple(FrameChange(f"frame{i}", 0.5, 0.5 + (5 - i) / 20) for i in range(10)),
        "published_rows": published_rows_of("smiyc-anomaly-track", "validation", "ObsNet v2"),
        "settings": {"rule": "product", "calibration": None, "versions": {"torch": "2"}},
        "outputs": {"score maps": "scores/m"},
    }
    return Result(**(given | changes))


class Checker(HTMLParser):
    """Every tag is closed; collects the tags and all attributes that load something."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.loads, self.text = [], [], [], ""

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.loads += [value for name, value in attributes if name in ("src", "href", "action", "data")]
        assert not any(name.startswith("on") for name, _ in attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def checked(text):
    checker = Checker()
    checker.feed(text)
    checker.close()
    assert not checker.open
    assert all(load.startswith("data:image/") for load in checker.loads)
    assert "script" not in checker.tags
    assert "@import" not in text
    assert "url(" not in text
    return checker


def test_the_page_stands_alone():
    found = checked(page(anomaly(), {}))
    assert {"svg", "table", "h1", "dl"} <= set(found.tags)
    assert "prefers-color-scheme: dark" in found.text
    assert "@media print" in found.text


def test_names_and_settings_are_shown_as_they_are():
    changes = (FrameChange(HOSTILE, 0.1, 0.2), FrameChange("b", 0.2, 0.1))
    result = anomaly(
        title=HOSTILE,
        method=HOSTILE,
        changes=changes,
        settings={HOSTILE: HOSTILE},
        outputs={HOSTILE: HOSTILE},
    )
    pictures = {HOSTILE: [InlinePicture(HOSTILE, "data:image/png;base64,", 2, 3)]}
    found = checked(page(result, pictures))
    assert found.text.count(HOSTILE) >= 8
    assert found.tags.count("figure") == 1


def test_class_names_too():
    values = {"miou": 0.5, "miou_seen": NAN, "miou_unseen": NAN, "hiou": NAN}
    result = anomaly(
        task="semantic",
        protocols=(ProtocolValues("semantic", values, values, {}),),
        classes=(HOSTILE, "car"),
        per_class={"base": (0.5, NAN), "csl": (0.6, 0.2)},
        curves={},
        published_rows=(),
    )
    found = checked(page(result, {}))
    assert HOSTILE in found.text
    assert "+10.0" in found.text
    assert "svg" not in found.tags
    assert tables(result)[0].columns == ("mIoU",)  # what is nowhere defined has no column


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "raises AP from 70.0 to 80.0 (+10.0, 95 % interval +5.0 to +15.0)"),
        ({"csl": 0.6, "interval": (-0.2, -0.05)}, "lowers AP from 70.0 to 60.0"),
        ({"csl": 0.71, "interval": (-0.01, 0.03)}, "cannot tell from no change"),
        ({"csl": 0.7002, "interval": (0.0, 0.0)}, "fusion leaves AP at 70.0"),
        ({"csl": NAN}, "AP is not defined: the labels lack pixels"),
        ({"interval": (NAN, NAN)}, "raises AP from 70.0 to 80.0 (+10.0)"),
        ({"num_measured": 0, "protocols": ()}, "labels of this split are not public"),
        ({"num_measured": 1}, "Over 1 frame fusion"),
    ],
)
def test_verdict(given, words):
    assert words in verdict(anomaly(**given)).replace("\N{MINUS SIGN}", "-")


def test_tables_have_the_papers_rows_and_agreeing_protocols_once():
    (first,) = tables(anomaly())
    assert [row.name for row in first.rows] == [
        "ObsNet v2",
        "+CSL",
        "change",
        "paper, table 4: ObsNet v2",
        "paper, table 4: +CSL, scheme 2",
    ]
    assert first.columns == ("AP", "AUROC", "FPR95", "sIoU gt", "mean F1")
    assert [cell.text for cell in first.rows[-1].cells] == ["83.6", "97.4", "5.8", "", ""]
    change = first.rows[2].cells
    assert [cell.good for cell in change] == [True, None, True, True, False]  # a lower FPR95 is better
    assert change[0].note == "+5.00 to +15.00"
    protocols = anomaly().protocols
    other = ProtocolValues("pooled", protocols[1].base | {"ap": 0.6}, protocols[1].csl, {})
    second = tables(anomaly(protocols=(protocols[0], other, protocols[2])))[1]
    assert [row.name for row in second.rows] == ["ObsNet v2", "+CSL", "change"]


RELIABLE = ReliabilityCurve(0.1, (0.1, NAN, 0.9), (0.0, NAN, 0.75), (90, 0, 10))
OFF = ReliabilityCurve(0.04, (0.2, 0.5, NAN), (0.1, 0.6, NAN), (50, 50, 0))
DEPLOYED = {
    "objects": {"base": ObjectCounts(3, 13, 72), "csl": ObjectCounts(6, 10, 77)},
    "reliability": {"base": RELIABLE, "csl": OFF},
}


def test_objects_and_calibration_have_tables_of_their_own():
    *_, objects, calibration = tables(anomaly(**DEPLOYED))
    assert "oracle threshold" in objects.title
    assert objects.columns == ("found", "missed", "false", "false per image")
    rows = [(row.name, *(cell.text for cell in row.cells)) for row in objects.rows]
    assert rows == [
        ("ObsNet v2", "3", "13", "72", "7.20"),
        ("+CSL", "6", "10", "77", "7.70"),
        ("change", "+3", "\N{MINUS SIGN}3", "+5", "+0.50"),
    ]
    assert [cell.good for cell in objects.rows[-1].cells] == [True, True, False, False]
    assert [row.cells[0].text for row in calibration.rows] == ["10.00", "4.00", "\N{MINUS SIGN}6.00"]
    assert calibration.rows[-1].cells[0].good
    text = markdown(anomaly(**DEPLOYED))
    assert "Lower is better only for FPR95, missed and false objects and ECE." in text
    assert "In per cent, but for numbers of objects." in text
    same = {"objects": dict.fromkeys(("base", "csl"), ObjectCounts(1, 2, 3))}
    assert [cell.text for cell in tables(anomaly(**same))[-1].rows[-1].cells] == ["0", "0", "0", "0.00"]


def test_the_page_has_the_reliability_curve_with_what_is_not_empty():
    found = checked(page(anomaly(method=HOSTILE, **DEPLOYED), {}))
    assert found.tags.count("svg") == 2
    assert found.text.count("ECE 10.00") == 1
    assert "Reliability" not in checked(page(anomaly(), {})).text
    drawn = reliability_svg({"base": ("a", RELIABLE)}, {})
    (diagonal, line) = re.findall(r'points="([^"]*)"', drawn)
    places = [tuple(map(float, point.split(","))) for point in line.split()]
    assert len(places) == drawn.count("<circle") == 2
    (left, bottom), (right, top) = (tuple(map(float, point.split(","))) for point in diagonal.split())
    scaled = [((x - left) / (right - left), (y - bottom) / (top - bottom)) for x, y in places]
    np.testing.assert_allclose(scaled, [(0.1, 0.0), (0.9, 0.75)], atol=2e-3)


def test_markdown_tables_are_whole():
    text = markdown(anomaly())
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "- calibration: none" in text


def test_a_subset_of_the_published_split_is_said():
    assert "Not the published split: 10 frames were measured, and it has 100" in markdown(
        anomaly(num_published=100)
    )
    assert "Not the published split" not in markdown(anomaly())


def test_json_has_null_for_what_is_undefined():
    found = anomaly().as_json()
    assert found["figures"]["components"]["base"]["ppv"] is None
    json.dumps(found, allow_nan=False)


def test_json_has_the_objects_and_the_bins():
    found = json.loads(json.dumps(anomaly(**DEPLOYED).as_json(), allow_nan=False))
    assert found["objects"]["csl"] == {"found": 6, "missed": 10, "false": 77}
    assert found["reliability"]["base"]["score"] == [0.1, None, 0.9]
    assert (anomaly().as_json()["objects"], anomaly().as_json()["reliability"]) == ({}, {})


def test_numbers():
    assert [per_cent(0.123456), per_cent(NAN)] == ["12.35", "not defined"]
    assert signed(-0.00001) == "0.00"


def test_chosen_frames_are_never_shown_twice():
    changes = [FrameChange(str(i), 0.0, -float(i)) for i in range(20)]
    for count in range(20):
        best, worst = best_and_worst(changes[:count])
        names = [change.name for change in (*best, *worst)]
        assert len(set(names)) == len(names) == min(count, 6)
        assert all(a.change > b.change for a in best for b in worst)


def test_a_curve_is_drawn_as_steps_inside_the_plot():
    steps = Curve((0.0, 0.25, 1.0), (1.0, 0.5, 0.5))
    drawn = curve_svg({"base": ("m", steps)}, {"base": "AP 50"})
    places = re.search(r'<polyline [^>]*points="([^"]+)"', drawn)[1]
    points = [tuple(map(float, place.split(","))) for place in places.split()]
    assert len(points) == 5
    for number, ((x, y), (next_x, next_y)) in enumerate(pairwise(points)):
        assert (x == next_x) if number % 2 == 0 else (y == next_y)  # down or up first, then to the right
    assert all(0 <= x <= 560 and 0 <= y <= 380 for x, y in points)


def by_table(table):
    return [row for row in published_rows() if row.table == table]


def test_published_rows_name_benchmarks_and_subsets_that_exist():
    assert {row.table for row in published_rows()} == {*range(1, 8), None}
    assert all(bool(row.source) == (row.table is None) for row in published_rows())
    for row in published_rows():
        assert row.benchmark in benchmark_names()
        info = DATASETS[row.benchmark.removesuffix("-regions")]
        assert row.subset in info.subsets
        assert min(np.hstack([*row.base.values(), *row.csl2.values()])) >= 0
        assert max(np.hstack([*row.base.values(), *row.csl2.values()])) <= 100


@pytest.mark.parametrize(
    ("table", "method", "side", "values"),
    [
        (1, "ObsNet", "csl1", {"ap": 79.9, "fpr95": 7.1, "siou_gt": 46.1, "mean_f1": 50.2}),
        (2, "DaCUP", "csl2", {"ap": 87.1, "fpr95": 0.7, "siou_gt": 44.7, "mean_f1": 51.0}),
        (3, "NFlowJS", "base", {"ap": 89.28, "fpr95": 0.65, "siou_gt": 54.63, "mean_f1": 61.75}),
        (5, "ZegCLIP", "csl2", {"miou_seen": 40.4, "miou_unseen": 42.8, "hiou": 41.6}),
        (7, "CA+SA", "base", {"miou": 51.34, "miou_seen": 77.2, "miou_unseen": 48.85, "macc": 63.1}),
        (None, "AnomDINO + RPL", "base", {"ap": 94.8, "fpr95": 8.1, "mean_f1": 72.5}),
    ],
)
def test_some_published_values(table, method, side, values):
    row = next(row for row in by_table(table) if row.method == method)
    assert getattr(row, side) == values


def test_published_means_agree_with_themselves():
    for row in by_table(5):
        for found in (row.base, row.csl2):
            seen, unseen = found["miou_seen"], found["miou_unseen"]
            assert 2 * seen * unseen / (seen + unseen) == pytest.approx(found["hiou"], abs=0.16)
    for row in by_table(7):
        found = row.base
        assert (15 * found["miou_seen"] + 156 * found["miou_unseen"]) / 171 == pytest.approx(
            found["miou"], abs=0.011
        )
    for row in by_table(6):
        for found in (row.base, row.csl2):
            assert len(found["per_class"]) == 19
            assert np.mean(found["per_class"]) == pytest.approx(found["miou"], abs=2)


def test_a_method_is_found_by_its_letters():
    assert len(published_rows_of("smiyc-anomaly-track", "test", "obsnet-V2")) == 1
    assert published_rows_of("smiyc-anomaly-track", "validation", None) == ()
    assert published_rows_of("road-anomaly", "all", "SML")[0].csl2["ap"] == 31.78


@pytest.mark.parametrize(
    ("method", "names"),
    [
        ("rpl", ["RPL", "OoDDINO + RPL", "AnomDINO + RPL"]),
        ("AnomDINO", ["AnomDINO + RPL", "AnomDINO + RbA"]),
        ("AnomDINO+RbA", ["AnomDINO + RbA"]),
        ("DINO", []),
    ],
)
def test_a_plug_in_is_found_by_either_name(method, names):
    rows = published_rows_of("smiyc-obstacle-track", "test", method)
    assert [row.method for row in rows] == names


def test_published_values_are_shown_where_labels_are_hidden():
    rows = published_rows_of("smiyc-anomaly-track", "test", "RbA")
    hidden = anomaly(protocols=(), num_measured=0, subset="test", curves={}, changes=(), published_rows=rows)
    assert tables(hidden)[0].columns == ("AP", "FPR95", "mean F1")
    text = markdown(hidden)
    assert "| SMIYC leaderboard, November 2026: AnomDINO + RbA | 93.1 | 5.6 | 68.9 |" in text
    assert "Rows of the leaderboard are as listed there." in text
    assert "The paper's rows" not in text
    assert "SMIYC leaderboard, November 2026: RbA" in page(hidden, {})
    assert hidden.as_json()["printed_per_cent"][1]["source"] == "SMIYC leaderboard, November 2026"


def test_a_real_page(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(8):
        image = rng.integers(0, 256, (6, 28, 3)).astype(np.uint8).repeat(25, 0).repeat(25, 1)
        label = np.zeros((150, 700), np.uint8)
        label[50:100, 50 * index : 50 * index + 150] = 1
        name = f"a & <b>{index}"
        write_png(tmp_path / "data" / "images" / f"{name}.png", image)
        write_png(tmp_path / "data" / "labels" / f"{name}.png", label)
        write_scores(tmp_path / "scores" / f"{name}.npy", rng.random((150, 700)).astype(np.float32))
    out = tmp_path / "out"
    data, scores = str(tmp_path / "data"), str(tmp_path / "scores")
    options = ["--out", str(out), "--draws", "9", "--proposer", "superpixels:40"]
    assert main(["benchmark", "folder", "--data", data, "--scores", scores, *options]) == 0
    text = (out / "report.html").read_text()
    found = checked(text)
    assert found.tags.count("figure") == 24
    assert "a & <b>" in found.text
    assert len(text) < 5_000_000
    assert max(int(width) for width in re.findall(r'<img [^>]*width="(\d+)"', text)) <= 640
