"""The stored values of an HDF5 dataset: what they unpack to is counted before the HDF5 library unpacks them.

The library allocates as a chunk grows, whatever size is declared.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

from csl_plugin.errors import FileError
from csl_plugin.io.limits import check_expansion, check_extent
from csl_plugin.places import Place

_DEFLATE, _SHUFFLE, _CHECKSUM, _LZF = 1, 2, 3, 32000
_CHECKSUM_BYTES = 4
_KNOWN_FILTERS = [
    [*shuffle, *compressor, *checksum]
    for shuffle in ([], [_SHUFFLE])
    for compressor in ([], [_DEFLATE], [_LZF])
    for checksum in ([], [_CHECKSUM])
]
_BLOCK = 1 << 16


def check_storage(path: Place, dataset: Any, file_bytes: int) -> None:
    """Refuse a dataset whose stored bytes cannot be what it declares.

    Args:
        path: Its file, for the error.
        dataset: Of h5py, numeric, its shape within the limits.
        file_bytes: Of the file.

    Raises:
        FileError: The values are not all stored, are stored in an unusual way, or unpack to more than they
            declare.
    """
    itemsize = int(dataset.dtype.itemsize)
    declared = math.prod(map(int, dataset.shape)) * itemsize
    stored = int(dataset.id.get_storage_size())
    if stored > file_bytes:
        raise _damaged(path, f"{stored} stored bytes in a file of {file_bytes}")
    if not dataset.chunks:
        if stored < declared:
            raise _damaged(path, f"{stored} stored bytes where the shape declares {declared}")
        return
    chunk = tuple(map(int, dataset.chunks))
    check_extent(path, chunk, itemsize)
    filters = _filters(path, dataset)
    chunk_bytes = math.prod(chunk) * itemsize
    number = math.prod(-(-axis // side) for axis, side in zip(dataset.shape, chunk, strict=True))
    found = int(dataset.id.get_num_chunks())
    if found != number:
        raise _damaged(path, f"{found} of {number} chunks")
    held = max(declared, number * chunk_bytes) // itemsize * max(itemsize, 4)
    if {_DEFLATE, _LZF} & set(filters):
        check_expansion(path, number * chunk_bytes, stored, held)
    elif stored < number * chunk_bytes:
        raise _damaged(path, f"{stored} stored bytes where the chunks declare {number * chunk_bytes}")
    if _DEFLATE in filters:
        _count_chunks(path, dataset, filters, chunk_bytes, number)


def _filters(path: Place, dataset: Any) -> list[int]:
    """The numbers of the filters in the order of writing: at most one of each, and one that compresses."""
    pipeline = dataset.id.get_create_plist()
    filters = [int(pipeline.get_filter(index)[0]) for index in range(pipeline.get_nfilters())]
    if filters not in _KNOWN_FILTERS:
        hint = "Write the dataset again with compression='gzip' or without."
        raise FileError(str(path), f"the filters {filters}", "gzip or lzf, and shuffle", hint)
    return filters


def _count_chunks(path: Place, dataset: Any, filters: list[int], chunk_bytes: int, number: int) -> None:
    """Unpack every chunk into nothing, and stop where it has more bytes than a chunk."""
    starts: list[tuple[int, ...]] = []

    def note(chunk: Any) -> None:
        starts.append(tuple(chunk.chunk_offset))

    dataset.id.chunk_iter(note)
    for start in starts[:number]:
        skipped, packed = dataset.id.read_direct_chunk(start)  # a filter is skipped where it saves nothing
        applied = [name for index, name in enumerate(filters) if not skipped >> index & 1]
        values = memoryview(packed)[: len(packed) - (_CHECKSUM_BYTES if _CHECKSUM in applied else 0)]
        if (_unpacked(values, chunk_bytes) if _DEFLATE in applied else len(values)) != chunk_bytes:
            raise _damaged(path, f"a chunk of other than its {chunk_bytes} bytes")


def _unpacked(values: memoryview, most: int) -> int:
    """Number of bytes that deflated values unpack to; more than `most` are not counted, nor a cut stream."""
    stream, counted, rest = zlib.decompressobj(), 0, bytes(values)
    while not stream.eof and counted <= most:
        block = stream.decompress(rest, _BLOCK)
        rest = stream.unconsumed_tail
        if not block and not rest:
            break
        counted += len(block)
    return counted if stream.eof else -1


def _damaged(path: Place, got: str) -> FileError:
    hint = "The file is damaged, or its values were never written: write it again."
    return FileError(str(path), got, "as many values as it declares", hint)
