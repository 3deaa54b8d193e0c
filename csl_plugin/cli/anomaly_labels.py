"""Labels of anomalies: which stored value is anomalous, and labels over which nothing can be measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from csl_plugin.errors import FileError, OptionError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from csl_plugin.places import Place

ANOMALOUS = "0 normal, 1 anomalous, else void"

_LARGEST = 65535
_NAMED = 8


def add_anomalous_option(parser: Any) -> None:
    """Add --anomalous.

    Args:
        parser: Of a command that takes labels of anomalies.
    """
    parser.add_argument(
        "--anomalous",
        metavar="VALUE",
        type=int,
        default=1,
        help="the value of anomalous pixels in the labels: 255 for masks of 0 and 255 (default: %(default)s)",
    )


@dataclass(frozen=True)
class AnomalyLabels:
    """The labels of a command.

    Args:
        place: Of their files, for errors.
        anomalous: The stored value of anomalous pixels; 0 is normal, every other value void.
    """

    place: Place
    anomalous: int

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> AnomalyLabels:
        """The labels that the options name.

        Raises:
            OptionError: A value that no label file holds.
        """
        value: int = arguments.anomalous
        if not 1 <= value <= _LARGEST:
            hint = "0 is normal; masks of 0 and 255 need --anomalous 255."
            raise OptionError("--anomalous", f"{value:.15g}", f"1 to {_LARGEST}", hint)
        return cls(arguments.labels, value)

    def read(self, file: Place) -> NDArray[Any]:
        """The labels of a file: 0 normal, 1 anomalous, else void.

        Raises:
            FileError: Not a readable PNG.
        """
        import numpy as np

        from csl_plugin.io import read_label_png

        stored = read_label_png(file)
        if self.anomalous == 1:
            return stored
        return np.select([stored == 0, stored == self.anomalous], [np.uint8(0), np.uint8(1)], np.uint8(255))

    def refuse_useless(self, files: Iterable[Place]) -> None:
        """Refuse labels that hold neither normal nor anomalous pixels, and masks of 0 and 255 taken for them.

        Files are read until one has an anomalous pixel.

        Raises:
            FileError: Such labels, or one that cannot be read.
        """
        found: set[int] = set()
        for file in files:
            found |= stored_values(file)
            if self.anomalous in found:
                return
        expected = f"0 for normal and {self.anomalous} for anomalous pixels"
        if found == {0, 255}:
            hint = "255 is void here. Where it means anomalous, pass --anomalous 255."
            raise FileError(str(self.place), "labels of 0 and 255", expected, hint)
        if 0 not in found:
            hint = "Map your labels onto these values, or pass --anomalous VALUE."
            raise FileError(str(self.place), f"labels of {named_values(sorted(found))}", expected, hint)

    def one_sided(self, files: Iterable[Place], metrics: str) -> str:
        """The warning that metrics are undefined: no pixel is anomalous, or none is normal.

        Args:
            files: Of the labels, which are read again.
            metrics: Their names.
        """
        found = sorted(set[int]().union(*map(stored_values, files)))
        here = self.anomalous in found
        missing = "normal (0)" if here else f"anomalous ({self.anomalous})"
        way = "Save normal pixels as 0" if here else "Pass --anomalous VALUE where another value is anomalous"
        held = f"the labels hold {named_values(found)}"
        return f"no pixel is {missing}, so {metrics} are not defined; {held}. {way}"


def stored_values(file: Place) -> set[int]:
    """The values that a label file holds."""
    import numpy as np

    from csl_plugin.io import read_label_png

    return set(np.unique(read_label_png(file)).tolist())


def named_values(values: Sequence[int]) -> str:
    """The first values, for a message."""
    more = f" and {len(values) - _NAMED} more" if len(values) > _NAMED else ""
    return ", ".join(map(str, values[:_NAMED])) + more
