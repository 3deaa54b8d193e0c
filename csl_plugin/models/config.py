"""The configuration of a CSL network, stored beside its weights as JSON."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from csl_plugin.errors import OptionError
from csl_plugin.io.json_schema import Place, Reader, boolean, check_fields, choice, integer, record

BackboneName = Literal["compact", "resnet50"]

_FIELDS: dict[str, Reader[Any]] = {
    "backbone": choice(*get_args(BackboneName)),
    "num_queries": integer(1, 1000),
    "embedding_width": integer(8, 1024),
    "query_width": integer(8, 1024),
    "num_heads": integer(1, 64),
    "num_layers": integer(1, 24),
    "feedforward_width": integer(8, 8192),
    "num_classes": integer(0, 4096),
    "points": boolean,
    "boundary": boolean,
    "finer_boundary": boolean,
    "region_classes": integer(0, 4096),
}


@dataclass(frozen=True)
class NetworkConfig:
    """The parts of a CSL network and their sizes.

    Args:
        backbone: "compact" for CPUs, or "resnet50" with the public names of its weights.
        num_queries: N, how many regions are proposed; 1 to 1000.
        embedding_width: Channels of the per-pixel embeddings; 8 to 1024.
        query_width: Channels of queries in the decoder, a multiple of 4 x `num_heads`; 8 to 1024.
        num_heads: Attention heads; 1 to 64.
        num_layers: Decoder layers, taken over strides 32, 16 and 8 in turn; 1 to 24.
        feedforward_width: Hidden channels of a decoder layer's feed-forward network; 8 to 8192.
        num_classes: C of the per-pixel distribution of scheme 1; 0 for none.
        points: Whether the network takes point queries.
        boundary: Whether it predicts region boundaries.
        finer_boundary: Whether it predicts them from images of twice the size too; only with `boundary`.
        region_classes: K, for the class-aware variant that the paper compares with ("None-CA"): each learned
            query predicts one of K classes or none, and V is the largest class probability; pixels without
            class are ignored in all losses. 0 for the class-agnostic network.

    Raises:
        OptionError: A value is out of its bounds, of another type, or does not fit the others.

    Example:
        >>> NetworkConfig(num_queries=20).to_json()["num_queries"]
        20
    """

    backbone: BackboneName = "compact"
    num_queries: int = 48
    embedding_width: int = 64
    query_width: int = 96
    num_heads: int = 4
    num_layers: int = 6
    feedforward_width: int = 256
    num_classes: int = 0
    points: bool = False
    boundary: bool = False
    finer_boundary: bool = False
    region_classes: int = 0

    def __post_init__(self) -> None:
        check_fields(self, _FIELDS)
        if self.query_width % (4 * self.num_heads):
            got, expected = f"{self.query_width}", f"a multiple of 4 x num_heads = {4 * self.num_heads}"
            raise OptionError("query_width", got, expected, "Change either of the two.")
        if self.finer_boundary and not self.boundary:
            hint = "Set boundary=True, or omit it."
            raise OptionError("finer_boundary", "True without boundary", "True with boundary", hint)
        if self.points and self.region_classes:
            hint = "Omit one of the two: a point's region has no class."
            raise OptionError("region_classes", f"{self.region_classes} with points", "0 with points", hint)

    def to_json(self) -> dict[str, Any]:
        """The configuration as JSON values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @staticmethod
    def from_json(values: object) -> NetworkConfig:
        """Inverse of `to_json`; omitted values have their defaults.

        Raises:
            OptionError: Not an object, an unknown name, or a value out of its bounds.
        """
        return read_network_config(values, Place(path="config"))


read_network_config = record(NetworkConfig, _FIELDS)
"""Reads what `NetworkConfig.to_json` gives, from a file or not."""
