"""What a job asks of its output folder, wherever that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from csl_plugin._shards import Shard
from csl_plugin.errors import OptionError
from csl_plugin.io.job_settings import Settings
from csl_plugin.places import Place

Sources: TypeAlias = "Callable[[], Mapping[Place, str]]"


def check_may_overwrite(shard: Shard | None) -> None:
    """Refuse to begin anew in a shard, which would remove what the others wrote.

    Raises:
        OptionError: There is a shard.
    """
    if shard is not None:
        hint = "A shard would remove what the others wrote: name a new folder."
        raise OptionError("overwrite", f"it with shard {shard}", "one of the two", hint)


class Outputs(Protocol):
    """A folder of outputs; `OutputFolder` says what each of these does."""

    shard: Shard | None

    @property
    def joined(self) -> Sequence[Shard]:
        """The shards whose journals were joined when the folder was taken."""

    @property
    def settings(self) -> Settings:
        """What the files are made with, as they are stored."""

    def taken(
        self,
        *,
        outputs: Iterable[Place] = (),
        inputs: Iterable[Place] = (),
        sources: Sources = dict,
        shared: bool = False,
        overwrite: bool = False,
    ) -> AbstractContextManager[None]:
        """Take the folder for a job."""

    def is_done(self, outputs: Sequence[Place], source: str) -> bool:
        """Whether files are finished, and as they were written."""

    def changed(self, outputs: Sequence[Place]) -> Sequence[Place]:
        """Those of the files that are not as they were written."""

    def discard(self, unit: str, keep: Sequence[Place] = ()) -> None:
        """Remove the files of a unit that are outdated."""

    def writing(self, unit: str, outputs: Sequence[Place], source: str) -> AbstractContextManager[None]:
        """Record the files that the block writes."""
