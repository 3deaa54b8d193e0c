"""Thresholds: what each way of fitting promises, by brute force; JSON; and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from csl_plugin import Calibration, CSLError, RegionMap, Threshold, find_objects
from csl_plugin.errors import DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.objects.expectation import FIGURES, Figure
from tests.helpers.mutated_json import mutated

KINDS = [np.float16, np.float32, np.float64, np.uint8]
SIZE = 6, 7


def grids(kind=np.float32, size=SIZE):
    """Maps with many ties."""
    step = 1 if kind is np.uint8 else np.float64(0.1)
    return arrays.arrays(np.int64, size, elements=st.integers(0, 9)).map(lambda a: (a * step).astype(kind))


def plain(scores):
    """As find_objects reads a map."""
    if scores.dtype == np.uint8:
        return scores / np.float32(255)
    return scores.astype(np.float32) if scores.dtype == np.float16 else scores


def below(value, kind):
    """The number before a value that is none of the subnormal ones."""
    narrow = np.float64 if kind is np.float64 else np.float32
    return 0.0 if value == np.finfo(narrow).tiny else float(np.nextafter(narrow(value), narrow(-np.inf)))


def differ(maps):
    return np.unique(np.concatenate([plain(scores).ravel() for scores in maps])).size > 1


# --- pixels ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), share=st.floats(0, 1, exclude_max=True))
def test_the_share_is_kept_and_no_smaller_value_keeps_it(kind, data, share):
    maps = data.draw(st.lists(grids(kind), min_size=1, max_size=4).filter(differ))
    value = float(Threshold.fit_pixels((scores for scores in maps), share))
    pooled = np.concatenate([plain(scores).ravel() for scores in maps])
    assert np.mean(pooled >= value) <= share
    assert np.mean(pooled >= below(value, kind)) > share


def test_a_share_that_floats_cannot_hold_is_counted_exactly():
    threshold = Threshold.fit_pixels([np.arange(100.0)], 0.29)  # 0.29 * 100 is 28.999999999999996
    assert threshold.expected["normal_pixels_above"].value == 0.29


def test_values_of_several_widths_keep_the_share_in_the_narrowest():
    maps = [np.linspace(0, 1, 50), np.linspace(0, 1, 50, dtype=np.float32)]
    value = float(Threshold.fit_pixels(maps, 0.1))
    assert sum(int((scores >= value).sum()) for scores in maps) <= 10


def test_pixels_left_out_are_not_counted():
    scores = np.arange(100, dtype=np.float32).reshape(10, 10)
    kept = scores < 50
    assert float(Threshold.fit_pixels([scores[kept]], 0.1)) == pytest.approx(44, abs=1e-4)
    assert float(Threshold.fit_pixels([scores], 0.1)) == pytest.approx(89, abs=1e-4)


def test_tensors_and_axes_of_one_are_read_as_arrays():
    scores = np.random.default_rng(0).random((8, 9)).astype(np.float32)
    expected = Threshold.fit_pixels([scores], 0.1)
    assert Threshold.fit_pixels([torch.from_numpy(scores)[None, None]], 0.1) == expected
    assert Threshold.fit_pixels([scores[None]], 0.1) == expected


def test_scores_beyond_the_memory_are_kept_in_files(monkeypatch):
    maps = [np.random.default_rng(seed).random((300, 400)) for seed in range(5)]
    expected = Threshold.fit_pixels(maps, 0.01)
    monkeypatch.setattr("csl_plugin.objects.pixel_pool._MEMORY", 1 << 20)
    assert Threshold.fit_pixels(maps, 0.01) == expected


# --- objects --------------------------------------------------------------------------------------------


@st.composite
def scenes(draw):
    """One image's map, regions and pixels that count, each of the last two perhaps None."""
    fused = draw(grids())
    labels = arrays.arrays(np.int32, SIZE, elements=st.integers(-1, 3))
    flags = arrays.arrays(np.bool_, SIZE)
    return fused, draw(st.none() | labels), draw(st.none() | flags)


