"""A whole benchmark: open what it needs, pass over the frames, sum up, and write the result."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from csl_plugin import __version__
from csl_plugin.calibration import Calibration
from csl_plugin.datasets import Dataset, Frame
from csl_plugin.distributed import Processes, joined
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.evaluation.formats.prediction_files import Outputs
from csl_plugin.evaluation.frames.frame_fusion import Fusion, Kind
from csl_plugin.evaluation.frames.passes import ComponentWork, FrameWork, Pass
from csl_plugin.evaluation.frames.pipeline import overlap
from csl_plugin.evaluation.frames.score_source import ScoreFolder, Source, Teacher
from csl_plugin.evaluation.protocols import SIDES
from csl_plugin.evaluation.records import Records, claim, fingerprint
from csl_plugin.evaluation.registry import REGIONS_BENCHMARK, open_benchmark
from csl_plugin.evaluation.report.page import write_report
from csl_plugin.evaluation.result import Result
from csl_plugin.evaluation.summary import Summary
from csl_plugin.fusion import Rule
from csl_plugin.proposers import load_proposer
from csl_plugin.proposers.on_files import proposer_identity, region_folder

PathLike = str | os.PathLike[str]


class FramesFailedError(FileError):
    """Some frames could not be measured, so there are no figures; the others are kept."""


def run_benchmark(
    benchmark: str,
    data: PathLike,
    out: PathLike,
    *,
    split: str | None = None,
    scores: PathLike | None = None,
    teacher: str | None = None,
    proposer: str | None = None,
    kind: Kind | None = None,
    calibration: PathLike | None = None,
    rule: Rule | None = None,
    method: str | None = None,
    draws: int = 1000,
    overwrite: bool = False,
    **options: Any,
) -> Result | None:
    """Measure scores on a data set as they come and fused with regions, and write all there is to show.

    Writes OUT/result.json, result.md and report.html; the fused predictions in the form that the data set's
    official tool reads; and OUT/records, from which a run that was stopped goes on. Under `torchrun` every
    process takes its share of the frames.

    Args:
        benchmark: A name of `csl_plugin.datasets.DATASETS`, or "coco-stuff-regions".
        data: The data set's folder.
        out: The folder to write to.
        split: Of the data set; its default left out.
        scores: A folder of score files, by frame name or image stem.
        teacher: Or a callable, "module:callable".
        proposer: As for `csl_plugin.load_proposer`.
        kind: What the scores are; "probability" left out, "raw" with a calibration.
        calibration: A JSON file of a `Calibration` for raw scores.
        rule: As for `csl_plugin.fuse`.
        method: What to call the scores, and which of the paper's rows to compare with.
        draws: Bootstrap draws.
        overwrite: Make everything again.
        **options: Of the data set, such as the folder of images that Fishyscapes needs.

    Returns:
        The result; None in all processes but the first.

    Raises:
        FramesFailedError: Frames that cannot be read or fused; each was reported on stderr.
        OptionError: Options that do not go together, or an output folder of other settings.
        FileError: A data set that is not as published, missing scores, or a folder that cannot be written.
    """
    out = Path(out)
    dataset, measures = open_benchmark(benchmark, Path(data), split, options)
    source = _source(benchmark, dataset, scores, teacher)
    fusion, digest = _fusion(kind, calibration, rule)
    # A vote is taken in one partition.
    regions = load_proposer(proposer if source or proposer else "csl-tiny")
    method = method or (Path(scores).resolve().name if scores else teacher) or "regions"
    settings: dict[str, Any] = {
        "benchmark": benchmark,
        "split": dataset.split,
        "options": {name: str(value) for name, value in options.items()},
        "frames": len(dataset.frames),
        "frames_sha256": _sha256("\n".join(frame.name for frame in dataset.frames)),
        "classes_sha256": _sha256(repr((dataset.ids, dataset.classes, measures.unseen))),
        "method": method,
        "proposer": proposer_identity(regions),
        **(source.identity() if source else {}),
        **({"kind": fusion.kind, "rule": rule or "default", "calibration": digest} if source else {}),
        "versions": {"csl_plugin": __version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    stamp = fingerprint(settings)
    work = FrameWork(
        dataset,
        measures,
        source,
        regions,
        _region_files(regions, dataset.frames),
        fusion,
        Outputs(out, benchmark, measures.task, method, dataset.output_name),
        Records(out / "records", stamp),
    )
    with joined() as processes:
        if processes.is_first:
            claim(out, settings, overwrite=overwrite)
        processes.wait()
        _pass(work, dataset.frames, processes, "fuse", out)
        return _summed(Summary(work, settings, draws), processes, stamp, out)


def _summed(summary: Summary, processes: Processes, stamp: str, out: Path) -> Result | None:
    work, components = summary.work, None
    if work.measures.components and summary.measured:
        found = summary.thresholds() if processes.is_first else (math.nan, math.nan)
        thresholds = dict(zip(SIDES, processes.broadcast(found), strict=True))
        if all(math.isfinite(threshold) for threshold in thresholds.values()):
            own = fingerprint({"settings": stamp, "thresholds": thresholds})
            records = Records(out / "records", own, ".components.npz", strict=False)
            components = ComponentWork(work, thresholds, records)
            _pass(components, summary.measured, processes, "components", out)
    if not processes.is_first:
        return None
    result = summary.result(components)
    write_report(out, result, work)
    return result


def _pass(work: Pass, frames: Sequence[Frame], processes: Processes, verb: str, out: Path) -> None:
    from tqdm import tqdm

    own = processes.share(frames)
    open_frames = [frame for frame in own if not work.made(frame)]
    quiet = None if processes.is_first else True  # None: shown when stderr is a terminal
    with tqdm(total=len(own), desc=verb, unit="frame", disable=quiet, file=sys.stderr) as bar:
        bar.update(len(own) - len(open_frames))

        def failed(frame: Frame, error: Exception) -> None:
            reason = str(error) if isinstance(error, CSLError) else f"{type(error).__name__}: {error}"
            tqdm.write(f"failed: {frame.name}: {reason}", file=sys.stderr)
            bar.update()

        overlap(
            open_frames,
            work.read,
            work.compute,
            work.finish,
            failed=failed,
            done=lambda _: bar.update() and None,
        )
    processes.wait()
    missing = [frame.name for frame in frames if not work.records.path(frame.name).is_file()]
    if missing:
        got = f"{len(missing)} of {len(frames)} frames that could not be measured: " + ", ".join(missing[:5])
        got += ", ..." if len(missing) > 5 else ""
        hint = "Mend the files that the messages above name, and run again; the other frames are kept."
        raise FramesFailedError(str(out), got, "every frame, because figures over fewer would mislead", hint)


def _source(benchmark: str, dataset: Dataset, scores: PathLike | None, teacher: str | None) -> Source | None:
    if benchmark == REGIONS_BENCHMARK:
        if scores is not None or teacher is not None:
            hint = "Leave --scores and --teacher away: the proposer alone is measured."
            raise OptionError("--scores, --teacher", "one of them", f"neither for {benchmark}", hint)
        return None
    if (scores is None) == (teacher is None):
        got = "neither" if scores is None else "both"
        hint = "Name the folder of score files, or the model to call."
        raise OptionError("--scores, --teacher", got, "one of the two", hint)
    if teacher is not None:
        return Teacher.named(teacher)
    assert scores is not None  # noqa: S101
    return ScoreFolder.open(scores, dataset.frames)


def _fusion(kind: Kind | None, calibration: PathLike | None, rule: Rule | None) -> tuple[Fusion, str | None]:
    if calibration is None:
        return Fusion(kind or "probability", rule, None), None
    if kind not in (None, "raw"):
        hint = "Leave one of the two away: a calibration maps raw scores onto [0, 1]."
        raise OptionError(
            "--kind, --calibration", f"{kind} and a calibration", "raw with a calibration", hint
        )
    loaded = Calibration.load(calibration)
    return Fusion("raw", rule, loaded), _sha256(loaded.to_json())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _region_files(proposer: Any, frames: Sequence[Frame]) -> dict[str, Path]:
    folder = region_folder(proposer)
    if folder is None:
        return {}
    found: Mapping[str, Path] = proposer.files
    chosen = {frame.name: found.get(frame.name) or found.get(frame.image.stem) for frame in frames}
    missing = [name for name, file in chosen.items() if file is None]
    if missing:
        got = f"no region map for {len(missing)} of {len(frames)} frames, such as {missing[0]}"
        hint = "Make them with: csl-plugin propose IMAGES OUT"
        raise FileError(str(folder), got, f"{missing[0]}.png, .npz or .json", hint)
    return {name: file for name, file in chosen.items() if file is not None}
