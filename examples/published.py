"""Options, benchmark and printed table of the scripts for published data sets."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from csl_plugin.errors import CSLError
from csl_plugin.evaluation import run_benchmark


def reproduce(
    description: str | None, benchmark: str, *, method: str | None = None, kind: str | None = None
) -> int:
    """Run a benchmark with the script's options and print its table."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="the data set as published")
    parser.add_argument("--split", dest="subset", help="another subset than the default one")
    if method is not None:
        parser.add_argument("--scores", type=Path, help="one score file per frame, named after it")
        parser.add_argument("--teacher", help="or module:callable, from an image (H, W, 3) uint8 to scores")
        parser.add_argument("--method", default=method, help="row of the paper to compare with (%(default)s)")
        parser.add_argument("--kind", default=kind, choices=("probability", "logits", "raw"))
        parser.add_argument("--calibration", type=Path, help="JSON of a Calibration, for raw scores")
    parser.add_argument("--proposer", help="source of the regions (default: the best built-in one)")
    parser.add_argument("--out", type=Path, default=Path("benchmark_out") / Path(sys.argv[0]).stem)
    options = vars(parser.parse_args())
    data, out = options.pop("data"), options.pop("out")
    try:
        run_benchmark(benchmark, data, out, **options)
    except CSLError as error:
        print(error, file=sys.stderr)
        return 1
    if (out / "result.md").is_file():
        print((out / "result.md").read_text(encoding="utf-8"))
    return 0
