"""Thresholds of fused maps: given, or fitted once over a data set, and kept in JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from csl_plugin._options import as_float, checked_integer
from csl_plugin.arrays import Array, shown
from csl_plugin.errors import FileError, OptionError
from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.json_files import parse_json, read_json
from csl_plugin.io.json_schema import Place, check_fields, choice, integer, number, record, table
from csl_plugin.io.json_values import as_stored
from csl_plugin.objects.expectation import FIGURES, Figure, in_words, mean_figure, pixel_figures
from csl_plugin.objects.object_budget import fit_to_budget
from csl_plugin.objects.pixel_pool import ANOMALOUS, NORMAL, PixelPool, largest_count, least_count
from csl_plugin.places import AnyPath, place_of

if TYPE_CHECKING:
    from csl_plugin.fusion.region_argument import Regions

MapOfImage: TypeAlias = "Array | tuple[Array, Regions | None] | tuple[Array, Regions | None, Array | None]"
"""A fused map, with its regions, and with the pixels that count: what `find_objects` will be called with."""

Setting: TypeAlias = "str | float | bool | None"


@dataclass(frozen=True)
class Threshold:
    """A threshold of fused maps, in their own units, the same one for every image.

    Make one with `given`, `fit_pixels`, `fit_objects`, `fit_f1` or `fit_recall`, or read one with `load`, and
    pass it to `find_objects`. It is fitted once over a data set; no map is normalized by itself, here or
    there, since that would find something in every image. It holds for maps that are made in the same way.

    Attributes:
        value: A pixel at or above it counts. `float(threshold)` gives it.
        kind: "given", "pixels", "objects", "f1" or "recall": how it was made.
        target: The share of pixels, the objects per image or the recall that was asked for, or None.
        images: How many it was fitted on.
        expected: Figures over these images with 95 % intervals by bootstrap over them:
            "false_objects_per_image", "normal_pixels_above" (a share), "precision", "recall", "f1" of pixels.
            They hold for other images of the same kind.
        made_with: What the maps and the objects were made with, by name, for `check_made_with`. Fill it with
            `dataclasses.replace(threshold, made_with={...})`; `fit_objects` notes its `min_area` there, and
            which regions decided, for `find_objects` to check.

    Raises:
        OptionError: A value that is not finite, or a field of another kind.

    Example:
        >>> import numpy as np
        >>> from csl_plugin import Threshold, find_objects
        >>> normal = [np.random.default_rng(seed).random((40, 60)) * 0.5 for seed in range(8)]
        >>> threshold = Threshold.fit_objects(normal, per_image=0.1, min_area=4)
        >>> threshold
        Threshold(0.480638, 'objects', target=0.1, images=8)
        >>> image = normal[0].copy()
        >>> image[10:20, 10:30] = 0.9
        >>> found, = find_objects(image, threshold, min_area=4)
        >>> found.boxes.tolist()
        [[10, 10, 30, 20]]
    """

    value: float
    kind: str = "given"
    target: float | None = None
    images: int = 0
    expected: Mapping[str, Figure] = field(default_factory=dict)
    made_with: Mapping[str, Setting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, _FIELDS)

    def __repr__(self) -> str:
        target = "" if self.target is None else f", target={self.target:.6g}"
        images = f", images={self.images}" if self.images else ""
        return f"Threshold({self.value:.6g}, {self.kind!r}{target}{images})"

    @staticmethod
    def given(value: float) -> Threshold:
        """A threshold that was chosen in another way; nothing is known of what it gives.

        Raises:
            OptionError: No finite number.
        """
        plain = as_float(value)
        if not math.isfinite(plain):
            hint = "Pass a number on the scale of the fused map."
            raise OptionError("value", shown(value), "a finite number", hint)
        return Threshold(plain)

    @staticmethod
    def fit_pixels(maps: Iterable[Array], share: float = 1e-3) -> Threshold:
        """The smallest value at or above which lies at most a share of in-distribution pixels, exact.

        Args:
            maps: The fused maps of images without anomalies, one at a time: (H, W) or with axes of 1 before,
                or (n,) pixels of it, as `fused[valid]` leaves out the others. Floating point, or uint8 for
                steps of 1/255. Above 512 MiB of them they are kept in temporary files.
            share: Of the pixels of all images together, from 0, below 1.

        Raises:
            OptionError: `share` is out of range.
            DTypeError: A single array, or an entry that is no map.
            ShapeError: An entry with several images or classes.
            ScoreRangeError: No map, nan or infinity, or scores that are all equal.
        """
        hint = "0.001 lets one pixel in a thousand be wrong."
        allowed = as_float(share)
        if not 0 <= allowed < 1:
            raise OptionError("share", shown(share), "a number from 0, below 1", hint)
        pool = PixelPool.of_normal(maps)
        pool.check_differ()
        count = largest_count(allowed, int(pool.totals().sum()))
        return _of_pool(pool, pool.following(pool.ranked(NORMAL, count)), "pixels", allowed)

    @staticmethod
    def fit_objects(
        maps: Iterable[MapOfImage], per_image: float = 0.1, *, min_area: int = 64, split: bool = True
    ) -> Threshold:
        """The smallest value from which on in-distribution images give at most so many objects each.

        The number of objects is not monotone in the threshold: a large object falls apart above it. So the
        search goes down from the highest score and ends where the mean exceeds the budget for the first time.
        It counts the objects at 64 scores, closer together at the top, then at 64 between the last that
        keeps the budget and the first that does not, and once more; each count is that of `find_objects`.
        Up to 64 distinct scores all are tried, and the result is exact.

        Args:
            maps: For each image without anomalies the arguments of `find_objects`: its fused map, or a tuple
                (map, regions) or (map, regions, valid). They are read up to four times, so they must be a
                list, or another object whose iteration starts anew.
            per_image: Mean number of false objects in an image, from 0.
            min_area: As for `find_objects`.
            split: As for `find_objects`.

        Raises:
            OptionError: `per_image` or `min_area` is out of range, or no threshold exceeds the budget.
            DTypeError: A generator, a single array, or an entry that is no map.
            ShapeError: An entry with several images or classes, or regions of another size.
            ScoreRangeError: No map, no valid pixel, nan or infinity, or scores that are all equal.
        """
        most = as_float(per_image)
        if not 0 <= most <= _MOST_OBJECTS:
            hint = "0.1 lets one image in ten have a false object."
            raise OptionError("per_image", shown(per_image), f"a number from 0 to {_MOST_OBJECTS}", hint)
        least = checked_integer("min_area", min_area, 1, None, "1 keeps every object.")
        fit = fit_to_budget(maps, most, least, split=split)
        none = np.zeros_like(fit.above)
        expected = {"false_objects_per_image": mean_figure(fit.objects)} | pixel_figures(
            np.stack([fit.above, none], axis=1), np.stack([fit.pixels, none], axis=1)
        )
        made_with = {"min_area": least} | ({"by_regions": fit.by_regions} if fit.by_regions else {})
        return Threshold(fit.value, "objects", most, fit.objects.size, expected, made_with)

    @staticmethod
    def fit_f1(maps: Iterable[Array], labels: Iterable[Array]) -> Threshold:
        """The highest value of those with the best F1 over the pixels of all images together, exact.

        Args:
            maps: The fused maps of labeled images, (H, W) each; as for `fit_pixels`.
            labels: (H, W) integers for each: 0 normal, 1 anomaly, everything else void.

        Raises:
            DTypeError, ShapeError: A map or labels of another kind or size, or not as many labels as maps.
            ScoreRangeError: No map, no anomalous or no normal pixel, or nan or infinity on a labeled pixel.
        """
        pool = PixelPool.of_labeled(maps, labels)
        return _of_pool(pool, pool.best_f1(), "f1", None)

    @staticmethod
    def fit_recall(maps: Iterable[Array], labels: Iterable[Array], recall: float = 0.95) -> Threshold:
        """The highest value at or above which lies a share of the anomalous pixels, exact.

        Args:
            maps: As for `fit_f1`.
            labels: As for `fit_f1`.
            recall: Of the anomalous pixels of all images together, above 0 and at most 1.

        Raises:
            OptionError: `recall` is out of range.
            DTypeError, ShapeError, ScoreRangeError: As for `fit_f1`.
        """
        hint = "0.95 finds 95 % of the anomalous pixels."
        wanted = as_float(recall)
        if not 0 < wanted <= 1:
            raise OptionError("recall", shown(recall), "a number above 0, at most 1", hint)
        pool = PixelPool.of_labeled(maps, labels)
        count = least_count(wanted, int(pool.totals()[:, ANOMALOUS].sum()))
        return _of_pool(pool, pool.ranked(ANOMALOUS, count - 1), "recall", wanted)

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        shortly = f"{self.value:.6g}"
        if not self.images:
            return f"{shortly}: given"
        said = ", ".join(in_words(name, figure) for name, figure in self.expected.items())
        return f"{shortly}: expected {said}, from {self.images} image{'s' if self.images > 1 else ''}"

    def check_made_with(self, settings: Mapping[str, Any]) -> None:
        """Refuse maps or objects that are made in another way than those of the fit.

        Args:
            settings: What they are made with, as in `made_with`. Names that only one of the two has are not
                compared.

        Raises:
            OptionError: A value differs; it names each. Or `settings` are none.

        Example:
            >>> from csl_plugin import CSLError, Threshold
            >>> threshold = Threshold(0.4, made_with={"rule": "product"})
            >>> try:
            ...     threshold.check_made_with({"rule": "adaptive"})
            ... except CSLError as error:
            ...     print(error.got, "|", error.expected)
            rule "adaptive" | rule "product", as the threshold was made with
        """
        if not isinstance(settings, Mapping):
            hint = 'Pass a dict, as {"rule": "product"}.'
            raise OptionError("settings", shown(settings), "settings by their names", hint)
        now = as_stored(settings)
        other = [
            name for name, value in self.made_with.items() if name in now and not _same(now[name], value)
        ]
        if other:
            got = ", ".join(_setting_in_words(name, now[name]) for name in other)
            expected = ", ".join(_setting_in_words(name, self.made_with[name]) for name in other)
            hint = "Make the maps as they were made for the fit, or fit a threshold on maps like these."
            raise OptionError("threshold", got, f"{expected}, as the threshold was made with", hint)

    def to_json(self) -> str:
        """The threshold as a JSON object of its fields."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Threshold:
        """The threshold that `to_json` wrote.

        Raises:
            FileError: Not such an object.
        """
        return _READ(parse_json(text, "threshold", _EXPECTED), Place("threshold"))

    def save(self, path: AnyPath) -> None:
        """Write the threshold to a JSON file, atomically."""
        with atomic_path(path) as partial:
            Path(partial).write_text(self.to_json() + "\n", encoding="utf-8")

    @staticmethod
    def load(path: AnyPath) -> Threshold:
        """The threshold in a JSON file.

        Raises:
            FileError: The file is missing, too large, or holds no threshold.
        """
        file = place_of(path)
        held = read_json(file, "a threshold's JSON")
        if isinstance(held, dict) and "value" not in held and "kind" in held:
            hint = "Pass it as the calibration of the scores, --calibration FILE."
            raise FileError(str(file), "a calibration", "a threshold, as Threshold.save writes it", hint)
        return _READ(held, Place(str(file)))


