"""The options that say how the scores of a command are fused."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import path
from csl_plugin.cli.proposer_option import SEVERAL, add_proposer_options, proposer_of
from csl_plugin.cli.rule_option import DEFAULT_RULE, add_rule_option
from csl_plugin.errors import OptionError
from csl_plugin.proposers.names import DEFAULT

if TYPE_CHECKING:
    from csl_plugin.calibration import Calibration
    from csl_plugin.cli.fused_maps import FusedMaps
    from csl_plugin.cli.score_fusion import ScoreFusion


def add_fusion_options(parser: Any) -> None:
    """Add the options of the proposer, --rule, --no-split, --calibration and --logits.

    Args:
        parser: Of a command.
    """
    add_proposer_options(parser, SEVERAL)
    add_rule_option(parser)
    parser.add_argument(
        "--no-split", action="store_true", help="do not split regions into connected components"
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        type=path,
        help="JSON file of a Calibration, as `csl-plugin calibrate` writes it, applied before fusion; "
        "required for negative scores but logits",
    )
    parser.add_argument(
        "--logits",
        action="store_true",
        help="the scores are logits: softmax over the classes, or sigmoid where there is one, after they are "
        "upsampled; the fused maps are probabilities",
    )


def add_fused_option(parser: Any) -> None:
    """Add --fused, to a command that has the options of fusion already.

    Args:
        parser: Of a command.
    """
    parser.add_argument(
        "--fused",
        action="store_true",
        help="SCORES are fused maps already, as `csl-plugin fuse` wrote them: they are taken as they are, "
        "and only the regions are proposed",
    )
    parser.set_defaults(rule=None)


def chosen(arguments: argparse.Namespace) -> dict[str, str]:
    """What the options say, in their own words, for the text of an answer."""
    return {
        "rule": arguments.rule or DEFAULT_RULE,
        "split": "no" if arguments.no_split else "yes",
        "proposer": arguments.proposer or DEFAULT,
        "calibration": arguments.calibration.name if arguments.calibration else "none",
        **({"logits": "yes"} if arguments.logits else {}),
    }


def source_of(arguments: argparse.Namespace) -> ScoreFusion | FusedMaps:
    """Where the fused maps come from: the files, with --fused, or the fusion of what they hold.

    Raises:
        CSLError: As `fusion_of`; or --fused with an option that says how to fuse.
    """
    if not arguments.fused:
        return fusion_of(arguments)
    from csl_plugin.cli.fused_maps import FusedMaps

    given = {
        "--rule": arguments.rule,
        "--calibration": arguments.calibration,
        "--logits": arguments.logits,
    }
    for option, value in given.items():
        if value:
            hint = "Omit --fused if the files hold scores that are to be fused."
            raise OptionError(f"--fused, {option}", "both", "one of them", hint)
    return FusedMaps.of(arguments.scores, proposer_of(arguments), split=not arguments.no_split)


def fusion_of(arguments: argparse.Namespace) -> ScoreFusion:
    """The fusion that the options name.

    Raises:
        CSLError: As `csl_plugin.load_proposer`, or the file of the calibration cannot be used.
    """
    from csl_plugin.cli.score_fusion import ScoreFusion

    calibration, digest = _calibration(arguments)
    return ScoreFusion(
        proposer_of(arguments),
        arguments.rule or DEFAULT_RULE,
        not arguments.no_split,
        calibration,
        digest,
        arguments.logits,
    )


def _calibration(arguments: argparse.Namespace) -> tuple[Calibration | None, str | None]:
    """The calibration and its digest, if there is one."""
    from csl_plugin.calibration import Calibration
    from csl_plugin.io.limits import as_file_error, check_file

    file: Path | None = arguments.calibration
    if file is None:
        return None, None
    if arguments.logits:
        hint = "Omit one of the two: a calibration maps raw scores, not logits, onto [0, 1]."
        raise OptionError("--logits, --calibration", "both", "one of them", hint)
    check_file(file)
    with as_file_error(file, "the JSON file of a Calibration"):
        return Calibration.load(file), hashlib.sha256(file.read_bytes()).hexdigest()
