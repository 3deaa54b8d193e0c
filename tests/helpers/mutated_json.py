"""JSON files as damage and carelessness leave them, from a seed."""

from __future__ import annotations

import copy
import json
import math
import random
from collections.abc import Iterator
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3.5, 1e308, -1e308, math.nan, math.inf, 10**25, 10**400, "", "x", "0",
    "\0", "\ud800", "a" * 5000, "../..", [], {}, [[]], [1, "2"], {"x": 1}, {"": {}}, [None] * 300,
)  # fmt: skip
TEXTS = ("", " ", "\0", "[" * 50_000, '{"a":' * 50_000, "1" * 5000, "\xff\xfe", "nul", "[1,]", '"\\ud800"')


def mutated(document: Any, count: int, seed: int) -> Iterator[bytes]:
    """`count` texts: keys dropped, renamed, doubled; values of other types; damaged and random bytes."""
    draw = random.Random(seed)  # noqa: S311 - for tests
    for text in TEXTS[:count]:
        yield text.encode("latin-1")
    for _ in range(count - len(TEXTS)):
        changed = copy.deepcopy(document)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            changed = _change(draw, changed)
        text = json.dumps(changed).encode()
        yield _damaged(draw, text) if draw.random() < 0.15 else text


def _change(draw: random.Random, document: Any) -> Any:
    holders = [inner for inner in _containers(document) if inner]
    if not holders or draw.random() < 0.02:
        return copy.deepcopy(draw.choice(STRANGE))
    holder = draw.choice(holders)
    key = draw.choice(list(holder)) if isinstance(holder, dict) else draw.randrange(len(holder))
    kind = draw.randrange(6)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[draw.choice((key + "s", key.upper(), key[:-1], "\ud800", "x" * 400))] = holder[key]
    elif kind == 1:
        holder.append(copy.deepcopy(holder[key]))
    elif kind == 2:
        holder[key] = [holder[key]]
    elif kind == 3 and isinstance(holder[key], (int, float)):
        holder[key] = -holder[key] if draw.random() < 0.5 else holder[key] * 10 ** draw.randrange(40)
    else:
        holder[key] = copy.deepcopy(draw.choice(STRANGE))
    return document


def _containers(value: Any) -> Iterator[Any]:
    if isinstance(value, (dict, list)):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _containers(inner)


def _damaged(draw: random.Random, text: bytes) -> bytes:
    place = draw.randrange(len(text))
    kind = draw.randrange(4)
    if kind == 0:
        return text[:place]
    if kind == 1:
        return text[:place] + draw.randbytes(draw.randrange(1, 9)) + text[place:]
    if kind == 2:
        return text[:place] + bytes([text[place] ^ 1 << draw.randrange(8)]) + text[place + 1 :]
    return text[:place] + text[draw.randrange(len(text)) :]
