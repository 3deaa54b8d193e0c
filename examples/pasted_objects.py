"""Unseen objects pasted into street frames: a segmenter's anomaly scores, with and without regions.

    python examples/pasted_objects.py --data pasted --logits teacher/pasted \
        --statistics teacher/statistics.json --out pasted_out

DATA holds images/ and labels/ (0 normal, 1 anomaly, 255 void), LOGITS one npz per image with `logits` (C, h,
w) of a segmenter that never saw such objects, STATISTICS the file that `ood_scores.py` describes. For each
score it writes the score maps to OUT/scores and runs the benchmark: see OUT/<score>/report.html.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ood_scores import ood_scores, write_score_maps

from csl_plugin.evaluation import run_benchmark


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for option in ("data", "logits", "statistics", "out"):
        parser.add_argument(f"--{option}", type=Path, required=True)
    parser.add_argument("--scores", nargs="+", default=["energy", "sml"], help="(%(default)s)")
    parser.add_argument("--proposer", help="source of the regions (default: the best built-in one)")
    options = parser.parse_args()

    known = ood_scores(options.statistics)
    chosen = {name: known[name] for name in options.scores}
    write_score_maps(options.data / "images", options.logits, chosen, options.out / "scores")
    for name in chosen:
        scores, out = options.out / "scores" / name, options.out / name
        run_benchmark("folder", options.data, out, scores=scores, proposer=options.proposer)
    for name in options.scores:
        print((options.out / name / "result.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
