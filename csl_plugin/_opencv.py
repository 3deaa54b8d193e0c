"""The only place that imports OpenCV. Without its system libraries, one error names what to install."""

from __future__ import annotations

from functools import cache
from types import ModuleType

from csl_plugin.errors import MissingExtraError


def opencv() -> ModuleType:
    """The module cv2.

    Raises:
        MissingExtraError: OpenCV cannot be imported, as in a container without libGL or glib.
    """
    loaded = _loaded()
    if isinstance(loaded, ImportError):
        reason = " ".join(str(loaded).split())
        hint = "Install the build that needs no system libraries: pip install opencv-python-headless"
        raise MissingExtraError("cv2", f"an import error ({reason})", "OpenCV", hint) from loaded
    return loaded


@cache
def _loaded() -> ModuleType | ImportError:
    """The module, or why it cannot be imported: a second import of cv2 would fail for another reason."""
    try:
        import cv2
    except ImportError as error:
        return error
    return cv2