def mean_objects(maps, value, **options):
    found = [find_objects(*entry[:1], value, entry[1], valid=entry[2], **options)[0] for entry in maps]
    return np.mean([len(each) for each in found])


@settings(max_examples=60)
@given(
    maps=st.lists(scenes(), min_size=1, max_size=3),
    per_image=st.sampled_from([0, 0.34, 0.5, 1, 2]),
    min_area=st.integers(1, 4),
    split=st.booleans(),
)
def test_the_budget_is_kept_from_the_value_upward_and_broken_below(maps, per_image, min_area, split):
    options = {"min_area": min_area, "split": split}
    counted = [
        scores[slice(None) if valid is None else valid].ravel().astype(np.float64)
        for scores, _, valid in maps
    ]
    levels = np.unique(np.concatenate(counted))
    means = np.array([mean_objects(maps, level, **options) for level in levels])
    try:
        threshold = Threshold.fit_objects(maps, per_image, **options)
    except ScoreRangeError:
        assert levels.size < 2
        return
    except OptionError:  # every threshold keeps it
        assert (means <= per_image).all()
        return
    value = float(threshold)
    assert (means[levels >= value] <= per_image).all()
    assert means[levels < value][-1] > per_image
    assert threshold.expected["false_objects_per_image"].value == mean_objects(maps, value, **options)
    above = sum((scores >= value).sum() for scores in counted)
    assert threshold.expected["normal_pixels_above"].value == above / sum(map(np.size, counted))


def smooth(seed, size=(60, 80)):
    import cv2

    noise = np.random.default_rng(seed).random(size).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), 2)


TWO = [smooth(0), smooth(1)]
MASK = np.zeros((60, 80), np.uint8)
MASK[:10, :10] = 1


def test_a_search_over_many_scores_ends_close_to_where_the_budget_ends():
    maps = [smooth(seed) for seed in range(6)]
    threshold = Threshold.fit_objects(maps, 0.5, min_area=16)
    figure = threshold.expected["false_objects_per_image"]
    assert figure.value <= 0.5
    assert threshold.made_with == {"min_area": 16, "by_regions": "none"}

    def mean(value):
        return np.mean([len(find_objects(scores, value, min_area=16)[0]) for scores in maps])

    assert mean(threshold) == figure.value
    levels = np.unique(np.concatenate(maps))
    place = int(levels.searchsorted(np.float32(threshold.value)))
    assert all(mean(level) <= 0.5 for level in levels[place::50])
    assert any(mean(level) > 0.5 for level in levels[place - 20 : place])


def test_the_number_of_objects_is_not_monotone_and_the_higher_value_is_taken():
    """At 3 two bridged objects are one; at 5 they are two, which is too many, and at 9 there is none."""
    fused = np.array([[1, 5, 5, 3, 5, 5, 1, 0]], np.float32)
    counts = [len(find_objects(fused, value, min_area=2)[0]) for value in (5.1, 5, 3)]
    assert counts == [0, 2, 1]
    threshold = Threshold.fit_objects([fused], 1, min_area=2)
    assert threshold.value == float(np.nextafter(np.float32(5), np.float32(9)))
    assert threshold.expected["false_objects_per_image"].value == 0


def test_maps_may_be_read_anew_by_their_own_class():
    class Lazy:
        def __iter__(self):
            return (smooth(seed) for seed in range(4))

    expected = Threshold.fit_objects([smooth(seed) for seed in range(4)], min_area=16)
    assert Threshold.fit_objects(Lazy(), min_area=16) == expected


def test_maps_that_change_between_readings_are_refused():
    class Growing:
        count = 1

        def __iter__(self):
            self.count += 1
            return (smooth(seed) for seed in range(self.count))

    with pytest.raises(ShapeError, match="another number of images in a later reading"):
        Threshold.fit_objects(Growing(), min_area=16)


# --- labels ---------------------------------------------------------------------------------------------


@st.composite
def labeled(draw):
    number = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(KINDS))
    maps = [draw(grids(kind)) for _ in range(number)]
    labels = [
        draw(arrays.arrays(np.uint8, SIZE, elements=st.sampled_from([0, 1, 255]))) for _ in range(number)
    ]
    labels[0][0, :2] = 0, 1
    return maps, labels


