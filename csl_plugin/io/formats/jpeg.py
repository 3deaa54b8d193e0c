"""JPEG: the segments of a file, and whether its scans hold the whole picture.

A decoder fills what is missing and returns a picture all the same: libjpeg prints a warning on stderr.
"""

from __future__ import annotations

import re
import struct
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.io.formats.exif import exif_orientation
from csl_plugin.io.formats.jpeg_end import has_gray_units, is_gray_end, is_refined_to_the_end
from csl_plugin.io.formats.jpeg_progressive import count_missing_progressive
from csl_plugin.io.formats.jpeg_scan import ZIGZAG, Component, Scan, Tables
from csl_plugin.io.formats.jpeg_symbols import count_missing
from csl_plugin.io.formats.layout import Damaged, Layout

_EOI, _SOS, _DHT, _DQT, _DRI, _APP1, _APP14 = 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xE1, 0xEE
_SEQUENTIAL, _PROGRESSIVE, _LOSSLESS = (0xC0, 0xC1), (0xC2,), (0xC3,)
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)
_IGNORED = (0xDC, 0xFE, *range(0xE0, 0xF0))
_FILLING = re.compile(rb"\xff+")
_HOLE = bytes(32)  # in coded data rare, and common where a file was never written
_MOST_DECODED = (
    2_500_000_000  # pixels of all scans: each is a pass over the picture, and common files have 18
)
_FEW_PIXELS = 25_000_000  # up to which 100 scans are accepted


