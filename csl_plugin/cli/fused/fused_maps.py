"""Fused maps in files, taken as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.cli.fused.score_fusion import FusedImage, ScoreFusion, read_scored_image, regions_of
from csl_plugin.cli.fused.valid_masks import ValidMasks
from csl_plugin.errors import FileError, ShapeError
from csl_plugin.io import ScoreStorage
from csl_plugin.io.job_settings import SETTINGS_NAME, read_settings
from csl_plugin.io.json_schema import Place as JsonPlace
from csl_plugin.io.json_schema import in_json
from csl_plugin.places import is_folder_place
from csl_plugin.proposers.combine import Together
from csl_plugin.proposers.folder import STORED_REGIONS, RegionMapFolder
from csl_plugin.proposers.identity import identity_of

if TYPE_CHECKING:
    from csl_plugin.objects import Threshold
    from csl_plugin.places import Place

_OF_MAPS = ("rule", "split", "proposer", "calibration", "logits")
_FUSED_HINT = "Pass --fused, or the scores that these maps were made from."
_VALID_BEFORE = "valid_in_fusion"  # masks when the maps were fused, beside those of the present command


@dataclass(frozen=True)
class FusedMaps:
    """Fused maps that files hold, and the proposer of the regions that objects follow.

    Args:
        proposer: Gives the regions.
        split: Whether regions are split into connected components.
        settings: What the maps were made with, as `csl-plugin fuse` stored it beside them; empty where they
            have another origin.
        valid: The pixels that count, if not all do.
    """

    proposer: Any
    split: bool
    settings: Mapping[str, Any]
    valid: ValidMasks | None

    @classmethod
    def of(cls, place: Place, proposer: Any, *, split: bool, valid: ValidMasks | None = None) -> FusedMaps:
        """The maps of a folder, or of one file.

        Raises:
            FileError: The folder's settings cannot be read, or are those of another command.
        """
        stored = _job_of(place)
        if stored is None:
            return cls(proposer, split, {}, valid)
        if stored["command"] != "fuse":
            hint = "Pass the output folder of csl-plugin fuse."
            got = f"an output folder of csl-plugin {stored['command']}"
            raise FileError(str(place), got, "fused maps", hint)
        settings = {name: stored[name] for name in _OF_MAPS if name in stored}
        if "valid" in stored:
            settings[_VALID_BEFORE] = stored["valid"]
        for name, value in settings.items():
            if value is not None and not isinstance(value, (str, bool)):
                file = JsonPlace(str(_settings_file(place)))
                hint = "Restore the file, or remove it: nothing is known of the maps then."
                raise file[name].error(in_json(value), "what csl-plugin fuse stores", hint)
        return cls(proposer, split, settings, valid)

    def fused_image(self, image: Place, score: Place) -> FusedImage:
        """Read an image and its fused map, and propose its regions.

        Raises:
            CSLError: A file is missing, unreadable or of another size.
        """
        pixels, values, storage = _read(image, score)
        valid = self._valid(image, pixels)
        regions = regions_of(self.proposer, pixels, image.stem, split=self.split, valid=valid)
        return FusedImage(pixels, regions, values, values, storage, False, valid)

    def fused_map(self, image: Place, score: Place) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """The fused map and the pixels that count; no regions are proposed."""
        pixels, values, _ = _read(image, score)
        return values, self._valid(image, pixels)

    def _valid(self, image: Place, pixels: NDArray[np.uint8]) -> NDArray[np.bool_] | None:
        return self.valid.read(image, (pixels.shape[0], pixels.shape[1])) if self.valid else None


def refuse_fused(place: Place, hint: str = _FUSED_HINT) -> None:
    """Refuse maps that `csl-plugin fuse` wrote where scores are to be fused: twice gives other scores.

    Args:
        place: A folder of score maps, or one.
        hint: What to do.

    Raises:
        FileError: Such maps, or the folder's settings cannot be read.
    """
    stored = _job_of(place)
    if stored is not None and stored["command"] == "fuse":
        raise FileError(str(place), "maps that csl-plugin fuse wrote", "scores before fusion", hint)


def settings_of_maps(source: ScoreFusion | FusedMaps) -> dict[str, Any]:
    """What decides fused maps besides the files, for `Threshold.made_with`.

    A folder of region maps is named by the proposer that made them, since other images have another folder;
    where that is not known, the regions are not named. What is off is named too, so that it is compared.
    """
    settings = dict(source.settings)
    if settings:
        settings.setdefault("logits", False)  # a job's settings name it only where it is true
        settings.setdefault(_VALID_BEFORE, settings.get("valid", False))
    settings["valid"] = source.valid is not None
    origin = settings.pop("proposer", None)
    if isinstance(source, ScoreFusion):
        origin = _origin(source.proposer)
    elif STORED_REGIONS in str(origin):
        origin = None
    return {**settings, "proposer": origin} if origin else settings


def unknown_settings(threshold: Threshold, source: ScoreFusion | FusedMaps) -> list[str]:
    """The names of the settings of fused maps that cannot be compared with those of a threshold's fit.

    Args:
        threshold: Of one that was given nothing is known, so there is nothing to compare.
        source: Where the maps come from.
    """
    if threshold.kind == "given" and not threshold.made_with:
        return []
    now, before = settings_of_objects(source, 1), threshold.made_with
    return [name for name in before if name not in now] + [
        name for name in settings_of_maps(source) if name not in before
    ]


def settings_of_objects(source: ScoreFusion | FusedMaps, min_area: int) -> dict[str, Any]:
    """What decides the objects of fused maps besides the threshold, for `Threshold.check_made_with`.

    Args:
        source: Where the maps come from.
        min_area: As for `csl_plugin.find_objects`.
    """
    settings, origin = settings_of_maps(source), _origin(source.proposer)
    if origin:
        settings["regions"] = origin if source.split else f"{origin}, not split"
    return {**settings, "min_area": min_area}


def _origin(proposer: Any) -> str | None:
    """What regions come from, wherever they are stored; None where nobody knows."""
    if isinstance(proposer, Together):
        origins = [_origin(each) for each in proposer.proposers]
        return " + ".join(map(str, origins)) if all(origins) else None
    if not isinstance(proposer, RegionMapFolder):
        return identity_of(proposer)
    stored = read_settings(proposer.path / SETTINGS_NAME) or {}
    origin = stored.get("proposer")
    return origin if isinstance(origin, str) else None


def _job_of(place: Place) -> Mapping[str, Any] | None:
    """The settings of the job that wrote a folder, or the folder of a file; None where none did."""
    try:
        return read_settings(_settings_file(place))
    except FileError:
        if isinstance(place, Path):
            raise
        return None  # a server may give the maps alone


def _settings_file(place: Place) -> Place:
    return (place if is_folder_place(place) else place.parent) / SETTINGS_NAME


def _read(image: Place, score: Place) -> tuple[NDArray[np.uint8], NDArray[Any], ScoreStorage]:
    pixels, stored, storage = read_scored_image(image, score)
    size = (pixels.shape[0], pixels.shape[1])
    if stored.shape[-2:] != size:
        hint = "Omit --fused if these are scores before fusion, which may be smaller than the image."
        raise ShapeError(score.name, f"size {stored.shape[-2:]}", f"the image's {size}", hint)
    return pixels, stored if stored.dtype == np.float64 else stored.astype(np.float32), storage