def pooled(maps, labels):
    scores = np.concatenate([plain(each).ravel() for each in maps]).astype(np.float64)
    kinds = np.concatenate([each.ravel() for each in labels])
    return scores[kinds == 0], scores[kinds == 1]


@given(pair=labeled())
def test_no_value_has_a_better_f1_and_none_above_one_as_good(pair):
    threshold = Threshold.fit_f1(*pair)
    normal, anomalous = pooled(*pair)

    def f1(value):
        true, false = (anomalous >= value).sum(), (normal >= value).sum()
        return 2 * true / (true + false + anomalous.size)

    levels = np.unique([*normal, *anomalous])
    assert f1(threshold.value) == max(map(f1, levels)) == threshold.expected["f1"].value
    assert all(f1(level) < f1(threshold.value) for level in levels if level > threshold.value)


@given(pair=labeled(), recall=st.floats(0, 1, exclude_min=True))
def test_the_highest_value_with_the_recall(pair, recall):
    threshold = Threshold.fit_recall(*pair, recall)
    normal, anomalous = pooled(*pair)
    assert np.mean(anomalous >= threshold.value) >= recall
    assert np.mean(anomalous > threshold.value) < recall
    assert threshold.expected["recall"].value == np.mean(anomalous >= threshold.value)
    assert threshold.expected["normal_pixels_above"].value == np.mean(normal >= threshold.value)


def test_void_pixels_may_be_anything():
    scores = np.array([[0.1, 0.9, np.nan, np.inf]])
    assert float(Threshold.fit_f1([scores], [np.array([[0, 1, 255, 7]])])) == 0.9


# --- what is expected -----------------------------------------------------------------------------------


def test_intervals_hold_the_value_and_narrow_with_more_images():
    def interval(count):
        maps = [np.random.default_rng(seed).random((20, 20)) * (1 + seed % 3) for seed in range(count)]
        return Threshold.fit_pixels(maps, 0.05).expected["normal_pixels_above"]

    few, many = interval(6), interval(60)
    assert few.low < few.value < few.high
    assert many.low < many.value < many.high
    assert many.high - many.low < few.high - few.low


def test_one_image_gives_no_interval():
    threshold = Threshold.fit_pixels([np.arange(100.0)], 0.1)
    assert threshold.expected == {"normal_pixels_above": Figure(0.1)}
    assert str(threshold) == "89: expected 10 % of the normal pixels at or above it, from 1 image"


def test_no_object_at_all_is_no_promise():
    threshold = Threshold.fit_objects([smooth(seed) for seed in range(10)], 0, min_area=16)
    assert threshold.expected["false_objects_per_image"] == Figure(0, 0, 0.3)
    assert str(threshold).startswith(f"{threshold.value:.6g}: expected 0 (0 to 0.3) false objects per image")
    assert str(threshold).endswith("from 10 images")


# --- the value, and JSON --------------------------------------------------------------------------------

numbers = st.floats(allow_nan=False, allow_infinity=False)
thresholds = st.builds(
    Threshold,
    numbers,
    st.sampled_from(["given", "pixels", "objects", "f1", "recall"]),
    st.none() | numbers,
    st.integers(0, 10**9),
    st.dictionaries(
        st.sampled_from(FIGURES), st.builds(Figure, numbers, st.none() | numbers, st.none() | numbers)
    ),
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1),
        st.none() | st.booleans() | st.integers(-(10**20), 10**20) | numbers | st.text(max_size=20),
        max_size=4,
    ),
)


@given(threshold=thresholds)
def test_json_gives_the_same_threshold(threshold):
    again = Threshold.from_json(threshold.to_json())
    assert again == threshold
    assert float(again) == threshold.value == float(threshold)
    assert str(again) == str(threshold)


def test_a_file_gives_the_same_threshold(tmp_path):
    threshold = replace(
        Threshold.fit_pixels([smooth(0), smooth(1)]), made_with={"rule": "mean", "logits": True}
    )
    threshold.save(tmp_path / "new" / "t.json")
    assert Threshold.load(tmp_path / "new" / "t.json") == threshold


