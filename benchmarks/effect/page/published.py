"""Published rows of the sets whose validation frames are on the page."""

from __future__ import annotations

from benchmarks.effect.page.measured import markdown
from csl_plugin.evaluation import PublishedRow, published_rows

_TRACKS = {"smiyc-anomaly-track": "AnomalyTrack", "smiyc-obstacle-track": "ObstacleTrack"}
_METRICS = ("ap", "fpr95", "mean_f1")
_HEAD = """\
## Published rows of the test sets

AP / FPR95 / mean F1 on the test frames of SegmentMeIfYouCan, as printed in the paper and as listed on the
public leaderboard. The test labels are hidden, so these rows are **not comparable** with the validation
frames above; they show where strong base scores and other plug-ins stand. `csl-plugin benchmark
smiyc-anomaly-track --split test --method NAME` has them in its report, and
[reproducing.md](../guide/reproducing.md) says how to submit.
"""


def published_section() -> list[str]:
    """A table of all rows of both tracks."""
    lines = [_HEAD]
    for benchmark, title in _TRACKS.items():
        found = [row for row in published_rows() if (row.benchmark, row.subset) == (benchmark, "test")]
        rows = [
            [
                label,
                row.origin,
                " / ".join(f"{values[name]:g}" if name in values else "-" for name in _METRICS),
            ]
            for row in found
            for label, values in _versions(row)
        ]
        lines += markdown([f"{title} test", "from", "AP / FPR95 / mean F1"], rows)
    return lines


def _versions(row: PublishedRow) -> list[tuple[str, dict[str, float]]]:
    """The method by itself and with the paper's plug-in, where both are printed."""
    named = ((row.method, row.base), (f"{row.method} + CSL", row.csl2))
    return [(label, dict(values)) for label, values in named if values]
