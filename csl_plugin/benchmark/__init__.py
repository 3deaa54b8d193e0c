"""Benchmarks: a method's scores on a published data set, as they come and fused with regions."""

from csl_plugin.benchmark.opening import benchmark_names
from csl_plugin.benchmark.printed import PrintedRow, printed_rows
from csl_plugin.benchmark.result import Result
from csl_plugin.benchmark.run import FramesFailedError, run_benchmark

__all__ = ["FramesFailedError", "PrintedRow", "Result", "benchmark_names", "printed_rows", "run_benchmark"]
