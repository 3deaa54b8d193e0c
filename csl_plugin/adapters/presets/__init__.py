"""Presets: the input and output of each method, by task, and the score kinds and output paths they need."""
