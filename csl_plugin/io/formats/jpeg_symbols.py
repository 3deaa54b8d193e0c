"""Counts the blocks that the scans of a JPEG file hold: whether a picture is complete, without its values.

Only lengths are decoded: for every bit of the data, tables give how far a code that starts there reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from csl_plugin.io.formats.jpeg_scan import Component, Scan
from csl_plugin.io.formats.layout import Damaged

_PART = 1 << 17  # bytes whose tables are in memory at a time
_MARGIN = 1 << 13  # more than the longest unit
_PADDING = 8 * 64  # bits that some encoders write after the last unit
_NO_CODE = 255  # a run that no block allows


class _Steps(NamedTuple):
    """By the 16 bits that start a code: the bits of code and value, and the coefficients it covers."""

    bits: NDArray[np.uint8]
    covered: NDArray[np.uint8]


class _Codes(NamedTuple):
    """The same by the number of the bit that starts a code."""

    bits: bytes
    covered: bytes


def count_missing(
    data: bytes, size: tuple[int, int], components: Sequence[Component], scans: Sequence[Scan]
) -> int:
    """Number of coded units that are missing at the end of sequential scans.

    Args:
        data: The file.
        size: (H, W).
        components: Of the frame.
        scans: All scans, of one component or several.

    Raises:
        Damaged: Bits that are no code.
    """
    missing = 0
    for scan in scans:
        left = scan.units(size, components)
        for segment in scan.segments(data):
            wanted = min(left, scan.interval or left)
            missing += wanted - _units_held(segment, _blocks(scan), wanted)
            left -= wanted
    return missing


def _blocks(scan: Scan) -> list[tuple[_Steps, _Steps]]:
    """The tables of every block of a unit, in coded order."""
    found = []
    for part, dc, ac in scan.parts:
        count = part.across * part.down if len(scan.parts) > 1 else 1
        if dc not in scan.tables or 16 + ac not in scan.tables:
            raise Damaged("a JPEG file without code tables")
        tables = _steps(*scan.tables[dc], True), _steps(*scan.tables[16 + ac], False)
        found += [tables] * count
    return found


@lru_cache(maxsize=32)
def _steps(counts: bytes, symbols: bytes, is_dc: bool) -> _Steps:
    values, lengths = code_table(counts, symbols, unused=0)
    runs, sizes = values >> 4, values & (31 if is_dc else 15)
    covered = np.where(sizes > 0, runs + 1, np.where(runs == 15, 16, 64))
    covered[lengths == 0] = _NO_CODE
    return _Steps(np.maximum(lengths + sizes, 1).astype(np.uint8), covered.astype(np.uint8))


def code_table(counts: bytes, symbols: bytes, unused: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The symbol and the length of the code at the start of any 16 bits; the length is `unused` for none.

    Args:
        counts: Number of codes of each length, 1 to 16.
        symbols: Their symbols, in the order of the codes.
        unused: The length where no code fits.

    Raises:
        Damaged: There are more codes than fit.
    """
    lengths = np.repeat(np.arange(1, 17), np.frombuffer(counts, np.uint8))
    spans = 1 << (16 - lengths)
    free = (1 << 16) - int(spans.sum())
    if free < 0:
        raise Damaged("a JPEG file with damaged code tables")
    values = np.repeat(np.frombuffer(symbols, np.uint8), spans)
    spread = np.repeat(lengths, spans)
    return (
        np.append(values, np.zeros(free)).astype(np.uint8),
        np.append(spread, np.full(free, unused)).astype(np.uint8),
    )


def window_at_every_bit(part: bytes) -> NDArray[np.uint16]:
    """The 16 bits that start at every bit."""
    padded = np.frombuffer(part + bytes(3), np.uint8).astype(np.uint32)
    three = padded[:-2] << 16 | padded[1:-1] << 8 | padded[2:]
    return (three[:-1, None] >> np.arange(8, 0, -1, dtype=np.uint32)).astype(np.uint16).ravel()


def _units_held(segment: bytes, blocks: Sequence[tuple[_Steps, _Steps]], wanted: int) -> int:
    """How many of the wanted units are complete."""
    done, start, bit = 0, 0, 0
    while done < wanted:
        part = segment[start : start + _PART + _MARGIN]
        last = start + len(part) == len(segment)
        done, bit = _walk(part, blocks, bit, 8 * len(part) if last else 8 * _PART, done, wanted)
        if last:
            if done == wanted and bit + _PADDING < 8 * len(part):
                raise Damaged(f"a JPEG file with {len(part) - bit // 8} bytes too many: parts are damaged")
            return done
        start += _PART
        bit -= 8 * _PART
    return done


def _walk(
    part: bytes, blocks: Sequence[tuple[_Steps, _Steps]], bit: int, end: int, done: int, wanted: int
) -> tuple[int, int]:
    """Go through units until one ends at or after `end`; one that ends after the data is not counted."""
    windows = window_at_every_bit(part)
    beyond = bytes(_MARGIN)  # where the data ends inside a unit
    coded: dict[int, _Codes] = {}
    for steps in {id(table): table for pair in blocks for table in pair}.values():
        coded[id(steps)] = _Codes(
            steps.bits[windows].tobytes() + b"\1" * len(beyond),
            steps.covered[windows].tobytes() + b"\x40" * len(beyond),
        )
    order = [(coded[id(dc)].bits, *coded[id(ac)]) for dc, ac in blocks]
    total = 8 * len(part)
    while done < wanted and bit < end:
        for dc_bits, bits, covered in order:
            bit += dc_bits[bit]
            place = 1
            while place < 64:
                place += covered[bit]
                bit += bits[bit]
            if place > 128:
                raise Damaged("a JPEG file with bits that are no code: parts are damaged")
        if bit > total:
            break
        done += 1
    return done, bit
