"""Component split: regions at the disconnected-component level, as in the paper."""

from __future__ import annotations

from numbers import Integral

from csl_plugin import ops
from csl_plugin._tracing import outside_graph, outside_transforms, refuse_jit, untransformed
from csl_plugin.arrays import describe, has_values, shown
from csl_plugin.errors import DeviceError, DTypeError, OptionError
from csl_plugin.regions.region_map import RegionMap

_HINT = "How many components there are depends on the values: split the map before tracing."


def split_components(region_map: RegionMap, connectivity: int = 8) -> RegionMap:
    """Split every region of a map into its connected components.

    Args:
        region_map: Labels (B, H, W).
        connectivity: 8 (pixels that touch at a corner are connected) or 4 (they are not).

    Returns:
        A map of the same size on the same device. In each image the components are numbered from 0 by their
        first pixel in raster order; unassigned pixels stay -1.

    Raises:
        DTypeError: Not a `RegionMap`.
        DeviceError: The labels hold no values.
        OptionError: `connectivity` is neither 4 nor 8.
        DeviceError: The map lies on meta.

    Note:
        Memory: a few bytes per pixel and some 60 per horizontal run of equal labels. On a GPU the one number
        read back is how many components there are; without Triton the labels are copied to the CPU and back.

    Example:
        >>> import torch
        >>> from csl_plugin import RegionMap, split_components
        >>> split_components(RegionMap(torch.tensor([[[5, 0, 5], [5, 0, -1]]]))).labels
        tensor([[[ 0,  1,  2],
                 [ 0,  1, -1]]], dtype=torch.int32)

    Source:
        Paper, introduction and "Soft Assignment": region proposals "at the disconnected-component level".
    """
    if not isinstance(region_map, RegionMap):
        raise DTypeError(
            "region_map", describe(region_map), "a RegionMap", "Wrap labels in RegionMap(labels)."
        )
    refuse_jit("region_map")
    if not isinstance(connectivity, Integral) or connectivity not in (4, 8):
        raise OptionError(
            "connectivity", shown(connectivity), "4 or 8", "Use 8 unless corners must not connect."
        )
    return outside_graph(_split, region_map, int(connectivity))


def _split(region_map: RegionMap, connectivity: int) -> RegionMap:
    ids = untransformed("region_map", region_map.labels)
    if not has_values(ids):
        got = "labels without values (meta, fake, or recorded by torch.export)"
        raise DeviceError("region_map", got, "labels with values", _HINT)
    with outside_transforms():
        labels, count = ops.components(ids, connectivity)
    return RegionMap(labels, num_regions=count)
