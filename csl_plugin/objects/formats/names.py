"""The names of images, as files of text hold them."""

from __future__ import annotations

from typing import Any

from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError
from csl_plugin.io.json_values import as_stored


def stored_name(name: Any) -> str:
    """The name of an image, of which bytes that are no UTF-8 are written as escapes.

    Raises:
        OptionError: No text, or one that no file can have.
    """
    if not isinstance(name, str) or not name or "\0" in name:
        hint = "Pass the name of the file, as in path.name."
        raise OptionError("image", shown(name), "the name of an image", hint)
    stored: str = as_stored(name)
    return stored


def stored_name_or_none(name: Any) -> str:
    """As `stored_name`; an empty text for an image without a name."""
    return "" if isinstance(name, str) and not name else stored_name(name)


def stored_names(objects: Any) -> list[str]:
    """The names of a mapping by images, in order.

    Raises:
        OptionError: As for `stored_name`, or two that are the same.
    """
    names = [stored_name(name) for name in objects]
    if len(set(names)) < len(names):
        (name,) = [name for name in names if names.count(name) > 1][:1]
        raise OptionError(
            "image", f"two names that are written as {shown(name)}", "one", "Rename one of them."
        )
    return names
