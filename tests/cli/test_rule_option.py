"""--rule offers what `fuse` takes."""

from __future__ import annotations

import argparse
import inspect
from typing import get_args

import pytest

from csl_plugin import fuse
from csl_plugin.cli.fused.rule_option import add_rule_option
from csl_plugin.fusion import Rule


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser()
    add_rule_option(parser)
    return parser


def test_every_rule_can_be_named(parser):
    for rule in get_args(Rule):
        assert parser.parse_args(["--rule", rule]).rule == rule
    with pytest.raises(SystemExit):
        parser.parse_args(["--rule", "trust"])


def test_the_default_is_that_of_fuse(parser):
    assert parser.parse_args([]).rule == inspect.signature(fuse).parameters["rule"].default