def test_find_objects_takes_it():
    fused = np.array([[0.2, 0.9, 0.8, 0.1]])
    (found,) = find_objects(fused, Threshold.given(np.float32(0.5)), min_area=1)
    assert found.boxes.tolist() == [[1, 0, 3, 1]]
    assert str(Threshold.given(0.5)) == "0.5: given"


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '{"value": "0.4"}',
        '{"value": NaN}',
        '{"value": 1e999}',
        '{"value": 1, "kind": "best"}',
        '{"value": 1, "images": -1}',
        '{"value": 1, "expected": {"luck": {"value": 1}}}',
        '{"value": 1, "expected": {"recall": 0.9}}',
        '{"value": 1, "made_with": {"rule": ["a"]}}',
        '{"value": 1, "other": 2}',
        '{"kind": "sigmoid", "center": 0, "scale": 1}',
    ],
)
def test_other_json_is_refused(text, tmp_path):
    with pytest.raises(FileError, match="threshold"):
        Threshold.from_json(text)
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(FileError, match=r"t\.json"):
        Threshold.load(tmp_path / "t.json")


def test_damaged_files_give_a_threshold_or_are_refused_by_name(tmp_path):
    document = json.loads(Threshold.fit_objects(TWO, min_area=16).to_json())
    file, read = tmp_path / "t.json", 0
    for text in mutated(document, 300, seed=0):
        file.write_bytes(text)
        try:
            threshold = Threshold.load(file)
        except FileError as error:
            assert "t.json" in error.argument  # noqa: PT017
        else:
            assert Threshold.from_json(threshold.to_json()) == threshold
            assert np.isfinite(float(threshold))
            assert str(threshold)
            read += 1
    assert 0 < read < 200


# --- settings -------------------------------------------------------------------------------------------


def test_a_setting_that_differs_is_named_and_one_that_is_unknown_is_not_compared():
    threshold = Threshold(0.4, made_with={"rule": "product", "min_area": 64, "calibration": None})
    threshold.check_made_with({"rule": "product", "proposer": "x", "calibration": None})
    threshold.check_made_with({})
    Threshold.given(0.4).check_made_with({"rule": "product"})
    with pytest.raises(OptionError) as caught:
        threshold.check_made_with({"rule": "mean", "min_area": 65, "calibration": "ab"})
    assert caught.value.got == 'rule "mean", min_area 65, calibration "ab"'
    assert caught.value.expected.startswith('rule "product", min_area 64, no calibration')


# --- refused --------------------------------------------------------------------------------------------

