"""The files that official evaluators and servers read."""
