"""What a recipe says of its data: every entry checked, and every name known, before a file is opened."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from csl_plugin.errors import OptionError
from csl_plugin.io.json_schema import (
    Place,
    Reader,
    array,
    boolean,
    choice,
    in_json,
    integer,
    number,
    record,
    table,
    text,
)
from csl_plugin.training.data.augmentation import Cropping, read_cropping

DEAD_LEAVES, PROCEDURAL = "dead-leaves", "procedural"
_MOST_OBJECTS = 1000

_LABEL_VALUES = array(integer(0, 65535))
_SHARE = number(0, 1e6)


@dataclass(frozen=True)
class SourceEntry:
    """A folder of labeled pictures; see `csl_plugin.training.Recipe`, as for all entries."""

    labels_of: Literal["classes", "segments"]
    images: str = "images"
    labels: str = "labels"
    ignore: tuple[int, ...] = ()
    unseen: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.unseen and self.labels_of == "segments":
            hint = "Omit it, or list the values in ignore: a segment has no class."
            raise OptionError("unseen", str(list(self.unseen)), "a source of classes", hint)


@dataclass(frozen=True)
class PartEntry:
    """What a batch is drawn from."""

    source: str
    share: float = 1.0
    paste: tuple[int, int] | None = None
    lengths: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.paste is not None and self.paste[0] > self.paste[1]:
            hint = "Write the smaller number first."
            raise OptionError("paste", str(list(self.paste)), "[fewest, most]", hint)
        if self.lengths is not None and self.paste is None:
            hint = 'Add "paste": [0, 4], or omit the lengths.'
            raise OptionError("lengths", str(list(self.lengths)), "a part with objects", hint)
        if self.lengths is not None and self.lengths[0] > self.lengths[1]:
            hint = "Write the smaller length first."
            raise OptionError("lengths", str(list(self.lengths)), "[shortest, longest]", hint)


@dataclass(frozen=True)
class TeacherEntry:
    """A teacher's distributions for the images of a source."""

    maps: str
    source: str | None = None
    logits: bool = False


@dataclass(frozen=True)
class ValidationEntry:
    """What the moving average is measured on."""

    source: SourceEntry
    every: int = 500
    frames: str = "::"
    scores: str | None = None
    anomaly: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (self.scores is None) != (not self.anomaly):
            hint = "Write both, or neither: the label values of anomalies are compared with scores."
            got = f"scores {self.scores!r} and anomaly {list(self.anomaly)}"
            raise OptionError("anomaly", got, "scores and the label values of anomalies", hint)
        if self.scores is not None and self.source.labels_of != "classes":
            hint = 'Use a source with labels_of "classes", or omit the scores.'
            raise OptionError("scores", "scores with segments", "scores with classes", hint)

    @property
    def chosen(self) -> slice:
        """Which frames of the source are measured."""
        words = [int(word) if word else None for word in self.frames.split(":")]
        return slice(*words)


@dataclass(frozen=True)
class RecipeEntries:
    """The data of a recipe, with every default.

    Raises:
        OptionError: An entry names what is not there, or what another kind of entry needs.
    """

    parts: tuple[PartEntry, ...]
    cropping: Cropping = field(default_factory=Cropping)
    sources: Mapping[str, SourceEntry] = field(default_factory=dict)
    textures: tuple[str, ...] = ()
    objects: Mapping[str, float] = field(default_factory=dict)
    split: bool = True
    teacher: TeacherEntry | None = None
    validation: ValidationEntry | None = None
    backbone: str | None = None

    def __post_init__(self) -> None:
        for name in (DEAD_LEAVES, PROCEDURAL):
            if name in self.sources:
                raise OptionError("sources", repr(name), "another name", "This one is not a folder.")
        for number_of_part, part in enumerate(self.parts):
            place = f"parts[{number_of_part}]"
            _find(f"{place}.source", part.source, (*self.sources, DEAD_LEAVES))
            if part.paste is not None and not sum(self.objects.values()) > 0:
                hint = 'Add "objects": {"procedural": 1.0}, or omit "paste".'
                raise OptionError(f"{place}.paste", "no objects to paste", "objects with a share", hint)
        if not sum(part.share for part in self.parts) > 0:
            raise OptionError("parts", "no share above 0", "a part that is drawn from", "Omit the shares.")
        segments = [name for name, source in self.sources.items() if source.labels_of == "segments"]
        for name in self.objects:
            _find(f"objects.{name}", name, (*segments, PROCEDURAL))
        if self.teacher is not None:
            _find("teacher.source", self.taught, tuple(self.sources))

    @property
    def taught(self) -> str | None:
        """The source whose images the teacher's maps are for."""
        if self.teacher is None:
            return None
        only = next(iter(self.sources)) if len(self.sources) == 1 else None
        return self.teacher.source or only


def _find(place: str, name: str | None, known: tuple[str, ...]) -> None:
    if name not in known:
        expected = " or ".join(map(repr, known)) or "the name of a source, of which there is none"
        hint = "Name a source of the recipe; only those of segments hold objects."
        raise OptionError(place, in_json(name), expected, hint)


def _frames(value: Any, place: Place) -> str:
    words = value.split(":") if isinstance(value, str) else []
    numbers = all(re.fullmatch(r"-?\d{1,9}|", word, re.ASCII) for word in words)
    if len(words) not in (2, 3) or not numbers or (words[2:] and words[2] and not int(words[2])):
        hint = 'Write "0::2" for every second image.'
        raise place.error(in_json(value), "START:STOP or START:STOP:STEP", hint)
    return str(value)


_SOURCE = record(
    SourceEntry,
    {
        "labels_of": choice("classes", "segments"),
        "images": text,
        "labels": text,
        "ignore": _LABEL_VALUES,
        "unseen": _LABEL_VALUES,
    },
    "labels_of",
)
_PART = record(
    PartEntry,
    {
        "source": text,
        "share": _SHARE,
        "paste": array(integer(0, _MOST_OBJECTS), 2, 2),
        "lengths": array(number(4, 1 << 14), 2, 2),
    },
    "source",
)
_VALIDATION = record(
    ValidationEntry,
    {
        "source": _SOURCE,
        "every": integer(1, 10**9),
        "frames": _frames,
        "scores": text,
        "anomaly": _LABEL_VALUES,
    },
    "source",
)
ENTRIES: Mapping[str, Reader[Any]] = {
    "parts": array(_PART, 1, 1000),
    "cropping": read_cropping,
    "sources": table(_SOURCE),
    "textures": array(text),
    "objects": table(_SHARE),
    "split": boolean,
    "teacher": record(TeacherEntry, {"maps": text, "source": text, "logits": boolean}, "maps"),
    "validation": _VALIDATION,
    "backbone": text,
}
"""What may stand in a recipe besides the network and the settings."""

read_entries = record(RecipeEntries, ENTRIES, "parts")