REFUSED = {
    "no map": (lambda: Threshold.fit_pixels([]), ScoreRangeError, "no image"),
    "no map for objects": (lambda: Threshold.fit_objects([]), ScoreRangeError, "no image"),
    "no labeled map": (lambda: Threshold.fit_f1([], []), ScoreRangeError, "no image"),
    "empty maps": (lambda: Threshold.fit_pixels([np.zeros(0)]), ScoreRangeError, "no pixel"),
    "all void": (
        lambda: Threshold.fit_objects([(TWO[0], None, np.zeros((60, 80), bool))]),
        ScoreRangeError,
        "no valid pixel",
    ),
    "constant": (lambda: Threshold.fit_pixels([MASK * 0.0] * 3), ScoreRangeError, "all equal"),
    "constant for objects": (lambda: Threshold.fit_objects([MASK * 0.0]), ScoreRangeError, "all equal"),
    "nan": (lambda: Threshold.fit_pixels([np.array([[0.1, np.nan]])]), ScoreRangeError, "nan or infinity"),
    "infinity": (lambda: Threshold.fit_objects([np.array([[0.1, np.inf]])]), ScoreRangeError, "infinity"),
    "nan on a label": (
        lambda: Threshold.fit_f1([np.array([[0.1, np.nan]])], [np.array([[1, 0]])]),
        ScoreRangeError,
        "nan",
    ),
    "one array": (lambda: Threshold.fit_pixels(TWO[0]), DTypeError, "Wrap a single array"),
    "no iterable": (lambda: Threshold.fit_objects(3), DTypeError, "Wrap a single array"),
    "a generator": (
        lambda: Threshold.fit_objects(scores for scores in TWO),
        DTypeError,
        "read several times: pass a list",
    ),
    "integers": (lambda: Threshold.fit_pixels([np.arange(9)]), DTypeError, "floating-point or uint8"),
    "classes": (lambda: Threshold.fit_pixels([np.ones((3, 4, 5))]), ShapeError, "one class"),
    "some pixels": (lambda: Threshold.fit_objects([np.arange(9.0)]), ShapeError, "whole maps"),
    "four parts": (lambda: Threshold.fit_objects([(TWO[0], None, None, 1)]), ShapeError, "4 parts"),
    "other regions": (
        lambda: Threshold.fit_objects([(TWO[0], RegionMap(torch.zeros((1, 3, 3), dtype=torch.int32)))]),
        ShapeError,
        "regions",
    ),
    "share": (lambda: Threshold.fit_pixels(TWO, 1.0), OptionError, "share"),
    "share text": (lambda: Threshold.fit_pixels(TWO, "0.1"), OptionError, "share"),
    "per image": (lambda: Threshold.fit_objects(TWO, -0.1), OptionError, "per_image"),
    "min area": (lambda: Threshold.fit_objects(TWO, min_area=0), OptionError, "min_area"),
    "a budget for all": (lambda: Threshold.fit_objects(TWO, 10_000), OptionError, "every threshold keeps"),
    "recall": (lambda: Threshold.fit_recall(TWO, [MASK] * 2, 0), OptionError, "recall"),
    "value": (lambda: Threshold.given(float("nan")), OptionError, "value"),
    "no anomaly": (lambda: Threshold.fit_f1(TWO, [MASK * 0] * 2), ScoreRangeError, "no anomalous pixel"),
    "masks": (lambda: Threshold.fit_f1(TWO, [MASK * 255] * 2), ScoreRangeError, "divide the labels by 255"),
    "values": (lambda: Threshold.fit_f1(TWO, [MASK * 2] * 2), ScoreRangeError, "in labels of 0 and 2"),
    "no normal": (lambda: Threshold.fit_recall(TWO, [MASK | 1] * 2), ScoreRangeError, "no normal pixel"),
    "few labels": (lambda: Threshold.fit_f1(TWO, [MASK]), ShapeError, "fewer labels than maps"),
    "many labels": (lambda: Threshold.fit_f1(TWO, [MASK] * 3), ShapeError, "more labels than maps"),
    "label size": (lambda: Threshold.fit_f1(TWO, [MASK[1:]] * 2), ShapeError, "maps"),
    "label kind": (lambda: Threshold.fit_f1(TWO, [MASK * 1.0] * 2), DTypeError, "labels"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_fitted_is_refused(name):
    act, kind, said = REFUSED[name]
    with pytest.raises(CSLError) as caught:
        act()
    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert caught.value.hint


def test_the_json_is_plain():
    stored = json.loads(Threshold.fit_objects(TWO, min_area=16).to_json())
    assert list(stored) == ["value", "kind", "target", "images", "expected", "made_with"]
    assert set(stored["expected"]) == {"false_objects_per_image", "normal_pixels_above"}


def test_a_calibration_is_no_threshold_and_settings_are_short(tmp_path):
    Calibration.sigmoid(1, 2).save(tmp_path / "c.json")
    with pytest.raises(FileError) as caught:
        Threshold.load(tmp_path / "c.json")
    assert caught.value.got == "a calibration"
    made = Threshold(0.5, made_with={"calibration": "ab" * 32})
    with pytest.raises(OptionError) as refused:
        made.check_made_with({"calibration": None})
    assert (refused.value.got, refused.value.expected[:26]) == (
        "no calibration",
        'calibration "abababababab"',
    )


def test_a_budget_of_objects_holds_for_its_own_least_area():
    maps = [smooth(0), smooth(1)]
    threshold = Threshold.fit_objects(maps, 0, min_area=16)
    assert find_objects(maps[0], threshold, min_area=16)[0].areas.tolist() == []
    with pytest.raises(OptionError, match="threshold: got min_area 4, expected min_area 16"):
        find_objects(maps[0], threshold, min_area=4)
    find_objects(maps[0], float(threshold), min_area=4)
    find_objects(maps[0], Threshold.fit_pixels(maps), min_area=4)


def test_a_budget_of_objects_holds_with_the_regions_of_its_fit():
    maps = [smooth(0), smooth(1)]
    regions = [np.arange(each.size).reshape(each.shape) // 40 for each in maps]
    both = Threshold.fit_objects(list(zip(maps, regions, strict=True)), 0, min_area=1)
    whole = Threshold.fit_objects(list(zip(maps, regions, strict=True)), 0, min_area=1, split=False)
    mixed = Threshold.fit_objects([(maps[0], regions[0]), maps[1]], 0, min_area=1)
    find_objects(maps[0], both, regions[0], min_area=1)
    find_objects(maps[0], whole, regions[0], min_area=1, split=False)
    find_objects(maps[0], mixed, min_area=1)
    with pytest.raises(OptionError, match='got by_regions "none", expected by_regions "split"'):
        find_objects(maps[0], both, min_area=1)
    with pytest.raises(OptionError, match='got by_regions "split", expected by_regions "as they are"'):
        find_objects(maps[0], whole, regions[0], min_area=1)
    with pytest.raises(OptionError, match='got by_regions "split", expected by_regions "none"'):
        find_objects(maps[0], Threshold.fit_objects(maps, 0, min_area=1), regions[0], min_area=1)


def test_images_that_say_nothing_give_no_interval():
    void = np.full((20, 20), 255)
    labels = np.where(np.arange(400).reshape(20, 20) < 99, 1, 0)
    maps = [smooth(seed)[:20, :20] for seed in range(3)]
    expected = Threshold.fit_recall(maps, [labels, void, void]).expected
    assert [figure.low for figure in expected.values()] == [None] * 4
    expected = Threshold.fit_recall(maps, [labels, labels * 0, void]).expected
    assert expected["recall"].low is None, "only one image has anomalous pixels"
    assert expected["precision"].low is not None
    assert Threshold.fit_pixels(maps, 0).expected == {"normal_pixels_above": Figure(0.0)}


def test_labels_of_0_and_255_are_refused_with_the_mend():
    with pytest.raises(ScoreRangeError, match="255 is void here"):
        Threshold.fit_f1(TWO, [MASK * 255] * 2)


@pytest.mark.parametrize("setting", [10**40, "\ud800"])
def test_what_no_file_can_hold_is_no_setting(setting, tmp_path):
    try:
        threshold = Threshold(0.5, made_with={"proposer": setting})
    except OptionError:
        return
    threshold.save(tmp_path / "t.json")
    assert Threshold.load(tmp_path / "t.json") == threshold
    threshold.check_made_with({"proposer": setting})


NO_SETTINGS = [None, 3, "x", [1], torch.ones(2)]


@pytest.mark.parametrize("value", NO_SETTINGS)
def test_settings_of_another_kind_are_refused(value):
    threshold = Threshold(0.5, made_with={"rule": "product"})
    with pytest.raises(OptionError, match="settings"):
        threshold.check_made_with(value)
    with pytest.raises(OptionError, match="rule"):
        threshold.check_made_with({"rule": value})


@pytest.mark.parametrize("kind", [Threshold, Calibration])
@pytest.mark.parametrize("value", [None, 3, ["{}"], torch.ones(2)])
def test_json_that_is_no_text_is_refused(kind, value):
    with pytest.raises(FileError, match="expected a JSON object"):
        kind.from_json(value)


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
def test_a_nested_tensor_is_one_array():
    nested = torch.nested.as_nested_tensor([torch.rand(2), torch.rand(3)], layout=torch.strided)
    with pytest.raises(DTypeError, match="Wrap a single array"):
        Threshold.fit_pixels(nested)
