"""`csl-plugin benchmark`: the metrics of a method on a published data set, before and after fusion."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.answer import FAILED, SUCCESS, Answer
from csl_plugin.cli.arguments import name, path
from csl_plugin.cli.benchmark_list import check_name, listing, missing_data
from csl_plugin.cli.fused.proposer_option import SEVERAL, add_proposer_options
from csl_plugin.cli.fused.rule_option import add_rule_option
from csl_plugin.cli.jobs_option import add_jobs_option, jobs_of
from csl_plugin.cli.shard_option import add_shard_option, shard_of_option
from csl_plugin.cli.streams import say
from csl_plugin.errors import OptionError

if TYPE_CHECKING:
    from csl_plugin.evaluation import Result

_MOST_DRAWS = 1_000_000


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "benchmark",
        usage="%(prog)s NAME --data DIR (--scores DIR | --teacher MODULE:CALLABLE) [options]\n"
        "       %(prog)s [NAME] --list",
        help="measure scores on a data set, before and after fusion",
        description="Measure the scores of a method on a data set in its published layout, before and after "
        "fusion with the regions of each image. Writes OUT/report.html, result.md, result.json, the fused "
        "predictions for the official tools, and a record of every frame, from which a stopped job "
        "resumes.\n\n"
        "OUT is new, empty or of the same command: frames that are measured and unchanged are skipped. Under "
        "torchrun the processes share the frames.",
        examples=[
            "csl-plugin benchmark --list",
            "csl-plugin benchmark road-anomaly --list",
            "csl-plugin benchmark road-anomaly --data RoadAnomaly --scores scores",
            "csl-plugin benchmark folder --data mine --scores scores    # mine/images and mine/labels",
        ],
    )
    parser.add_argument("name", metavar="NAME", nargs="?", help="name of the benchmark")
    parser.add_argument(
        "--list",
        action="store_true",
        help="name the benchmarks; with NAME its layout, splits and options, and where to get it",
    )
    parser.add_argument("--data", metavar="DIR", type=path, help="the data set's folder")
    parser.add_argument(
        "--split", metavar="S", type=name, help="subset of the data set (default: the one in the paper)"
    )
    parser.add_argument("--images", metavar="DIR", type=path, help="the images, for data sets without them")
    parser.add_argument(
        "--option",
        metavar="NAME=VALUE",
        type=name,
        action="append",
        default=[],
        help="a further option of the data set, such as classes=FILE of a folder",
    )
    scores = parser.add_mutually_exclusive_group()
    scores.add_argument("--scores", metavar="DIR", type=path, help="score maps by frame name or image stem")
    scores.add_argument(
        "--teacher",
        metavar="MODULE:CALLABLE",
        type=name,
        help="a model: a function from an image (H, W, 3) uint8 RGB to scores (H, W) or (C, h, w)",
    )
    parser.add_argument(
        "--out", metavar="DIR", type=path, help="the output folder (default: benchmark_out/NAME)"
    )
    parser.add_argument("--method", metavar="M", type=name, help="name of the method, as published")
    parser.add_argument(
        "--draws", metavar="N", type=int, default=1000, help="bootstrap draws (default: %(default)s)"
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="remove what this command wrote to OUT, and start again; other files there stay",
    )
    parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_proposer_options(parser, SEVERAL)
    group = parser.add_argument_group("scores and fusion")
    add_rule_option(group)
    group.add_argument(
        "--kind",
        choices=("probability", "logits", "raw"),
        help="kind of the scores, higher for more anomalous or more of the class (default: probability, or "
        "raw with --calibration)",
    )
    group.add_argument(
        "--calibration",
        metavar="FILE",
        type=path,
        help="for raw scores: the map onto [0, 1] that `csl-plugin calibrate` writes, applied before fusion",
    )
    sharing = parser.add_argument_group("many frames")
    add_jobs_option(sharing, "frames")
    add_shard_option(sharing, "frames")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command; frames that could not be measured give the exit code 1.

    Raises:
        CSLError: The benchmark cannot start or continue.
    """
    if arguments.list:
        return listing(arguments.name)
    check_name(arguments.name)
    if arguments.data is None:
        raise missing_data(arguments.name)
    shard = shard_of_option(arguments)
    jobs = jobs_of(arguments)  # before torch is imported, so that their processes import it meanwhile
    from csl_plugin.evaluation import FramesFailedError, run_benchmark

    if not 1 <= arguments.draws <= _MOST_DRAWS:
        hint = "Omit it for 1000 draws, which are enough for an interval of 95 %."
        raise OptionError("--draws", f"{arguments.draws:.15g}", f"1 to {_MOST_DRAWS}", hint)
    out: Path = arguments.out or Path("benchmark_out") / arguments.name
    options = dict(_option(given) for given in arguments.option)
    if arguments.images:
        options["images"] = str(arguments.images)
    try:
        result = run_benchmark(
            arguments.name,
            arguments.data,
            out,
            subset=arguments.split,
            scores=arguments.scores,
            teacher=arguments.teacher,
            proposer=arguments.proposer,
            revision=arguments.revision,
            variant=arguments.variant,
            subfolder=arguments.subfolder,
            device=arguments.device,
            kind=arguments.kind,
            calibration=arguments.calibration,
            rule=arguments.rule,
            method=arguments.method,
            draws=arguments.draws,
            jobs=jobs,
            shard=None if shard is None else str(shard),
            overwrite=arguments.overwrite,
            **options,
        )
    except FramesFailedError as error:
        say(f"csl-plugin benchmark: error: {error}")
        facts = {"command": "benchmark", "error": str(error), "interrupted": False}
        return Answer(FAILED, facts, of_shard=shard is not None)
    if shard is not None:
        facts = {"command": "benchmark", "out": str(out), "shard": str(shard)}
        line = f"shard {shard} is measured -> {out}: the same command without --shard joins the shards"
        return Answer(SUCCESS, facts, [line], of_shard=True)
    return Answer(SUCCESS, {}) if result is None else _answer(result, out)


def _option(given: str) -> tuple[str, str]:
    option, sign, value = given.partition("=")
    if not (option and sign):
        raise OptionError("--option", repr(given), "NAME=VALUE", "For example classes=table.json.")
    return option, value


def _answer(result: Result, out: Path) -> Answer:
    from csl_plugin.evaluation.report import tables, verdict

    for warning in result.warnings:
        say(f"warning: {warning}")
    lines = [verdict(result)]
    for table in tables(result):
        rows = [("", *table.columns), *((row.name, *(cell.text for cell in row.cells)) for row in table.rows)]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        lines += ["", table.title]
        for row in rows:
            cells = [word.rjust(width) for word, width in zip(row[1:], widths[1:], strict=True)]
            lines.append("  ".join([row[0].ljust(widths[0]), *cells]).rstrip())
    lines += ["", f"{out / 'report.html'}"]
    plain = [line.replace("\N{MINUS SIGN}", "-") for line in lines]
    return Answer(SUCCESS, {"command": "benchmark", "out": str(out), **result.as_json()}, plain)
