"""Presets: the input and output of each method, by task, and the score kinds and output paths they need.

`csl_plugin.adapters` exports what is public of it.
"""

__all__: list[str] = []
