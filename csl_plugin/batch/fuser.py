"""The one callable that fuses batches of columns."""

from __future__ import annotations

from collections.abc import MutableMapping
from copy import copy
from dataclasses import dataclass
from threading import Lock
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from csl_plugin import ops
from csl_plugin._devices import checked_device
from csl_plugin.arrays import Array, as_tensor, shown
from csl_plugin.batch.columns import as_column, dense, image_of, rows_of
from csl_plugin.calibration import Calibration
from csl_plugin.errors import CSLError, DTypeError, OptionError, ShapeError
from csl_plugin.fusion import Rule, fuse
from csl_plugin.fusion.rules import read_rule
from csl_plugin.io.score_layout import does_not_fit, fits
from csl_plugin.proposers import Proposer, load_proposer
from csl_plugin.proposers.base import as_partitions
from csl_plugin.proposers.on_files import region_folders

_loaded: dict[tuple[str | None, str | None], Proposer] = {}
_LOADING = Lock()


@dataclass(frozen=True, kw_only=True)
class Fuser:
    """Fuses the scores of every row of a batch with the regions of its image.

    It is what Ray Data's `map_batches`, `datasets.Dataset.map(batched=True)`, Daft and Spark call: a dict of
    columns in, a dict of columns out. It is pickled by its options alone, some hundred bytes: each process
    loads the proposer with its first batch, once for all that name it. A row's result does not depend on the
    other rows of its batch, nor on the process.

    Args:
        image: Name of the column of images, each (H, W, 3) RGB, integers from 0 to 255; or in another form
            that `csl_plugin.proposers.Proposer` names: a path, a picture of Pillow, floating point in [0, 1].
        scores: Name of the column of scores, each (H, W) or (C, H, W) as for `csl_plugin.fuse`, or smaller
            with the image's aspect ratio; the result has the image's size.
        valid: Name of the column of pixels that count, each boolean (H, W); None if all do.
        fused: Name of the column of the results; one of that name is replaced.
        proposer: As the source of `csl_plugin.load_proposer`, by name; None for the default. A folder must be
            there on every machine. Folders of region maps have no column of names to be found by.
        rule: As for `csl_plugin.fuse`.
        logits: The scores are logits, as for `csl_plugin.fuse`.
        calibration: Maps raw scores onto [0, 1], once they have the image's size.
        device: Where a process proposes and fuses, such as "cuda"; None for the CPU.

    Raises:
        DTypeError: A calibration that is none.
        OptionError: A name that is no text, an unknown rule, or logits with a calibration.

    Example:
        >>> import numpy as np
        >>> from csl_plugin.batch import Fuser
        >>> batch = {
        ...     "image": np.zeros((2, 24, 32, 3), np.uint8),
        ...     "scores": np.full((2, 24, 32), 0.25, np.float32),
        ...     "id": np.array([7, 8]),
        ... }
        >>> fused = Fuser(proposer="superpixels")(batch)
        >>> fused["fused"].shape, fused["id"]
        ((2, 24, 32), array([7, 8]))
    """

    image: str = "image"
    scores: str = "scores"
    valid: str | None = None
    fused: str = "fused"
    proposer: str | None = None
    rule: Rule = "adaptive"
    logits: bool = False
    calibration: Calibration | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        texts = {"image": self.image, "scores": self.scores, "fused": self.fused}
        texts |= {
            name: value
            for name in ("valid", "proposer", "device")
            if (value := getattr(self, name)) is not None
        }
        for name, value in texts.items():
            if not isinstance(value, str) or not value:
                hint = "Pass a name: whatever else it may be elsewhere, it goes to other processes."
                raise OptionError(name, shown(value), "a text", hint)
        read_rule(self.rule)
        if not isinstance(self.logits, (bool, np.bool_)):
            raise OptionError("logits", shown(self.logits), "True or False", "Omit it for scores >= 0.")
        if self.calibration is None:
            return
        if not isinstance(self.calibration, Calibration):
            hint = "Make one with Calibration.fit_sigmoid, or load it with Calibration.load(file)."
            raise DTypeError("calibration", shown(self.calibration), "a Calibration", hint)
        if self.logits:
            hint = "Omit one of the two: a calibration maps raw scores, not logits, onto [0, 1]."
            raise OptionError("logits, calibration", "both", "one of them", hint)

    def __call__(self, batch: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Fuse a batch.

        Args:
            batch: Columns by name: stacked arrays (B, ...), arrays of objects or lists of B arrays of several
                sizes. Columns that are not named pass through as they are.

        Returns:
            A copy of the dict, of its type, with the column of the results. In that column there is one numpy
            array for each row, (H, W) or (C, H, W) as its scores, at the image's size, in their dtype
            (float32 where a calibration maps uint8). The column is one array (rows, H, W) or (rows, C, H, W)
            where all results have one shape and dtype, else a list of arrays. Without rows it is an empty
            list.

        Raises:
            OptionError: A column or a device is missing, or the proposer reads a folder of region maps.
            ShapeError: The columns have no axis of rows.
            CSLError: As `csl_plugin.load_proposer` and `csl_plugin.fuse`; it names the row and the column.
        """
        names = [self.image, self.scores, *([self.valid] if self.valid is not None else [])]
        read = copy(batch)  # datasets writes a column anew that was looked at
        rows = rows_of(read, names)
        proposer, device = _proposer(self.proposer, self.device), checked_device(self.device)
        fused = []
        for index, row in enumerate(rows):
            try:
                fused.append(self._fused(proposer, device, *row))
            except CSLError as error:
                raise self._of_row(index, error) from error
            except Exception as error:
                error.add_note(f"csl_plugin: in row {index} of the batch")
                raise
        found = copy(batch)
        for name in names:  # datasets takes no array of arrays back, as it gives them
            if isinstance(read[name], np.ndarray) and read[name].dtype == object:
                found[name] = list(read[name])
        found[self.fused] = as_column(fused)
        return found

    def _fused(
        self, proposer: Proposer, device: torch.device, image: Any, scores: Any, valid: Any = None
    ) -> NDArray[Any]:
        images = image_of(self.image, image)
        size = (images.shape[2], images.shape[3])
        values: Array = dense(self.scores, scores)
        own = (values.shape[-2], values.shape[-1]) if values.ndim > 1 else ()
        if values.ndim not in (2, 3) or len(own) < 2:
            hint = "Give one map per row, the channels first, without a batch axis."
            raise ShapeError(self.scores, f"shape {values.shape}", "(H, W) or (C, H, W)", hint)
        if not fits(own, size):
            raise does_not_fit(self.scores, own, size)
        mask = None if valid is None else as_tensor("valid", dense(str(self.valid), valid)).to(device)
        with torch.inference_mode():
            regions = as_partitions(proposer(images.to(device)))
            tensor = as_tensor(self.scores, values).to(device)
            if self.calibration is not None:
                tensor = self.calibration(_resized(tensor, size))
            fused = fuse(tensor, regions, rule=self.rule, size=size, logits=self.logits, valid=mask)
            return np.asarray(fused.cpu().numpy())

    def _of_row(self, index: int, error: CSLError) -> CSLError:
        """The error with the row and the name of its column."""
        columns = {"distribution": self.scores, "images": self.image, "valid": self.valid}
        place = columns.get(error.argument) or error.argument
        return type(error)(f"row {index}, {place}", error.got, error.expected, error.hint)


def _resized(scores: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Raw scores (H, W) or (C, H, W) at the image's size."""
    if scores.dtype == torch.uint8:  # steps of 1/255, as for `fuse`
        scores = scores.float() / 255
    if tuple(scores.shape[-2:]) == size:
        return scores
    batch = scores[(None,) * (4 - scores.ndim)]
    return ops.upsample(batch, size, logits=False)[(0,) * (4 - scores.ndim)]


def _proposer(source: str | None, device: str | None) -> Proposer:
    """The proposer of this process, loaded with the first batch."""
    with _LOADING:  # one of them, whatever thread comes first
        if (source, device) not in _loaded:
            proposer = load_proposer(source, device=device)
            if region_folders(proposer):
                hint = "Fuse files with csl-plugin fuse, which finds their region maps by stem."
                got, expected = f"{source!r}, a folder of region maps", "a source that reads the image"
                raise OptionError("proposer", got, expected, hint)
            _loaded[source, device] = proposer
        return _loaded[source, device]
