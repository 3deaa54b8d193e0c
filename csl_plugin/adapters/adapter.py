"""The protocol between a teacher and the wrapper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from torch import Tensor


class Adapter(Protocol):
    """A lens on one teacher: what it saw, what it said, and the same answer with another distribution.

    An adapter may also have `direction` ("up", or "down" for a score that is high where all is normal;
    `check_adapter` wants it), `max_batch` (how many images the teacher can take in one call), and
    `align_corners` (True or False: `read` takes the images' size as a second argument and upsamples to it).
    """

    def images(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Tensor:
        """The images of one call of the teacher, (B, 3, H, W) RGB float in [0, 1], from its arguments."""
        ...

    def read(self, output: Any) -> Tensor:
        """The distribution D, (B, C, h, w) >= 0, in what the teacher returned."""
        ...

    def write(self, output: Any, fused: Tensor) -> Any:
        """What the teacher returned, of the same type, with `fused` in the distribution's place.

        The output that was read is left as it was.
        """
        ...


def read_at(adapter: Any, output: Any, size: tuple[int, int]) -> Tensor:
    """D, at the images' size where the adapter says that its scores are to be upsampled."""
    if getattr(adapter, "align_corners", None) is None:
        return adapter.read(output)  # type: ignore[no-any-return]
    return adapter.read(output, size)  # type: ignore[no-any-return]
