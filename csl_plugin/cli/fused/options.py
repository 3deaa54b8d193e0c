"""The options that say how the scores of a command are fused."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.arguments import place
from csl_plugin.cli.batch import folder_of
from csl_plugin.cli.fused.proposer_option import SEVERAL, add_proposer_options, proposer_of
from csl_plugin.cli.fused.rule_option import DEFAULT_RULE, add_rule_option
from csl_plugin.errors import OptionError
from csl_plugin.proposers.names import DEFAULT

if TYPE_CHECKING:
    from csl_plugin.calibration import Calibration
    from csl_plugin.cli.fused.fused_maps import FusedMaps
    from csl_plugin.cli.fused.score_fusion import ScoreFusion
    from csl_plugin.cli.fused.valid_masks import ValidMasks
    from csl_plugin.places import Place


def add_fusion_options(parser: Any) -> None:
    """Add the options of the proposer, --rule, --no-split, --calibration, --logits and --valid.

    Args:
        parser: Of a command.
    """
    add_proposer_options(parser, SEVERAL)
    group = parser.add_argument_group("scores and fusion")
    add_rule_option(group)
    group.add_argument(
        "--logits",
        action="store_true",
        help="the scores are logits: softmax over the classes, or sigmoid where there is one, before fusion",
    )
    group.add_argument(
        "--calibration",
        metavar="FILE",
        type=place,
        help="for raw scores, such as energies: the map onto [0, 1] that `csl-plugin calibrate` writes, "
        "applied before fusion",
    )
    group.add_argument(
        "--no-split", action="store_true", help="do not split regions into connected components"
    )
    group.add_argument(
        "--valid",
        metavar="DIR",
        type=place,
        help="masks of the pixels that count, .png by image stem, 0 for those that do not; or one mask for "
        "every image",
    )


def add_fused_option(parser: Any) -> None:
    """Add --fused, to a command that has the options of fusion already.

    Args:
        parser: Of a command.
    """
    parser.add_argument(
        "--fused",
        action="store_true",
        help="SCORES are fused maps, as `csl-plugin fuse` wrote them, and are taken as they are",
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
        **valid_chosen(arguments),
    }


def valid_chosen(arguments: argparse.Namespace) -> dict[str, str]:
    """What --valid says, for the text of an answer; nothing if all pixels count."""
    return {"valid": arguments.valid.name} if arguments.valid else {}


def valid_place(arguments: argparse.Namespace) -> dict[str, str]:
    """The folder of the masks, as a job's settings name it; nothing if all pixels count."""
    return {"masks": str(folder_of(arguments.valid))} if arguments.valid else {}


def source_of(arguments: argparse.Namespace) -> ScoreFusion | FusedMaps:
    """Where the fused maps come from: the files, with --fused, or the fusion of what they hold.

    Raises:
        CSLError: As `fusion_of`; or --fused with an option that says how to fuse, or fused maps without it.
    """
    from csl_plugin.cli.fused.fused_maps import FusedMaps, refuse_fused

    if not arguments.fused:
        refuse_fused(arguments.scores)
        return fusion_of(arguments)
    given = {
        "--rule": arguments.rule,
        "--calibration": arguments.calibration,
        "--logits": arguments.logits,
    }
    for option, value in given.items():
        if value:
            hint = "Omit --fused if the files hold scores that are to be fused."
            raise OptionError(f"--fused, {option}", "both", "one of them", hint)
    return FusedMaps.of(
        arguments.scores, proposer_of(arguments), split=not arguments.no_split, valid=_valid(arguments)
    )


def fusion_of(arguments: argparse.Namespace, masks: Sequence[str] | None = None) -> ScoreFusion:
    """The fusion that the options name.

    Args:
        arguments: The options.
        masks: Suffixes of masks; by default that of PNG.

    Raises:
        CSLError: As `csl_plugin.load_proposer`, or the file of the calibration cannot be used, or there is no
            mask.
    """
    from csl_plugin.cli.fused.score_fusion import ScoreFusion

    calibration, digest = _calibration(arguments)
    return ScoreFusion(
        proposer_of(arguments),
        arguments.rule or DEFAULT_RULE,
        not arguments.no_split,
        calibration,
        digest,
        arguments.logits,
        _valid(arguments, masks),
    )


def _valid(arguments: argparse.Namespace, suffixes: Sequence[str] | None = None) -> ValidMasks | None:
    from csl_plugin.cli.fused.valid_masks import ValidMasks

    if arguments.valid is None:
        return None
    return ValidMasks.of(arguments.valid) if suffixes is None else ValidMasks.of(arguments.valid, suffixes)


def _calibration(arguments: argparse.Namespace) -> tuple[Calibration | None, str | None]:
    """The calibration and its digest, if there is one."""
    from csl_plugin.calibration import Calibration
    from csl_plugin.io.limits import as_file_error
    from csl_plugin.io.opening import read_bytes

    file: Place | None = arguments.calibration
    if file is None:
        return None, None
    if arguments.logits:
        hint = "Omit one of the two: a calibration maps raw scores, not logits, onto [0, 1]."
        raise OptionError("--logits, --calibration", "both", "one of them", hint)
    with as_file_error(file, "the JSON file of a Calibration"):
        return Calibration.load(file), hashlib.sha256(read_bytes(file)).hexdigest()
