"""What a JSON value has to be: readers of values, and the one error that says where another came."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np

from csl_plugin._nearest import did_you_mean
from csl_plugin.errors import CSLError, FileError, OptionError

T = TypeVar("T")


@dataclass(frozen=True)
class Place:
    """Where a value stands.

    Attributes:
        file: The file it comes from; None for a value that was passed.
        path: The way to it inside.

    Example:
        >>> str(Place("recipe.json")["settings"]["crop"][1])
        'recipe.json, settings.crop[1]'
    """

    file: str | None = None
    path: str = ""

    def __getitem__(self, key: str | int) -> Place:
        if isinstance(key, int):
            return Place(self.file, f"{self.path}[{key}]")
        name = key if re.fullmatch(r"[\w ,.\[\]-]{1,60}", key) else repr(key[:60])
        return Place(self.file, f"{self.path}.{name}" if self.path else name)

    def __str__(self) -> str:
        return ", ".join(part for part in (self.file, self.path) if part) or "values"

    def error(self, got: str, expected: str, hint: str) -> CSLError:
        """A FileError for a value of a file, else an OptionError."""
        return (OptionError if self.file is None else FileError)(str(self), got, expected, hint)


Reader: TypeAlias = Callable[[Any, Place], T]
"""From a JSON value and its place to what it means; raises `Place.error`."""


def integer(low: int, high: int) -> Reader[int]:
    """An integer in [low, high]; true and false are none."""

    def read(value: Any, place: Place) -> int:
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not low <= value <= high:
            hint = "Choose a value in these bounds."
            raise place.error(in_json(value), f"an integer in [{low}, {high}]", hint)
        return int(value)

    return read


def number(low: float, high: float, *, above_low: bool = False, below_high: bool = False) -> Reader[float]:
    """A finite number in [low, high], without the bounds that are excluded; true and false are none."""
    opening, closing = "(" if above_low else "[", ")" if below_high else "]"
    expected = f"a number in {opening}{low:g}, {high:g}{closing}"

    def read(value: Any, place: Place) -> float:
        numeric = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
        if isinstance(value, np.floating):
            value = float(value)  # a narrow type does not hold the bounds
        # An integer may have more digits than a float can hold, but not beyond these bounds.
        inside = numeric and low <= value <= high and math.isfinite(value)
        if not inside or (above_low and value == low) or (below_high and value == high):
            raise place.error(in_json(value), expected, "Choose a value in these bounds.")
        return float(value)

    return read


def boolean(value: Any, place: Place) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise place.error(in_json(value), "true or false", "Write it without quotes.")
    return value


def text(value: Any, place: Place) -> str:
    """Read a text that can be part of a path."""
    try:
        if isinstance(value, str) and value and b"\0" not in value.encode():
            return value
    except UnicodeEncodeError:  # half of a surrogate pair
        pass
    raise place.error(in_json(value), "a text that is not empty", "Write it in quotes.")


def choice(*values: str) -> Reader[str]:
    """One of these texts."""

    def read(value: Any, place: Place) -> str:
        if not isinstance(value, str) or value not in values:
            expected = " or ".join(map(repr, values))
            raise place.error(in_json(value), expected, did_you_mean(value, values) or "Name one of them.")
        return value

    return read


def array(item: Reader[T], fewest: int = 0, most: int | None = None) -> Reader[tuple[T, ...]]:
    """A list of `fewest` to `most` items; None for any number."""
    count = f"at least {fewest}" if most is None else str(most) if most == fewest else f"{fewest} to {most}"

    def read(value: Any, place: Place) -> tuple[T, ...]:
        length = len(value) if isinstance(value, (list, tuple)) else -1
        if length < fewest or (most is not None and length > most):
            raise place.error(in_json(value), f"a list of {count}", "Write it in square brackets.")
        return tuple(item(inner, place[index]) for index, inner in enumerate(value))

    return read


def table(item: Reader[T], fewest: int = 0) -> Reader[dict[str, T]]:
    """An object with names of the writer's choice."""

    def read(value: Any, place: Place) -> dict[str, T]:
        if not isinstance(value, Mapping) or len(value) < fewest:
            raise place.error(in_json(value), "an object", 'Write it as {"name": value}.')
        return {text(name, place): item(inner, place[name]) for name, inner in value.items()}

    return read


def record(kind: Callable[..., T], fields: Mapping[str, Reader[Any]], *required: str) -> Reader[T]:
    """An object whose names are those of arguments.

    Args:
        kind: Called with what was read, by name; an OptionError that it raises names the place too.
        fields: The reader of every name that may be there.
        required: Names that must be there.

    Example:
        >>> read = record(dict, {"steps": integer(1, 99), "crop": array(integer(1, 512), 2, 2)}, "steps")
        >>> read({"steps": 3, "crop": [32, 64]}, Place("recipe.json", "settings"))
        {'steps': 3, 'crop': (32, 64)}
        >>> from csl_plugin import CSLError
        >>> try:
        ...     read({"steps": 3, "corp": [32, 64]}, Place("recipe.json", "settings"))
        ... except CSLError as error:
        ...     print(error)
        recipe.json, settings: got 'corp', expected only crop, steps. Did you mean 'crop'?
    """

    def read(value: Any, place: Place) -> T:
        if not isinstance(value, Mapping):
            expected = "an object with " + (", ".join(required) or "any of " + ", ".join(sorted(fields)))
            raise place.error(in_json(value), expected, 'Write it as {"name": value}.')
        check_names(value, fields, place)
        missing = [name for name in required if name not in value]
        if missing:
            expected = ", ".join(required) + ", and any of " + ", ".join(sorted(fields))
            raise place.error(f"no {', '.join(missing)}", expected, "Add what is missing.")
        given = {name: fields[name](inner, place[name]) for name, inner in value.items()}
        try:
            return kind(**given)
        except OptionError as error:
            raise place[error.argument].error(error.got, error.expected, error.hint) from error

    return read


def check_fields(instance: Any, fields: Mapping[str, Reader[Any]]) -> None:
    """Replace the fields of a frozen dataclass by what their readers make of them.

    Raises:
        OptionError: A reader refuses a value.
    """
    for name, read in fields.items():
        object.__setattr__(instance, name, read(getattr(instance, name), Place()[name]))


def check_names(names: Collection[Any], known: Collection[str], place: Place) -> None:
    """Refuse names that are not known.

    Raises:
        FileError, OptionError: See `Place.error`; the first unknown name, and a known one that is like it.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        hint = did_you_mean(unknown[0], known) or "Remove it, or read it with the version that wrote it."
        raise place.error(in_json(unknown[0]), "only " + ", ".join(sorted(known)), hint)


def in_json(value: object) -> str:
    """A value for a message, in the words of JSON and at most about 60 characters."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return f"an object of {len(value)}"
    if isinstance(value, (list, tuple)):
        return f"a list of {len(value)}"
    if isinstance(value, int) and abs(value) >= 10**60:
        return "an integer of more than 60 digits"
    written = repr(value[:61] if isinstance(value, str) else value)
    return written if len(written) <= 64 else written[:60] + "..."
