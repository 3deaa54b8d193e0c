"""JSON of unknown origin: what is read is strict, and every error says where it is."""

from __future__ import annotations

import json
import math
import os

import numpy as np
import pytest

from csl_plugin import Calibration
from csl_plugin.datasets.folder import ClassTable, read_id_table
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.io.json_files import LARGEST_JSON, parse_json, read_json
from csl_plugin.io.json_schema import (
    Place,
    array,
    boolean,
    choice,
    in_json,
    integer,
    number,
    record,
    table,
    text,
)
from csl_plugin.models import NetworkConfig
from csl_plugin.models.hub.safetensors_io import read_config
from tests.helpers.mutated_json import mutated

QUANTILES = {"kind": "quantile", "knots": [0.0, 1.0, 4.0], "values": [0.1, 0.5, 0.9]}
IDS = {"names": ["road", "sky"], "ids": {"7": 0, "23": 1}, "void": [0, 255], "unseen": [1]}
FILES = {
    "sigmoid": ({"kind": "sigmoid", "center": 6.0, "scale": -1.5}, Calibration.load, Calibration),
    "affine": ({"kind": "affine", "low": 0, "high": 2.5}, Calibration.load, Calibration),
    "quantile": (QUANTILES, Calibration.load, Calibration),
    "network": (NetworkConfig(num_queries=5).to_json(), read_config, NetworkConfig),
    "class ids": (IDS, read_id_table, ClassTable),
    "anomaly ids": ({"anomaly": [2, 3], "void": [255]}, read_id_table, ClassTable),
}


@pytest.mark.parametrize("name", FILES)
def test_a_mutated_file_is_read_or_refused(tmp_path, name):
    document, read, kind = FILES[name]
    path = tmp_path / "file.json"
    path.write_text("\ufeff" + json.dumps(document))  # Notepad writes the mark
    assert isinstance(read(path), kind)
    values, errors = [], []
    for data in mutated(document, 400, seed=len(name)):
        path.write_bytes(data)
        try:
            values.append(read(path))
        except CSLError as error:
            errors.append(error)
    assert min(len(values), len(errors)) > 5
    assert all(isinstance(value, kind) for value in values)
    assert all(str(path) in error.argument and len(str(error)) < 2000 for error in errors)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"a": 1, "a": 1}', "'a' twice"),
        (b'{"a": NaN}', "NaN is no number"),
        (b"-Infinity", "no number"),
        (b"1e999", "beyond"),
        (b"[" + b"1" * 400 + b"]", "400 digits"),
        (b"[" * 100 + b"]" * 100, "too deeply"),
        (b"[" * 500_000, "too deeply"),
        (b'{"a":' * 5000, "too deeply"),
        (b'{"a": "\xff"}', "byte 7 is no UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "no UTF-8"),
        (b'["\\ud800"]', "surrogates"),
        (b'{"\\ud800": 1}', "surrogates"),
        (b'{\n"a": }', "line 2, column 6"),
        (b"", "line 1"),
    ],
)
def test_what_is_no_strict_json_is_refused(tmp_path, data, said):
    (tmp_path / "a.json").write_bytes(data)
    with pytest.raises(FileError, match=said) as raised:
        read_json(tmp_path / "a.json", "a recipe")
    assert raised.value.argument == str(tmp_path / "a.json")
    assert raised.value.expected == "a recipe"


def test_plain_json_is_read_as_it_is():
    values = {"a": [1, -2.5, True, None, "ü\n"], "": {}, "n": 10**29, "deep": [[[[{}]]]]}
    assert parse_json(json.dumps(values), "text", "values") == values
    assert parse_json(json.dumps(values, ensure_ascii=False).encode(), "text", "values") == values


def test_only_regular_files_of_a_sensible_size_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large.json").write_bytes(b" " * (LARGEST_JSON + 1))
    (tmp_path / "list.json").write_bytes(b"[" + b"0," * 1000 + b"0]")
    for name in ("pipe", "large.json", "absent.json", ".", "nul\0"):
        with pytest.raises(FileError):
            read_json(tmp_path / name, "a recipe")
    with pytest.raises(FileError, match="regular"):
        Calibration.load("/dev/zero")
    with pytest.raises(FileError, match="at most 100 bytes"):
        read_json(tmp_path / "list.json", "a recipe", largest=100)
    assert len(read_json(tmp_path / "list.json", "a list")) == 1001


READ = record(
    dict,
    {
        "steps": integer(1, 100),
        "rate": number(0, 1, above_low=True),
        "split": boolean,
        "kind": choice("classes", "segments"),
        "crop": array(integer(1, 512), 2, 2),
        "sources": table(record(dict, {"images": text}, "images")),
    },
    "steps",
)
WRONG = [
    ({}, "r.json, s: got no steps"),
    ([], "r.json, s: got a list of 0"),
    ({"step": 3}, "got 'step', expected only crop, kind, rate, sources, split, steps. Did you mean 'steps'"),
    ({"steps": True}, r"r.json, s.steps: got true, expected an integer in \[1, 100\]"),
    ({"steps": 3.0}, r"s.steps: got 3\.0"),
    ({"steps": 101}, "s.steps: got 101"),
    ({"steps": "3"}, "s.steps: got '3'"),
    ({"rate": 0}, r"s.rate: got 0, expected a number in \(0, 1\]"),
    ({"rate": math.nan}, "s.rate: got nan"),
    ({"rate": 10**400}, "s.rate: got an integer of more than 60 digits"),
    ({"rate": False}, "s.rate: got false"),
    ({"split": 1}, "s.split: got 1, expected true or false"),
    ({"kind": "class"}, "s.kind: got 'class', expected 'classes' or 'segments'. Did you mean 'classes'"),
    ({"kind": ["classes"]}, "s.kind: got a list of 1"),
    ({"crop": [1]}, "s.crop: got a list of 1, expected a list of 2"),
    ({"crop": "12"}, "s.crop: got '12'"),
    ({"crop": [1, 0]}, r"s.crop\[1\]: got 0"),
    ({"sources": {"a b": {"images": ""}}}, "s.sources.a b.images: got '', expected a text"),
    ({"sources": {"a": {"images": "x\0"}}}, r"s.sources.a.images: got 'x\\x00'"),
    ({"sources": {"a": {}}}, "s.sources.a: got no images"),
    ({"sources": {"": {"images": "x"}}}, "s.sources: got ''"),
]


@pytest.mark.parametrize(("values", "said"), WRONG)
def test_an_error_names_the_file_the_place_and_both_values(values, said):
    values = values if values in ({}, []) or "steps" in values or "step" in values else {"steps": 1, **values}
    with pytest.raises(FileError, match=said):
        READ(values, Place("r.json", "s"))
    with pytest.raises(OptionError):
        READ(values, Place())


def test_what_fits_is_read():
    given = {"steps": np.int64(3), "rate": 1, "crop": (2, 3), "sources": {"a": {"images": "x"}}}
    found = READ(given, Place())
    assert found == {"steps": 3, "rate": 1.0, "crop": (2, 3), "sources": {"a": {"images": "x"}}}
    assert [type(found["steps"]), type(found["rate"])] == [int, float]


def test_what_a_message_shows_is_short():
    for value in ("a" * 10**6, 10**5000, [0] * 10**6, {"a": 1}, None, b"x" * 1000):
        assert len(in_json(value)) <= 64


def test_a_class_table_says_each_value_once(tmp_path):
    (tmp_path / "ids.json").write_text(json.dumps({**IDS, "ids": {"7": 0, "07": 1}}))
    with pytest.raises(FileError, match="two spellings"):
        read_id_table(tmp_path / "ids.json")
