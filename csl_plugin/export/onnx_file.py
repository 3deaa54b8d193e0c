"""A graph as an ONNX file, compared with the package in onnxruntime before it is kept."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from csl_plugin._options import checked_integer
from csl_plugin._version import __version__
from csl_plugin.errors import FileError, MissingExtraError, OptionError, reason_of
from csl_plugin.export.graphs import Graph
from csl_plugin.export.program import exported
from csl_plugin.io.atomic import as_write_error, atomic_path
from csl_plugin.io.limits import check_file

TOLERANCE = 1e-5
"""How far a value of the file may be from the package's."""

_PRODUCER = "csl-plugin"
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def to_onnx(
    graph: Graph,
    file: str | os.PathLike[str],
    *,
    size: tuple[int, int] | None = None,
    inputs: int = 5,
    seed: int = 0,
    progress: Callable[[str], None] = lambda _: None,
) -> float:
    """Write a graph as an ONNX file.

    The file is run in onnxruntime on random inputs, of as many sizes, and compared with what the package's
    own functions give for them. It is written atomically, and only if no value differs by more than 1e-5.

    Args:
        graph: A `FusionGraph`, `NetworkGraph` or `StageGraph`.
        file: The path; a file there is replaced.
        size: As for `exported`.
        inputs: How many random inputs are compared, at least 1.
        seed: Of the inputs.
        progress: Called with the name of each step when it begins, as large graphs take minutes.

    Returns:
        The largest difference that was found.

    Raises:
        MissingExtraError: onnx, onnxscript or onnxruntime are not installed: the extra `onnx`.
        ShapeError: `size` is not two positive integers.
        OptionError: `inputs` is not an integer of at least 1, or the installed versions export another
            result.
        FileError: The file cannot be written.

    Example:
        >>> from csl_plugin.export import FusionGraph, to_onnx
        >>> to_onnx(FusionGraph("product"), "fuse.onnx") < 1e-5   # doctest: +SKIP
        True
    """
    require_packages()
    inputs = checked_integer("inputs", inputs, 1, None, "Each is one image of another size.")
    with _quietly():
        progress("recording the graph")
        program = exported(graph, size)
        progress("converting it to ONNX")
        model = _model(program, graph)
    for key, value in _about(graph, size).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    with atomic_path(file) as path:
        with as_write_error(file):
            path.write_bytes(model.SerializeToString())
        progress(f"running it in onnxruntime on {inputs} random input{'s' * (inputs > 1)}")
        found = largest_difference(graph, path, size=size, inputs=inputs, seed=seed)
        if not found <= TOLERANCE:
            got = f"a file whose results differ by up to {found:.3g}"
            hint = f"Install other versions of {', '.join(_PACKAGES)}; nothing was written."
            raise OptionError("graph", got, f"at most {TOLERANCE:g}", hint)
    return found


def _model(program: ExportedProgram, graph: Graph) -> Any:
    """A program as an ONNX model.

    Raises:
        OptionError: The installed exporter lacks an operation.
    """
    names = {"input_names": list(graph.input_names), "output_names": list(graph.output_names)}
    try:
        made: Any = torch.onnx.export(program, (), dynamo=True, verbose=False, **names)  # type: ignore[arg-type]
    except torch.onnx.errors.OnnxExporterError as error:
        reason = reason_of(error.__cause__ or error)
        got = f"operations that torch {torch.__version__} does not convert ({reason})"
        hint = "Install newer ones; csl_plugin was tested with torch 2.13 and onnxscript 0.7."
        raise OptionError("graph", got, "a torch and an onnxscript that convert them", hint) from error
    model = made.model_proto
    model.producer_name, model.producer_version = _PRODUCER, __version__
    return model


def _about(graph: Graph, size: tuple[int, int] | None) -> dict[str, str]:
    """What the file says of itself: the metadata of the model, with which no session compares its inputs."""
    least, most = graph.sides
    meant = {
        "images": "(1, 3, H, W), RGB in [0, 1]",
        "distribution": "(1, C, h, w), >= 0, higher = more of class c",
        "labels": "(1, H, W), ids of regions, -1 for none",
    }
    options = {name: str(getattr(graph, name)) for name in ("rule", "classes") if hasattr(graph, name)}
    return {
        "graph": type(graph).__name__,
        "size": f"sides from {least} to {most}" if size is None else f"{size[0]} x {size[1]}",
        **options,
        **{name: meant[name] for name in graph.input_names},
    }


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says of matters inside of it."""
    logs = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript")]
    levels = [log.level for log in logs]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for log in logs:
            log.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for log, level in zip(logs, levels, strict=True):
                log.setLevel(level)


def largest_difference(
    graph: Graph, file: Path, *, size: tuple[int, int] | None, inputs: int, seed: int
) -> float:
    """How far a file's results in onnxruntime are from the package's, over random inputs of as many sizes."""
    session = import_module("onnxruntime").InferenceSession(str(file), providers=["CPUExecutionProvider"])
    draw = torch.Generator().manual_seed(seed)
    found = 0.0
    for _ in range(inputs):
        sides = torch.randint(graph.sides[0], 160, (2,), generator=draw).tolist()
        given = graph.draw((sides[0], sides[1]) if size is None else size, draw)
        named = {name: tensor.numpy() for name, tensor in zip(graph.input_names, given, strict=True)}
        for got, expected in zip(session.run(None, named), graph.plain(*given), strict=True):
            difference = (torch.from_numpy(got) - expected).abs().max()
            found = max(found, float(difference.nan_to_num(torch.inf)))
    return found


def check_exported(file: Path) -> None:
    """Refuse a file that `to_onnx` did not write.

    Raises:
        FileError: It is another one.
        MissingExtraError: As for `to_onnx`.
    """
    require_packages()
    check_file(file)
    onnx = import_module("onnx")
    try:
        model = onnx.load_model_from_string(file.read_bytes())
    except Exception as error:
        got = f"no ONNX file ({reason_of(error)})"
        raise FileError(str(file), got, "an exported graph", "Name another file.") from error
    if model.producer_name != _PRODUCER:
        got = f"an ONNX file of {ascii(model.producer_name)[:60]}"
        raise FileError(str(file), got, "an exported graph", "Name another file.")


def require_packages() -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        MissingExtraError: One is not installed, or cannot be imported.
    """
    for package in _PACKAGES:
        try:
            import_module(package)
        except ImportError as error:
            hint = "pip install 'csl-plugin[onnx]'."
            raise MissingExtraError(package, reason_of(error), "the extra `onnx`", hint) from error
