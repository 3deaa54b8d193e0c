"""The demonstration of `csl-plugin demo`: a photograph, a score without training, and one picture."""

from csl_plugin.demo.picture import Demonstration, demonstrate

__all__ = ["Demonstration", "demonstrate"]
