"""A benchmark as a whole: open the inputs, pass over the frames, sum up, and write the result."""

from __future__ import annotations

import hashlib
import math
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from csl_plugin.calibration import Calibration
from csl_plugin.datasets import Dataset, Frame
from csl_plugin.distributed import Processes, joined
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.evaluation.formats import PredictionFiles
from csl_plugin.evaluation.frames import (
    ComponentPass,
    FrameFusion,
    FramePass,
    FusionPass,
    Kind,
    ScoreFolder,
    ScoreSource,
    Teacher,
    files_of_frames,
    frame_pictures,
    overlap,
)
from csl_plugin.evaluation.protocols import SIDES
from csl_plugin.evaluation.records import COMPONENTS, Records
from csl_plugin.evaluation.registry import REGIONS_BENCHMARK, open_benchmark
from csl_plugin.evaluation.report import best_and_worst, write_report
from csl_plugin.evaluation.result import Result
from csl_plugin.evaluation.summary import Summary
from csl_plugin.fusion import Rule
from csl_plugin.fusion.rules import read_rule
from csl_plugin.io.job_settings import flat_settings, versions
from csl_plugin.io.output_folder import OutputFolder
from csl_plugin.proposers import load_proposer
from csl_plugin.proposers.identity import identity_of
from csl_plugin.proposers.on_files import region_folders, region_places

PathLike = str | os.PathLike[str]


class FramesFailedError(FileError):
    """Some frames could not be measured, so there is no result; the records of the others are kept."""


def run_benchmark(
    benchmark: str,
    data: PathLike,
    out: PathLike,
    *,
    subset: str | None = None,
    scores: PathLike | None = None,
    teacher: str | None = None,
    proposer: str | None = None,
    revision: str | None = None,
    variant: str | None = None,
    device: str | None = None,
    kind: Kind | None = None,
    calibration: PathLike | None = None,
    rule: Rule = "adaptive",
    method: str | None = None,
    draws: int = 1000,
    overwrite: bool = False,
    **options: Any,
) -> Result | None:
    """Measure scores on a data set before and after fusion with regions, and write a report.

    Writes OUT/result.json, result.md and report.html; the fused predictions in the format of the data set's
    official tool; and OUT/records, from which a stopped job resumes. A frame is measured again if its image,
    label, scores or region map changed since, or if one of its files is not as it was written. Under
    `torchrun` the processes share the frames.

    Args:
        benchmark: A name of `csl_plugin.datasets.DATASETS`, or "coco-stuff-regions".
        data: The data set's folder.
        out: The output folder: new, empty, or made by a benchmark of the same settings. Files in it that no
            benchmark wrote are neither replaced nor removed.
        subset: Of the data set, such as "val" (`--split` on the command line); its default if None.
        scores: A folder of score files, by frame name or image stem.
        teacher: Or a callable, "module:callable".
        proposer: As for `csl_plugin.load_proposer`.
        revision: As for `csl_plugin.load_proposer`.
        variant: As for `csl_plugin.load_proposer`.
        device: As for `csl_plugin.load_proposer`.
        kind: What the scores are; None is "probability", or "raw" with a calibration.
        calibration: A JSON file of a `Calibration` for raw scores.
        rule: As for `csl_plugin.fuse`.
        method: The name of the scores; it selects the published rows to compare with.
        draws: Bootstrap draws.
        overwrite: Remove what benchmarks wrote to `out`, and start again.
        **options: Of the data set, such as the folder of images that Fishyscapes needs.

    Returns:
        The result; None in all processes but the first.

    Raises:
        FramesFailedError: Frames cannot be read or fused; each was reported on stderr.
        OptionError: An unknown rule; options that exclude each other; an output folder of other settings, of
            another program, with inputs in it, or in which another job is at work.
        FileError: Another layout than the published one, missing scores, a folder that cannot be written, or
            a file of another program where this one would write.
    """
    out = Path(out)
    dataset, protocols = open_benchmark(benchmark, Path(data), subset, options)
    source = _score_source(benchmark, dataset, scores, teacher)
    fusion, digest = _fusion(kind, calibration, rule)
    # The majority vote needs a single partition.
    chosen = proposer if source or proposer else "csl-tiny"
    regions = load_proposer(chosen, revision=revision, variant=variant, device=device)
    method = method or (Path(scores).resolve().name if scores else teacher) or "regions"
    _name_by_frames(regions, dataset.frames)
    settings: dict[str, Any] = {
        "command": "benchmark",
        "benchmark": benchmark,
        "split": dataset.subset,
        "options": {name: str(value) for name, value in options.items() if not _is_place(value)},
        "frames": len(dataset.frames),
        "frames_sha256": _sha256("\n".join(frame.name for frame in dataset.frames)),
        "classes_sha256": _sha256(repr((dataset.ids, dataset.classes, protocols.unseen))),
        "method": method,
        "proposer": identity_of(regions),
        **(source.identity() if source else {}),
        **({"kind": fusion.kind, "rule": rule, "calibration": digest} if source else {}),
        "versions": versions(),
        "places": {
            "data": str(Path(data).resolve()),
            **{name: str(Path(value).resolve()) for name, value in options.items() if _is_place(value)},
            **({"scores": str(Path(scores).resolve())} if scores is not None else {}),
            **region_places(regions),
        },
    }
    folder = OutputFolder(out, settings)
    first = FusionPass(
        dataset,
        protocols,
        source,
        regions,
        fusion,
        PredictionFiles(out, benchmark, protocols.task, method, dataset.output_name),
        Records(folder),
    )
    summary = Summary(first, flat_settings(settings), draws)
    inputs = [
        Path(str(place)) for place in (data, scores, calibration, *options.values()) if place is not None
    ]
    inputs += [each.path for each in region_folders(regions)]
    with joined() as processes, ExitStack() as held:
        if processes.is_first:
            taken = folder.taken(
                outputs=summary.files,
                inputs=inputs,
                sources=first.all_sources,
                overwrite=overwrite,
                argument="--out",
            )
            held.enter_context(taken)
            summary.discard_outdated()
        processes.wait()
        _pass_over(first, dataset.frames, processes, "fuse", out)
        return _sum_up(summary, processes, out)


