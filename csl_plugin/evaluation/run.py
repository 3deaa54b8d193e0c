"""A benchmark as a whole: open the inputs, pass over the frames, sum up, and write the result."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from csl_plugin._crew import Crew, LostError, crew
from csl_plugin._options import checked_integer
from csl_plugin.datasets import Frame
from csl_plugin.distributed import Processes, joined
from csl_plugin.errors import CSLError, FileError
from csl_plugin.evaluation.frames import (
    FramePass,
    FusionPass,
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
from csl_plugin.fusion import Rule
from csl_plugin.io.job_settings import Settings, check_unchanged, flat_settings
from csl_plugin.proposers.on_files import region_folders


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
    jobs: int = 1,
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
        jobs: Processes of this machine that share the frames; the result is the same. A script that asks for
            several has its calls below `if __name__ == "__main__":`, because each process imports it.
        overwrite: Remove what benchmarks wrote to `out`, and start again.
        **options: Of the data set, such as the folder of images that Fishyscapes needs.

    Returns:
        The result; None in all processes but the first.

    Raises:
        FramesFailedError: Frames cannot be read or fused; each was reported on stderr.
        OptionError: An unknown rule; options that exclude each other; an output folder of other settings, of
            another program, with inputs in it, or in which another job is at work; `jobs` below 1.
        FileError: Another layout than the published one, missing scores, a folder that cannot be written, or
            a file of another program where this one would write.
        CSLError: A process of several ended before it had a frame.
    """
    checked_integer("jobs", jobs, 1, None, "Omit it for one process.")
    out = Path(out)
    dataset, protocols = open_benchmark(benchmark, Path(data), subset, options)
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
        device,
        kind,
        calibration,
        rule,
        method,
        options,
    )
    jobs = max(1, min(jobs, len(dataset.frames)))
    with crew(opening, jobs) as workers, joined() as processes, ExitStack() as held:
        first = workers.tool
        folder = first.records.out
        summary = Summary(first, flat_settings(folder.settings), draws)
        if processes.is_first:
            taken = folder.taken(
                outputs=summary.files,
                inputs=[*opening.inputs, *(each.path for each in region_folders(first.proposer))],
                sources=first.all_sources,
                overwrite=overwrite,
                argument="--out",
            )
            held.enter_context(taken)
            summary.discard_outdated()
        processes.wait()
        passes = _Passes(workers, processes, out, ahead=2 if jobs == 1 else 1)
        return passes.sum_up(summary)


@dataclass(frozen=True)
class _Passes:
    """The passes over the frames, by all processes.

    Args:
        workers: Of this machine.
        processes: Of the launcher, each with workers of its own.
        out: The output folder.
        ahead: How many frames each process reads while it computes one.
    """

    workers: Crew[FusionPass]
    processes: Processes
    out: Path
    ahead: int

    def sum_up(self, summary: Summary) -> Result | None:
        """Both passes, and the result; None in all processes but the first."""
        first, components = summary.first, None
        fuse = partial(_fused, first.records.out.settings, self.ahead)
        self._over(fuse, first, first.dataset.frames, "fuse")
        if first.protocols.components and summary.measured:
            found = summary.thresholds() if self.processes.is_first else (math.nan, math.nan)
            thresholds = dict(zip(SIDES, self.processes.broadcast(found), strict=True))
            if all(math.isfinite(threshold) for threshold in thresholds.values()):
                components = component_pass(first, thresholds)
                loop = partial(_components, thresholds, self.ahead)
                self._over(loop, components, summary.measured, "components")
        if not self.processes.is_first:
            return None
        with summary.writing():
            result = summary.result(components)
            shown = [change.name for group in best_and_worst(result.changes) for change in group]
            write_report(self.out, result, {name: frame_pictures(first, name) for name in shown})
        return result

    def _over(self, loop: Loop, frame_pass: FramePass, frames: Sequence[Frame], verb: str) -> None:
        from tqdm import tqdm

        own = self.processes.share(frames)
        open_frames = [frame for frame in own if not frame_pass.is_done(frame)]
        quiet = None if self.processes.is_first else True  # None: shown when stderr is a terminal
        with (
            tqdm(total=len(own), desc=verb, unit="frame", disable=quiet, file=sys.stderr) as bar,
            closing(self.workers.over(loop, open_frames)) as measured,
        ):
            bar.update(len(own) - len(open_frames))
            try:
                for frame, failure in measured:
                    if failure is not None:
                        _say_failed(frame, failure)
                    bar.update()
            except LostError as error:
                if not error.items:
                    raise
                for frame in error.items:
                    _say_failed(frame, str(error))
        self.processes.wait()
        missing = [frame.name for frame in frames if not frame_pass.records.path(frame.name).is_file()]
        if missing:
            got = f"{len(missing)} of {len(frames)} frames that could not be measured: "
            got += ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
            hint = "Fix the files named in the messages above and start again; the other frames are kept."
            expected = "every frame, because values over fewer frames would be misleading"
            raise FramesFailedError(str(self.out), got, expected, hint)


def _say_failed(frame: Frame, reason: str) -> None:
    from tqdm import tqdm

    with suppress(OSError):  # a full disk as stderr changes no value
        tqdm.write(f"failed: {frame.name}: {reason}", file=sys.stderr)


Measured: TypeAlias = Generator[tuple[Frame, str | None], None, None]
"""Each frame, with why it could not be measured or None."""

Loop: TypeAlias = Callable[[FusionPass, Iterator[Frame]], Measured]


def _fused(settings: Settings, ahead: int, first: FusionPass, frames: Iterator[Frame]) -> Measured:
    check_unchanged(first.records.out.settings, settings)
    yield from _measured(first, ahead, frames)


def _components(
    thresholds: Mapping[str, float], ahead: int, first: FusionPass, frames: Iterator[Frame]
) -> Measured:
    yield from _measured(component_pass(first, thresholds), ahead, frames)


def _measured(frame_pass: FramePass, ahead: int, frames: Iterator[Frame]) -> Measured:
    steps = frame_pass.read, frame_pass.compute, frame_pass.finish
    with closing(overlap(frames, *steps, ahead=ahead)) as done:
        for frame, error in done:
            if error is None or isinstance(error, CSLError):
                yield frame, None if error is None else str(error)
            else:
                yield frame, f"{type(error).__name__}: {error}"
