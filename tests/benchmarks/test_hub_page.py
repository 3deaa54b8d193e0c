"""The page of faults: its messages are those that a user sees."""

from __future__ import annotations

import pytest

from benchmarks.guide.hub import FAULTS, PAGE, answer
from benchmarks.guide.hub import row as row_of

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("fault", [fault for fault in FAULTS if not fault.slow], ids=lambda fault: fault.name)
def test_the_page_has_the_message_of_the_fault(fault):
    rows = PAGE.read_text(encoding="utf-8").splitlines()
    seen, _ = answer(fault)
    assert [row for row in rows if row.startswith(row_of(fault, seen, "")[:-2])]


def test_the_page_has_every_fault_once():
    names = [line.split(" | ")[0] for line in PAGE.read_text(encoding="utf-8").splitlines()]
    assert all(names.count(f"| {fault.name}") == 1 for fault in FAULTS)
