"""Files that declare more than they hold, and the memory that reading each takes.

`python -m tests.helpers.hostile_files FOLDER` writes and reads them, each in a process of its own, and prints
JSON: by name, the bytes of the file, the peak of memory above the start, the seconds, and the error.
"""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

MIB = 1 << 20


def chunk(kind: bytes, body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return struct.pack(">I", size) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(height: int, width: int, *chunks: bytes, bits: int = 8, color: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + chunk(b"IEND", b"")


def small_png(*chunks: bytes) -> bytes:
    rows = zlib.compress(bytes(5 * 9))
    return png(5, 8, *chunks, chunk(b"IDAT", rows))


def images() -> Iterator[tuple[str, bytes]]:
    bomb = zlib.compress(bytes(32 * MIB), 9)
    yield "chunk of 4 GB", png(4, 4)[:33] + struct.pack(">I", 2**31 - 8) + b"IDAT" + bytes(4)
    yield "text of 4 GB", png(4, 4)[:33] + struct.pack(">I", 2**32 - 1) + b"tEXt" + bytes(4)
    yield "nothing for 64 million pixels", png(8000, 8000, chunk(b"IDAT", zlib.compress(bytes(99))))
    yield "16-bit RGBA", png(9999, 9999, chunk(b"IDAT", bomb[:9999]), bits=16, color=6)
    yield "text", small_png(chunk(b"zTXt", b"a\0\0" + bomb))
    yield "profile", small_png(chunk(b"iCCP", b"a\0\0" + bomb))
    yield "animation", small_png(chunk(b"acTL", struct.pack(">II", 2**31 - 1, 0)))
    yield "exif", small_png(chunk(b"eXIf", b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65535)))


def others() -> Iterator[tuple[str, bytes]]:
    flat = np.full((64, 64), 128, np.uint8)
    for progressive in (0, 1):
        data = cv2.imencode(".jpg", flat, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()
        at = data.find(b"\xff\xc2" if progressive else b"\xff\xc0") + 5
        yield f"jpeg {progressive}", data[:at] + struct.pack(">HH", 9999, 9999) + data[at + 4 :]
    data = cv2.imencode(".jpg", np.full((2000, 2000), 128, np.uint8), [cv2.IMWRITE_JPEG_PROGRESSIVE, 1])[
        1
    ].tobytes()
    scan = bytearray(data[data.rfind(b"\xff\xda") : -2])
    scan[9] = 0
    yield "jpeg of 1000 scans", data[:-2] + 1000 * bytes(scan) + b"\xff\xd9"
    yield "jpeg of markers", data[:-2] + b"\xff\xd0" * (2 * MIB) + b"\xff\xd9"
    yield "jpeg of filling", data[:2] + b"\xff" * (4 * MIB) + data[2:]
    extended = b"VP8X" + struct.pack("<II", 10, 0) + (9998).to_bytes(3, "little") * 2
    for name, body in (
        (
            "webp",
            b"VP8 "
            + struct.pack("<I", 20)
            + bytes(3)
            + b"\x9d\x01\x2a"
            + struct.pack("<HH", 9999, 9999)
            + bytes(10),
        ),
        ("webp, lossless", b"VP8L" + struct.pack("<IBI", 20, 0x2F, 9998 | 9998 << 14) + bytes(15) + bytes(1)),
        ("webp, extended", extended + cv2.imencode(".webp", flat)[1].tobytes()[12:]),
    ):
        yield name, b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body
    for compression in (1, 5, 8):
        entries = [
            (256, 9999),
            (257, 9999),
            (258, 8),
            (259, compression),
            (262, 1),
            (273, 200),
            (277, 1),
            (278, 9999),
            (279, 50),
        ]
        table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
        yield (
            f"tiff {compression}",
            (b"II*\0\x08\0\0\0" + struct.pack("<H", len(entries)) + table + bytes(4)).ljust(250, b"\0"),
        )
    for compression in (0, 1):
        yield (
            f"bmp {compression}",
            struct.pack(
                "<2sIIIIiiHHIIiiII", b"BM", 99, 0, 54, 40, 9999, 9999, 1, 8, compression, 0, 0, 0, 0, 0
            )
            + bytes(1100),
        )
    yield "pnm", b"P5 9999 9999 255 " + bytes(99)


def arrays() -> Iterator[tuple[str, bytes]]:
    def member(shape: tuple[int, ...], descr: str, body: bytes) -> bytes:
        stream = io.BytesIO()
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(stream, header)
        return stream.getvalue() + body

    def archive(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", method, compresslevel=9) as file:
            file.writestr("labels.npy", content)
        return stream.getvalue()

    zeros = bytes(80 * MIB)
    yield "zeros.npz", archive(member((20, 2048, 2048), "|u1", zeros))
    yield "bzip2.npz", archive(member((2048, 2048), "|u1", zeros[: 4 * MIB]), zipfile.ZIP_BZIP2)
    yield "lzma.npz", archive(member((2048, 2048), "|u1", zeros[: 4 * MIB]), zipfile.ZIP_LZMA)
    yield "real zeros.npz", archive(member((2048, 2048), "|u1", zeros[: 4 * MIB]))
    lying = archive(member((4, 4), "|u1", bytes(16)))
    yield "lying.npz", lying.replace(struct.pack("<I", 144), struct.pack("<I", 2**31))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for number in range(20_000):
            file.writestr(f"{number:09}.npy", b"")
    yield "members.npz", stream.getvalue()


def hdf5(folder: Path) -> Iterator[str]:
    try:
        import h5py
    except ImportError:
        return
    with h5py.File(folder / "score chunk.hdf5", "w") as file:
        made = file.create_dataset("value", (64, 64), "u1", chunks=(64, 64), compression="gzip")
        made.id.write_direct_chunk((0, 0), zlib.compress(bytes(100 * MIB), 9))
    with h5py.File(folder / "score twice.hdf5", "w") as file:
        settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        settings.set_chunk((64, 64))
        settings.set_deflate(9)
        settings.set_deflate(9)
        h5py.h5d.create(file.id, b"value", h5py.h5t.NATIVE_UINT8, h5py.h5s.create_simple((64, 64)), settings)
    with h5py.File(folder / "score unwritten.hdf5", "w") as file:
        file.create_dataset("value", (8000, 8000), "u1", chunks=(8000, 8000), compression="gzip")
    with h5py.File(folder / "score late.hdf5", "w") as file:
        file.create_dataset("value", (8000, 8000), "f4")
    yield from ("score chunk.hdf5", "score twice.hdf5", "score unwritten.hdf5", "score late.hdf5")


def masks() -> Iterator[tuple[str, bytes]]:
    yield "one mask.json", b'[{"segmentation": {"size": [4000, 4000], "counts": [0, 16000000]}}]'
    one = b'{"segmentation": {"size": [9000, 9000], "counts": [0, 81000000]}}'
    yield "many masks.json", b"[" + b",".join([one] * 100) + b"]"
    yield "image.json", b'{"image": {"height": 4000, "width": 4000}, "annotations": []}'
    yield "larger image.json", b'{"image": {"height": 9999, "width": 9999}, "annotations": [' + one + b"]}"
    yield "beyond.json", b'{"image": {"height": 99999, "width": 99999}, "annotations": []}'
    yield "lists.json", b"[" + b"[]," * (8 * MIB) + b"[]]"
    yield "counts.json", b'[{"segmentation": {"size": [9000, 9000], "counts": "' + b"1" * (24 * MIB) + b'"}}]'


def write(folder: Path) -> dict[str, str]:
    """Write the files; returns the reader of each."""
    found = {}
    for name, data in images():
        for reader in ("image", "score", "region", "label"):
            found[f"{reader} {name}.png"] = reader
            (folder / f"{reader} {name}.png").write_bytes(data)
    for name, data in others():
        found[f"image {name}.bin"] = "image"
        (folder / f"image {name}.bin").write_bytes(data)
    for name, data in arrays():
        for reader in ("score", "region", "mask"):
            found[f"{reader} {name}"] = reader
            (folder / f"{reader} {name}").write_bytes(data)
    for name, data in masks():
        found[f"mask {name}"] = "mask"
        (folder / f"mask {name}").write_bytes(data)
    return found | dict.fromkeys(hdf5(folder), "score")


def measure(read: Callable[[Path], object], path: Path) -> dict[str, object]:
    """Read a file in a forked process."""
    receive, send = os.pipe()
    child = os.fork()
    if child:
        os.close(send)
        with os.fdopen(receive) as stream:
            text = stream.read()
        os.waitpid(child, 0)
        return json.loads(text or '{"error": "killed", "peak": 1e15, "seconds": 0}')
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before, start = pages * resource.getpagesize(), time.perf_counter()
    try:
        read(path)
        error = ""
    except Exception as caught:  # what the test asks for is in its name
        error = f"{type(caught).__name__}: {caught}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
    found = {"error": error, "peak": peak, "seconds": time.perf_counter() - start}
    os.write(send, json.dumps(found).encode()[:60_000])
    os._exit(0)


def main(folder: Path) -> None:
    from csl_plugin.io import read_image, read_label_png, read_region_map, read_scores
    from csl_plugin.proposers.mask_files import read_regions

    readers = {
        "image": read_image, "score": read_scores, "region": read_region_map,
        "label": read_label_png, "mask": read_regions,
    }  # fmt: skip
    warm = folder / "warm.png"
    warm.write_bytes(small_png())
    for reader in readers.values():  # so that imports do not count
        reader(warm)
    found = {}
    for name, reader in write(folder).items():
        size = (folder / name).stat().st_size
        found[name] = {"bytes": size} | measure(readers[reader], folder / name)
    sys.stdout.write(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
