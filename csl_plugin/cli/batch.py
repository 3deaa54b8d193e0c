"""The loop that the commands over many files share: skip what is done, continue after errors, count."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from csl_plugin._processes import LostError, in_processes
from csl_plugin.cli.advice import in_command_words
from csl_plugin.cli.answer import FAILED, INTERRUPTED, SUCCESS
from csl_plugin.cli.streams import say
from csl_plugin.errors import CSLError
from csl_plugin.places import RemotePath, is_folder_place

if TYPE_CHECKING:
    from csl_plugin.io.job_settings import Settings
    from csl_plugin.io.outputs import Outputs
    from csl_plugin.places import Place

ToolT = TypeVar("ToolT")

_OF_ALL = "of all/"  # a unit of the journal; no stem has a slash


@dataclass(frozen=True)
class Job(Generic[ToolT]):
    """What the tasks of a job share.

    Args:
        settings: What the outputs are made with.
        tool: Does the work, such as a proposer.
        load: Loads the same in another process; it can be pickled.
    """

    settings: Settings
    tool: ToolT
    load: Callable[[], Job[ToolT]]


@dataclass(frozen=True)
class ImageTask(Generic[ToolT]):
    """The work on one image. It can be sent to another process.

    Args:
        image: The image.
        work: Does the work with the job's tool, or raises; returns what the summary counts, by name.
        outputs: The files that exist when it is done; empty if it cannot be done.
        inputs: The files that it reads.
    """

    image: Place
    work: Callable[[ToolT], Sequence[str]]
    outputs: tuple[Place, ...]
    inputs: tuple[Place, ...]


@dataclass(frozen=True)
class SetTask:
    """The work on the results of all images together, once they are done.

    Args:
        work: Does the work on the images whose tasks are done, in order, or raises.
        outputs: The files that it writes.
        source: What they are made from, of these images; they stay as they are if it is the same.
        wanted: Whether they are to be written; else they are removed unless they are up to date.
    """

    work: Callable[[Sequence[Place]], None]
    outputs: tuple[Place, ...]
    source: Callable[[Sequence[Place]], str]
    wanted: bool


@dataclass(frozen=True)
class Attempt:
    """What became of a task.

    Args:
        counted: What its work returned; None if it was done before.
        warned: Messages.
        failed: The type of its error and the error in the words of the command, if it failed.
    """

    counted: Sequence[str] | None = None
    warned: Sequence[str] = ()
    failed: tuple[str, str] | None = None


@dataclass
class Outcome:
    """Counts and failures of the tasks; why the rest is not done, where a process was lost.

    Args:
        shard: The shard that the tasks are, and of how many tasks.
        joined: The shards whose work was joined, and `late` what they had left undone and is done now.
    """

    done: int = 0
    skipped: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    not_done: int = 0
    lost: str | None = None
    shard: tuple[str, int] | None = None
    joined: Sequence[str] = ()
    late: list[str] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 success, 1 some files failed, 130 stopped by Ctrl-C."""
        if self.interrupted:
            return INTERRUPTED
        return FAILED if self.failed or self.not_done else SUCCESS

    def add(self, task: ImageTask[Any], attempt: Attempt) -> None:
        """Count a task, and say what is wrong with it."""
        for warning in attempt.warned:
            say(f"warning: {warning}")
        if attempt.failed is not None:
            self.fail(task.image.name, *attempt.failed)
        elif attempt.counted is None:
            self.skipped += 1
        else:
            self.done += 1
            if self.joined:
                self.late.append(task.image.name)
            self.counted.update(attempt.counted)

    def fail(self, name: str, kind: str, reason: str) -> None:
        """Note a failure, and say it."""
        self.failed.append({"name": name, "error": kind, "reason": reason})
        say(f"failed: {name}: {reason}")


def folder_of(path: Place) -> Place:
    """The full path of a folder, or of the folder of a single file; it is part of a job's settings."""
    folder = path if is_folder_place(path) else path.parent
    return RemotePath(folder.bare) if isinstance(folder, RemotePath) else folder.resolve()


def _sources_of(tasks: Sequence[ImageTask[Any]]) -> dict[Place, str]:
    """What each output is made from; those whose inputs are missing are left out."""
    from csl_plugin.io.file_states import sampled_states

    found: dict[Place, str] = {}
    for task in tasks:
        with suppress(OSError):
            found.update(dict.fromkeys(task.outputs, sampled_states(task.inputs)))
    return found


