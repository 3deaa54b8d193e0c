"""The one way in which every command takes its output folder.

The folder is new, empty, or made by a job of the same settings; else it is refused, and what is there is
named. A file in it is replaced or removed only if the folder's journal says that a command wrote it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

from csl_plugin._shards import Shard
from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.io.atomic import as_write_error, remove_temporary
from csl_plugin.io.file_states import sha256_of
from csl_plugin.io.folder_lock import LOCK_NAME, FolderLock, folder_lock
from csl_plugin.io.foreign_files import check_is_folder, check_own, check_places, foreign_file
from csl_plugin.io.job_settings import (
    PLACES,
    SETTINGS_NAME,
    Settings,
    fingerprint,
    other_settings,
    read_settings,
    same_settings,
    write_settings,
)
from csl_plugin.io.journal import Journal
from csl_plugin.io.json_values import as_stored
from csl_plugin.io.outputs import check_may_overwrite
from csl_plugin.io.separate_paths import check_separate
from csl_plugin.io.shard_files import begin_run, check_beside, join, journal_of, taken_shard

Sources = Callable[[], Mapping[Path, str]]


class OutputFolder:
    """A job's output folder. One process of the job takes it; the others of the same job write into it too.

    It holds csl-plugin.json, the settings; csl-plugin.jsonl, the journal of what was written; and
    .csl-plugin.lock, which is locked while a job is at work. Settings bind a folder once a file made with
    them is finished: a run that failed before can be followed by one with other settings.

    Shards of a job, which several machines may be at work on, write a journal each; the next job without a
    shard joins them.

    Args:
        path: The folder.
        settings: What the files will be made with: JSON values, with the name of the command as "command".
        shard: Which of the job's shards this is, or None for all of its files.

    Attributes:
        joined: The shards whose journals were joined when the folder was taken.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as place:
        ...     folder = OutputFolder(Path(place, "out"), {"command": "fuse", "rule": "mean"})
        ...     file = folder.path / "a.txt"
        ...     with folder.taken(outputs=[file]), folder.writing("a", [file], source="a.png"):
        ...         _ = file.write_text("whole")
        ...     folder.is_done([file], source="a.png"), folder.is_done([file], source="another")
        (True, False)
    """

    def __init__(self, path: Path, settings: Settings, shard: Shard | None = None) -> None:
        self.path = path
        self.joined: list[Shard] = []
        self.shard = shard
        self._settings: Settings = as_stored(settings)
        self._fingerprint = fingerprint(self._settings)
        self._start = -1  # of the journal, when the job began; not known yet
        self._was_alone = True

    @property
    def settings(self) -> Settings:
        """What the files are made with, as they are stored."""
        return self._settings

    def __getstate__(self) -> dict[str, Any]:
        """For another process of the job; each reads the journal itself."""
        return {name: value for name, value in vars(self).items() if name != "_journal"}

    @contextmanager
    def taken(
        self,
        *,
        outputs: Iterable[Path] = (),
        of_others: Iterable[Path] = (),
        inputs: Iterable[Path] = (),
        sources: Sources = dict,
        shared: bool = False,
        overwrite: bool = False,
        argument: str = "OUT",
    ) -> Iterator[None]:
        """Take the folder for a job: create it, store the settings, and hold its lock until the block ends.

        Temporary files of killed jobs are removed, if no other job is at work in the folder; by shards never,
        because a file system may not say which others are at work on other machines.

        Args:
            outputs: The files that the job may write, so that one of somebody else is refused before the job
                starts; `writing` refuses any other.
            of_others: The files that the job's other shards write.
            inputs: Files and folders that the job reads; none may be in the folder.
            sources: Called where the inputs are in other folders than before: what each output is made from,
                as `is_done` compares it. If that is the same, the inputs were moved, and the job goes on.
            shared: Whether jobs of the same settings may be at work in the folder at the same time, on
                different units; shards always may.
            overwrite: Remove every file that the journal names, and start again with these settings. A shard
                would remove what the others wrote, so it cannot.
            argument: What an error calls the folder.

        Raises:
            OptionError: The folder holds an input, something that no job made, or files of other settings;
                another job is at work in it or at the shard; or `overwrite` with a shard.
            FileError: A file that no job wrote is where this one would write; the folder cannot be written,
                or its settings cannot be read.
        """
        if overwrite:
            check_may_overwrite(self.shard)
        planned = list(outputs)
        check_is_folder(self.path)
        check_separate(self.path, planned, inputs, argument=argument)
        check_own(self.path, argument)
        check_places(self.path)
        with as_write_error(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        shared = shared or self.shard is not None
        with ExitStack() as held:
            lock = held.enter_context(folder_lock(self.path, shared=shared, argument=argument))
            check_own(self.path, argument)
            if lock.hold == "shared":
                check_beside(self.path, self.shard, argument)
            if self.shard is not None:
                held.enter_context(taken_shard(self.path, self.shard))
            elif lock.hold != "shared":
                self.joined = join(self.path)
            self._was_alone = self.shard is not None or lock.hold != "shared"
            self._claim(lock, planned, of_others, sources, overwrite=overwrite, argument=argument)
            if self.shard is not None:
                begin_run(self.path, self.shard)
            if shared:
                lock.share()
            yield

    def is_done(self, outputs: Sequence[Path], source: str) -> bool:
        """Whether files are finished, made from this source with these settings, and as they were written.

        Args:
            outputs: The files of a unit.
            source: What they are made from, such as `sampled_states` gives it.

        Raises:
            FileError: The journal cannot be read.
        """
        self._journal.refresh()
        for output in outputs:
            entry = self._journal.entries.get(self._name(output))
            if entry is None or (entry.source, entry.settings) != (source, self._fingerprint):
                return False
            if entry.written is None or not entry.written.is_that_of(output):
                return False
        return True

    def changed(self, outputs: Sequence[Path]) -> list[Path]:
        """Those of the files that were finished before this job, and are there, but not as they were written.

        What jobs write that are at work at the same time is theirs to judge.
        """
        if not (self._was_alone and any(map(self._is_changed, outputs))):
            return []
        self._journal.refresh()  # another job may have started on them since
        return [output for output in outputs if self._is_changed(output)]

    def _is_changed(self, output: Path) -> bool:
        entry = self._journal.entries.get(self._name(output))
        if entry is None or entry.is_open or entry.source is None or entry.place >= self._start:
            return False
        written = entry.written
        return written is not None and os.path.lexists(output) and not written.is_that_of(output)

    def discard(self, unit: str, keep: Sequence[Path] = ()) -> None:
        """Remove the files of a unit that are outdated.

        Args:
            unit: The unit.
            keep: Its files that stay.

        Raises:
            FileError: One cannot be removed.
        """
        kept = {self._name(path) for path in keep}
        outdated = [name for name in self._journal.files_of(unit) if name not in kept]
        for name in outdated:
            entry = self._journal.entries[name]
            if not entry.is_open or entry.place < self._start:  # else a job that shares the folder writes it
                self._remove(name)
        if outdated:
            self._journal.end(unit, {}, None, None, self._still_there(unit, {}))

    @contextmanager
    def writing(
        self, unit: str, outputs: Sequence[Path], source: str, *, digests: bool = False
    ) -> Iterator[None]:
        """Record the files that the block writes, before and after it.

        Args:
            unit: Name of the unit of work, such as an image's stem.
            outputs: What the block writes, in the folder.
            source: What the files are made from; `is_done` compares it.
            digests: Whether `is_done` compares the files' content too, not only their size and time.

        Raises:
            FileError: A file that no job wrote is at one of the paths, or the folder cannot be written.
        """
        names = {self._name(output): output for output in outputs}
        self._journal.refresh()
        self._check_not_foreign(outputs)
        self._journal.start(unit, list(names))
        try:
            yield
            with as_write_error(self.path):
                written = {name: sha256_of(path) if digests else None for name, path in names.items()}
        except BaseException:
            with suppress(CSLError, OSError):
                self._record_failure(unit, names)
            raise
        self._journal.end(unit, written, source, self._fingerprint, self._still_there(unit, names))

    @cached_property
    def _journal(self) -> Journal:
        journal = journal_of(self.path, self.shard)
        if self._start < 0:
            self._start = journal.place
        return journal

    def _record_failure(self, unit: str, names: Mapping[str, Path]) -> None:
        written: dict[str, None] = {}
        kept = self._still_there(unit, names)
        for name, output in names.items():
            before = self._journal.entries[name].written
            if before is not None and before.is_that_of(output):
                kept.append(name)
            elif os.path.lexists(output):
                written[name] = None
        self._journal.end(unit, written, None, self._fingerprint, kept)

    def _still_there(self, unit: str, names: Mapping[str, Path]) -> list[str]:
        others = (name for name in self._journal.files_of(unit) if name not in names)
        return [name for name in others if os.path.lexists(self.path / name)]

    def _claim(
        self,
        lock: FolderLock,
        outputs: Sequence[Path],
        of_others: Iterable[Path],
        sources: Sources,
        *,
        overwrite: bool,
        argument: str,
    ) -> None:
        file = self.path / SETTINGS_NAME
        try:
            stored = read_settings(file)
        except FileError:
            if not overwrite:
                raise
            stored = None
        differs = stored is None or not same_settings(stored, self._settings)
        if lock.hold == "shared" and self.shard is not None and stored is not None and differs:
            raise other_settings(file, stored, self._settings)
        if lock.hold == "shared" and (overwrite or differs):
            got, hint = f"{self.path}, in which another job is at work", "Wait until it has ended."
            raise OptionError(argument, got, "the same job, or a folder of its own", hint)
        bound = differs and stored is not None and not overwrite and self._is_bound(stored)
        if bound and stored is not None and not self._goes_on(stored, [*outputs, *of_others], sources):
            raise other_settings(file, stored, self._settings)
        self._check_not_foreign(outputs)
        if lock.hold == "alone" and self.shard is None:
            self._sweep()
        if overwrite:
            for name in list(self._journal.entries):
                self._remove(name)
            self._journal.clear()
            self._start = 0
        if differs:
            write_settings(file, self._settings)

    def _is_bound(self, stored: Settings) -> bool:
        """Whether a file that was made with the stored settings is finished and there."""
        return bool(self._finished(fingerprint(stored)))

    def _finished(self, made_with: str) -> dict[str, str]:
        """What each file is made from that is finished with these settings, and there."""
        return {
            name: entry.source
            for name, entry in self._journal.entries.items()
            if entry.settings == made_with and entry.source is not None and os.path.lexists(self.path / name)
        }

    def _goes_on(self, stored: Settings, outputs: Sequence[Path], sources: Sources) -> bool:
        """Whether a job of other places and frames continues this one: its files stay what they are."""
        if fingerprint(stored) != self._fingerprint:
            return False
        finished = self._finished(self._fingerprint)
        if same_settings({PLACES: stored.get(PLACES)}, {PLACES: self._settings.get(PLACES)}):
            return finished.keys() <= {self._name(output) for output in outputs}
        now = {self._name(output): source for output, source in sources().items()}
        common = finished.keys() & now.keys()
        return bool(common) and all(finished[name] == now[name] for name in common)

    def _is_foreign(self, output: Path) -> bool:
        if self._name(output) in self._journal.entries or not os.path.lexists(output):
            return False
        if self.shard is not None:
            vars(self).pop("_journal", None)  # another shard may have written it, whose images were fewer
        return self._name(output) not in self._journal.entries

    def _check_not_foreign(self, outputs: Sequence[Path]) -> None:
        for output in outputs:
            if self._is_foreign(output):
                raise foreign_file(self.path, output)

    def _remove(self, name: str) -> None:
        path = self.path / name
        if not path.parent.resolve().is_relative_to(self.path.resolve()):
            return  # a link leads elsewhere since
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            got, hint = error.strerror or str(error), "Check its permissions."
            raise FileError(str(path), got, "a file that can be removed", hint) from error

    def _sweep(self) -> None:
        places = {self.path, *((self.path / name).parent for name in self._journal.entries)}
        remove_temporary(place for place in places if place == self.path or not (place / LOCK_NAME).exists())

    def _name(self, output: Path) -> str:
        return output.relative_to(self.path).as_posix()
