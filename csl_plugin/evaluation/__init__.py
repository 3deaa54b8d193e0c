"""Benchmarks: the scores of a method on a published data set, before and after fusion with regions."""

from csl_plugin.evaluation.frames import Kind
from csl_plugin.evaluation.published_results import PublishedRow, published_rows
from csl_plugin.evaluation.registry import benchmark_names
from csl_plugin.evaluation.result import Curve, FrameChange, ProtocolValues, Result
from csl_plugin.evaluation.run import FramesFailedError, run_benchmark

__all__ = [
    "Curve",
    "FrameChange",
    "FramesFailedError",
    "Kind",
    "ProtocolValues",
    "PublishedRow",
    "Result",
    "benchmark_names",
    "published_rows",
    "run_benchmark",
]
