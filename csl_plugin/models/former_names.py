"""Weights that were renamed: networks saved under the former names still load."""

from __future__ import annotations

# Parts of dotted names. No part has both meanings, so that a name can be translated either way.
_FORMER = {
    "query_features": "content",
    "query_positions": "place",
    "mask_features": "pixels",
    "point_projection": "point",
    "input_projections": "inputs",
    "level_embedding": "level",
    "cross_attention": "look",
    "self_attention": "confer",
    "ffn": "think",
    "lateral_convolutions": "sides",
    "output_convolutions": "merges",
    "global_context": "whole",
}
_CURRENT = {former: current for current, former in _FORMER.items()}


def former_name(name: str) -> str:
    """The name under which a weight of a `CSLNetwork` was first saved.

    Example:
        >>> former_name("region_decoder.layers.0.ffn.2.bias")
        'region_decoder.layers.0.think.2.bias'
    """
    return ".".join(_FORMER.get(part, part) for part in name.split("."))


def current_name(name: str) -> str:
    """The present name of a weight, with any prefix.

    Example:
        >>> current_name("average.region_decoder.layers.0.think.2.bias")
        'average.region_decoder.layers.0.ffn.2.bias'
    """
    return ".".join(_CURRENT.get(part, part) for part in name.split("."))
