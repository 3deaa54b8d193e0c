"""Benchmarks: a method's scores on a published data set, as they come and fused with regions."""

from csl_plugin.evaluation.published_results import PrintedRow, printed_rows
from csl_plugin.evaluation.registry import benchmark_names
from csl_plugin.evaluation.result import Result
from csl_plugin.evaluation.run import FramesFailedError, run_benchmark

__all__ = ["FramesFailedError", "PrintedRow", "Result", "benchmark_names", "printed_rows", "run_benchmark"]
