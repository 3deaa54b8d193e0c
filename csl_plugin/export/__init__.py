"""The stage as one graph: for torch.export, and as an ONNX file for runtimes without Python."""

from csl_plugin.export.graphs import FusionGraph, Graph, NetworkGraph, StageGraph
from csl_plugin.export.onnx_file import to_onnx
from csl_plugin.export.program import exported

__all__ = ["FusionGraph", "Graph", "NetworkGraph", "StageGraph", "exported", "to_onnx"]
