"""Several partitions from one call: one proposer at several scales, or several proposers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from csl_plugin.errors import OptionError
from csl_plugin.proposers.base import Partition, Proposer, as_partitions
from csl_plugin.proposers.images import Images, is_batch, read_images
from csl_plugin.proposers.names import loading_call, source_of
from csl_plugin.regions.region_map import RegionMap

if TYPE_CHECKING:  # a name alone does not need it
    from csl_plugin.proposers.hierarchy.scales import HierarchicalRegions, Scale


class Scales:
    """One partition per scale, cut from one tree of regions.

    Args:
        proposer: `Superpixels` or `NetworkRegions`; its own scale is not used.
        scales: At least one; the partitions come in this order, which for `fuse` is from coarse to fine.

    Raises:
        OptionError: No scale, or one that the proposer does not take.

    Example:
        >>> import torch
        >>> from csl_plugin.proposers import Scales, Superpixels
        >>> for regions in Scales(Superpixels(), (150, 40))(torch.zeros(1, 3, 24, 32)):
        ...     regions
        RegionMap(batch_size=1, size=(24, 32), num_regions=1)
        RegionMap(batch_size=1, size=(24, 32), num_regions=1)
    """

    def __init__(self, proposer: HierarchicalRegions, scales: Sequence[Scale]) -> None:
        if not scales:
            raise OptionError("scales", "none", "at least one", "Omit them for the default.")
        self.proposer = proposer
        self.scales = tuple(type(proposer).checked_scale(scale) for scale in scales)

    def __call__(self, images: Images) -> tuple[RegionMap, ...]:
        """The partitions of a batch of RGB images, (B, 3, H, W) in [0, 1], or whatever `Proposer` names."""
        return self.proposer.at_scales(images, self.scales)

    @property
    def source(self) -> str | None:
        """What `load_proposer` takes to give this proposer; None if that is not known."""
        name = self.proposer.loaded_as
        return None if name is None else f"{name}:{','.join(self._names())}"

    def __repr__(self) -> str:
        return loading_call(self) or f"Scales({self.proposer!r}, ({', '.join(self._names())}))"

    def _names(self) -> list[str]:
        from csl_plugin.proposers.hierarchy.scales import scale_name

        return [scale_name(scale) for scale in self.scales]


class Together:
    """The partitions of several proposers, in their order, which for `fuse` is from coarse to fine.

    Args:
        proposers: At least one; folders of region maps (`RegionMapFolder`) may be among them.

    Raises:
        OptionError: No proposer.

    Example:
        >>> import torch
        >>> from csl_plugin.proposers import Together, load_proposer
        >>> both = Together((load_proposer("csl-tiny"), load_proposer("superpixels")))
        >>> len(both(torch.zeros(1, 3, 24, 32)))
        2
    """

    def __init__(self, proposers: Sequence[Proposer]) -> None:
        if not proposers:
            raise OptionError("proposers", "none", "at least one", "Pass what load_proposer returns.")
        self.proposers = tuple(proposers)

    def __call__(self, images: Images, names: Sequence[str] | None = None) -> tuple[Partition, ...]:
        """The partitions of a batch of RGB images.

        Args:
            images: RGB (B, 3, H, W) in [0, 1], or whatever else `Proposer` names; every proposer gets the
                batch.
            names: The stems of the B images, for folders of region maps.

        Raises:
            OptionError: A folder of region maps is among the proposers, and there are no names.
            CSLError: The images cannot be read as such: see `Proposer`.
        """
        batch = images if is_batch(images) else read_images(images)
        return tuple(
            each
            for proposer in self.proposers
            for each in as_partitions(call_by_name(proposer, batch, names))
        )

    @property
    def source(self) -> str | None:
        """What `load_proposer` takes to give this proposer; None if that is not known."""
        sources = [source for each in self.proposers if (source := source_of(each)) is not None]
        return "+".join(sources) if len(sources) == len(self.proposers) else None

    def __repr__(self) -> str:
        return loading_call(self) or f"Together({', '.join(map(repr, self.proposers))})"


def call_by_name(
    proposer: Any, images: Tensor, names: Sequence[str] | None
) -> Partition | tuple[Partition, ...] | list[Partition]:
    """Call a proposer with the images' names, if it finds regions by them."""
    from csl_plugin.proposers.folder import RegionMapFolder

    if isinstance(proposer, (RegionMapFolder, Together)):
        return proposer(images, names)
    found: Partition | tuple[Partition, ...] | list[Partition] = proposer(images)
    return found
