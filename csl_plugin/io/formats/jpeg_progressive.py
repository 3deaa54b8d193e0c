"""Counts the blocks that the scans of a progressive JPEG file hold.

A scan that refines coefficients spends a bit on each that is not zero so far, so the places of those have
to be followed from scan to scan.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from csl_plugin.io.formats.jpeg_scan import Component, Scan, Tables
from csl_plugin.io.formats.jpeg_symbols import code_table, window_at_every_bit
from csl_plugin.io.formats.layout import Damaged

_PART = 1 << 17  # bytes whose codes are in memory at a time
_MARGIN = 1 << 12  # more than the longest block
_NO_CODE = 32
_ZERO_RUN = 15


def count_missing_progressive(
    data: bytes, size: tuple[int, int], components: Sequence[Component], scans: Sequence[Scan]
) -> int:
    """Number of units that are missing at the end of the scans.

    Args:
        data: The file.
        size: (H, W).
        components: Of the frame.
        scans: All scans, in the order of the file.

    Raises:
        Damaged: Bits that are no code.
    """
    missing = 0
    known: dict[int, bytearray] = {}
    for scan in scans:
        units = left = scan.units(size, components)
        history = known.setdefault(scan.names[0], bytearray(64 * units)) if scan.band[0] else bytearray()
        for segment in scan.segments(data):
            wanted = min(left, scan.interval or left)
            codes = _Codes(segment, scan)
            if not scan.band[0]:
                held = _dc_units(codes, scan, wanted)
            elif scan.steps[0]:
                held = _refined_blocks(codes, scan.band, history, units - left, wanted)
            else:
                held = _first_blocks(codes, scan.band, history, units - left, wanted)
            missing += wanted - held
            left -= wanted
    return missing


class _Codes:
    """The codes of a segment; `advance` brings the part that holds a bit into memory."""

    def __init__(self, segment: bytes, scan: Scan) -> None:
        self.segment, self.start = segment, 0
        self.tables = _lookup_tables(scan)
        self.windows: NDArray[np.uint16] = np.empty(0, np.uint16)
        self.found: list[tuple[bytes, bytes]] = []
        self._load()

    def _load(self) -> None:
        part = self.segment[self.start : self.start + _PART + _MARGIN]
        windows = window_at_every_bit(part + bytes(_MARGIN))
        self.windows = windows
        self.found = [
            (symbols[windows].tobytes(), lengths[windows].tobytes()) for symbols, lengths in self.tables
        ]
        self.end = 8 * len(part)
        self.is_last = self.start + len(part) == len(self.segment)

    def advance(self, bit: int) -> int:
        """The number of the same bit after the part was moved to it, if it has left the part."""
        while bit >= 8 * _PART and not self.is_last:
            self.start += _PART
            bit -= 8 * _PART
            self._load()
        return bit


def _dc_units(codes: _Codes, scan: Scan, wanted: int) -> int:
    parts = scan.parts
    counts = [part.across * part.down if len(parts) > 1 else 1 for part, _, _ in parts]
    if scan.steps[0]:  # one bit for each block
        return min(wanted, 8 * len(codes.segment) // sum(counts))
    numbers = [number for number, count in enumerate(counts) for _ in range(count)]
    bit = 0
    for unit in range(wanted):
        bit = codes.advance(bit)
        for number in numbers:
            symbols, lengths = codes.found[number]
            bit += lengths[bit] + (symbols[bit] & 31)
        if bit > codes.end:
            return unit
    return wanted


def _first_blocks(codes: _Codes, band: tuple[int, int], history: bytearray, start: int, wanted: int) -> int:
    first, last = band
    bit, block, stop = 0, start, start + wanted
    while block < stop:
        bit = codes.advance(bit)
        (symbols, lengths), windows = codes.found[0], codes.windows
        place, empty = first, 0
        while place <= last:
            run, size = symbols[bit] >> 4, symbols[bit] & 15
            bit += lengths[bit]
            if size:
                place += run
                if place > last:
                    raise _no_code()
                history[64 * block + place] = 1
                bit += size
            elif run < _ZERO_RUN:
                empty = (1 << run) - 1 + (int(windows[bit]) >> (16 - run))
                bit += run
                break
            else:
                place += _ZERO_RUN
            place += 1
        if bit > codes.end:
            return block - start
        block += 1 + empty
    return wanted


def _refined_blocks(codes: _Codes, band: tuple[int, int], history: bytearray, start: int, wanted: int) -> int:
    first, last = band
    bit, block, stop, empty = 0, start, start + wanted, 0
    while block < stop:
        bit = codes.advance(bit)
        place = base = 64 * block + first
        final = 64 * block + last
        if not empty:
            (symbols, lengths), windows = codes.found[0], codes.windows
            while place <= final:
                run, size = symbols[bit] >> 4, symbols[bit] & 15
                bit += lengths[bit]
                if not size and run < _ZERO_RUN:
                    empty = (1 << run) + (int(windows[bit]) >> (16 - run))
                    bit += run
                    break
                bit += size
                base = place
                # The run counts the coefficients that are zero so far.
                while place <= final:
                    if not history[place]:
                        if not run:
                            break
                        run -= 1
                    place += 1
                bit += history.count(1, base, min(place, final + 1))
                if size and place <= final:
                    history[place] = 2  # its bits were read with its sign
                place += 1
        if empty:
            bit += history.count(1, place, final + 1)
            empty -= 1
        if bit > codes.end:
            return block - start
        new = history.find(2, 64 * block, final + 1)
        while new >= 0:
            history[new] = 1
            new = history.find(2, new + 1, final + 1)
        block += 1
        skipped = min(empty, stop - block)
        if skipped and history.find(1, 64 * block, 64 * (block + skipped)) < 0:
            block += skipped
            empty -= skipped
    return wanted


@lru_cache(maxsize=32)
def _lookup(counts: bytes, symbols: bytes) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    values, lengths = code_table(counts, symbols, unused=_NO_CODE)
    return values, lengths


def _lookup_tables(scan: Scan) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    if not scan.band[0] and scan.steps[0]:
        return []
    tables: Tables = scan.tables
    numbers = [16 + ac if scan.band[0] else dc for _, dc, ac in scan.parts]
    if any(number not in tables for number in numbers):
        raise Damaged("a JPEG file without code tables")
    return [_lookup(*tables[number]) for number in numbers]


def _no_code() -> Damaged:
    return Damaged("a JPEG file with bits that are no code: parts are damaged")
