"""What went wrong, in a sentence that a visitor understands."""

from __future__ import annotations

import logging
from html import escape
from pathlib import Path

from csl_plugin.errors import CSLError

_LOG = logging.getLogger(__name__)
_UNKNOWN = "The server could not do this. Load the page again, or try another photograph."


def notice_of(error: Exception) -> str:
    """An error as HTML: what came, what was expected, and how to go on; never a path or a traceback.

    Example:
        >>> from csl_plugin.errors import FileError
        >>> notice_of(FileError("/tmp/x/a.npy", "80 bytes", "a map", "Save it again."))
        '<p class="csl-notice" role="alert"><strong>a.npy: got 80 bytes, expected a map.</strong>
         Save it again.</p>'
    """
    if isinstance(error, CSLError):
        name = Path(error.argument).name
        return notice(f"{name}: got {error.got}, expected {error.expected}.", error.hint)
    _LOG.error("the page failed", exc_info=error)
    if isinstance(error, MemoryError):
        return notice("This takes more memory than the server has.", "Try a smaller photograph.")
    return notice(_UNKNOWN)


def notice(sentence: str, hint: str = "") -> str:
    """A sentence that screen readers say at once, and a hint."""
    return (
        f'<p class="csl-notice" role="alert"><strong>{escape(sentence)}</strong>'
        f"{' ' if hint else ''}{escape(hint)}</p>"
    )
