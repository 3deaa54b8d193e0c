"""The report of a result: an HTML page with pictures, a Markdown table, and JSON."""

from csl_plugin.evaluation.report.inline_picture import InlinePicture
from csl_plugin.evaluation.report.page import best_and_worst, result_files, write_report
from csl_plugin.evaluation.report.tables import tables, verdict

__all__ = ["InlinePicture", "best_and_worst", "result_files", "tables", "verdict", "write_report"]
