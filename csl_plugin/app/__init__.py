"""A page to try fusion on: a photograph, a score, regions and a rule, and what becomes of the score."""

from csl_plugin.app.launching import launch
from csl_plugin.app.page import build_app

__all__ = ["build_app", "launch"]