def run_tasks(
    job: Job[ToolT],
    folder: Outputs,
    tasks: Sequence[ImageTask[ToolT]],
    verb: str,
    inputs: Sequence[Place],
    *,
    jobs: int,
    overwrite: bool,
    of_all: Sequence[SetTask] = (),
) -> Outcome:
    """Take the folder, and do the tasks that are not done yet, in order; a terminal shows the progress.

    A task is done if its outputs are as they were written, from inputs that did not change since. One that
    fails is reported on stderr, and the next one starts. Ctrl-C ends all processes; so does one that is lost.

    Args:
        job: What the tasks share.
        folder: Where the outputs are. If it is taken for a shard, so are its tasks alone.
        tasks: The tasks of all shards.
        verb: The command, such as "fuse"; the label of the progress bar.
        inputs: What the job reads besides the inputs of the tasks.
        jobs: With more than one, so many processes share the tasks, and this one waits for them.
        overwrite: Remove what earlier jobs wrote, and start again.
        of_all: What is made of the results of all images, in this process, unless the job is stopped or is a
            shard, which only removes what is outdated.

    Raises:
        OptionError: The folder holds an input, or files of others or of other settings; a job is at work in
            it or at the shard; or `overwrite` with a shard.
        FileError: The folder cannot be written.
        CSLError: A process cannot load the tool.
    """
    from tqdm import tqdm

    outcome, start = Outcome(), perf_counter()
    own, wanted = tasks, [made for made in of_all if made.wanted]
    if folder.shard is not None:
        own, wanted = folder.shard.of(tasks), []
        outcome.shard = str(folder.shard), len(tasks)
    taken = folder.taken(
        outputs=[output for task in own for output in task.outputs]
        + [output for made in wanted for output in made.outputs],
        inputs=[*inputs, *(read for task in own for read in task.inputs)],
        sources=partial(_sources_of, tasks),
        shared=True,
        overwrite=overwrite,
    )
    with taken, tqdm(total=len(own), desc=verb, unit="image", disable=None, file=sys.stderr) as bar:
        outcome.joined = [str(shard) for shard in folder.joined]
        done: list[Place] = []
        edited = _edited(folder, of_all)
        attempt = partial(_attempt, folder, verb, job.tool)
        attempts = ((task, attempt(task)) for task in own)
        if min(jobs, len(own)) > 1:
            attempts = in_processes(min(jobs, len(own)), partial(_prepared, job.load, folder, verb), own)
        try:
            with closing(attempts):
                for task, attempted in attempts:
                    outcome.add(task, attempted)
                    bar.update()
                    if attempted.failed is None:
                        done.append(task.image)
                        if of_all and outcome.done == 1 and attempted.counted is not None:
                            folder.discard(_OF_ALL, keep=edited)  # of results that are no longer there
            if folder.shard is None:
                _of_all_images(folder, verb, of_all, done, edited, outcome)
            elif of_all and outcome.failed:
                folder.discard(_OF_ALL, keep=edited)
        except KeyboardInterrupt:
            outcome.interrupted = True
        except LostError as error:
            outcome.lost = str(in_command_words(error, verb))
            outcome.not_done = len(own) - outcome.done - outcome.skipped - len(outcome.failed)
            say(f"error: {outcome.lost}")
    outcome.seconds = perf_counter() - start
    return outcome


def _edited(folder: Outputs, of_all: Sequence[SetTask]) -> list[Place]:
    """The files of all images that somebody changed and that are not asked for now: they stay."""
    edited = []
    for task in of_all:
        for output in folder.changed(task.outputs):
            fate = "is made again" if task.wanted else "stays as it is"
            say(f"warning: {output} was changed since it was written; it {fate}")
            if not task.wanted:
                edited.append(output)
    return edited


def _of_all_images(
    folder: Outputs,
    verb: str,
    of_all: Sequence[SetTask],
    done: Sequence[Place],
    edited: Sequence[Place],
    outcome: Outcome,
) -> None:
    kept = list(edited)
    for task in of_all if done else ():
        try:
            source = task.source(done)
            if not folder.is_done(task.outputs, source):
                if not task.wanted:
                    continue
                with folder.writing(_OF_ALL, task.outputs, source):
                    task.work(done)
            kept += task.outputs
        except CSLError as error:
            name, kind = task.outputs[0].name, type(error).__name__
            outcome.fail(name, kind, str(in_command_words(error, verb)))
    if of_all:
        folder.discard(_OF_ALL, keep=kept)


def _prepared(
    load: Callable[[], Job[ToolT]], folder: Outputs, verb: str
) -> Callable[[ImageTask[ToolT]], Attempt]:
    from csl_plugin.io.job_settings import check_unchanged

    job = load()
    check_unchanged(job.settings, folder.settings)
    return partial(_attempt, folder, verb, job.tool)


def _attempt(folder: Outputs, verb: str, tool: ToolT, task: ImageTask[ToolT]) -> Attempt:
    from csl_plugin.io.decoder_messages import caught_messages

    warned: list[str] = []
    printed: list[str] = []
    counted: Sequence[str] | None = ()
    failed = None
    with caught_messages(printed):
        try:
            counted = _done_now(folder, task, tool, warned)
        except Exception as error:  # one bad file must not stop the others
            kind = type(error).__name__
            said = str(in_command_words(error, verb)) if isinstance(error, CSLError) else f"{kind}: {error}"
            failed = kind, said
    warned += [f"{task.image.name} or a file read with it is damaged: {message}" for message in printed]
    return Attempt(counted, warned, failed)


def _done_now(
    folder: Outputs, task: ImageTask[ToolT], tool: ToolT, warned: list[str]
) -> Sequence[str] | None:
    """Do a task and return what it counts; None if it was done before."""
    from csl_plugin.io.file_states import sampled_states

    try:
        source = sampled_states(task.inputs) if task.outputs else None
    except OSError:
        source = None
    if source is None:
        return task.work(tool)  # it names what is missing
    if folder.is_done(task.outputs, source):
        return None
    changed = folder.changed(task.outputs)
    warned += [f"{output} was changed since it was written; it is made again" for output in changed]
    unit = task.image.stem
    try:
        with folder.writing(unit, task.outputs, source):
            counted = task.work(tool)
    except Exception:
        folder.discard(unit)  # what is left of it is outdated
        raise
    folder.discard(unit, keep=task.outputs)
    return counted
