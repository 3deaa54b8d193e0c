"""Proposers that other packages register under a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from csl_plugin._entry_points import entry_point_names, find_entry_point, load_entry_point
from csl_plugin.errors import DTypeError

if TYPE_CHECKING:
    from csl_plugin.proposers.base import Proposer

GROUP = "csl_plugin.proposers"
"""The entry-point group: a name, and a callable that takes `device=` and returns a proposer."""


def registered_proposer(name: str, device: torch.device | str | None) -> Proposer | None:
    """The proposer that an installed package registered under a name; None if none did.

    A package registers one in its `pyproject.toml`:

    ```toml
    [project.entry-points."csl_plugin.proposers"]
    my-regions = "my_package.regions:make"   # make(device=None) returns a proposer
    ```

    The commands store what the proposer is made of in the settings of a job, so that its results are not
    taken for those of another one (`csl_plugin.proposers.identity`). One whose weights are not among its
    attributes says what decides its results in a method `identity()`, which returns text.

    Raises:
        OptionError: Two packages registered the name.
        MissingExtraError: The package cannot be imported.
        DTypeError: What is registered does not return a callable.

    Example:
        >>> registered_proposer("unknown", None) is None
        True
    """
    point = find_entry_point(GROUP, name, "source")
    if point is None:
        return None
    factory = load_entry_point(point, "source")
    proposer: Any = factory(device=device) if callable(factory) else factory
    if not callable(factory) or not callable(proposer):
        got, hint = f"{point.value}, which returns none", "Register a function of `device` that returns one."
        raise DTypeError("source", got, "a factory of a callable", hint)
    return proposer  # type: ignore[no-any-return]


def registered_names() -> list[str]:
    """All names that installed packages registered."""
    return sorted(entry_point_names(GROUP))
