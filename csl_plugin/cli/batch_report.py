"""The answer of a command over many files: counts, failures, and what the outputs were made with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from csl_plugin.cli.answer import Answer
from csl_plugin.cli.batch import Outcome
from csl_plugin.places import Place

_LISTED = 10

Note = int | Sequence[str] | Mapping[str, int]
"""A count; names; or counts by suffix."""


def report(
    command: str,
    outcome: Outcome,
    out: Place,
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
        **({"error": outcome.lost, "not_done": outcome.not_done} if outcome.lost else {}),
        **({"shard": outcome.shard[0]} if outcome.shard else {}),
        **({"shards": list(outcome.joined), "left_by_shards": outcome.late} if outcome.joined else {}),
        "seconds": round(outcome.seconds, 3),
        **notes,
        "settings": dict(flat_settings(settings)),
    }
    lines = [
        f"{command}: {outcome.done} done, {outcome.skipped} skipped, {len(outcome.failed)} failed "
        f"in {outcome.seconds:.1f} s -> {out}{' (interrupted)' if outcome.interrupted else ''}",
        *([f"  not done: {outcome.not_done}"] if outcome.not_done else []),
        *_of_shards(outcome),
        "  with " + ", ".join(f"{name} {value}" for name, value in made_with.items()),
        *(f"  {name.replace('_', ' ')}: {in_words(note)}" for name, note in notes.items() if note),
        *(f"  failed: {failure['name']}" for failure in outcome.failed[:_LISTED]),
    ]
    if len(outcome.failed) > _LISTED:
        lines.append(f"  failed: {len(outcome.failed) - _LISTED} more")
    return Answer(outcome.exit_code, facts, lines, of_shard=outcome.shard is not None)


def _of_shards(outcome: Outcome) -> list[str]:
    if outcome.shard is not None:
        name, images = outcome.shard
        return [f"  shard {name} of {images} images: the same command without --shard joins the shards"]
    if not outcome.joined:
        return []
    left = f"done now what they had left: {in_words(outcome.late)}" if outcome.late else "nothing was left"
    return [f"  shards: {in_words(outcome.joined)}; {left}"]


def in_words(note: Note) -> str:
    """A further fact as text."""
    if isinstance(note, int):
        return str(note)
    if isinstance(note, Mapping):
        return f"{sum(note.values())} ({', '.join(f'{count} {name}' for name, count in note.items())})"
    more = f" and {len(note) - _LISTED} more" if len(note) > _LISTED else ""
    return ", ".join(note[:_LISTED]) + more