def _sum_up(summary: Summary, processes: Processes, out: Path) -> Result | None:
    first, components = summary.first, None
    if first.protocols.components and summary.measured:
        found = summary.thresholds() if processes.is_first else (math.nan, math.nan)
        thresholds = dict(zip(SIDES, processes.broadcast(found), strict=True))
        if all(math.isfinite(threshold) for threshold in thresholds.values()):
            components = ComponentPass(first, thresholds, Records(first.records.out, COMPONENTS))
            _pass_over(components, summary.measured, processes, "components", out)
    if not processes.is_first:
        return None
    with summary.writing():
        result = summary.result(components)
        shown = [change.name for group in best_and_worst(result.changes) for change in group]
        write_report(out, result, {name: frame_pictures(first, name) for name in shown})
    return result


def _pass_over(
    frame_pass: FramePass, frames: Sequence[Frame], processes: Processes, verb: str, out: Path
) -> None:
    from tqdm import tqdm

    own = processes.share(frames)
    open_frames = [frame for frame in own if not frame_pass.is_done(frame)]
    quiet = None if processes.is_first else True  # None: shown when stderr is a terminal
    with tqdm(total=len(own), desc=verb, unit="frame", disable=quiet, file=sys.stderr) as bar:
        bar.update(len(own) - len(open_frames))

        def failed(frame: Frame, error: Exception) -> None:
            reason = str(error) if isinstance(error, CSLError) else f"{type(error).__name__}: {error}"
            with suppress(OSError):  # a full disk as stderr changes no value
                tqdm.write(f"failed: {frame.name}: {reason}", file=sys.stderr)
            bar.update()

        overlap(
            open_frames,
            frame_pass.read,
            frame_pass.compute,
            frame_pass.finish,
            failed=failed,
            done=lambda _: bar.update() and None,
        )
    processes.wait()
    missing = [frame.name for frame in frames if not frame_pass.records.path(frame.name).is_file()]
    if missing:
        got = f"{len(missing)} of {len(frames)} frames that could not be measured: " + ", ".join(missing[:5])
        got += ", ..." if len(missing) > 5 else ""
        hint = "Fix the files named in the messages above and start again; the other frames are kept."
        expected = "every frame, because values over fewer frames would be misleading"
        raise FramesFailedError(str(out), got, expected, hint)


def _score_source(
    benchmark: str, dataset: Dataset, scores: PathLike | None, teacher: str | None
) -> ScoreSource | None:
    if benchmark == REGIONS_BENCHMARK:
        if scores is not None or teacher is not None:
            hint = "Omit --scores and --teacher: only the proposer is measured."
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


def _fusion(kind: Kind | None, calibration: PathLike | None, rule: Rule) -> tuple[FrameFusion, str | None]:
    read_rule(rule)
    if calibration is None:
        return FrameFusion(kind or "probability", rule, None), None
    if kind not in (None, "raw"):
        hint = "Omit one of the two: a calibration maps raw scores onto [0, 1]."
        raise OptionError(
            "--kind, --calibration", f"{kind} and a calibration", "raw with a calibration", hint
        )
    loaded = Calibration.load(calibration)
    return FrameFusion("raw", rule, loaded), _sha256(loaded.to_json())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _is_place(value: Any) -> bool:
    """Whether an option of the data set names a file or a folder."""
    return os.path.exists(str(value))  # noqa: PTH110  # no name makes it raise


def _name_by_frames(proposer: Any, frames: Sequence[Frame]) -> None:
    """Let folders of region maps find them by the names of frames; a map may have the image's stem."""
    hint = "Make them with: csl-plugin propose IMAGES OUT"
    suffixes = (".png", ".npz", ".json")
    for folder in region_folders(proposer):
        folder.files = files_of_frames(
            folder.path, folder.files, frames, kind="region map", suffixes=suffixes, hint=hint
        )
