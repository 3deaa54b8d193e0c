"""Frames of the data sets with what their pages compare."""
