"""CamVid with pedestrians and cyclists unseen: do regions help to find what a segmenter never learned?

    python examples/camvid_unseen.py --data camvid --logits teacher/camvid_val \
        --statistics teacher/statistics.json --out camvid_out

DATA holds images/val and labels/val with CamVid's 11 classes (9 pedestrian, 10 bicyclist, 11 void), LOGITS
one npz per image with `logits` (9, h, w) of a segmenter trained with both classes ignored, STATISTICS the
file that `ood_scores.py` describes. For each score it writes the score maps to OUT/scores and runs the
benchmark: see OUT/<score>/report.html.
"""

from __future__ import annotations

import argparse
import json
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
    write_score_maps(options.data / "images" / "val", options.logits, chosen, options.out / "scores")
    table = options.out / "classes.json"
    table.write_text(json.dumps({"anomaly": [9, 10], "void": [11]}), encoding="utf-8")
    for name in chosen:
        run_benchmark(
            "folder",
            options.data,
            options.out / name,
            subset="val",
            classes=table,
            scores=options.out / "scores" / name,
            proposer=options.proposer,
        )
    for name in options.scores:
        print((options.out / name / "result.md").read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
