"""Near names: one function behind every option that is given by name."""

from __future__ import annotations

import numpy as np
import pytest

from csl_plugin import CSLWrapper, fuse, load_proposer
from csl_plugin._nearest import did_you_mean, nearest
from csl_plugin.adapters import preset
from csl_plugin.datasets import open_dataset
from csl_plugin.errors import CSLError
from csl_plugin.proposers import regions_from_masks


def test_spelling_of_cases_and_dashes_does_not_matter():
    names = ("segformer", "csl-tiny", "mask2former", "max_logit")
    for given in ("Segformer", "SEGFORMER", "segformers", "seg former"):
        assert nearest(given, names) == "segformer"
    assert nearest("csl_tiny", names) == "csl-tiny"
    assert nearest("max logit", names) == "max_logit"
    assert nearest("resnet50", names) is None
    assert nearest("", names) is None
    assert nearest(None, names) is None
    assert nearest("csl-tiny" + "x" * 10**6, names) is None


def test_a_hint_stands_after_it():
    assert did_you_mean("a", ("b",), "Omit it.") == "Omit it."
    assert did_you_mean("adaptiv", ("adaptive",), "Omit it.") == "Did you mean 'adaptive'? Omit it."
    assert did_you_mean("adaptiv", ("adaptive",)) == "Did you mean 'adaptive'?"


ONE = np.ones((2, 2), np.float32)
IDS = np.zeros((2, 2), np.int32)


@pytest.mark.parametrize(
    ("call", "argument", "name"),
    [
        (lambda: preset("Segformer"), "name", "segformer"),
        (lambda: CSLWrapper(abs, "superpixels", "mask2fomer"), "adapter", "mask2former"),
        (lambda: load_proposer("superpixel"), "source", "superpixels"),
        (lambda: load_proposer("csl_tiny:auto,5"), "source", "csl-tiny"),
        (lambda: load_proposer("csl-tiny+superpixles"), "source", "superpixels"),
        (lambda: CSLWrapper(abs, "Superpixels"), "proposer", "superpixels"),
        (lambda: fuse(ONE, IDS, rule="adaptve"), "rule", "adaptive"),
        (lambda: open_dataset("fishyscapes_lost_and_found", "."), "name", "fishyscapes-lostandfound"),
        (lambda: open_dataset("smiyc-anomaly-track", ".", subset="valid"), "subset", "validation"),
        (lambda: regions_from_masks([], size=(1, 1), on_top="Score"), "on_top", "score"),
    ],
)
def test_every_option_by_name_names_the_nearest(call, argument, name):
    with pytest.raises(CSLError, match=f"Did you mean '{name}'") as caught:
        call()
    assert caught.value.argument == argument


def test_a_preset_where_a_proposer_stands_and_the_other_way_round():
    with pytest.raises(CSLError, match=r"^proposer: .*CSLWrapper\(model, adapter='segformer'\)"):
        CSLWrapper(abs, "segformer")
    with pytest.raises(CSLError, match=r"^adapter: .*CSLWrapper\(model, 'superpixels:40', adapter="):
        CSLWrapper(abs, adapter="superpixels:40")
