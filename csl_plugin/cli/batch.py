"""The loop that the commands over many files share: skip existing outputs, continue after errors, report."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from csl_plugin.cli.printing import print_lines
from csl_plugin.errors import CSLError
from csl_plugin.io.output_folder import OutputFolder

_LISTED = 10
_NOT_SHOWN = ("command", "versions", "images", "scores")


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
        return 130 if self.interrupted else 1 if self.failed else 0


def folder_of(path: Path) -> Path:
    """The full path of a folder, or of the folder of a single file; it is part of a job's settings."""
    return (path if path.is_dir() else path.parent).resolve()


def run_tasks(folder: OutputFolder, tasks: Sequence[ImageTask], verb: str) -> Outcome:
    """Do the tasks that are not done yet, in order, with a progress bar when stderr is a terminal.

    A task is done if its outputs are as they were written, from inputs that did not change since. One that
    fails is reported on stderr, and the next one starts; Ctrl-C ends the loop.

    Args:
        folder: Where the outputs are.
        tasks: The tasks.
        verb: The label of the progress bar, such as "fuse".
    """
    from tqdm import tqdm

    outcome, start = Outcome(), perf_counter()
    with tqdm(total=len(tasks), desc=verb, unit="image", disable=None, file=sys.stderr) as bar:
        try:
            for task in tasks:
                _run(folder, task, outcome)
                bar.update()
        except KeyboardInterrupt:
            outcome.interrupted = True
    outcome.seconds = perf_counter() - start
    return outcome


def _run(folder: OutputFolder, task: ImageTask, outcome: Outcome) -> None:
    from tqdm import tqdm

    try:
        if _is_done(folder, task):
            outcome.skipped += 1
            return
    except Exception as error:  # one bad file must not stop the others
        reason = str(error) if isinstance(error, CSLError) else f"{type(error).__name__}: {error}"
        outcome.failed.append({"name": task.image.name, "error": type(error).__name__, "reason": reason})
        tqdm.write(f"failed: {task.image.name}: {reason}", file=sys.stderr)
    else:
        outcome.done += 1


def _is_done(folder: OutputFolder, task: ImageTask) -> bool:
    """Whether a task was done before; else do it."""
    from tqdm import tqdm

    from csl_plugin.io.file_states import file_states

    try:
        source = file_states(task.inputs) if task.outputs else None
    except OSError:
        source = None
    if source is None:
        task.work()  # it names what is missing
        return False
    if folder.is_done(task.outputs, source):
        return True
    for changed in folder.changed(task.outputs):
        tqdm.write(f"warning: {changed} was changed since it was written; it is made again", file=sys.stderr)
    unit = task.image.stem
    try:
        with folder.writing(unit, task.outputs, source):
            task.work()
    except Exception:
        folder.discard(unit)  # what is left of it is outdated
        raise
    folder.discard(unit, keep=task.outputs)
    return False


def report(
    command: str, outcome: Outcome, out: Path, settings: dict[str, Any], notes: dict[str, int], as_json: bool
) -> int:
    """Print the summary on stdout and return the exit code.

    Args:
        command: Its name.
        outcome: The result of `run_tasks`.
        out: The output folder.
        settings: What the outputs were made with.
        notes: Further counts by name, such as {"scores_without_image": 3}; the text omits zeros.
        as_json: Print one JSON object instead of text.
    """
    if as_json:
        facts = {
            "command": command,
            "exit_code": outcome.exit_code,
            "out": str(out),
            "done": outcome.done,
            "skipped": outcome.skipped,
            "failed": outcome.failed,
            "interrupted": outcome.interrupted,
            "seconds": round(outcome.seconds, 3),
            **notes,
            "settings": settings,
        }
        print(json.dumps(facts))  # ASCII only, so any file name can be printed
        return outcome.exit_code
    words = {True: "yes", False: "no", None: "none"}
    made_with = [
        f"{name} {words.get(value, value)}" for name, value in settings.items() if name not in _NOT_SHOWN
    ]
    lines = [
        f"{command}: {outcome.done} done, {outcome.skipped} skipped, {len(outcome.failed)} failed "
        f"in {outcome.seconds:.1f} s -> {out}{' (interrupted)' if outcome.interrupted else ''}",
        "  with " + ", ".join(made_with),
        *(f"  {name.replace('_', ' ')}: {count}" for name, count in notes.items() if count),
        *(f"  failed: {failure['name']}" for failure in outcome.failed[:_LISTED]),
    ]
    if len(outcome.failed) > _LISTED:
        lines.append(f"  failed: {len(outcome.failed) - _LISTED} more")
    print_lines(lines)
    return outcome.exit_code
