"""The size of a zip file's list of members, read before the list is."""

from __future__ import annotations

import os
import struct
from typing import IO

_END, _END_64, _LOCATOR_64 = b"PK\5\6", b"PK\6\6", b"PK\6\7"
_LONGEST_END = 22 + 65535  # with a comment


def directory_bytes(file: IO[bytes]) -> int:
    """Bytes of the central directory; 0 if it is no zip file. The file's position is at its start again.

    Example:
        >>> import io, zipfile
        >>> stream = io.BytesIO()
        >>> with zipfile.ZipFile(stream, "w") as archive:
        ...     archive.writestr("a.npy", b"")
        >>> directory_bytes(stream)
        51
    """
    total = file.seek(0, os.SEEK_END)
    start = file.seek(max(total - _LONGEST_END - 20, 0))
    tail = file.read()
    at = tail.rfind(_END)
    found = 0
    if at >= 0 and len(tail) >= at + 22:
        found = struct.unpack_from("<I", tail, at + 12)[0]
        if at >= 20 and tail[at - 20 : at - 16] == _LOCATOR_64:
            # zipfile looks before the locator, or where the locator points, by its version.
            named = struct.unpack_from("<Q", tail, at - 12)[0]
            for place in (start + at - 20 - 56, named):
                if 0 <= place < total:
                    file.seek(place)
                    record = file.read(56)
                    if record[:4] == _END_64 and len(record) == 56:
                        found = max(found, struct.unpack_from("<Q", record, 40)[0])
    file.seek(0)
    return found
