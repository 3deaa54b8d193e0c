"""Presets: what there is to know of each method's output, by family, and the scores they read."""
