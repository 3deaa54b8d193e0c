"""Semantic values and the region vote: scikit-learn, a count pixel by pixel, and the golden cases."""

import json
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, jaccard_score

from csl_plugin.errors import CSLError, DTypeError, FileError, OptionError, ScoreRangeError, ShapeError
from csl_plugin.metrics import RegionVoteMetric, SemanticMetric, majority_vote
from tests.helpers.data import GOLDEN

SEMANTIC = ("city19", "voc20", "voc20_unseen_absent", "coco171", "tiny", "perfect")
REGIONS = ("region_overlap", "region_split", "region_unassigned", "region_city19", "region_ties")
VALUES = ("miou", "miou_seen", "miou_unseen", "hiou", "macc", "pacc", "fwiou", "per_class")
TIGHT = {"rtol": 0, "atol": 1e-12}


def golden(section, case):
    reference = json.loads((GOLDEN / "semantic_reference.json").read_text())[section][case]
    return reference, np.load(GOLDEN / f"{'semantic_' if section == 'semantic' else ''}{case}.npz")


def frames(arrays, *kinds):
    for index in range(sum(key.startswith("label_") for key in arrays)):
        yield tuple(
            next(arrays[key] for key in arrays if key.startswith(kind) and int(key[len(kind) :]) == index)
            for kind in kinds
        )


def number(value):
    return np.nan if value == "nan" else value


def numbers(values):
    return np.array([number(value) for value in values], np.float64)


def example(seed, classes=5, size=(23, 31)):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, size).astype(np.uint8)
    prediction = np.where(random.random(size) < 0.5, labels, random.integers(0, classes, size)).astype(int)
    labels[random.random(size) < 0.2] = 255
    return prediction, labels


def measured(metric, *pairs):
    for prediction, labels in pairs:
        metric.update(prediction, labels)
    return metric


def assert_same(first, second):
    for name in VALUES:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


# --- golden cases ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", SEMANTIC)
def test_golden_semantic(case):
    reference, arrays = golden("semantic", case)
    metric = SemanticMetric(reference["num_classes"], unseen=reference["unseen"])
    measured(metric, *frames(arrays, "pred_", "label_"))
    state = metric.state()
    for ours, theirs in (("intersection", "intersect"), ("label", "label"), ("predicted", "pred")):
        np.testing.assert_array_equal(state[ours], reference[f"area_{theirs}"])
    values, independent, mmseg = metric.compute(), reference["independent"], reference["mmseg"]
    expected = {
        "miou": independent["mIoU_union_nonempty"],
        "macc": independent["mACC_gt_present"],
        "pacc": independent["pACC"],
        "fwiou": independent["fwIoU"],
    }
    if reference["unseen"]:
        expected |= {
            "miou_seen": number(independent["mIoU_seen_union_nonempty"]),
            "miou_unseen": number(independent["mIoU_unseen_union_nonempty"]),
            "hiou": number(independent["hIoU_union_nonempty"]),
        }
    for name, value in expected.items():
        np.testing.assert_allclose(getattr(values, name), value, **TIGHT, err_msg=name)
    np.testing.assert_allclose(values.per_class, numbers(mmseg["IoU"]), **TIGHT)


@pytest.mark.parametrize("unassigned", ["miss", "exclude"])
@pytest.mark.parametrize("case", REGIONS)
def test_golden_regions(case, unassigned):
    reference, arrays = golden("region", case)
    classes = reference["num_classes"]
    others = sorted(set(range(classes)) - set(reference["id_classes"]))
    metric = RegionVoteMetric(classes, unseen=others, unassigned=unassigned)
    for regions, labels, voted in frames(arrays, "region_", "label_", "voted_"):
        np.testing.assert_array_equal(majority_vote(regions, labels), voted)
        metric.update(regions, labels)
    values = metric.compute()
    expected = reference["unassigned_is_miss" if unassigned == "miss" else "unassigned_excluded"]
    for ours, theirs in {
        "miou": "mIoU_union_nonempty",
        "miou_seen": "mIoU_id_union_nonempty",
        "miou_unseen": "mIoU_ood_union_nonempty",
        "macc": "mACC_gt_present",
        "pacc": "pACC",
        "fwiou": "fwIoU",
    }.items():
        np.testing.assert_allclose(getattr(values, ours), number(expected[theirs]), **TIGHT, err_msg=ours)


# --- semantic values ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_against_scikit_learn(seed):
    prediction, labels = example(seed)
    metric = measured(SemanticMetric(5, unseen=[1, 4]), (prediction, labels))
    inside = labels != 255
    table = confusion_matrix(labels[inside], prediction[inside], labels=range(5))
    state, values = metric.state(), metric.compute()
    np.testing.assert_array_equal(state["intersection"], table.diagonal())
    np.testing.assert_array_equal(state["label"], table.sum(1))
    np.testing.assert_array_equal(state["predicted"], table.sum(0))
    iou = jaccard_score(labels[inside], prediction[inside], labels=range(5), average=None)
    np.testing.assert_allclose(values.per_class, iou, **TIGHT)
    seen, unseen = iou[[0, 2, 3]].mean(), iou[[1, 4]].mean()
    accuracy = (table.diagonal() / table.sum(1)).mean()
    weighted = (table.sum(1) / table.sum() * iou).sum()
    right = table.trace() / table.sum()
    expected = (iou.mean(), seen, unseen, 2 * seen * unseen / (seen + unseen), accuracy, right, weighted)
    for name, value in zip(VALUES, expected, strict=False):
        np.testing.assert_allclose(getattr(values, name), value, **TIGHT, err_msg=name)


