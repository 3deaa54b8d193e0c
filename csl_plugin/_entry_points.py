"""What other installed packages register by name: adapters and proposers."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from csl_plugin.errors import MissingExtraError, OptionError


def entry_point_names(group: str) -> list[str]:
    """Every name of an entry-point group, once."""
    return list(dict.fromkeys(point.name for point in entry_points(group=group)))


def find_entry_point(group: str, name: str, argument: str) -> EntryPoint | None:
    """The entry point of a name; None where no package registers it.

    Args:
        group: The entry-point group.
        name: The name in it.
        argument: The argument that holds the name, for the error.

    Raises:
        OptionError: Several packages register the name.
    """
    points = {point.value: point for point in entry_points(group=group, name=name)}
    if len(points) > 1:
        got = f"{name!r}, which {' and '.join(sorted(points))} register"
        raise OptionError(argument, got, "a name of one package", "Uninstall one of the packages.")
    return next(iter(points.values()), None)


def load_entry_point(point: EntryPoint, argument: str) -> Any:
    """The object that an entry point names.

    Raises:
        MissingExtraError: The package, or the object in it, cannot be imported.
    """
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # whatever another package's import raises
        got = f"{point.name!r}, whose entry point {point.value} cannot be loaded ({error})"
        hint = f"Install the package again that registers {point.name!r}."
        raise MissingExtraError(argument, got, "an object that can be imported", hint) from error
