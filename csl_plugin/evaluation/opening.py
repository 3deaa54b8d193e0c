"""From the arguments of a benchmark to its first pass, in each of its processes alike."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from csl_plugin._shards import Shard
from csl_plugin.calibration import Calibration
from csl_plugin.datasets import Dataset, Frame
from csl_plugin.errors import OptionError
from csl_plugin.evaluation.formats import PredictionFiles
from csl_plugin.evaluation.frames import (
    AnySize,
    FrameFusion,
    FusionPass,
    Kind,
    ScoreFolder,
    ScoreSource,
    Teacher,
    files_of_frames,
)
from csl_plugin.evaluation.protocols import Protocols
from csl_plugin.evaluation.records import Records
from csl_plugin.evaluation.registry import REGIONS_BENCHMARK
from csl_plugin.fusion import Rule
from csl_plugin.fusion.rules import read_rule
from csl_plugin.io.job_settings import versions
from csl_plugin.io.output_folder import OutputFolder
from csl_plugin.proposers import load_proposer
from csl_plugin.proposers.identity import identity_of
from csl_plugin.proposers.on_files import region_folders, region_places

PathLike: TypeAlias = str | os.PathLike[str]


@dataclass(frozen=True)
class Opening:
    """What a benchmark was called with; it can be sent to another process, which loads the rest itself.

    The arguments are those of `run_benchmark`.
    """

    benchmark: str
    dataset: Dataset
    protocols: Protocols
    data: PathLike
    out: Path
    scores: PathLike | None
    teacher: str | None
    proposer: str | None
    revision: str | None
    variant: str | None
    subfolder: str | None
    device: str | None
    kind: Kind | None
    calibration: PathLike | None
    rule: Rule
    method: str | None
    options: Mapping[str, Any]
    shard: Shard | None

    def __call__(self) -> FusionPass:
        """Load the proposer and the scores.

        Raises:
            OptionError: Options that exclude each other, or an unknown rule, teacher or proposer.
            FileError: Scores, region maps or the calibration are missing or unreadable.
        """
        source = _score_source(self.benchmark, self.dataset, self.scores, self.teacher)
        fusion, digest = _fusion(self.kind, self.calibration, self.rule)
        # The majority vote needs a single partition.
        chosen = self.proposer if source or self.proposer else "csl-tiny"
        regions = load_proposer(
            chosen,
            revision=self.revision,
            variant=self.variant,
            subfolder=self.subfolder,
            device=self.device,
        )
        named = Path(self.scores).resolve().name if self.scores else self.teacher
        method = self.method or named or "regions"
        _name_by_frames(regions, self.dataset.frames)
        settings = self._settings(method, source, regions, fusion, digest)
        dataset = self.dataset
        return FusionPass(
            dataset,
            self.protocols,
            source,
            regions,
            fusion,
            PredictionFiles(self.out, self.benchmark, self.protocols.task, method, dataset.output_name),
            Records(OutputFolder(self.out, settings, self.shard)),
        )

    @property
    def inputs(self) -> list[Path]:
        """The files and folders that the arguments name."""
        places = (self.data, self.scores, self.calibration, *self.options.values())
        return [Path(str(place)) for place in places if place is not None]

    def _settings(
        self,
        method: str,
        source: ScoreSource | None,
        regions: Any,
        fusion: FrameFusion,
        calibration: str | None,
    ) -> dict[str, Any]:
        dataset = self.dataset
        given, places = {}, {}
        for name, value in self.options.items():
            if _is_place(value):
                places[name] = str(Path(value).resolve())
            else:
                given[name] = str(value)
        return {
            "command": "benchmark",
            "benchmark": self.benchmark,
            "split": dataset.subset,
            "options": given,
            "frames": len(dataset.frames),
            "frames_sha256": _sha256("\n".join(frame.name for frame in dataset.frames)),
            "classes_sha256": _sha256(repr((dataset.ids, dataset.classes, self.protocols.unseen))),
            "method": method,
            "proposer": identity_of(regions),
            **(source.identity() if source else {}),
            **({"kind": fusion.kind, "rule": self.rule, "calibration": calibration} if source else {}),
            "versions": versions(),
            "places": {
                "data": str(Path(self.data).resolve()),
                **places,
                **({"scores": str(Path(self.scores).resolve())} if self.scores is not None else {}),
                **region_places(regions),
            },
        }


def _score_source(
    benchmark: str, dataset: Dataset, scores: PathLike | None, teacher: str | None
) -> ScoreSource | None:
    if benchmark == REGIONS_BENCHMARK:
        if scores is not None or teacher is not None:
            hint = "Omit --scores and --teacher: only the proposer is measured."
            raise OptionError("--scores, --teacher", "one of them", f"neither for {benchmark}", hint)
        return None
    if (scores is None) == (teacher is None):
        got = "neither" if scores is None else "both"
        hint = "Name the folder of score files, or the model to call."
        raise OptionError("--scores, --teacher", got, "one of the two", hint)
    source: ScoreSource
    if teacher is not None:
        source = Teacher.named(teacher)
    else:
        assert scores is not None  # noqa: S101
        source = ScoreFolder.open(scores, dataset.frames)
    return AnySize(source) if dataset.inspection else source


def _fusion(kind: Kind | None, calibration: PathLike | None, rule: Rule) -> tuple[FrameFusion, str | None]:
    read_rule(rule)
    if calibration is None:
        return FrameFusion(kind or "probability", rule, None), None
    if kind not in (None, "raw"):
        hint = "Omit one of the two: a calibration maps raw scores onto [0, 1]."
        raise OptionError(
            "--kind, --calibration", f"{kind} and a calibration", "raw with a calibration", hint
        )
    loaded = Calibration.load(calibration)
    return FrameFusion("raw", rule, loaded), _sha256(loaded.to_json())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


def _is_place(value: Any) -> bool:
    """Whether an option of the data set names a file or a folder."""
    return os.path.exists(str(value))  # noqa: PTH110  # no name makes it raise


def _name_by_frames(proposer: Any, frames: Sequence[Frame]) -> None:
    """Let folders of region maps find them by the names of frames; a map may have the image's stem."""
    hint = "Make them with: csl-plugin propose IMAGES OUT"
    suffixes = (".png", ".npz", ".json")
    for folder in region_folders(proposer):
        folder.files = files_of_frames(
            folder.path, folder.files, frames, kind="region map", suffixes=suffixes, hint=hint
        )
