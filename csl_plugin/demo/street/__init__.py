"""Drawn streets with things that no training street has, and a small segmenter of streets."""

from csl_plugin.demo.street.classes import STREET_CLASSES
from csl_plugin.demo.street.drawing import Street, draw_street
from csl_plugin.demo.street.teacher import StreetTeacher, load_teacher

__all__ = ["STREET_CLASSES", "Street", "StreetTeacher", "draw_street", "load_teacher"]
