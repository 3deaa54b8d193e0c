"""Damage to files: bytes anywhere, chunks of a PNG with right checksums, members of an npz, JSON values."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Rng = np.random.Generator

_NUMBERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**24, 2**30, 2**31 - 1, 2**31, 0xF0000000, 2**32 - 1)
_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, -0.0, 1e308, float("nan"), float("inf"), 2**31, 2**63, 2**64, 10**400,
    "", "a", "\x00", "\ud800", "../..", "/", "é", "x" * 3000, [], {}, [[]], [0] * 50, [[[]]], {"": None},
)  # fmt: skip


def damaged(rng: Rng, name: str, content: bytes) -> bytes:
    """The file's content after one to four changes; every kind may also get changes of plain bytes."""
    change: Callable[[Rng, bytes], bytes] = _bytes
    if rng.random() < 0.6:
        change = {"png": _png, "npz": _npz, "json": _json, "npy": _npy, "safetensors": _safetensors}.get(
            name.rpartition(".")[2], _bytes
        )
    for _ in range(rng.integers(1, 5)):
        content = change(rng, content)
    return content


def _bytes(rng: Rng, content: bytes) -> bytes:
    data = bytearray(content)
    place = int(rng.integers(0, len(data) + 1))
    kind = rng.integers(7)
    if kind == 0:
        return bytes(data[:place])
    if kind == 1:
        data[place:place] = rng.bytes(int(rng.integers(1, 20)))
    elif kind == 2:
        del data[place : place + int(rng.integers(1, 30))]
    elif kind == 3:
        order = rng.choice(["<", ">"]) + rng.choice(["I", "H", "Q"])
        number = struct.pack(order, int(rng.choice(_NUMBERS)) % 2 ** (8 * struct.calcsize(order)))
        data[place : place + len(number)] = number
    elif kind == 4:
        other = int(rng.integers(0, len(data) + 1))
        data[place:place] = data[min(place, other) : max(place, other)][:4096]
    else:
        for at in rng.integers(0, max(len(data), 1), rng.integers(1, 6)):
            if len(data):
                data[at] ^= 1 << int(rng.integers(8))
    return bytes(data)


def _png(rng: Rng, content: bytes) -> bytes:
    """Change, repeat, drop or move chunks; the checksums are right, the lengths mostly."""
    chunks, place = [], 8
    while place + 8 <= len(content):
        (size,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + size]))
        place += 12 + size
    if not chunks:
        return _bytes(rng, content)
    at, kind = int(rng.integers(len(chunks))), rng.integers(6)
    name, body = chunks[at]
    if kind == 0:
        chunks.insert(int(rng.integers(len(chunks) + 1)), chunks[at])
    elif kind == 1:
        del chunks[at]
    elif kind == 2:
        chunks.insert(at, (rng.choice([b"eXIf", b"tRNS", b"iCCP", b"zTXt", b"PLTE", b"acTL"]), rng.bytes(30)))
    elif kind == 3 and name == b"IDAT":
        try:
            body = zlib.compress(_bytes(rng, zlib.decompress(body)))
        except zlib.error:
            body = _bytes(rng, body)
        chunks[at] = (name, body)
    else:
        chunks[at] = (name, _bytes(rng, body) if body else b"\0")
    written = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        for name, body in chunks
    ]
    if written and rng.random() < 0.3:
        at = int(rng.integers(len(written)))
        written[at] = struct.pack(">I", int(rng.choice(_NUMBERS)) & 0xFFFFFFF0) + written[at][4:]
    return content[:8] + b"".join(written)


def _npy(rng: Rng, content: bytes) -> bytes:
    """Another header of the right length: shapes, types and orders that the data do not have."""
    shape = tuple(
        int(side) for side in rng.choice([0, 1, 2, 5, 6, 2**16, 2**31, 2**40, -1], rng.integers(0, 4))
    )
    kind = rng.choice(
        ["<f4", ">f8", "|O", "<f2", "<c8", "|V9", "<U4", "|b1", "<i8", "<u8", "f99", "<M8[s]", "|u1"]
    )
    order = rng.choice(["False", "True", "0", "None"])
    header = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': {shape}, }}"
    if rng.random() < 0.2:
        header = header.replace("'shape'", rng.choice(["'shade'", "shape", "'shape': 1, 'x'"]))
    line = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + content[128:]


def _npz(rng: Rng, content: bytes) -> bytes:
    """Members whose content is damaged, while the archive around them is whole."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
    except Exception:  # an earlier change broke it
        return _bytes(rng, content)
    written = io.BytesIO()
    method = int(rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))
    with zipfile.ZipFile(written, "w", method) as archive:
        for name, member in members.items():
            changed = _npy(rng, member) if rng.random() < 0.5 else _bytes(rng, member)
            other = rng.choice([name, name, name, "../up.npy", "a/b.npy", "labels", "x\u0000.npy", "_"])
            archive.writestr(str(other), changed)
    return written.getvalue()


def _json(rng: Rng, content: bytes) -> bytes:
    """A value anywhere becomes another one, or a key is lost, renamed or added."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return _bytes(rng, content)
    if rng.random() < 0.03:
        return b"[" * 100_000
    holder = {"": document}
    spots: list[tuple[Any, Any]] = [(holder, "")]
    for parent, key in spots:
        value = parent[key]
        if isinstance(value, (dict, list)):
            keys = list(value) if isinstance(value, dict) else range(len(value))
            spots += [(value, key) for key in keys][: 2000 - len(spots)]
    parent, key = spots[int(rng.integers(len(spots)))]
    kind = rng.integers(5)
    if kind == 0 and isinstance(parent, dict) and parent is not holder:
        del parent[key]
    elif kind == 1 and isinstance(parent, dict) and parent is not holder:
        parent[f"{key}s"] = parent.pop(key)
    elif kind == 2 and isinstance(parent[key], dict):
        parent[key]["unknown"] = _value(rng)
    elif kind == 3 and isinstance(parent[key], list):
        parent[key].insert(0, _value(rng))
    else:
        parent[key] = _value(rng)
    return json.dumps(holder[""]).encode()


def _value(rng: Rng) -> Any:
    return _VALUES[int(rng.integers(len(_VALUES)))]


def _safetensors(rng: Rng, content: bytes) -> bytes:
    """Another header before the same data."""
    (size,) = struct.unpack("<Q", content[:8])
    if size > len(content):
        return _bytes(rng, content)
    header = _json(rng, content[8 : 8 + size])
    return struct.pack("<Q", len(header)) + header + content[8 + size :]
