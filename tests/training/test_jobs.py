"""A training's folder: who may write it, what continues it, and what damage and full disks leave."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from csl_plugin import load_proposer
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.io import write_png, write_scores
from csl_plugin.models import CSLNetwork
from csl_plugin.models.resnet import ResNet50
from csl_plugin.training import Batch, Recipe, TrainingSettings, train, train_recipe
from csl_plugin.training.log import TrainingLog

STREETS = {"labels_of": "classes", "images": "images", "labels": "labels"}
RECIPE = {
    "network": {
        "num_queries": 2,
        "embedding_width": 8,
        "query_width": 8,
        "num_heads": 2,
        "num_layers": 1,
        "feedforward_width": 8,
        "num_classes": 2,
    },
    "settings": {"steps": 4, "batch_size": 1, "crop": [32, 32], "warm_up": 1, "save_every": 2},
    "sources": {"streets": STREETS, "photos": {**STREETS, "labels_of": "segments"}},
    "textures": ["pictures"],
    "objects": {"procedural": 1.0},
    "parts": [{"source": "streets", "paste": [0, 1]}, {"source": "photos"}],
    "teacher": {"maps": "maps", "source": "streets"},
    "validation": {"source": STREETS, "every": 2, "frames": ":1", "scores": "scores", "anomaly": [1]},
}


def recipe_of(place: Path, document: dict | None = None) -> Recipe:
    path = place / "recipe.json"
    path.write_text(json.dumps(document or RECIPE))
    return Recipe.read(path)


def run(
    place: Path, document: dict | None = None, *, out: str = "run", data: str = "data", **options
) -> Path:
    recipe = recipe_of(place, document)
    return train_recipe(recipe, place / data, place / out, **{"workers": 0, **options})


def states(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def half_done(place: Path, **options) -> None:
    """A job of which two of four steps are done."""
    kept = TrainingLog.add

    def stop(log, step, values):
        if step == 3:
            raise KeyboardInterrupt
        kept(log, step, values)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(TrainingLog, "add", stop)
        with pytest.raises(KeyboardInterrupt):
            run(place, **options)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    place = tmp_path_factory.mktemp("begun")
    draw, data = np.random.default_rng(0), place / "data"
    labels = np.zeros((48, 64), np.uint8)
    labels[10:36, 10:36] = 1
    for stem in ("a", "b"):
        for folder in ("images", "pictures"):
            write_png(data / folder / f"{stem}.png", draw.integers(0, 255, (48, 64, 3)).astype(np.uint8))
        write_png(data / "labels" / f"{stem}.png", labels)
        write_scores(data / "maps" / f"{stem}.npy", np.full((2, 12, 16), 0.5, np.float32))
        write_scores(data / "scores" / f"{stem}.npy", draw.random((12, 16)).astype(np.float32))
    half_done(place)
    return place


@pytest.fixture
def place(begun, tmp_path):
    """A copy, with the times of all files."""
    return shutil.copytree(begun, tmp_path / "place")


def changed(**changes) -> dict:
    return {**RECIPE, **changes}


def again(path: Path) -> None:
    """Write a file anew, as long as before."""
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))


OTHERS = {
    "split": (changed(split=False), None, r"job.recipe.split false.*job.recipe.split true"),
    "a share": (
        changed(parts=[{"source": "streets", "share": 2, "paste": [0, 1]}, {"source": "photos"}]),
        None,
        r"job.recipe.parts\[0\].share 2.0, expected job.recipe.parts\[0\].share 1.0",
    ),
    "another part": (changed(parts=[{"source": "photos"}]), None, "job.recipe.parts a list of 1"),
    "ignored": (
        changed(sources={**RECIPE["sources"], "streets": {**STREETS, "ignore": [1]}}),
        None,
        "job.recipe.sources.streets.ignore",
    ),
    "the crops' scale": (changed(cropping={"smallest": 0.6}), None, "job.recipe.cropping.smallest 0.6"),
    "other objects": (changed(objects={"photos": 1.0}), None, "job.recipe.objects"),
    "no textures": (changed(textures=[]), None, "job.files.textures.pictures null"),
    "the learning rate": (
        changed(settings={**RECIPE["settings"], "learning_rate": 0.5}),
        None,
        "got settings.learning_rate 0.5, expected settings.learning_rate 0.001, as the job",
    ),
    "heads of attention": (  # which no shape shows
        changed(network={**RECIPE["network"], "num_heads": 1}),
        None,
        "network.num_heads 1",
    ),
    "no validation": ({n: v for n, v in RECIPE.items() if n != "validation"}, None, "job.recipe.validation"),
    "an image": (
        None,
        lambda data: again(data / "images/b.png"),
        "job.files.sources.streets '4 files.*cp -p",
    ),
    "a label": (None, lambda data: again(data / "labels/a.png"), "job.files.sources.photos"),
    "a texture": (None, lambda data: again(data / "pictures/a.png"), "job.files.textures.pictures"),
    "a map": (None, lambda data: again(data / "maps/a.npy"), "job.files.teacher.maps"),
    "a score": (None, lambda data: again(data / "scores/a.npy"), "job.files.validation.scores"),
    "one image less": (
        None,
        lambda data: [(data / name / "b.png").unlink() for name in ("images", "labels")],
        "job.files.sources.streets '2 files",
    ),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_job_does_not_continue_and_every_difference_is_named(place, case):
    document, change, said = OTHERS[case]
    if change is not None:
        change(place / "data")
    before = (place / "run/state.safetensors").read_bytes()
    with pytest.raises(FileError, match=said) as raised:
        run(place, document)
    assert raised.value.argument == str(place / "run/state.safetensors")
    assert (place / "run/state.safetensors").read_bytes() == before
    if change is not None:
        assert "job.recipe" not in str(raised.value)


def test_several_differences_are_named_together(place):
    again(place / "data/images/a.png")
    with pytest.raises(FileError) as raised:
        run(place, changed(split=False, settings={**RECIPE["settings"], "seed": 7}))
    for name in (
        "settings.seed 7",
        "job.recipe.split false",
        "job.files.sources.streets",
        "validation.source",
    ):
        assert name in str(raised.value), name


def test_the_weights_that_a_job_starts_from_count_by_content(place):
    run(place)
    shutil.copytree(place / "run/network", place / "first")
    shutil.copytree(place / "first", place / "copied")
    half_done(place, out="tuned", weights=str(place / "first"))
    with pytest.raises(FileError, match=r"job.start.weights null, expected job.start.weights 'sha256"):
        run(place, out="tuned")
    network = CSLNetwork.from_pretrained(place / "first")
    torch.nn.init.ones_(network.query_features)
    network.save_pretrained(place / "other")
    with pytest.raises(FileError, match=r"job.start.weights 'sha256.*expected job.start.weights 'sha256"):
        run(place, out="tuned", weights=str(place / "other"))
    assert run(place, out="tuned", weights=str(place / "copied")).is_dir()


def test_a_job_starts_from_a_network_that_ships(place):
    kept = load_proposer("csl-tiny").network
    document = {"network": kept.config.to_json(), "settings": {**RECIPE["settings"], "learning_rate": 1e-12}}
    document |= {"sources": {"photos": RECIPE["sources"]["photos"]}, "parts": [{"source": "photos"}]}
    folder = run(place, document, out="tuned", weights="csl-tiny")
    now = CSLNetwork.from_pretrained(folder).query_features
    torch.testing.assert_close(now, kept.query_features, atol=1e-3, rtol=1e-3)  # stored in float16
    with pytest.raises(FileError, match=r"job.start.weights null"):
        run(place, document, out="tuned")


@pytest.mark.slow
def test_the_backbone_counts_by_content(place):
    document = changed(network={**RECIPE["network"], "backbone": "resnet50"}, backbone="imagenet")
    weights = ResNet50().state_dict()
    for name in ("imagenet", "copied"):
        (place / "data" / name).mkdir()
        save_file(weights, place / "data" / name / "model.safetensors")
    half_done(place, document=document, out="large")
    save_file(
        {**weights, "conv1.weight": weights["conv1.weight"] + 1}, place / "data/imagenet/model.safetensors"
    )
    with pytest.raises(FileError, match=r"job.start.backbone 'sha256"):
        run(place, document, out="large")
    run(place, {**document, "backbone": "copied"}, out="large")


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_does_not_change_the_result_may_differ(place, begun):
    whole = shutil.copytree(begun, place.parent / "whole")
    run(whole)
    (place / "data").rename(place / "moved")
    document = changed(
        settings={**RECIPE["settings"], "save_every": 1, "seed": 0, "learning_rate": 1e-3},
        validation={**RECIPE["validation"], "every": 1},
        split=True,
        cropping={},
    )
    run(place, document, data="moved", workers=2)
    one, other = (load_file(folder / "run/state.safetensors") for folder in (whole, place))
    assert all(torch.equal(other[name], value) for name, value in one.items())
    assert [line["step"] for line in TrainingLog(place / "run").read()] == [1, 2, 3, 4]
    assert run(place, document, data="moved") == place / "run/network"  # nothing is left to do


def rewritten(path: Path, **facts) -> None:
    """The checkpoint with other facts; None removes one."""
    with safe_open(path, "pt") as stored:
        metadata = stored.metadata()
    now = {**json.loads(metadata["facts"]), **facts}
    now = {name: value for name, value in now.items() if value is not None}
    save_file(load_file(path), path, {**metadata, "facts": json.dumps(now)})


def test_a_folder_of_before_is_continued_with_a_warning(place):
    out = place / "run"
    rewritten(out / "state.safetensors", job=None, network=None, version=None)
    for name in ("csl-plugin.json", "csl-plugin.jsonl"):
        (out / name).unlink()
    older = "before checkpoints held the recipe, the data and the first weights: only the settings"
    with (
        pytest.warns(UserWarning, match="an earlier version began; it is continued"),
        pytest.warns(UserWarning, match=older),
    ):
        run(place)
    assert [line["step"] for line in TrainingLog(out).read()] == [1, 2, 3, 4]
    with safe_open(out / "state.safetensors", "pt") as stored:
        assert {"job", "network", "version"} <= json.loads(stored.metadata()["facts"]).keys()


def test_a_checkpoint_of_another_version_is_named(place):
    rewritten(place / "run/state.safetensors", version="0.0.1")
    with pytest.warns(UserWarning, match="saved by version 0.0.1, and is continued by"):
        run(place)


def test_a_step_beyond_the_last_is_refused(place):
    rewritten(place / "run/state.safetensors", step=5)
    with pytest.raises(FileError, match="got the step 5, expected at most 4"):
        run(place)


FOREIGN = [
    "config.json",
    "model.safetensors",
    "log.jsonl",
    "log.svg",
    "state.safetensors",
    "network/config.json",
]


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_somebody_else_are_not_replaced(place, name):
    mine = place / "mine" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    with pytest.raises(OptionError, match=r"out: got .*mine, which holds"):
        run(place, out="mine")
    assert states(place / "mine") == {name: b"mine"}


@pytest.mark.parametrize("name", ["network/config.json", "network/model.safetensors"])
def test_a_file_that_was_put_beside_a_job_is_not_replaced(place, name):
    mine = place / "run" / name
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(FileError, match="did not write"):
        run(place)
    assert mine.read_text() == "mine"


def test_a_folder_of_another_command_or_with_the_data_is_refused(place):
    from csl_plugin.cli import main

    (place / "scores").mkdir()
    for stem in ("a", "b"):
        np.save(place / "scores" / f"{stem}.npy", np.full((2, 48, 64), 0.5, np.float32))
    command = ["fuse", str(place / "data/images"), str(place / "scores"), str(place / "fused")]
    assert main([*command, "--proposer", "superpixels:40"]) == 0
    before = states(place / "fused")
    with pytest.raises(OptionError, match="command"):
        run(place, out="fused")
    assert states(place / "fused") == before
    with pytest.raises(CSLError, match="holds"):
        run(place, out="data")


SETTINGS = TrainingSettings(steps=4, batch_size=1, crop=(32, 32), warm_up=1, save_every=2)


def network() -> CSLNetwork:
    torch.manual_seed(0)
    return CSLNetwork(Recipe(_config(), SETTINGS, {"parts": [{"source": "dead-leaves"}]}).network)


def _config():
    from csl_plugin.models import NetworkConfig

    return NetworkConfig.from_json({**RECIPE["network"], "num_classes": 0})


def drawn(start: int, *, before=None):
    regions = torch.zeros(1, 32, 32, dtype=torch.int32)
    for step in range(start, 9):
        if before is not None:
            before(step)
        yield Batch(torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(step)), regions, regions)


def test_two_trainings_in_one_folder_are_refused(tmp_path):
    refused = []

    def at_once(step):
        if step in (1, 3):
            with pytest.raises(OptionError, match="another job is at work") as raised:
                train(network(), drawn, SETTINGS, tmp_path)
            refused.append(raised.value.argument)

    train(network(), lambda start: drawn(start, before=at_once), SETTINGS, tmp_path)
    assert refused == ["out", "out"]
    assert [line["step"] for line in TrainingLog(tmp_path).read()] == [1, 2, 3, 4]
    assert len((tmp_path / "log.jsonl").read_bytes().splitlines()) == 4


def test_batches_that_end_too_early_are_named(tmp_path):
    with pytest.raises(OptionError, match="batches: got the last at step 1, expected batches up to 4"):
        train(network(), lambda start: list(drawn(start))[:1], SETTINGS, tmp_path)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_state_that_is_no_file_is_refused(tmp_path, kind):
    train(network(), drawn, SETTINGS, tmp_path)
    (tmp_path / "state.safetensors").unlink()
    (os.mkfifo if kind == "pipe" else os.mkdir)(tmp_path / "state.safetensors")
    with pytest.raises(
        FileError, match=r"state\.safetensors: got (a folder|something that is no regular file)"
    ):
        train(network(), drawn, SETTINGS, tmp_path)


def test_temporary_files_of_a_killed_job_are_swept(tmp_path):
    train(network(), drawn, SETTINGS, tmp_path)
    (tmp_path / ".csl-plugin-0123.tmp").write_bytes(b"half a state")
    train(network(), drawn, SETTINGS, tmp_path)
    assert not list(tmp_path.glob(".csl-plugin-*.tmp"))


# The log


def test_any_damaged_byte_of_a_log_costs_its_line_at_most(tmp_path):
    whole = TrainingLog(tmp_path)
    for step in range(1, 6):
        whole.add(step, {"loss": 1 / step, "rate": 0.001})
    text = (tmp_path / "log.jsonl").read_bytes()
    expected = whole.read()
    path, log = tmp_path / "log.jsonl", TrainingLog(tmp_path)
    for place in range(0, len(text), 3):
        for byte in (b"\xff", b"\0", b"\n", b"{", b'"', b"9", b""):
            path.write_bytes(text[:place] + byte + text[place + 1 :])
            line = text[:place].count(b"\n") + 1
            kept = [values for values in log.read() if values in expected]
            assert [values for values in expected if values not in kept and values["step"] != line] == [], (
                place
            )
            if place % 24 == 0:
                log.cut(4)
                assert all(values in log.read() for values in kept if values["step"] <= 4)
                assert max(values["step"] for values in log.read()) <= 4


FOREIGN_LINES = [
    b"\xff\xfe\x00",
    b"[" * 5000,
    b'{"step": ' + b"9" * 400 + b"}",
    b'{"step": true}',
    b'{"step": 1e999}',
    b'{"step": -1, "loss": 1.0}',
    b'{"step": 1.5}',
    b'{"step": 1, "loss": "low"}',
    b'{"step": 1, "loss": NaN}',
    b'{"epoch": 1}',
    b"null",
    b"x" * 200_000,
    b'{"step": 1, "step": 2}',
]


def test_foreign_lines_are_passed_over(tmp_path):
    lines = [b'{"step": 1, "loss": 2.0}', *FOREIGN_LINES, b'{"step": 2, "loss": 1.0}']
    (tmp_path / "log.jsonl").write_bytes(b"\n".join(lines))  # without an end of the last line
    log = TrainingLog(tmp_path)
    assert log.read() == [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0}]
    log.draw()
    log.cut(2)
    assert (tmp_path / "log.jsonl").read_bytes() == lines[0] + b"\n" + lines[-1] + b"\n"
    log.add(3, {"loss": 0.5})
    assert [values["step"] for values in log.read()] == [1, 2, 3]


def test_a_damaged_log_does_not_keep_a_job_from_continuing(place):
    path = place / "run/log.jsonl"
    path.write_bytes(path.read_bytes() + b"\xff\n" + b'{"step": 3, "lo')
    run(place)
    assert [line["step"] for line in TrainingLog(place / "run").read()] == [1, 2, 3, 4]
    path.unlink()
    run(place)  # finished, and without its log


def test_a_log_that_is_no_file_is_refused(tmp_path):
    os.mkfifo(tmp_path / "log.jsonl")
    with pytest.raises(FileError, match="no regular file"):
        TrainingLog(tmp_path).read()


# Full disks


@contextmanager
def largest_file(size: int):
    """Longer files cannot be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("size", "name"), [(10_000, "state.safetensors"), (200, "log.jsonl")])
