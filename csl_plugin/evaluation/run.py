"""A benchmark as a whole: open the inputs, pass over the frames, sum up, and write the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from csl_plugin._options import checked_integer
from csl_plugin._processes import LostError, in_processes
from csl_plugin._shards import Shard, shard_of
from csl_plugin.datasets import Frame
from csl_plugin.distributed import SINGLE, Processes, joined
from csl_plugin.errors import CSLError, FileError
from csl_plugin.evaluation.frames import (
    FramePass,
    Kind,
    component_pass,
    frame_pictures,
    overlap,
)
from csl_plugin.evaluation.opening import Opening, PathLike
from csl_plugin.evaluation.protocols import SIDES
from csl_plugin.evaluation.registry import open_benchmark
from csl_plugin.evaluation.report import best_and_worst, write_report
from csl_plugin.evaluation.result import Result
from csl_plugin.evaluation.summary import Summary
from csl_plugin.evaluation.undefined import refuse_masks
from csl_plugin.fusion import Rule
from csl_plugin.io.job_settings import Settings, check_unchanged, flat_settings
from csl_plugin.places import local_path
from csl_plugin.proposers.on_files import region_folders

_NAMED = 5


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
    subfolder: str | None = None,
    device: str | None = None,
    kind: Kind | None = None,
    calibration: PathLike | None = None,
    rule: Rule = "adaptive",
    method: str | None = None,
    draws: int = 1000,
    jobs: int = 1,
    shard: str | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Result | None:
    """Measure scores on a data set before and after fusion with regions, and write a report.

    Writes OUT/result.json, result.md and report.html; the fused predictions in the format of the data set's
    official tool; and OUT/records, from which a stopped job resumes. A frame is measured again if its image,
    label, scores or region map changed since, or if one of its files is not as it was written. Under
    `torchrun` the processes share the frames.

    Args:
        benchmark: A name of `csl_plugin.datasets.dataset_names()`, or "coco-stuff-regions".
        data: The data set's folder.
        out: The output folder: new, empty, or made by a benchmark of the same settings. Files in it that no
            benchmark wrote are neither replaced nor removed.
        subset: Of the data set, such as "val" (`--split` on the command line); its default if None.
        scores: A folder of score files, by frame name or image stem.
        teacher: Or a callable, "module:callable".
        proposer: As for `csl_plugin.load_proposer`.
        revision: As for `csl_plugin.load_proposer`.
        variant: As for `csl_plugin.load_proposer`.
        subfolder: As for `csl_plugin.load_proposer`.
        device: As for `csl_plugin.load_proposer`.
        kind: What the scores are; None is "probability", or "raw" with a calibration.
        calibration: A JSON file of a `Calibration` for raw scores.
        rule: As for `csl_plugin.fuse`.
        method: The name of the scores; it selects the published rows to compare with.
        draws: Bootstrap draws.
        jobs: Processes of this machine that share the frames; the result is the same. A script that asks for
            several has its calls below `if __name__ == "__main__":`, because each process imports it.
        shard: "I/N": fuse and measure part I of N equal parts of the frames, 1/N to N/N, each in a process of
            its own, on any machine; "auto": the part that the variables of a SLURM array, torchrun or srun
            name. The same call without it joins the parts: it measures what is left, and makes the result.
        overwrite: Remove what benchmarks wrote to `out`, and start again; not for a shard.
        **options: Of the data set, such as the folder of images that Fishyscapes needs.

    Returns:
        The result; None in all processes but the first, and for a shard.

    Raises:
        FramesFailedError: Frames cannot be read or fused; each was reported on stderr.
        OptionError: An unknown rule; options that exclude each other; an output folder of other settings, of
            another program, with inputs in it, or in which another job is at work; `jobs` below 1; no such
            shard, or one at which another job is at work.
        FileError: Another layout than the published one, missing scores, a folder that cannot be written, or
            a file of another program where this one would write.
        CSLError: A process of several cannot load the proposer or the teacher.
    """
    checked_integer("jobs", jobs, 1, None, "Omit it for one process.")
    part = None if shard is None else shard_of(shard)
    out = local_path(out, "out")
    dataset, protocols = open_benchmark(benchmark, local_path(data, "data"), subset, options)
    refuse_masks(dataset)
    opening = Opening(
        benchmark,
        dataset,
        protocols,
        data,
        out,
        scores,
        teacher,
        proposer,
        revision,
        variant,
        subfolder,
        device,
        kind,
        calibration,
        rule,
        method,
        options,
        part,
    )
    first = opening()
    with joined() if part is None else nullcontext(SINGLE) as processes, ExitStack() as held:
        folder = first.records.out
        summary = Summary(first, flat_settings(folder.settings), draws)
        passes = _Passes(opening, jobs, processes, out)
        if processes.is_first:
            own = None if part is None else part.of(first.dataset.frames)
            taken = folder.taken(
                outputs=summary.files if own is None else summary.files_of(own),
                of_others=summary.files,
                inputs=[*opening.inputs, *(each.path for each in region_folders(first.proposer))],
                sources=first.all_sources,
                overwrite=overwrite,
                argument="--out",
            )
            held.enter_context(taken)
            if own is not None:
                passes.measure(summary, own)
                return None
            summary.discard_outdated()
        processes.wait()
        return passes.sum_up(summary)


@dataclass(frozen=True)
class _Passes:
    """The passes over the frames, by all processes.

    Args:
        opening: What each process loads.
        jobs: Processes of this machine, for each of the launcher.
        processes: Of the launcher.
        out: The output folder.
    """

    opening: Opening
    jobs: int
    processes: Processes
    out: Path

    def measure(self, summary: Summary, frames: Sequence[Frame]) -> None:
        """The first pass over the frames of a shard."""
        first = summary.first
        prepare = partial(_fusing, self.opening, first.records.out.settings)
        self._over(first, prepare, frames, "fuse", lambda left: summary.discard() if left else None)

    def sum_up(self, summary: Summary) -> Result | None:
        """Both passes, and the result; None in all processes but the first."""
        first, components = summary.first, None
        settings = first.records.out.settings
        prepare_first = partial(_fusing, self.opening, settings)
        say_left = partial(_say_left, first.records.out.joined)
        self._over(first, prepare_first, first.dataset.frames, "fuse", say_left)
        if first.protocols.components and summary.measured:
            found = summary.thresholds() if self.processes.is_first else (math.nan, math.nan)
            thresholds = dict(zip(SIDES, self.processes.broadcast(found), strict=True))
            if all(math.isfinite(threshold) for threshold in thresholds.values()):
                components = component_pass(first, thresholds)
                prepare = partial(_counting, self.opening, settings, thresholds)
                self._over(components, prepare, summary.measured, "components")
        if not self.processes.is_first:
            return None
        with summary.writing():
            result = summary.result(components)
            shown = [change.name for group in best_and_worst(result.changes) for change in group]
            write_report(self.out, result, {name: frame_pictures(first, name) for name in shown})
        return result

    def _over(
        self,
        frame_pass: FramePass,
        prepare: Callable[[], Measure],
        frames: Sequence[Frame],
        verb: str,
        begin: Callable[[Sequence[Frame]], None] = lambda _: None,
    ) -> None:
        from tqdm import tqdm

        own = self.processes.share(frames)
        open_frames = [frame for frame in own if not frame_pass.is_done(frame)]
        begin(open_frames)
        jobs = min(self.jobs, len(open_frames))
        measured = in_processes(jobs, prepare, open_frames) if jobs > 1 else _here(frame_pass, open_frames)
        quiet = None if self.processes.is_first else True  # None: shown when stderr is a terminal
        with (
            tqdm(total=len(own), desc=verb, unit="frame", disable=quiet, file=sys.stderr) as bar,
            closing(measured),
        ):
            bar.update(len(own) - len(open_frames))
            try:
                for frame, reason in measured:
                    if reason is not None:
                        _say(f"failed: {frame.name}: {reason}")
                    bar.update()
            except LostError as error:
                _say(f"error: {error}")
        self.processes.wait()
        missing = [frame.name for frame in frames if not frame_pass.records.path(frame.name).is_file()]
        if missing:
            got = f"{len(missing)} of {len(frames)} frames that could not be measured: "
            got += _some(missing)
            hint = "Fix the files named in the messages above and start again; the other frames are kept."
            expected = "every frame, because values over fewer frames would be misleading"
            raise FramesFailedError(str(self.out), got, expected, hint)


def _say(text: str) -> None:
    from tqdm import tqdm

    with suppress(OSError):  # a full disk as stderr changes no value
        tqdm.write(text, file=sys.stderr)


def _say_left(shards: Sequence[Shard], frames: Sequence[Frame]) -> None:
    if shards:
        left = f"measured now what they had left: {_some(frame.name for frame in frames)}"
        _say(f"shards joined: {_some(map(str, shards))}; {left if frames else 'nothing was left'}")


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - _NAMED} more" if len(listed) > _NAMED else ""
    return ", ".join(listed[:_NAMED]) + more


Measure: TypeAlias = Callable[[Frame], str | None]
"""Measures a frame; returns why it cannot, or None."""


def _here(frame_pass: FramePass, frames: Sequence[Frame]) -> Generator[tuple[Frame, str | None], None, None]:
    steps = frame_pass.read, frame_pass.compute, frame_pass.finish
    with closing(overlap(frames, *steps)) as done:
        for frame, error in done:
            yield frame, None if error is None else _reason(error)


def _fusing(opening: Opening, settings: Settings) -> Measure:
    first = opening()
    check_unchanged(first.records.out.settings, settings)
    return partial(_measured, first)


def _counting(opening: Opening, settings: Settings, thresholds: Mapping[str, float]) -> Measure:
    first = opening()
    check_unchanged(first.records.out.settings, settings)
    return partial(_measured, component_pass(first, thresholds))


def _measured(frame_pass: FramePass, frame: Frame) -> str | None:
    try:
        made = frame_pass.compute(frame, frame_pass.read(frame))
    except Exception as error:  # one bad frame must not stop the others
        return _reason(error)
    try:
        frame_pass.finish(frame, made)
    except FileError:  # a folder that cannot be written once fails the next one too
        raise
    except Exception as error:
        return _reason(error)
    return None


def _reason(error: Exception) -> str:
    return str(error) if isinstance(error, CSLError) else f"{type(error).__name__}: {error}"
