"""`csl-plugin app`: a page to try fusion on, served from this machine."""

from __future__ import annotations

import argparse
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import Any

from csl_plugin.cli.answer import SUCCESS, Answer
from csl_plugin.cli.streams import say
from csl_plugin.errors import OptionError

_HOST = "127.0.0.1"
_LAST_PORT = 65535
_FOLDER = "GRADIO_TEMP_DIR"
_STEP = 0.1  # seconds


def add_parser(subparsers: Any) -> None:
    """Add the command and its arguments."""
    parser = subparsers.add_parser(
        "app",
        help="serve a page to try fusion on",
        description="Serve a page: a photograph, a score, regions and a rule; what becomes of the score, and "
        "the objects in it. It needs the extra `app`. What visitors drop is in a temporary folder, which is "
        "removed when the command ends: with Ctrl-C, or SIGTERM.",
        examples=["csl-plugin app", "csl-plugin app --port 8000"],
    )
    parser.add_argument(
        "--host",
        metavar="ADDRESS",
        default=_HOST,
        help="the address to listen at (%(default)s: this machine only)",
    )
    parser.add_argument(
        "--port", metavar="N", type=int, help="the port (default: the first free one from 7860 on)"
    )
    parser.add_argument(
        "--share",
        action="store_true",
        help="open a public address too, through gradio's tunnel: whoever has it can use this machine",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> Answer:
    """Run the command.

    Args:
        arguments: With `host`, `port`, a number or None, and `share`.

    Raises:
        MissingExtraError: gradio is not installed.
        OptionError: The port or the address cannot be listened at.
    """
    port: int | None = arguments.port
    if port is not None and not 1 <= port <= _LAST_PORT:
        raise OptionError("--port", str(port), f"1 to {_LAST_PORT}", "Omit it for a free one.")
    _check_host(arguments.host)
    with _uploads_removed():
        from csl_plugin.app import build_app, launch

        app = build_app()
        try:
            address = launch(app, host=arguments.host, port=port, share=arguments.share, block=False)
        except OSError as error:
            got = f"{arguments.host}:{port or 'any'}, where the page cannot be served"
            hint = "Another program may listen there: pass another port, or omit it."
            raise OptionError("--port", got, "a free port of this machine", hint) from error
        say(f"{address} (stop with Ctrl-C)")
        try:
            while app.is_running:
                time.sleep(_STEP)
        finally:
            app.close(verbose=False)
    return Answer(SUCCESS, {"command": "app", "address": address}, [f"{address} was closed."])


def _check_host(host: str) -> None:
    """Refuse an address that is not of this machine, which gradio would try with a hundred ports."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.bind(address)
    except (OSError, UnicodeError) as error:
        hint = f"Omit it for {_HOST}, this machine only; 0.0.0.0 is every address of it."
        raise OptionError("--host", host, "an address of this machine", hint) from error


@contextmanager
def _uploads_removed() -> Iterator[None]:
    """A folder for what gradio stores, which it reads when it is imported and when the page is made."""
    before = os.environ.get(_FOLDER)
    with TemporaryDirectory(prefix="csl-plugin-app-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ[_FOLDER]
            else:
                os.environ[_FOLDER] = before