def test_no_class_is_a_miss_and_nobodys_prediction():
    metric = measured(SemanticMetric(2), (np.array([[0, -1, 1, 255]]), np.array([[0, 0, 1, 1]])))
    state, values = metric.state(), metric.compute()
    assert state["label"].tolist() == [2, 2]
    assert state["predicted"].tolist() == [1, 1]
    assert values.per_class.tolist() == [0.5, 0.5]
    assert values.pacc == 0.5


def test_absent_classes_and_groups():
    values = measured(SemanticMetric(4, unseen=[3]), (np.array([[0, 2]]), np.array([[0, 0]]))).compute()
    np.testing.assert_array_equal(values.per_class, [0.5, np.nan, 0.0, np.nan])
    assert values.miou == values.miou_seen == 0.25
    assert np.isnan([values.miou_unseen, values.hiou]).all()
    assert values.macc == 0.5


def test_nothing_labeled_is_nan():
    for metric in (SemanticMetric(3), measured(SemanticMetric(3), (IDS, IDS + 255))):
        values = metric.compute()
        assert all(np.isnan(getattr(values, name)).all() for name in VALUES)


def test_all_wrong_in_both_groups_is_zero():
    values = measured(SemanticMetric(2, unseen=[1]), (np.array([[0, 1]]), np.array([[1, 0]]))).compute()
    assert values.hiou == 0.0


@given(st.lists(st.integers(0, 6), min_size=6, max_size=6), st.permutations(range(6)))
def test_any_partition_in_any_order(parts, order):
    pairs = [example(seed, size=(5, 7)) for seed in range(6)]
    whole = measured(SemanticMetric(5, unseen=[0]), *pairs).compute()
    metrics = [SemanticMetric(5, unseen=[0]) for _ in range(7)]
    for index in order:
        metrics[parts[index]].update(*pairs[index])
    total = SemanticMetric(5, unseen=[0])
    for metric in metrics:
        total.merge(metric)
    assert_same(total.compute(), whole)


@pytest.mark.parametrize("make", [lambda: SemanticMetric(5), lambda: RegionVoteMetric(5)])
def test_states_round_trip_through_npz(tmp_path, make):
    metric = measured(make(), example(3))
    np.savez(tmp_path / "state.npz", **metric.state())
    fresh = make()
    with np.load(tmp_path / "state.npz", allow_pickle=False) as stored:
        fresh.add_state(stored)
    assert_same(fresh.compute(), metric.compute())


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int64])
def test_torch_and_numpy_agree(dtype):
    prediction, labels = example(5)
    ours = measured(SemanticMetric(5), (torch.from_numpy(prediction).to(dtype), torch.from_numpy(labels)))
    assert_same(ours.compute(), measured(SemanticMetric(5), (prediction, labels)).compute())


def test_counts_beyond_32_bits():
    metric = SemanticMetric(1)
    many = np.array([2**40])
    metric.add_state({"intersection": many, "label": many + 2, "predicted": many + 1})
    metric.update(np.zeros((1, 1), int), np.zeros((1, 1), int))
    assert metric.state()["label"][0] == 2**40 + 3


# --- the region vote ------------------------------------------------------------------------------------


def vote_by_hand(regions, labels, void_votes):
    """The definition, pixel by pixel."""
    voted = np.full(labels.shape, 255, np.uint8)
    for region in set(regions[regions >= 0].tolist()):
        counts = Counter(labels[regions == region].tolist())
        if not void_votes:
            counts.pop(255, None)
        if counts:
            voted[regions == region] = min(counts, key=lambda label: (-counts[label], label))
    return voted


