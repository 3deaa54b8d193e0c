"""Monotone maps of raw scores onto [0, 1], fitted once per data set."""

from csl_plugin.calibration.maps import Calibration

__all__ = ["Calibration"]
