"""The demonstration behind `csl-plugin demo`: a photograph, a score that needs no training, one figure."""

from csl_plugin.demo.figure import Demonstration, demonstrate

__all__ = ["Demonstration", "demonstrate"]
