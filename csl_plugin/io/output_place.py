"""The output folder at a path or a URL."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from csl_plugin._shards import Shard
from csl_plugin.io.job_settings import Settings
from csl_plugin.io.output_folder import OutputFolder
from csl_plugin.io.outputs import Outputs
from csl_plugin.places import Place


def outputs_at(place: Place, settings: Settings, shard: Shard | None = None) -> Outputs:
    """The output folder of a job.

    Args:
        place: Of the folder; what is written to it is below it.
        settings: As for `OutputFolder`.
        shard: As for `OutputFolder`.
    """
    if isinstance(place, Path):
        return cast("Outputs", OutputFolder(place, settings, shard))
    from csl_plugin.io.remote.store_folder import StoreFolder

    return StoreFolder(place, settings, shard)
