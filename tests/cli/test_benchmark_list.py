"""`csl-plugin benchmark --list`: every data set, and what is known of one before it is opened."""

import json
import shlex

import pytest

from csl_plugin.cli import _parser, main
from csl_plugin.datasets import DATASETS
from csl_plugin.evaluation.registry import benchmark_names


def test_every_benchmark_has_one_line(capsys):
    assert main(["benchmark", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    table = lines[1 : lines.index("")]
    assert [line.split()[0] for line in table] == list(benchmark_names())
    assert max(map(len, lines)) <= 140


@pytest.mark.parametrize("name", benchmark_names())
def test_a_benchmark_says_where_it_is_and_how_it_lies(capsys, name):
    assert main(["benchmark", name, "--list"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    info = DATASETS[name.removesuffix("-regions")]
    for said in (info.title, info.where, info.layout, *info.subsets, *info.options):
        assert " ".join(said.split()) in text
    command = shlex.split(text[text.index("csl-plugin benchmark") :])
    assert _parser().parsed(command[1:]).name == name
    assert main(["benchmark", name, "--list", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["benchmarks"][name]
    assert facts["default_split"] == info.default_subset


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ("NAME: got none", "--list names all")),
        (["road-anomly"], ("NAME: got 'road-anomly'", "Did you mean 'road-anomaly'?")),
        (["road-anomly", "--list"], ("Did you mean 'road-anomaly'?",)),
        (["road-anomaly"], ("--data: got none", "frames/<frame>.jpg", "www.epfl.ch", "road-anomaly --list")),
    ],
)
def test_what_is_missing_is_named(capsys, words, expected):
    assert main(["benchmark", *words]) == 2
    error = capsys.readouterr().err
    for said in expected:
        assert said in error
