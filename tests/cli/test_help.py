"""What a newcomer reads: help with examples that parse, and the nearest name where one is misspelled."""

import shlex

import pytest

from csl_plugin.cli import _COMMANDS, _parser, main

TASKS = ("threshold fit", "eval anomaly", "eval objects", "eval semantic", "eval regions")


def printed_help(capsys, *words):
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])
    assert stopped.value.code == 0
    return capsys.readouterr().out


def examples_of(text):
    lines = text.partition("\nexample")[2].splitlines()[1:]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


@pytest.mark.parametrize("command", ["", *(name for name in _COMMANDS if name != "demo"), *TASKS])
def test_every_help_ends_with_examples_that_the_parser_takes(capsys, command):
    examples = examples_of(printed_help(capsys, *command.split()))
    assert examples
    for words in examples:
        given = words[1:] if words[0] == "csl-plugin" else words[words.index("csl_plugin") + 1 :]
        if "--help" not in given:
            assert _parser().parsed(given).command in _COMMANDS
    own = [words for words in examples if command in " ".join(words)]
    assert own, "one is of the command itself"


def test_the_list_of_commands_has_a_line_each(capsys):
    lines = printed_help(capsys).partition("commands:\n")[2].partition("\n\n")[0].splitlines()[1:]
    assert [line.split()[0] for line in lines] == list(_COMMANDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fus", "a", "b", "c"], "argument COMMAND: got 'fus', expected demo, "),
        (["fus", "a", "b", "c"], "Did you mean 'fuse'?"),
        (["eval", "anomly", "a", "b"], "Did you mean 'anomaly'?"),
        (["fuse", "a", "b", "c", "--rule", "Adaptative"], "Did you mean 'adaptive'?"),
        (
            ["fuse", "a", "b", "c", "--ruel", "mean"],
            "unrecognized arguments: --ruel mean. Did you mean '--rule'?",
        ),
        (["objects", "a", "b", "c", "--threshold", "1", "--format", "coc"], "Did you mean 'coco'?"),
        (["eval", "anomaly", "a", "b", "--protocol", "poled"], "Did you mean 'pooled'?"),
    ],
)
def test_the_nearest_name_is_named(capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_no_name_is_named_where_none_is_near(capsys):
    with pytest.raises(SystemExit):
        main(["fuse", "a", "b", "c", "--rule", "zzzz"])
    error = capsys.readouterr().err
    assert "got 'zzzz', expected adaptive, product, geometric or mean" in error
    assert "Did you mean" not in error


def test_wrong_words_show_the_usage_of_their_own_command(capsys):
    with pytest.raises(SystemExit):
        main(["propose", "a", "b", "c"])
    assert "usage: csl-plugin propose IMAGES OUT" in capsys.readouterr().err
