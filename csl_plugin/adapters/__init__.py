"""Lenses on other models: how to read a distribution out of what they return, and put one back.

`preset` knows the methods and frameworks of docs/guide/adapters.md by name; `OutputAdapter` declares any
other model's output; `check_adapter` checks an adapter that you write yourself.
"""

from csl_plugin.adapters.adapter import Adapter
from csl_plugin.adapters.check import check_adapter
from csl_plugin.adapters.output import OutputAdapter, Score
from csl_plugin.adapters.presets.class_statistics import ClassStatistics
from csl_plugin.adapters.presets.preset import Preset
from csl_plugin.adapters.recognition import recognize
from csl_plugin.adapters.registry import PRESETS, preset
from csl_plugin.adapters.teachers import ObserverPair, SavedScores
from csl_plugin.adapters.tta import FlipAverage, SlidingWindow

__all__ = [
    "PRESETS",
    "Adapter",
    "ClassStatistics",
    "FlipAverage",
    "ObserverPair",
    "OutputAdapter",
    "Preset",
    "SavedScores",
    "Score",
    "SlidingWindow",
    "check_adapter",
    "preset",
    "recognize",
]
