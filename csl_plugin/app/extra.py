"""The import of gradio, with a clear error where it is missing."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType
from typing import Any

from csl_plugin.errors import MissingExtraError, reason_of


def gradio() -> Any:
    """The module gradio.

    Raises:
        MissingExtraError: It is not installed, or cannot be imported.
    """
    try:
        found: ModuleType = import_module("gradio")
    except Exception as error:
        hint = "Install it: pip install 'csl-plugin[app]'"
        raise MissingExtraError("gradio", reason_of(error), "the extra `app`", hint) from error
    return found
