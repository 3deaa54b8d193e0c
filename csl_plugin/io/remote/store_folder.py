"""The output folder of a job in an object store, taken as one of this machine is, as far as the store allows.

An object appears whole or not at all. A store has no lock and no rename: objects say who is at work
(csl-plugin.lock/) and what files were made from (csl-plugin.journal/), beside csl-plugin.json, the settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from csl_plugin._shards import Shard
from csl_plugin.errors import FileError, OptionError
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
from csl_plugin.io.json_values import as_stored
from csl_plugin.io.outputs import Sources, check_may_overwrite
from csl_plugin.io.remote.lease import LEASES, Lease, leased
from csl_plugin.io.remote.store import list_folder, look_up, remove
from csl_plugin.io.remote.store_journal import JOURNAL, StoreEntry, StoreJournal
from csl_plugin.places import Place, RemotePath

_NAMED = 3


class StoreFolder:
    """A job's output folder in a store; the same as `OutputFolder` to a job.

    Args:
        path: The folder.
        settings: As for `OutputFolder`.
        shard: As for `OutputFolder`. Shards have no journals of their own, so nothing is joined.
    """

    joined: Sequence[Shard] = ()

    def __init__(self, path: RemotePath, settings: Settings, shard: Shard | None = None) -> None:
        self.path = RemotePath(path.bare)
        self.shard = shard
        self._settings: Settings = as_stored(settings)
        self._fingerprint = fingerprint(self._settings)
        self._lease: Lease | None = None

    @property
    def settings(self) -> Settings:
        """What the files are made with, as they are stored."""
        return self._settings

    def __getstate__(self) -> dict[str, Any]:
        """For another process of the job; each lists the journal itself."""
        return {name: value for name, value in vars(self).items() if name != "_journal"}

    @contextmanager
    def taken(
        self,
        *,
        outputs: Iterable[Place] = (),
        of_others: Iterable[Place] = (),
        inputs: Iterable[Place] = (),
        sources: Sources = dict,
        shared: bool = False,
        overwrite: bool = False,
        argument: str = "OUT",
    ) -> Iterator[None]:
        """As `OutputFolder.taken`. Of jobs at the same time only shards are let in, as far as they are seen.

        Raises:
            OptionError, FileError: As there.
        """
        del shared
        if overwrite:
            check_may_overwrite(self.shard)
        if self.path.is_web:
            got, hint = f"{self.path} of a web server", "Name a folder here, or in an object store."
            raise OptionError(argument, got, "a store that can be written", hint)
        self._check_separate(inputs, argument)
        stored = self._stored(overwrite=overwrite)
        self._check_own(stored, argument)
        with leased(self.path, self.shard, argument) as lease:
            self._lease = lease
            self._claim([*outputs, *of_others], sources, stored, overwrite=overwrite)
            yield

    def is_done(self, outputs: Sequence[Place], source: str) -> bool:
        """As `OutputFolder.is_done`; requests for the entry of each output that has one, and for it."""
        for output in outputs:
            found = self._journal.of(self._name(output))
            if found is None or (found.source, found.settings) != (source, self._fingerprint):
                return False
            if not self._is_as_written(found, output):
                return False
        return True

    def changed(self, outputs: Sequence[Place]) -> list[Place]:
        """Those of the files that were finished, and are there, but not as they were written."""
        changed = []
        for output in outputs:
            found = self._journal.of(self._name(output))
            if found is not None and found.source is not None:
                listed = look_up(self.path / found.name)
                if listed is not None and (listed.size, listed.tag) != (found.size, found.tag):
                    changed.append(output)
        return changed

    def discard(self, unit: str, keep: Sequence[Place] = ()) -> None:
        """As `OutputFolder.discard`."""
        kept = {self._name(path) for path in keep}
        for name in self._journal.names_of(unit):
            if name not in kept:
                remove(self.path / name)
                self._journal.drop(name)

    @contextmanager
    def writing(self, unit: str, outputs: Sequence[Place], source: str) -> Iterator[None]:
        """Record the files that the block writes, before and after it.

        Raises:
            FileError: A file that no job wrote is at one of the paths, or the store does not take something.
            OptionError: Another job took the folder over.
        """
        assert self._lease is not None  # noqa: S101
        self._lease.renew()
        names = [self._name(output) for output in outputs]
        for name in names:
            if self._journal.of(name) is None and look_up(self.path / name) is not None:
                got = "an object that this command did not write"
                hint = "Move it, or name another folder: only files that this command wrote are replaced."
                raise FileError(str(self.path / name), got, "nothing there", hint)
        for name in names:
            self._journal.put(StoreEntry(unit, name))
        yield
        for name in names:
            listed = look_up(self.path / name)
            if listed is None:
                raise FileError(
                    str(self.path / name), "nothing there", "what was just written", "Start again."
                )
            self._journal.put(StoreEntry(unit, name, listed.size, listed.tag, source, self._fingerprint))

    @cached_property
    def _journal(self) -> StoreJournal:
        return StoreJournal(self.path)

    def _is_as_written(self, found: StoreEntry, output: Place) -> bool:
        listed = look_up(self.path / self._name(output))
        return listed is not None and (listed.size, listed.tag) == (found.size, found.tag)

    def _stored(self, *, overwrite: bool) -> Settings | None:
        try:
            return read_settings(self.path / SETTINGS_NAME)
        except FileError:
            if not overwrite:
                raise
            return None

    def _check_separate(self, inputs: Iterable[Place], argument: str) -> None:
        for path in inputs:
            if isinstance(path, RemotePath) and path.is_below(self.path):
                got, hint = f"{self.path}, which holds inputs such as {path}", "Name another folder."
                raise OptionError(argument, got, "a folder of its own", hint)

    def _check_own(self, stored: Settings | None, argument: str) -> None:
        """Refuse a folder that holds something and no settings."""
        if stored is not None:
            return
        ours = (SETTINGS_NAME, JOURNAL, LEASES)
        names = [path.name for path in list_folder(self.path)]
        found = [name for name in names if name not in ours and not name.startswith(".")]
        if found and SETTINGS_NAME not in names:
            named = ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" if found[_NAMED:] else "")
            got = f"{self.path}, which holds {named}, and no {SETTINGS_NAME} of an earlier job"
            expected = "an empty or new folder, or one that this command made"
            raise OptionError(argument, got, expected, "Name another folder: nothing here is replaced.")

    def _claim(
        self, outputs: Sequence[Place], sources: Sources, stored: Settings | None, *, overwrite: bool
    ) -> None:
        file = self.path / SETTINGS_NAME
        differs = stored is None or not same_settings(stored, self._settings)
        if differs and stored is not None and not overwrite:
            finished = self._finished(fingerprint(stored))
            if finished and not self._goes_on(stored, finished, outputs, sources):
                raise other_settings(file, stored, self._settings)
        if overwrite:
            for found in self._journal.all():
                remove(self.path / found.name)
                self._journal.drop(found.name)
        if differs:
            write_settings(file, self._settings)

    def _finished(self, made_with: str) -> Mapping[str, str]:
        """What each file is made from that is finished with these settings."""
        return {
            found.name: found.source
            for found in self._journal.all()
            if found.settings == made_with and found.source is not None
        }

    def _goes_on(
        self, stored: Settings, finished: Mapping[str, str], outputs: Sequence[Place], sources: Sources
    ) -> bool:
        """Whether a job of other places and frames continues this one: its files stay what they are."""
        if fingerprint(stored) != self._fingerprint:
            return False
        if same_settings({PLACES: stored.get(PLACES)}, {PLACES: self._settings.get(PLACES)}):
            return finished.keys() <= {self._name(output) for output in outputs}
        now = {self._name(output): source for output, source in sources().items()}
        common = finished.keys() & now.keys()
        return bool(common) and all(finished[name] == now[name] for name in common)

    def _name(self, output: Place) -> str:
        return output.bare.removeprefix(f"{self.path.bare}/") if isinstance(output, RemotePath) else ""
