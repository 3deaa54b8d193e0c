"""Lenses on other models: how to read a distribution out of what they return, and put one back."""

from csl_plugin.adapters.adapter import Adapter
from csl_plugin.adapters.output import OutputAdapter, Score
from csl_plugin.adapters.recognition import recognise

__all__ = ["Adapter", "OutputAdapter", "Score", "recognise"]
