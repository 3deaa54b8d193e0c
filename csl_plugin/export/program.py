"""A graph as torch.export records it."""

from __future__ import annotations

import torch
from torch.export import ExportedProgram

from csl_plugin.errors import ShapeError
from csl_plugin.export.graphs import Graph
from csl_plugin.regions.region_map import check_size

_EXAMPLE = (70, 101)
_LARGEST_DRAWN = (160, 160)
_MOST_VALUES = 1 << 28


def exported(graph: Graph, size: tuple[int, int] | None = None, *, strict: bool = False) -> ExportedProgram:
    """Record a graph by torch.export.

    Args:
        graph: A `FusionGraph`, `NetworkGraph` or `StageGraph`.
        size: (H, W) of the images; None for any, of a stage or a network with sides from 33 to 1024. Only
            where it is fixed, a network sees larger images shrunk, as `NetworkRegions` does.
        strict: As for torch.export.

    Returns:
        The program; its `module()` takes and gives what the graph does.

    Raises:
        ShapeError: `size` is not two positive integers, or beyond the memory that is given to one map.

    Example:
        >>> from csl_plugin.export import FusionGraph, exported
        >>> program = exported(FusionGraph("product", classes=3), (24, 32))
        >>> program.graph_signature.user_inputs
        ('distribution', 'labels')
    """
    image = None
    if size is None:
        least, most = graph.sides
        height, width = (torch.export.Dim(name, min=least, max=most) for name in ("height", "width"))
        image = height, width
    else:
        size = check_size(size)
    _check_room(graph, _LARGEST_DRAWN if size is None else size)
    example = graph.draw(_EXAMPLE if size is None else size, torch.Generator().manual_seed(0))
    with torch.no_grad():
        return torch.export.export(
            graph.eval(), example, dynamic_shapes=graph.open_sizes(image), strict=strict
        )


def _check_room(graph: Graph, size: tuple[int, int]) -> None:
    """Refuse sizes and classes whose inputs, which are drawn to record a graph, take too much memory."""
    classes = getattr(graph, "classes", 3)
    if size[0] * size[1] * classes > _MOST_VALUES:
        got, expected = f"{classes} maps of {size[0]} x {size[1]}", f"at most {_MOST_VALUES} values"
        raise ShapeError("size", got, expected, "Export a smaller size, or fewer classes.")
