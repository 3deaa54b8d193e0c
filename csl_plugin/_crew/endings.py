"""How a process ended, and what an error becomes that is sent from one."""

from __future__ import annotations

import signal

from csl_plugin.errors import CSLError, reason_of


def how_it_ended(code: int | None) -> str:
    """The exit code of a process in words.

    Example:
        >>> how_it_ended(3), how_it_ended(-9), how_it_ended(None)
        ('ended with the code 3', 'was ended by SIGKILL', 'stopped answering')
    """
    if code is None:
        return "stopped answering"
    if code >= 0:
        return f"ended with the code {code}"
    names = {known.value: known.name for known in signal.Signals}
    return f"was ended by {names.get(-code, f'signal {-code}')}"


def keeps_its_kind(error: BaseException) -> bool:
    """Whether an error can be sent as it is; of others, only the text."""
    return isinstance(error, CSLError) and type(error).__init__ is CSLError.__init__


def as_sendable(error: Exception | SystemExit) -> CSLError | SystemExit:
    """The error, or one of this package with its text."""
    if isinstance(error, SystemExit):
        return SystemExit(error.code if isinstance(error.code, int) else str(error.code))
    if isinstance(error, CSLError) and keeps_its_kind(error):
        return error
    hint = "With one job it ends in the process that was started, with its own error."
    got = f"{type(error).__name__}: {reason_of(error)}"
    return CSLError("jobs", got, "processes that run to their end", hint)