@pytest.mark.parametrize("void_votes", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_vote_against_a_count_pixel_by_pixel(seed, void_votes):
    random = np.random.default_rng(seed)
    labels = random.choice([0, 1, 2, 7, 255], (17, 19)).astype(np.uint8)
    regions = random.choice([-1, 0, 3, 4, 10**9], (17, 19))
    expected = vote_by_hand(regions, labels, void_votes)
    np.testing.assert_array_equal(majority_vote(regions, labels, void_votes=void_votes), expected)


@given(st.integers(0, 10**6), st.booleans())
def test_vote_ties_and_gaps(seed, void_votes):
    random = np.random.default_rng(seed)
    labels = random.choice([0, 3, 255], (3, 4)).astype(np.uint8)
    regions = random.integers(-1, 4, (3, 4))
    expected = vote_by_hand(regions, labels, void_votes)
    np.testing.assert_array_equal(majority_vote(regions, labels, void_votes=void_votes), expected)


def test_vote_per_component():
    regions = np.array([[0, 1, 0], [0, 1, 0]])
    labels = np.array([[5, 6, 7], [5, 6, 5]])
    assert majority_vote(regions, labels).tolist() == [[5, 6, 5], [5, 6, 5]]
    assert majority_vote(regions, labels, vote_per="component").tolist() == [[5, 6, 5], [5, 6, 5]]
    labels[1, 2] = 7
    assert majority_vote(regions, labels, vote_per="component").tolist() == [[5, 6, 7], [5, 6, 7]]


def test_a_region_that_void_wins_is_unassigned():
    regions, labels = np.zeros((1, 3), int), np.array([[1, 255, 255]])
    for unassigned, counted in (("miss", 1), ("exclude", 0)):
        metric = RegionVoteMetric(2, unassigned=unassigned, void_votes=True)
        metric.update(regions, labels)
        assert metric.state()["label"].tolist() == [0, counted]
        assert metric.state()["predicted"].tolist() == [0, 0]


def test_one_region_per_pixel_is_perfect():
    _, labels = example(2)
    metric = RegionVoteMetric(5)
    metric.update(torch.arange(labels.size).reshape(labels.shape), torch.from_numpy(labels))
    assert metric.compute().miou == 1.0


# --- errors ---------------------------------------------------------------------------------------------

IDS = np.zeros((2, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "error", "argument"),
    [
        (lambda: SemanticMetric(0), OptionError, "num_classes"),
        (lambda: SemanticMetric(256), OptionError, "num_classes"),
        (lambda: SemanticMetric(3, unseen=[3]), OptionError, "unseen"),
        (lambda: SemanticMetric(3, unseen=[1, 1]), OptionError, "unseen"),
        (lambda: SemanticMetric(3).update(IDS + 3, IDS), ScoreRangeError, "prediction"),
        (lambda: SemanticMetric(3).update(IDS.astype(int) - 2, IDS), ScoreRangeError, "prediction"),
        (lambda: SemanticMetric(3).update(IDS.astype(int) + 256, IDS), ScoreRangeError, "prediction"),
        (lambda: SemanticMetric(3).update(IDS, IDS + 254), ScoreRangeError, "labels"),
        (lambda: SemanticMetric(3).update(IDS, IDS.astype(int) - 1), ScoreRangeError, "labels"),
        (lambda: SemanticMetric(3).update(IDS.astype(float), IDS), DTypeError, "prediction"),
        (lambda: SemanticMetric(3).update(IDS, IDS.astype(bool)), DTypeError, "labels"),
        (lambda: SemanticMetric(3).update(IDS[None], IDS), ShapeError, "prediction"),
        (lambda: SemanticMetric(3).update(IDS[:, :2], IDS), ShapeError, "prediction"),
        (lambda: SemanticMetric(3).update(IDS[:0], IDS[:0]), ShapeError, "prediction"),
        (lambda: SemanticMetric(3).add_state({}), FileError, "state['intersection']"),
        (lambda: SemanticMetric(3).add_state(SemanticMetric(4).state()), ShapeError, "state['intersection']"),
        (lambda: RegionVoteMetric(3, unassigned="skip"), OptionError, "unassigned"),
        (lambda: RegionVoteMetric(3, vote_per="query"), OptionError, "vote_per"),
        (lambda: RegionVoteMetric(3).update(IDS.astype(int) - 2, IDS), ScoreRangeError, "regions"),
        (lambda: RegionVoteMetric(3).update(IDS.astype(int) + 2**31, IDS), ScoreRangeError, "regions"),
        (lambda: RegionVoteMetric(3).update(IDS.astype(float), IDS), DTypeError, "regions"),
        (lambda: RegionVoteMetric(3).update(IDS[:1], IDS), ShapeError, "regions"),
        (lambda: RegionVoteMetric(3).update(IDS, IDS + 3), ScoreRangeError, "labels"),
    ],
)
def test_errors(call, error, argument):
    with pytest.raises(error) as raised:
        call()
    assert isinstance(raised.value, CSLError)
    assert raised.value.argument == argument


@pytest.mark.parametrize("change", [{"label": np.array([-1, 0])}, {"intersection": np.array([9, 9])}])
def test_states_that_no_pixels_give_are_refused(change):
    metric = measured(SemanticMetric(2), (IDS, IDS))
    with pytest.raises(FileError, match="contradict"):
        metric.add_state(metric.state() | change)
    with pytest.raises(FileError, match="integer counts"):
        metric.add_state(metric.state() | {"label": np.array([6.0, 0.0])})


def test_an_update_that_fails_changes_nothing():
    metric = measured(SemanticMetric(3), example(1, classes=3))
    before = metric.state()
    with pytest.raises(ScoreRangeError):
        metric.update(IDS + 9, IDS)
    for name, counts in metric.state().items():
        np.testing.assert_array_equal(counts, before[name])
