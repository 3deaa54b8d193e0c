"""One frame of a benchmark: the source of its scores, its fusion, and its pictures."""

from csl_plugin.evaluation.frames.any_size import AnySize
from csl_plugin.evaluation.frames.frame_files import files_of_frames
from csl_plugin.evaluation.frames.frame_fusion import FrameFusion, Kind
from csl_plugin.evaluation.frames.frame_pictures import frame_pictures
from csl_plugin.evaluation.frames.passes import ComponentPass, FramePass, FusionPass, component_pass
from csl_plugin.evaluation.frames.pipeline import overlap
from csl_plugin.evaluation.frames.score_source import ScoreFolder, ScoreSource, Teacher

__all__ = [
    "AnySize",
    "ComponentPass",
    "FrameFusion",
    "FramePass",
    "FusionPass",
    "Kind",
    "ScoreFolder",
    "ScoreSource",
    "Teacher",
    "component_pass",
    "files_of_frames",
    "frame_pictures",
    "overlap",
]
