"""A few rounds of every attack find nothing; `make attack` runs more."""

from __future__ import annotations

import sys

import pytest

from tests.attack.gallery import Gallery

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="limits of memory and of files as Linux has them"
)
# Seconds on an idle core: 2, 2, 1, 3, 2, 1 and 1.
ROUNDS = {
    "damaged files": 400,
    "random fusion": 60,
    "pickles": 60,
    "kills": 6,
    "full disk": 6,
    "threads": 1,
    "memory": 1,
}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    started = Gallery(tmp_path_factory.mktemp("attack"))
    yield started
    started.close()


@pytest.mark.parametrize("attack", ROUNDS)
def test_nothing_is_found(gallery, attack):
    assert gallery.attack(attack, 0, range(ROUNDS[attack])) == []


@pytest.mark.slow
@pytest.mark.parametrize("attack", ROUNDS)
def test_nothing_is_found_by_many_more(gallery, attack):
    assert gallery.attack(attack, 1, range(5 * ROUNDS[attack])) == []
