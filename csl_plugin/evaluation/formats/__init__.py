"""The files that official evaluators and servers read."""

from csl_plugin.evaluation.formats.anomaly_maps import anomaly_path, write_anomaly
from csl_plugin.evaluation.formats.class_maps import read_classes, write_classes
from csl_plugin.evaluation.formats.detectron2 import write_predictions
from csl_plugin.evaluation.formats.float16 import from_float16, to_float16
from csl_plugin.evaluation.formats.prediction_files import PredictionFiles

__all__ = [
    "PredictionFiles",
    "anomaly_path",
    "from_float16",
    "read_classes",
    "to_float16",
    "write_anomaly",
    "write_classes",
    "write_predictions",
]
