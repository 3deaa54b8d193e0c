"""`python -m benchmarks.effect` calls every page with options that it takes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from benchmarks.effect import __main__ as command

pytestmark = pytest.mark.slow


def test_every_page_is_written_once(monkeypatch, tmp_path):
    folder = Path(command.__file__).parent
    pages = [getattr(command, path.stem) for path in folder.glob("*.py") if not path.stem.startswith("_")]
    parse, parsed = argparse.ArgumentParser.parse_args, []

    class Parsed(Exception):  # noqa: N818
        pass

    def stopped(parser, arguments=None):
        options = parse(parser, arguments)
        if arguments is None:
            return options
        parsed.append(options)
        raise Parsed

    def called(main):
        def call(arguments):
            with pytest.raises(Parsed):
                main(arguments)

        return call

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stopped)
    for page in pages:
        monkeypatch.setattr(page, "main", called(page.main))
    monkeypatch.setattr(sys, "argv", ["effect", "--data", str(tmp_path)])
    command.main()
    assert len(parsed) == len(pages)
    assert {options.out for options in parsed} == {Path("docs/results")}
    assert {options.data for options in parsed} == {tmp_path}
