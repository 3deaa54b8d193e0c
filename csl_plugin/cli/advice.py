"""Errors of the library in the words of the command line: the option that was typed, and how to mend it.

An error names the argument of a function. The table says which option passes it; its hint is replaced where
it speaks of Python.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import NamedTuple, TypeVar

from csl_plugin.errors import CSLError, DTypeError, FileError, OptionError, ScoreRangeError, ShapeError

ErrorT = TypeVar("ErrorT", bound=CSLError)


class Advice(NamedTuple):
    """What replaces an error's argument, and its hint unless it is None."""

    option: str
    hint: str | None = None


_ADVICE: dict[tuple[type[CSLError], str], Advice] = {
    (FileError, "source"): Advice(
        "--proposer", "Check the name; csl-plugin propose IMAGES OUT writes a folder of region maps."
    ),
    (OptionError, "source"): Advice("--proposer"),
    (OptionError, "proposer"): Advice("--proposer"),
    (OptionError, "device"): Advice("--device"),
    (OptionError, "revision"): Advice("--revision", "Omit it: only a network on the Hub has revisions."),
    (OptionError, "variant"): Advice("--variant"),
    (OptionError, "subfolder"): Advice("--subfolder"),
    (OptionError, "subset"): Advice("--split", "Choose one of these; without --split it is the default."),
    (OptionError, "images"): Advice("--images", "Pass the folder that the archive's labels are for."),
    (CSLError, "workers"): Advice("--workers"),
    (CSLError, "jobs"): Advice("--jobs"),
    (OptionError, "shard"): Advice("--shard"),
    (OptionError, "overwrite"): Advice("--overwrite"),
    (ScoreRangeError, "distribution"): Advice("SCORES", "Find out what produced these values."),
}
_OF_COMMAND: dict[tuple[str, type[CSLError], str], Advice] = {
    ("fuse", ScoreRangeError, "distribution"): Advice(
        "SCORES",
        "Negative scores need --logits, or --calibration FILE, which csl-plugin calibrate makes; of nan and "
        "infinity find out what produced them, or leave their pixels out with --valid.",
    ),
    ("fuse", OptionError, "tile"): Advice("--tile"),
    ("fuse", OptionError, "overlap"): Advice("--overlap"),
    ("fuse", DTypeError, "image"): Advice("IMAGES"),
    ("fuse", ShapeError, "image"): Advice("IMAGES"),
    ("fuse", DTypeError, "valid"): Advice("--valid"),
    ("fuse", ShapeError, "valid"): Advice("--valid"),
    ("calibrate", ScoreRangeError, "maps"): Advice(
        "SCORES", "Pass the raw score maps of images without anomalies."
    ),
    ("threshold", ScoreRangeError, "maps"): Advice(
        "SCORES", "A threshold is not fitted on nothing: pass the scores of images without anomalies."
    ),
    ("threshold", ScoreRangeError, "labels"): Advice("--labels"),
    ("threshold", OptionError, "share"): Advice("--pixels"),
    ("threshold", OptionError, "per_image"): Advice("--objects", "Ask for fewer, or pass --min-area."),
    ("threshold", OptionError, "min_area"): Advice("--min-area"),
    ("threshold", OptionError, "recall"): Advice("--recall"),
    ("export", FileError, "source"): Advice(
        "NAME", "Check the name; `fuse` exports the fusion alone, for the labels of any regions."
    ),
    ("export", OptionError, "source"): Advice("NAME"),
    ("export", OptionError, "proposer"): Advice("NAME"),
    ("export", OptionError, "classes"): Advice("--classes"),
    ("export", OptionError, "inputs"): Advice("--inputs"),
    ("export", ShapeError, "size"): Advice("--size", "Pass height and width, such as 480x640."),
    ("train", FileError, "source"): Advice("--weights", "Check the name of the network."),
    ("train", OptionError, "source"): Advice("--weights", "Check the name of the network."),
    ("objects", OptionError, "images"): Advice("--image-ids"),
    ("objects", ScoreRangeError, "maps"): Advice(
        "--fit-on", "Pass frames without anomalies, with their scores."
    ),
    ("objects", OptionError, "per_image"): Advice("--false-objects", "Ask for fewer, or pass --min-area."),
    ("objects", OptionError, "threshold"): Advice("--threshold"),
    ("objects", CSLError, "fused"): Advice("SCORES"),
    ("eval", ScoreRangeError, "scores"): Advice(
        "SCORES", "Find out what produced these values; --protocol pooled takes infinite ones."
    ),
}


def in_command_words(error: ErrorT, command: str, options: Collection[str] = ()) -> ErrorT:
    """The error as a user of a command reads it.

    Args:
        error: Of the library.
        command: The command's name.
        options: Names that were given by --option.

    Example:
        >>> error = OptionError("subset", "'x'", "train, val", "Pass subset=None.")
        >>> print(in_command_words(error, "benchmark"))
        --split: got 'x', expected train, val. Choose one of these; without --split it is the default.
    """
    kinds = [kind for kind in type(error).__mro__ if issubclass(kind, CSLError)]
    for kind in kinds:
        advice = _OF_COMMAND.get((command, kind, error.argument)) or _ADVICE.get((kind, error.argument))
        if advice is not None:
            near = re.match(r"Did you mean '[^']*'\? ", error.hint)
            hint = error.hint if advice.hint is None else (near[0] if near else "") + advice.hint
            return type(error)(advice.option, error.got, error.expected, hint)
    if error.argument in options:
        return type(error)(f"--option {error.argument}", error.got, error.expected, error.hint)
    return error
