"""The output folder of a command, wherever it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from csl_plugin.cli.streams import say
from csl_plugin.places import RemotePath

if TYPE_CHECKING:
    from csl_plugin._shards import Shard
    from csl_plugin.io.job_settings import Settings
    from csl_plugin.io.outputs import Outputs
    from csl_plugin.places import Place


def output_folder(place: Place, settings: Settings, shard: Shard | None) -> Outputs:
    """The output folder of a job; one that ends with the command is named on stderr.

    Args:
        place: Of the folder.
        settings: What its files will be made with.
        shard: Which of the job's shards this is, if it is one.
    """
    from csl_plugin.io.output_place import outputs_at

    if isinstance(place, RemotePath) and place.scheme == "memory":
        say(
            f"warning: {place} is in the memory of this process and is gone when it ends; name a folder, or "
            "the URL of a store, to keep the results"
        )
    return outputs_at(place, settings, shard)
