"""Presets by name: those of this package, and those that other packages register."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from csl_plugin._entry_points import entry_point_names, find_entry_point, load_entry_point
from csl_plugin._nearest import did_you_mean
from csl_plugin.adapters.adapter import Adapter
from csl_plugin.adapters.output_path import Steps
from csl_plugin.adapters.presets import anomalib, domain_adaptation, frameworks, ood, zero_shot
from csl_plugin.adapters.presets.class_statistics import ClassStatistics
from csl_plugin.adapters.presets.preset import Preset
from csl_plugin.arrays import shown
from csl_plugin.calibration import Calibration
from csl_plugin.errors import OptionError

ENTRY_POINTS = "csl_plugin.adapters"
"""The entry-point group in which other packages register a `Preset`, or a callable that makes an adapter."""

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        known.name: known
        for family in (ood, zero_shot, domain_adaptation, frameworks, anomalib)
        for known in family.PRESETS
    }
)
"""The presets of this package by name; `docs/guide/adapters.md` is their table."""


def preset(
    name: str,
    *,
    calibration: Calibration | None = None,
    item: int | str | Steps | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    unseen: Sequence[int] | None = None,
    statistics: ClassStatistics | None = None,
) -> Adapter:
    """The adapter for a published method or a framework's models, by name.

    Args:
        name: One of `PRESETS`, or a name that an installed package registers in the entry-point group
            "csl_plugin.adapters".
        calibration: The map of a raw score onto [0, 1], for methods whose score has no fixed zero.
        item: Where the scores are, if not where the preset expects them; as for `OutputAdapter`.
        mean: Mean of the preprocessing, if not that of the preset; as for `OutputAdapter`.
        std: Standard deviation of the preprocessing, likewise.
        unseen: For zero-shot methods that lower the seen classes: the indices of the unseen ones.
        statistics: For "standardized_max_logit": mean and variance of each class.

    Returns:
        An adapter for `CSLWrapper`.

    Raises:
        OptionError: An unknown name, or an option that the preset does not have.
        MissingExtraError: The package that registers the name cannot be imported.

    Example:
        >>> import torch
        >>> from csl_plugin.adapters import preset
        >>> entropy = preset("entropy", item="logits")
        >>> entropy.read({"logits": torch.zeros(1, 4, 1, 1)}).item()
        1.0
    """
    options: dict[str, Any] = {
        "calibration": calibration,
        "item": item,
        "mean": mean,
        "std": std,
        "unseen": unseen,
        "statistics": statistics,
    }
    known: Any = PRESETS.get(name) if isinstance(name, str) else None
    if known is None:
        known = _registered(name)
    if isinstance(known, Preset):
        return known.adapter(**options)
    made = known(**{option: value for option, value in options.items() if value is not None})
    if not all(hasattr(made, method) for method in ("images", "read", "write")):
        raise OptionError(
            "name",
            f"{name!r}, whose entry point made {type(made).__name__}",
            "an object with images, read and write",
            "Report it to the package that registers the name.",
        )
    return made  # type: ignore[no-any-return]


def _registered(name: str) -> Any:
    """What another package registers under a name: a `Preset`, or a callable that makes an adapter."""
    point = find_entry_point(ENTRY_POINTS, name, "name") if isinstance(name, str) else None
    if point is None:
        others = entry_point_names(ENTRY_POINTS)
        names = [*PRESETS, *others]
        hint = "Declare another model's output with OutputAdapter(score, item=...)."
        found = did_you_mean(name, names, hint)
        near = ", ".join(["a name of csl_plugin.adapters.PRESETS", *others])
        expected = "one of " + ", ".join(names) if found == hint else near
        raise OptionError("name", shown(name), expected, found)
    found = load_entry_point(point, "name")
    if not callable(found) and not isinstance(found, Preset):
        raise OptionError(
            "name",
            f"{name!r}, whose entry point {point.value} is a {type(found).__name__}",
            "a Preset or a callable",
            "Report it to the package that registers the name.",
        )
    return found