class _Frame:
    """A JPEG file while its segments are read."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        values = np.frombuffer(data, np.uint8)
        marked = values[:-1] == 0xFF
        marked &= values[1:] != 0
        marked &= values[1:] != 0xFF
        self.places = np.flatnonzero(marked)
        self.codes = values[self.places + 1]
        self.others = np.flatnonzero(self.codes & 0xF8 != 0xD0)  # all but restart markers
        self.kind = 0
        self.size = (0, 0)
        self.components: dict[int, Component] = {}
        self.tables: Tables = {}
        self.steps: dict[int, NDArray[np.int64]] = {}
        self.interval = 0
        self.orientation: int | None = None
        self.transformed = True
        self.scans: list[Scan] = []

    def read(self) -> None:
        """Walk the segments from the first to the end marker."""
        at = 2
        while True:
            at = self._next_marker(at)
            code = self.data[at + 1]
            if code == _EOI:
                return
            body, end = self._segment(at)
            if code in _FRAMES:
                self._read_frame(code, body)
            elif code == _SOS:
                end = self._read_scan(body, end)
            elif code == _DHT:
                self._read_tables(body)
            elif code == _DQT:
                self._read_quantization(body)
            elif code == _DRI:
                self.interval = struct.unpack_from(">H", body)[0]
            elif code == _APP1 and self.orientation is None and body.startswith(b"Exif\0\0"):
                self.orientation = exif_orientation(body[6:])
            elif code == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
                self.transformed = body[11] != 0
            elif code not in _IGNORED:
                raise Damaged(f"a marker 0x{code:02X} between the parts of the picture")
            at = end

    def _next_marker(self, at: int) -> int:
        data = self.data
        filling = _FILLING.match(data, at)
        if filling is None and at < len(data):
            raise Damaged("bytes between the parts of the picture")
        if filling is None or filling.end() >= len(data):
            raise Damaged("a JPEG file without end marker: the picture is incomplete")
        return filling.end() - 1

    def _segment(self, at: int) -> tuple[bytes, int]:
        length = struct.unpack_from(">H", self.data, at + 2)[0]
        end = at + 2 + length
        if length < 2 or end > len(self.data):
            raise Damaged("a JPEG file that ends inside its header: the picture is incomplete")
        return self.data[at + 4 : end], end

    def _read_frame(self, code: int, body: bytes) -> None:
        if self.kind:
            raise Damaged("a JPEG file with two headers")
        if code not in _SEQUENTIAL + _PROGRESSIVE + _LOSSLESS:
            raise Damaged("a hierarchical JPEG file, or one with arithmetic coding")
        _, height, width, count = struct.unpack_from(">BHHB", body)
        if not 1 <= count <= 4:
            raise Damaged(f"a JPEG file of {count} components")
        self.kind, self.size = code, (height, width)
        for number in range(count):
            name, sampling, quantization = struct.unpack_from(">BBB", body, 6 + 3 * number)
            across, down = sampling >> 4, sampling & 15
            if not (1 <= across <= 4 and 1 <= down <= 4):
                raise Damaged("a JPEG file with an impossible sampling")
            self.components[name] = Component(across, down, quantization)

    def _read_tables(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            counts = body[at + 1 : at + 17]
            end = at + 17 + sum(counts)
            if len(counts) < 16 or end > len(body):
                raise Damaged("a JPEG file with damaged code tables")
            self.tables[body[at]] = counts, body[at + 17 : end]
            at = end

    def _read_quantization(self, body: bytes) -> None:
        at = 0
        while at < len(body):
            kind = "H" if body[at] >> 4 else "B"
            steps = np.empty(64, np.int64)
            steps[list(ZIGZAG)] = struct.unpack_from(f">64{kind}", body, at + 1)
            self.steps[body[at] & 15] = np.maximum(steps, 1).reshape(8, 8)
            at += 1 + struct.calcsize(f">64{kind}")

    def _read_scan(self, body: bytes, start: int) -> int:
        count = body[0]
        if not self.kind or not 1 <= count <= 4 or len(body) < 4 + 2 * count:
            raise Damaged("a JPEG file with a damaged scan header")
        if (len(self.scans) + 1) * max(self.size[0] * self.size[1], _FEW_PIXELS) > _MOST_DECODED:
            raise Damaged(f"a JPEG file of more than {len(self.scans)} scans, more than any common file")
        chosen = [(body[1 + 2 * n], body[2 + 2 * n]) for n in range(count)]
        if any(name not in self.components for name, _ in chosen):
            raise Damaged("a scan of an unknown component")
        first, last, steps = body[1 + 2 * count : 4 + 2 * count]
        index = int(np.searchsorted(self.places, start))
        following = int(np.searchsorted(self.others, index))
        if following == len(self.others):
            raise Damaged("a JPEG file without end marker: the picture is incomplete")
        restarts = int(self.others[following]) - index
        end = int(self.places[index + restarts])
        scan = Scan(
            tuple((self.components[name], used >> 4, used & 15) for name, used in chosen),
            tuple(name for name, _ in chosen),
            (first, last),
            (steps >> 4, steps & 15),
            (start, end),
            self.places[index : index + restarts],
            self.interval,
            dict(self.tables),
        )
        units = scan.units(self.size, tuple(self.components.values()))
        expected = -(-units // self.interval) - 1 if self.interval else 0
        numbers = self.codes[index : index + expected] - 0xD0
        ordered = len(numbers) == expected and bool((numbers == np.arange(expected) % 8).all())
        # Some cameras write one restart marker too many, at the end.
        if not (ordered and restarts <= expected + 1):
            raise Damaged(f"{restarts} restart markers where the size needs {expected}: parts are missing")
        self.scans.append(scan)
        return end


def read_jpeg(data: bytes) -> Layout:
    """The layout of a JPEG file.

    Raises:
        Damaged: It is cut or damaged, scans or parts of them are missing, or it has more scans than any
            common file.
    """
    frame = _Frame(data)
    frame.read()
    if not frame.kind or not frame.scans:
        raise Damaged("a JPEG file without a picture")
    _check_scans(frame)
    stored = sum(scan.span[1] - scan.span[0] for scan in frame.scans)
    needed = sum(_least_bits(frame, scan) for scan in frame.scans)
    orientation = frame.orientation or 1
    return Layout("JPEG", frame.size, needed, 8 * stored, orientation, partial(_check_end, frame))


def _least_bits(frame: _Frame, scan: Scan) -> int:
    """Bits below which a scan cannot be: one code for the mean of a block, and one for the rest."""
    if frame.kind in _LOSSLESS:
        return frame.size[0] * frame.size[1]
    blocks = sum(part.across * part.down for part, _, _ in scan.parts) if len(scan.parts) > 1 else 1
    per_block = 2 if frame.kind in _SEQUENTIAL else int(scan.band[0] == 0)
    return per_block * blocks * scan.units(frame.size, tuple(frame.components.values()))


def _check_scans(frame: _Frame) -> None:
    """Refuse a file without all scans: what a scan leaves out, no decoder reports."""
    accuracy = {name: np.full(64, -1) for name in frame.components}
    for scan in frame.scans:
        for name in scan.names:
            if frame.kind in _PROGRESSIVE:
                known = accuracy[name][scan.band[0] : scan.band[1] + 1]
                if (np.maximum(known, 0) != scan.steps[0]).any():
                    raise Damaged("a JPEG file whose scans do not follow one another: parts are missing")
                known[:] = scan.steps[1]
            else:
                accuracy[name][:] = 0
    if any((steps != 0).any() for steps in accuracy.values()):
        raise Damaged("a JPEG file without its last scans: the picture is incomplete")


def _check_end(frame: _Frame, pixels: NDArray[Any]) -> None:
    """Refuse a scan that ends before the picture does.

    The blocks are counted, which takes longer than the decoder, where the pixels do not show that the last
    scan is whole.
    """
    if frame.kind in _LOSSLESS or _shows_its_end(frame, pixels):
        return
    count = count_missing_progressive if frame.kind in _PROGRESSIVE else count_missing
    missing = count(frame.data, frame.size, tuple(frame.components.values()), frame.scans)
    if missing:
        raise Damaged(f"a JPEG file whose picture ends early: {missing} blocks are missing")


def _shows_its_end(frame: _Frame, pixels: NDArray[Any]) -> bool:
    parts = tuple(frame.components.values())
    across, down = max(part.across for part in parts), max(part.down for part in parts)
    is_luma = len(parts) == 1 or (len(parts) == 3 and frame.transformed)
    last = frame.scans[-1]
    if frame.kind in _SEQUENTIAL:
        unit = (8 * down, 8 * across) if len(parts) > 1 else (8, 8)
        if len(frame.scans) > 1 or frame.data.find(_HOLE, *last.span) >= 0:
            return False
        if last.interval:
            columns = last.grid(frame.size, parts)[1]
            ends = np.arange(1, len(last.restarts) + 1) * last.interval - 1
            if not is_luma or has_gray_units(pixels, unit, ends // columns, ends % columns):
                return False
        return not is_gray_end(pixels, unit, is_luma=is_luma)
    name, luma = next(iter(frame.components.items()))
    steps = frame.steps.get(luma.quantization)
    return (
        is_luma
        and steps is not None
        and last.names == (name,)
        and (last.band, last.steps) == ((1, 63), (1, 0))
        and (luma.across, luma.down) == (across, down)
        and is_refined_to_the_end(pixels, steps)
    )
