"""`python -m tests.attack`: every attack for a share of the time, and a table of what they found."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from tests.attack.gallery import Finding, Gallery

# Shares of the time.
SHARES = {
    "damaged files": 8,
    "random fusion": 4,
    "pickles": 1,
    "kills": 3,
    "full disk": 2,
    "threads": 1,
    "memory": 1,
}


def until(deadline: float) -> Iterator[int]:
    """0, 1, 2 and so on, for so long."""
    number = 0
    while time.monotonic() < deadline:
        yield number
        number += 1


def main() -> None:
    """Run the attacks; exit code 1 where one found something."""
    parser = argparse.ArgumentParser(prog="python -m tests.attack", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0, help="altogether")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other attacks")
    parser.add_argument("--only", choices=SHARES, action="append", help="this attack; may be repeated")
    parser.add_argument("--round", type=int, help="this round alone, as a finding names it")
    options = parser.parse_args()
    chosen = {name: share for name, share in SHARES.items() if name in (options.only or SHARES)}
    table, findings = [], {}
    for name, share in chosen.items():
        with tempfile.TemporaryDirectory() as folder:
            gallery = Gallery(Path(folder))
            deadline = time.monotonic() + options.seconds * share / sum(chosen.values())
            numbers = until(deadline) if options.round is None else iter([options.round])
            rounds, found = 0, []
            for number in tqdm(numbers, desc=name, unit="round"):
                found += gallery.attack(name, options.seed, [number])
                rounds += 1
            gallery.close()
        table.append((name, rounds, len(found)))
        findings[name] = found
    print(f"\n{'attack':16}{'rounds':>9}{'findings':>10}   seed {options.seed}")
    for name, rounds, count in table:
        print(f"{name:16}{rounds:9}{count:10}")
    for name, found in findings.items():
        _explain(name, found)
    sys.exit(any(findings.values()))


def _explain(name: str, found: list[Finding]) -> None:
    seen: dict[str, list[int]] = {}
    for number, text in found:
        seen.setdefault(text, []).append(number)
    for text, numbers in seen.items():
        print(f"{name}, round {numbers[0]}, {len(numbers)} times: {text}")


if __name__ == "__main__":
    main()
