"""Write all pages of docs/results but performance.md: `make effect DATA=...`.

DATA holds `real`, `camvid`, `bsds500`, `pasted`, `teacher` and `segmenter`, as the modules of the pages
describe them. Networks are trained in --work, which takes hours the first time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.effect import (
    ablation,
    anomaly,
    choice,
    objects,
    scheme1,
    semantic,
    speed_network,
    table7,
    video,
)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--work", type=Path, default=Path("build/effect"), help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=Path("docs/results"), help="(%(default)s)")
    options = parser.parse_args()
    shared = ["--data", str(options.data), "--out", str(options.out)]
    odd = ["--frames", "1::2"]  # the even frames chose the parameters
    teacher, work = ["--teacher", str(options.data / "segmenter")], ["--work", str(options.work)]
    anomaly.main([*shared, *work])
    choice.main([*shared, *work])
    semantic.main([*shared, *odd])
    objects.main(shared)
    scheme1.main([*shared, *odd, *teacher, *work])
    table7.main([*shared, *work])
    ablation.main([*shared, *work])
    speed_network.main(shared)
    video.main(shared)


if __name__ == "__main__":
    main()
