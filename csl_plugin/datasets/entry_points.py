"""Data sets that other packages register under a name."""

from __future__ import annotations

from csl_plugin._entry_points import entry_point_names, find_entry_point, load_entry_point
from csl_plugin.arrays import describe
from csl_plugin.datasets.dataset import DatasetInfo
from csl_plugin.errors import DTypeError

GROUP = "csl_plugin.datasets"
"""The entry-point group: a name, and a `DatasetInfo`."""


def registered_dataset(name: str) -> DatasetInfo | None:
    """The data set that an installed package registered under a name; None if none did.

    A package registers one in its `pyproject.toml`:

    ```toml
    [project.entry-points."csl_plugin.datasets"]
    my-roads = "my_package.roads:INFO"   # a DatasetInfo
    ```

    Raises:
        OptionError: Two packages registered the name.
        MissingExtraError: The package cannot be imported.
        DTypeError: What is registered is no `DatasetInfo`.

    Example:
        >>> registered_dataset("unknown") is None
        True
    """
    point = find_entry_point(GROUP, name, "name")
    if point is None:
        return None
    info = load_entry_point(point, "name")
    if not isinstance(info, DatasetInfo):
        got, hint = f"{point.value}, {describe(info)}", "Register a DatasetInfo of csl_plugin.datasets."
        raise DTypeError("name", got, "a DatasetInfo", hint)
    return info


def registered_names() -> list[str]:
    """All names that installed packages registered."""
    return sorted(entry_point_names(GROUP))
