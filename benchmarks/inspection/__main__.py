"""Measure made pictures of parts, base against fused, and write docs/results/inspection.md.

Run `python -m benchmarks.inspection`. With anomalib installed, its PatchCore and PaDiM are measured too. The
values of every category are kept in the file of --values, from which a stopped run goes on.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.inspection.measuring import category_values
from benchmarks.inspection.page import PAGE, page
from benchmarks.inspection.textures import KINDS
from csl_plugin.io import atomic_path


def main() -> None:
    """Measure what is not measured yet, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5, help="categories of each texture (%(default)s)")
    parser.add_argument("--values", type=Path, default=Path("inspection_values.json"))
    arguments = parser.parse_args()
    held = json.loads(arguments.values.read_text()) if arguments.values.is_file() else {}
    for seed in range(arguments.seeds):
        for kind in KINDS:
            name = f"{kind} {seed}"
            if name not in held:
                held[name] = category_values(kind, seed)
                _write(arguments.values, json.dumps(held))
                print(name, flush=True)
    _write(PAGE, page(list(held.values())))


def _write(path: Path, text: str) -> None:
    with atomic_path(path) as partial:
        Path(partial).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