_MOST_OBJECTS = 1_000_000
_EXPECTED = 'a JSON object with "value", and what it was made with'
_LARGEST = float(np.finfo(np.float64).max)
_REAL = number(-_LARGEST, _LARGEST)
_WHOLE = integer(-(10**29), 10**29)


def _optional(value: Any, place: Place) -> float | None:
    return None if value is None else _REAL(value, place)


def _setting(value: Any, place: Place) -> Setting:
    if isinstance(value, str):
        stored: str = as_stored(value)  # as a file holds it: half of a surrogate pair is no text
        return stored
    if isinstance(value, bool) or value is None:
        return value
    return _WHOLE(value, place) if isinstance(value, int) else _REAL(value, place)


def _figures(value: Any, place: Place) -> dict[str, Figure]:
    read = record(Figure, {"value": _REAL, "low": _optional, "high": _optional}, "value")
    found = table(lambda each, where: read(asdict(each) if isinstance(each, Figure) else each, where))(
        value, place
    )
    for name in found:
        choice(*FIGURES)(name, place)
    return found


_FIELDS = {
    "value": _REAL,
    "kind": choice("given", "pixels", "objects", "f1", "recall"),
    "target": _optional,
    "images": integer(0, 2**53),
    "expected": _figures,
    "made_with": table(_setting),
}
_READ = record(Threshold, _FIELDS, "value")


def _of_pool(pool: PixelPool, value: float, kind: str, target: float | None) -> Threshold:
    return Threshold(value, kind, target, pool.images, pixel_figures(pool.above(value), pool.totals()))


def _setting_in_words(name: str, value: Any) -> str:
    """A setting, short: of a digest the beginning identifies it."""
    if value is None:
        return f"no {name}"
    if not isinstance(value, (str, int, float)):
        return f"{name} {shown(value)}"
    return f"{name} {json.dumps(value[:12] if isinstance(value, str) and len(value) == 64 else value)}"


def _same(now: Any, before: Any) -> bool:
    plain = now is None or isinstance(now, (str, bool, Real))  # of others, == may give an array
    return bool(plain and now == before and isinstance(now, bool) == isinstance(before, bool))