def test_a_file_that_cannot_be_written_is_named_and_the_checkpoint_kept(tmp_path, size, name):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(step):
        if step == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))

    try:
        with pytest.raises(FileError) as raised:
            train(network(), lambda start: drawn(start, before=fill), SETTINGS, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert raised.value.argument == str(tmp_path / name)
    assert "arge" in str(raised.value)  # file too large
    assert not list(tmp_path.glob(".csl-plugin-*.tmp"))
    with safe_open(tmp_path / "state.safetensors", "pt") as stored:
        assert json.loads(stored.metadata()["facts"])["step"] == 2
    train(network(), drawn, SETTINGS, tmp_path)
    train(network(), drawn, SETTINGS, tmp_path.parent / "whole")
    one, other = (load_file(folder / "state.safetensors") for folder in (tmp_path, tmp_path.parent / "whole"))
    assert all(torch.equal(other[key], value) for key, value in one.items())


MOUNTS = {
    "full": ("mount -t tmpfs -o size=48k tmpfs $OUT", "No space left"),
    "read-only": ("mount -t tmpfs -o ro tmpfs $OUT", "Read-only file system"),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", MOUNTS)
def test_a_full_and_a_read_only_disk_are_named(place, kind):
    mount, said = MOUNTS[kind]
    (place / "disk").mkdir()
    surroundings = {**os.environ, "OUT": str(place / "disk")}
    within = ["unshare", "--map-root-user", "--mount", "sh", "-c"]
    try:
        able = (
            subprocess.run([*within, mount], env=surroundings, capture_output=True, check=False).returncode
            == 0
        )
    except OSError:
        able = False
    if not able:
        pytest.skip("this system mounts no file system in a namespace")
    recipe_of(place)
    paths = [str(place / "recipe.json"), "--data", str(place / "data"), "--out", str(place / "disk")]
    command = [*within, f'{mount} && exec "$0" "$@"', sys.executable, "-m", "csl_plugin", "train", *paths]
    done = subprocess.run(command, env=surroundings, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert f"error: {place / 'disk'}" in done.stderr
    assert said in done.stderr


@pytest.mark.parametrize("part", ["weights.", "average.", "optimiser.exp_avg."])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float64])
def test_values_of_another_precision_are_refused(place, part, dtype):
    half_done(place)
    path = place / "run" / "state.safetensors"
    with safe_open(path, "pt") as stored:
        metadata = stored.metadata()
    tensors = load_file(path)
    name = next(name for name in tensors if name.startswith(part))
    tensors[name] = tensors[name].to(dtype)
    save_file(tensors, path, metadata)
    with pytest.raises(FileError, match=rf"{re.escape(name)} of F(16|64).*expected torch.float32"):
        run(place)


def test_a_damaged_state_is_named_with_the_way_on(place):
    half_done(place)
    (place / "run" / "state.safetensors").write_bytes(b"no state")
    with pytest.raises(FileError, match="or remove it: then the training starts from its first step"):
        run(place)
    (place / "run" / "state.safetensors").unlink()
    run(place)
    assert [values["step"] for values in TrainingLog(place / "run").read()] == [1, 2, 3, 4]
