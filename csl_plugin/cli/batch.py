"""The loop that the commands over many files share: skip what is done, go on after a bad file, sum up."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

from csl_plugin.errors import CSLError

_LISTED = 10


@dataclass(frozen=True)
class Job:
    """One image's work.

    Args:
        name: What a message calls it.
        work: Does it; raises when it cannot.
        outputs: Files that are all there when it is done; none when it cannot be done at all.
    """

    name: str
    work: Callable[[], None]
    outputs: tuple[Path, ...]


@dataclass
class Outcome:
    """What became of the jobs."""

    done: int = 0
    skipped: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def exit_code(self) -> int:
        """0 everything done, 1 some files failed, 130 stopped by Ctrl-C."""
        return 130 if self.interrupted else 1 if self.failed else 0


def run_jobs(jobs: Sequence[Job], verb: str) -> Outcome:
    """Do the jobs that are not done yet, one by one, with a progress bar when stderr is a terminal.

    A job that fails is reported on stderr and the next one begins; Ctrl-C ends the loop.

    Args:
        jobs: What to do, in order.
        verb: What the progress bar says, such as "fuse".
    """
    from tqdm import tqdm

    outcome, start = Outcome(), perf_counter()
    with tqdm(total=len(jobs), desc=verb, unit="image", disable=None, file=sys.stderr) as bar:
        try:
            for job in jobs:
                if job.outputs and all(output.is_file() for output in job.outputs):
                    outcome.skipped += 1
                else:
                    _run(job, outcome)
                bar.update()
        except KeyboardInterrupt:
            outcome.interrupted = True
    outcome.seconds = perf_counter() - start
    return outcome


def _run(job: Job, outcome: Outcome) -> None:
    from tqdm import tqdm

    try:
        job.work()
    except Exception as error:  # one bad file, whatever is wrong with it, must not end the run
        reason = str(error) if isinstance(error, CSLError) else f"{type(error).__name__}: {error}"
        outcome.failed.append({"name": job.name, "error": type(error).__name__, "reason": reason})
        tqdm.write(f"failed: {job.name}: {reason}", file=sys.stderr)
    else:
        outcome.done += 1


def report(
    command: str, outcome: Outcome, out: Path, settings: dict[str, Any], notes: dict[str, int], as_json: bool
) -> int:
    """Print the summary on stdout and return the exit code.

    Args:
        command: Its name.
        outcome: What became of the jobs.
        out: The output folder.
        settings: What the outputs were made with.
        notes: Further counts by name, such as {"scores_without_image": 3}; zeros are left out of the text.
        as_json: One JSON object in place of the text.
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
        print(json.dumps(facts))  # plain ASCII, so any name can be printed anywhere
        return outcome.exit_code
    words = {True: "yes", False: "no", None: "none"}
    made_with = [
        f"{name} {words.get(value, value)}"
        for name, value in settings.items()
        if name not in ("command", "version")
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
    encoding = sys.stdout.encoding or "ascii"
    for line in lines:  # a file name may hold what the terminal cannot show
        print(line.encode(encoding, "backslashreplace").decode(encoding))
    return outcome.exit_code
