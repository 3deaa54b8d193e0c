"""JSON of unknown origin: strict, and bounded in size, depth and digits before anything is built from it."""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from csl_plugin.errors import FileError
from csl_plugin.io.limits import as_file_error
from csl_plugin.io.opening import opened, read_bytes
from csl_plugin.places import Place

LARGEST_JSON = 1 << 20
"""Bytes of the largest JSON file that is read, unless its reader says otherwise."""

_DEEPEST, _MOST_DIGITS = 64, 30
_LARGEST_OBJECTS = 512 << 20  # bytes of Python objects
_CONTAINER, _NUMBER = 240, 40  # bytes of an object, at most, and of a number in a list


def read_json(path: Place, expected: str, *, largest: int = LARGEST_JSON) -> Any:
    """The value in a JSON file.

    Args:
        path: A regular file in UTF-8, with or without a byte order mark.
        expected: What the file should hold, for the error.
        largest: Bytes that it may have; no more are read.

    Raises:
        FileError: Missing, no regular file, too large, or no strict JSON (see `parse_json`).
    """
    with as_file_error(path, expected), opened(path) as (file, _):
        data = file.read(largest + 1)
    if len(data) > largest:
        hint = "Check that the path is right."
        raise FileError(str(path), "a very long file", f"{expected} of at most {largest} bytes", hint)
    return parse_json(data, str(path), expected)


def read_large_json(path: Place, expected: str, *, largest: int, hint: str) -> Any:
    """The value in a JSON file of many values, whose size as Python objects is estimated before it is parsed.

    Args:
        path: As for `read_json`.
        expected: What the file should hold, for the error.
        largest: Bytes that it may have.
        hint: How to make the file smaller, a sentence.

    Raises:
        FileError: As for `read_json`, or of too many values.
    """
    with as_file_error(path, expected):
        data = read_bytes(path, largest)
    objects, commas = data.count(b"[") + data.count(b"{"), data.count(b",")
    if _CONTAINER * objects + _NUMBER * commas > _LARGEST_OBJECTS:
        got = f"{objects} lists and objects, {commas} commas"
        raise FileError(str(path), got, f"fewer, as in {expected}", hint)
    return parse_json(data, str(path), expected)


def parse_json(data: bytes | str, argument: str, expected: str) -> Any:
    """The value of a JSON text.

    Beyond the standard's grammar, a key appears once in an object, numbers are finite and of at most 30
    digits where they are integers, no value is nested deeper than 64 levels, and texts are valid Unicode.

    Args:
        data: UTF-8, or text.
        argument: What an error calls it.
        expected: What it should hold, for the error.

    Raises:
        FileError: It is no such JSON.

    Example:
        >>> parse_json('{"seed": 3, "crop": [192, 256]}', "recipe.json", "a recipe")
        {'seed': 3, 'crop': [192, 256]}
        >>> from csl_plugin import CSLError
        >>> try:
        ...     parse_json('{"seed": 3, "seed": 4}', "recipe.json", "a recipe")
        ... except CSLError as error:
        ...     print(error.got)
        no strict JSON (the key 'seed' twice in one object)
    """
    if not isinstance(data, (bytes, str)):
        raise FileError(
            argument, f"a {type(data).__module__}.{type(data).__qualname__}", expected, "Pass a text."
        )
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
        value = json.loads(
            text,
            object_pairs_hook=_object,
            parse_int=_integer,
            parse_float=_real,
            parse_constant=_not_a_number,
        )
        _check_depth(value)
    except RecursionError:
        reason = "it is nested too deeply"
    except json.JSONDecodeError as error:
        reason = f"{error.msg} in line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError as error:
        reason = f"byte {error.start} is no UTF-8"
    except ValueError as error:
        reason = str(error)
    else:
        return value
    hint = "Correct it, or write it again with the program that made it."
    raise FileError(argument, f"no strict JSON ({reason})", expected, hint)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"the key {key[:60]!r} twice in one object")
        found[key] = value
    return found


def _integer(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _real(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError("a number beyond those of 64 bits")
    return value


def _not_a_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _check_depth(value: Any) -> None:
    """Level by level, so that nothing here is recursive; and no text is left that files cannot hold."""
    level, depth = [value], 0
    while level:
        if depth > _DEEPEST:
            raise RecursionError
        below: list[Any] = []
        for outer in level:
            if isinstance(outer, dict):
                below += outer.keys()
                below += outer.values()
            elif isinstance(outer, list):
                below += outer
            elif isinstance(outer, str) and not outer.isascii():
                outer.encode()  # half of a surrogate pair is no text
        level, depth = below, depth + 1
