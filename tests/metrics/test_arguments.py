"""Arrays and options of the wrong kind are refused by name, by every metric and by the pictures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from csl_plugin import CSLError
from csl_plugin.metrics import (
    ANOMALY_TRACK,
    ComponentMetric,
    ComponentSettings,
    ImageAnomaly,
    PerImageAnomaly,
    PooledAnomaly,
    RegionOverlap,
    RegionQuality,
    RegionVoteMetric,
    SemanticMetric,
    SmiycAnomaly,
    bootstrap_difference,
    majority_vote,
)
from csl_plugin.viz import fusion_picture

SCORES = np.random.default_rng(0).random((4, 6)).astype(np.float32)
LABELS = np.arange(24).reshape(4, 6) % 2
IMAGE = np.zeros((4, 6, 3), np.uint8)
TENSOR = torch.from_numpy(SCORES)
ARRAYS = {
    "sparse": TENSOR.to_sparse(),
    "jagged": torch.nested.nested_tensor([TENSOR, TENSOR], layout=torch.jagged),
    "meta": TENSOR.to("meta"),
    "fake": FakeTensorMode().from_tensor(TENSOR),
    "objects": SCORES.astype(object),
    "bytes": np.zeros((4, 6), "V4"),
    "times": np.zeros((4, 6), "m8[s]"),
    "words": np.full((4, 6), "a"),
    "complex": SCORES.astype(np.complex64),
    "0-d": np.zeros((), np.float32),
    "no rows": np.zeros((0, 6), np.float32),
}
READERS = {
    "pooled": lambda value: PooledAnomaly().update(value, LABELS),
    "pooled labels": lambda value: PooledAnomaly().update(SCORES, value),
    "region overlap": lambda value: RegionOverlap().update(value, LABELS),
    "region overlap labels": lambda value: RegionOverlap().update(SCORES, value),
    "images": lambda value: ImageAnomaly().update(value, LABELS),
    "per image": lambda value: PerImageAnomaly().update(value, LABELS),
    "smiyc": lambda value: SmiycAnomaly().update(value, LABELS),
    "components": lambda value: ComponentMetric(ANOMALY_TRACK, 0.5).update(value, LABELS),
    "semantic": lambda value: SemanticMetric(3).update(value, LABELS),
    "semantic labels": lambda value: SemanticMetric(3).update(LABELS, value),
    "regions": lambda value: RegionQuality().update(value, LABELS),
    "regions' truth": lambda value: RegionQuality().update(LABELS, value),
    "vote": lambda value: RegionVoteMetric(3).update(value, LABELS),
    "vote alone": lambda value: majority_vote(LABELS, value),
    "image": lambda value: fusion_picture(value, LABELS, SCORES, SCORES),
    "labels of a picture": lambda value: fusion_picture(IMAGE, value, SCORES, SCORES),
    "score of a picture": lambda value: fusion_picture(IMAGE, LABELS, value, SCORES),
}
VALUES = {
    "array": np.array([1, 2]),
    "word": "x",
    "endless": 10**5000,
    "object": object(),
    "nan": float("nan"),
    "below 0": -1,
}
STATE = [PooledAnomaly().state()]
OPTIONS = {
    "memory": lambda value: PooledAnomaly(memory=value if value is not VALUES["endless"] else 1.5),
    "limit": lambda value: RegionOverlap().area(value),
    "fpr_rule": lambda value: PerImageAnomaly(fpr_rule=value),
    "points": lambda value: PooledAnomaly().curve(value),
    "num_classes": lambda value: SemanticMetric(value),
    "unseen": lambda value: SemanticMetric(2, unseen=value),
    "unassigned": lambda value: RegionVoteMetric(2, unassigned=value),
    "vote_per": lambda value: RegionVoteMetric(2, vote_per=value),
    "settings": lambda value: ComponentMetric(value, 0.5),
    "threshold": lambda value: ComponentMetric(ANOMALY_TRACK, None if value is VALUES["below 0"] else value),
    "other": lambda value: SemanticMetric(2).merge(value),
    "state": lambda value: PooledAnomaly().add_state(value),
    "draws": lambda value: bootstrap_difference(
        PooledAnomaly(), STATE, STATE, draws=value if value is not VALUES["endless"] else 0
    ),
    "level": lambda value: bootstrap_difference(PooledAnomaly(), STATE, STATE, draws=3, level=value),
    "seed": lambda value: bootstrap_difference(
        PooledAnomaly(), STATE, STATE, draws=3, seed=value if value is not VALUES["endless"] else None
    ),
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_that_cannot_be_read(kind, reader):
    with pytest.raises(CSLError):
        READERS[reader](ARRAYS[kind])


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", VALUES)
def test_an_option_of_another_kind(kind, option):
    with pytest.raises(CSLError) as caught:
        OPTIONS[option](VALUES[kind])
    assert caught.value.argument == option


def test_sizes_of_components_are_integers():
    with pytest.raises(CSLError, match="settings"):
        ComponentMetric(ComponentSettings("x", 1), 0.5)


def test_ids_of_64_bits_do_not_wrap():
    ids = np.full((4, 6), 2**64 - 1, np.uint64)
    for update in (
        lambda: RegionQuality().update(ids, LABELS),
        lambda: RegionQuality().update(LABELS, ids),
        lambda: majority_vote(ids, LABELS),
    ):
        with pytest.raises(CSLError, match="18446744073709551615"):
            update()


def test_tensors_with_gradients_are_drawn_and_measured():
    scores = TENSOR.clone().requires_grad_()
    np.testing.assert_array_equal(
        fusion_picture(IMAGE, LABELS, scores, scores), fusion_picture(IMAGE, LABELS, SCORES, SCORES)
    )
    PooledAnomaly().update(scores, LABELS)
