"""The loop that the commands over many files share: skip existing outputs, continue after errors, report."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from csl_plugin.cli.advice import in_command_words
from csl_plugin.cli.answer import FAILED, INTERRUPTED, SUCCESS, Answer
from csl_plugin.cli.streams import say
from csl_plugin.errors import CSLError

if TYPE_CHECKING:
    from csl_plugin.io.output_folder import OutputFolder

_LISTED = 10


@dataclass(frozen=True)
class ImageTask:
    """The work on one image.

    Args:
        image: The image.
        work: Does the work, or raises.
        outputs: The files that exist when it is done; empty if it cannot be done.
        inputs: The files that it reads.
    """

    image: Path
    work: Callable[[], None]
    outputs: tuple[Path, ...]
    inputs: tuple[Path, ...]


@dataclass
class Outcome:
    """Counts and failures of the tasks."""

    done: int = 0
    skipped: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 success, 1 some files failed, 130 stopped by Ctrl-C."""
        return INTERRUPTED if self.interrupted else FAILED if self.failed else SUCCESS


def folder_of(path: Path) -> Path:
    """The full path of a folder, or of the folder of a single file; it is part of a job's settings."""
    return (path if path.is_dir() else path.parent).resolve()


def _sources_of(tasks: Sequence[ImageTask]) -> dict[Path, str]:
    """What each output is made from; those whose inputs are missing are left out."""
    from csl_plugin.io.file_states import sampled_states

    found: dict[Path, str] = {}
    for task in tasks:
        with suppress(OSError):
            found.update(dict.fromkeys(task.outputs, sampled_states(task.inputs)))
    return found


def run_tasks(
    folder: OutputFolder, tasks: Sequence[ImageTask], verb: str, inputs: Sequence[Path], *, overwrite: bool
) -> Outcome:
    """Take the folder, and do the tasks that are not done yet, in order; a terminal shows the progress.

    A task is done if its outputs are as they were written, from inputs that did not change since. One that
    fails is reported on stderr, and the next one starts; Ctrl-C ends the loop.

    Args:
        folder: Where the outputs are.
        tasks: The tasks.
        verb: The command, such as "fuse"; the label of the progress bar.
        inputs: What the job reads besides the inputs of the tasks.
        overwrite: Remove what earlier jobs wrote, and start again.

    Raises:
        OptionError: The folder holds an input, or files of others or of other settings; or a job is at work.
        FileError: The folder cannot be written.
    """
    from tqdm import tqdm

    outcome, start = Outcome(), perf_counter()
    taken = folder.taken(
        outputs=[output for task in tasks for output in task.outputs],
        inputs=[*inputs, *(read for task in tasks for read in task.inputs)],
        sources=partial(_sources_of, tasks),
        shared=True,
        overwrite=overwrite,
    )
    with taken, tqdm(total=len(tasks), desc=verb, unit="image", disable=None, file=sys.stderr) as bar:
        try:
            for task in tasks:
                _run(folder, task, verb, outcome)
                bar.update()
        except KeyboardInterrupt:
            outcome.interrupted = True
    outcome.seconds = perf_counter() - start
    return outcome


def _run(folder: OutputFolder, task: ImageTask, verb: str, outcome: Outcome) -> None:
    try:
        if _do_unless_done(folder, task):
            outcome.skipped += 1
            return
    except Exception as error:  # one bad file must not stop the others
        if isinstance(error, CSLError):
            reason = str(in_command_words(error, verb))
        else:
            reason = f"{type(error).__name__}: {error}"
        outcome.failed.append({"name": task.image.name, "error": type(error).__name__, "reason": reason})
        say(f"failed: {task.image.name}: {reason}")
    else:
        outcome.done += 1


def _do_unless_done(folder: OutputFolder, task: ImageTask) -> bool:
    """Do a task, unless it was done before; returns whether it was."""
    from csl_plugin.io.file_states import sampled_states

    try:
        source = sampled_states(task.inputs) if task.outputs else None
    except OSError:
        source = None
    if source is None:
        task.work()  # it names what is missing
        return False
    if folder.is_done(task.outputs, source):
        return True
    for changed in folder.changed(task.outputs):
        say(f"warning: {changed} was changed since it was written; it is made again")
    unit = task.image.stem
    try:
        with folder.writing(unit, task.outputs, source):
            task.work()
    except Exception:
        folder.discard(unit)  # what is left of it is outdated
        raise
    folder.discard(unit, keep=task.outputs)
    return False


Note = int | Sequence[str] | Mapping[str, int]
"""A count; names; or counts by suffix."""


def report(
    command: str,
    outcome: Outcome,
    out: Path,
    settings: Mapping[str, Any],
    made_with: Mapping[str, str],
    notes: Mapping[str, Note],
) -> Answer:
    """The answer of a command over many files.

    Args:
        command: Its name.
        outcome: The result of `run_tasks`.
        out: The output folder.
        settings: What the outputs were made with, as stored beside them.
        made_with: The same in the words of the command line, for the text.
        notes: Further facts by name, such as {"scores_without_image": 3}; the text omits what is empty.
    """
    from csl_plugin.io.job_settings import flat_settings

    facts = {
        "command": command,
        "out": str(out),
        "done": outcome.done,
        "skipped": outcome.skipped,
        "failed": outcome.failed,
        "interrupted": outcome.interrupted,
        "seconds": round(outcome.seconds, 3),
        **notes,
        "settings": dict(flat_settings(settings)),
    }
    lines = [
        f"{command}: {outcome.done} done, {outcome.skipped} skipped, {len(outcome.failed)} failed "
        f"in {outcome.seconds:.1f} s -> {out}{' (interrupted)' if outcome.interrupted else ''}",
        "  with " + ", ".join(f"{name} {value}" for name, value in made_with.items()),
        *(f"  {name.replace('_', ' ')}: {_words(note)}" for name, note in notes.items() if note),
        *(f"  failed: {failure['name']}" for failure in outcome.failed[:_LISTED]),
    ]
    if len(outcome.failed) > _LISTED:
        lines.append(f"  failed: {len(outcome.failed) - _LISTED} more")
    return Answer(outcome.exit_code, facts, lines)


def _words(note: Note) -> str:
    if isinstance(note, int):
        return str(note)
    if isinstance(note, Mapping):
        return f"{sum(note.values())} ({', '.join(f'{count} {name}' for name, count in note.items())})"
    more = f" and {len(note) - _LISTED} more" if len(note) > _LISTED else ""
    return ", ".join(note[:_LISTED]) + more
