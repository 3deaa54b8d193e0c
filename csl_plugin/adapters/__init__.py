"""Adapters: how to read the distribution from a model's output, and how to write the fused one back.

`preset` has the methods and frameworks of docs/guide/adapters.md by name. `OutputAdapter` declares the output
of any other model, by a score kind and the path of the scores. `check_adapter` checks an adapter of your own.
"""

from csl_plugin.adapters.adapter import Adapter
from csl_plugin.adapters.check import check_adapter
from csl_plugin.adapters.image_batch import ImageBatch
from csl_plugin.adapters.inputs import ImageInput
from csl_plugin.adapters.output import OutputAdapter, Score
from csl_plugin.adapters.output_path import Items, OutputPath
from csl_plugin.adapters.presets.class_statistics import ClassStatistics
from csl_plugin.adapters.presets.preset import Preset
from csl_plugin.adapters.presets.queries import QuerySum
from csl_plugin.adapters.recognition import recognize
from csl_plugin.adapters.registry import PRESETS, preset
from csl_plugin.adapters.score_kinds import NonNegative, RawScore, ScoreKind, Sigmoid, Softmax
from csl_plugin.adapters.teachers import ObserverPair, SavedScores
from csl_plugin.adapters.tta import FlipAverage, SlidingWindow

__all__ = [
    "PRESETS",
    "Adapter",
    "ClassStatistics",
    "FlipAverage",
    "ImageBatch",
    "ImageInput",
    "Items",
    "NonNegative",
    "ObserverPair",
    "OutputAdapter",
    "OutputPath",
    "Preset",
    "QuerySum",
    "RawScore",
    "SavedScores",
    "Score",
    "ScoreKind",
    "Sigmoid",
    "SlidingWindow",
    "Softmax",
    "check_adapter",
    "preset",
    "recognize",
]
