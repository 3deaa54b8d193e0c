"""The CSL network: the paper's Figure 1."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin._tracing import is_exporting, refuse_jit, top_left
from csl_plugin.arrays import describe
from csl_plugin.errors import DTypeError, OptionError, ShapeError
from csl_plugin.io.constants import IMAGENET_MEAN, IMAGENET_STD
from csl_plugin.models.boundary import BoundaryHead, BoundaryLogits, FinerBoundaryHead
from csl_plugin.models.compact import CompactBackbone
from csl_plugin.models.config import NetworkConfig
from csl_plugin.models.former_names import current_name
from csl_plugin.models.hub.mixin import HubNetwork
from csl_plugin.models.layers import Extents
from csl_plugin.models.pixel_decoder import PixelDecoder
from csl_plugin.models.positions import encode
from csl_plugin.models.region_decoder import RegionDecoder, RegionPrediction, select_queries
from csl_plugin.models.resnet import ResNet50

STRIDE = 4
_COARSEST = 32


class NetworkOutput(NamedTuple):
    """The predictions for a batch of images, h = ceil(H / 4), w = ceil(W / 4).

    Attributes:
        regions: Of the N learned queries, the final prediction last. In training mode, before it, one from
            before the first decoder layer and one from after each.
        pointed: Likewise of the regions under the given points; None without points.
        distribution: (B, C, h, w) logits of the per-pixel distribution; None without that head.
        boundary: (B, 1, ceil(H / 2), ceil(W / 2)) logits of region boundaries; None without that head.
        finer_boundary: (B, 1, H, W) likewise, from the images at twice their size; None without those.
    """

    regions: list[RegionPrediction]
    pointed: list[RegionPrediction] | None
    distribution: Tensor | None
    boundary: Tensor | None
    finer_boundary: Tensor | None = None


class CSLNetwork(nn.Module, HubNetwork):
    """Backbone, feature pyramid, queries that become region prototypes, and their similarity to each pixel.

    Args:
        config: The parts and their sizes.

    Example:
        >>> import torch
        >>> from csl_plugin.models import CSLNetwork, NetworkConfig
        >>> network = CSLNetwork(NetworkConfig(num_queries=8)).eval()
        >>> with torch.inference_mode():
        ...     output = network(torch.rand(1, 3, 50, 70))
        >>> output.regions[-1].mask_logits.shape
        torch.Size([1, 8, 13, 18])

    Source:
        Paper, Figure 1 and "Class-Agnostic Training"; the decoder is Mask2Former's (Cheng et al. 2022).
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        width = config.embedding_width
        self.backbone, widths = _backbone(config)
        self.pixel_decoder = PixelDecoder(widths, width)
        self.mask_features = nn.Conv2d(width, width, 1)
        self.query_features = nn.Parameter(
            nn.init.normal_(torch.empty(config.num_queries, config.query_width), std=0.5)
        )
        self.query_positions = nn.Parameter(
            nn.init.normal_(torch.empty(config.num_queries, config.query_width), std=0.5)
        )
        self.region_decoder = RegionDecoder(
            width,
            config.query_width,
            config.num_heads,
            config.num_layers,
            config.feedforward_width,
            config.region_classes,
        )
        self.point_projection = nn.Linear(width, config.query_width) if config.points else None
        self.distribution = nn.Conv2d(width, config.num_classes, 1) if config.num_classes else None
        self.boundary = BoundaryHead(widths[2], width) if config.boundary else None
        self.finer_boundary = FinerBoundaryHead(width) if config.finer_boundary else None
        self.register_load_state_dict_pre_hook(_rename_former)  # type: ignore[no-untyped-call]

    def forward(
        self,
        images: Tensor,
        sizes: Tensor | None = None,
        points: Tensor | None = None,
        finer: Tensor | None = None,
    ) -> NetworkOutput:
        """Propose regions.

        Args:
            images: (B, 3, H, W) RGB in [0, 1]; smaller images of a batch are padded at the right and bottom.
            sizes: (B, 2) integer height and width of each image; None where none is padded. The predictions
                for an image do not depend on the rest of its batch.
            points: (B, P, 2) as (y, x), fractions of each image's size in [0, 1]: point queries, one region
                for each. Learned queries do not attend to points, and points do not attend to each other.
            finer: (B, 3, 2 H, 2 W), the same images at twice the size, for finer boundaries.

        Raises:
            ShapeError: Not (B, 3, H, W), or sizes, points or finer images that do not fit.
            DTypeError: Images of integers.
            OptionError: Points for a network without point queries, finer images for one without finer
                boundaries, or a call within torch.jit.trace.
        """
        _check(images, sizes, points)
        if points is not None and self.point_projection is None:
            hint = "Omit them, or train with points."
            raise OptionError("points", "points", "none: the network has no point queries", hint)
        self._check_finer(images, finer)
        extents, features, embeddings = self._embed(images, sizes)
        mask_features = self.mask_features(embeddings[STRIDE])
        learned, pointed = self._regions(embeddings, mask_features, extents, points)

        def inner(predictions: list[RegionPrediction]) -> list[RegionPrediction]:
            return [
                RegionPrediction(_cells(p.mask_logits, images, STRIDE), p.validity_logits, p.class_logits)
                for p in predictions
            ]

        distribution = None
        boundaries: tuple[Tensor | None, Tensor | None] = (None, None)
        if self.distribution is not None:
            distribution = _cells(self.distribution(embeddings[STRIDE]), images, STRIDE)
        if self.boundary is not None:
            boundaries = self._boundaries(self.boundary, images, finer, extents, features, embeddings)
        return NetworkOutput(inner(learned), inner(pointed) if pointed else None, distribution, *boundaries)

    def boundaries(
        self, images: Tensor, sizes: Tensor | None = None, finer: Tensor | None = None
    ) -> BoundaryLogits:
        """The boundaries of `forward` by themselves, without the region decoder: faster.

        Args:
            images: As for `forward`.
            sizes: As for `forward`.
            finer: As for `forward`.

        Raises:
            ShapeError: As for `forward`.
            DTypeError: As for `forward`.
            OptionError: The network has no boundary head, or none for finer images.
        """
        _check(images, sizes, None)
        self._check_finer(images, finer)
        if self.boundary is None:
            hint = "Train one with boundary=True."
            raise OptionError("network", "a network without boundary head", "one with it", hint)
        return self._boundaries(self.boundary, images, finer, *self._embed(images, sizes))

    def _embed(
        self, images: Tensor, sizes: Tensor | None
    ) -> tuple[Extents, dict[int, Tensor], dict[int, Tensor]]:
        extents = _extents(images, sizes)
        features = self.backbone(_padded(images, extents), extents)
        return extents, features, self.pixel_decoder(features, extents)

    def _boundaries(
        self,
        head: BoundaryHead,
        images: Tensor,
        finer: Tensor | None,
        extents: Extents,
        features: dict[int, Tensor],
        embeddings: dict[int, Tensor],
    ) -> BoundaryLogits:
        found, logits = head(features[2], embeddings[STRIDE], extents)
        finer_logits = None
        if self.finer_boundary is not None and finer is not None:
            doubled = extents.doubled()
            closer = _padded(finer, doubled)
            finer_logits = self.finer_boundary(closer, found, logits, embeddings[STRIDE], doubled)
            finer_logits = _cells(finer_logits, images, 1)
        return BoundaryLogits(_cells(logits, images, 2), finer_logits)

    def _check_finer(self, images: Tensor, finer: Tensor | None) -> None:
        if finer is None:
            return
        if self.finer_boundary is None:
            hint = "Omit them, or train with finer_boundary=True."
            raise OptionError("finer", "finer images", "none: the network has no finer boundaries", hint)
        expected = (*images.shape[:2], 2 * images.shape[2], 2 * images.shape[3])
        if tuple(finer.shape) != expected:
            hint = "Resize the images to twice their size."
            raise ShapeError("finer", f"shape {tuple(finer.shape)}", f"{expected}", hint)
        if finer.dtype != images.dtype:
            hint = "Convert them alike."
            raise DTypeError("finer", str(finer.dtype), f"that of the images, {images.dtype}", hint)

    def _regions(
        self, embeddings: dict[int, Tensor], mask_features: Tensor, extents: Extents, points: Tensor | None
    ) -> tuple[list[RegionPrediction], list[RegionPrediction] | None]:
        batch, count = len(mask_features), self.config.num_queries
        features = self.query_features.expand(batch, -1, -1)
        positions = self.query_positions.expand(batch, -1, -1)
        if points is None or self.point_projection is None:
            found = self.region_decoder(features, positions, None, embeddings, mask_features, extents)
            return found, None
        point_features = self.point_projection(_sample(embeddings[STRIDE], points, extents))
        point_positions = encode(points, self.config.query_width).to(point_features.dtype)
        total = count + points.shape[1]
        attention_mask = torch.eye(total, dtype=torch.bool, device=mask_features.device)
        attention_mask[:, :count] = True
        found = self.region_decoder(
            torch.cat([features.to(point_features.dtype), point_features], 1),
            torch.cat([positions.to(point_features.dtype), point_positions], 1),
            attention_mask,
            embeddings,
            mask_features,
            extents,
        )
        return select_queries(found, slice(count)), select_queries(found, slice(count, None))


def _rename_former(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:  # noqa: ARG001
    """Let `load_state_dict` take weights under their former names too."""
    for name in [name for name in state_dict if name.startswith(prefix)]:
        state_dict[prefix + current_name(name.removeprefix(prefix))] = state_dict.pop(name)


def _backbone(config: NetworkConfig) -> tuple[nn.Module, dict[int, int]]:
    """The backbone and its channels by stride."""
    kind = CompactBackbone if config.backbone == "compact" else ResNet50
    return kind(), kind.widths


def _extents(images: Tensor, sizes: Tensor | None) -> Extents:
    """The images' extents in a batch that is padded up to a multiple of the coarsest stride."""
    height, width = images.shape[2:]
    padded = _whole(height), _whole(width)
    # The graph of torch.export is of any size, padded or not.
    if sizes is not None or (not is_exporting() and padded == (height, width)):
        return Extents(sizes, padded)
    own = torch.tensor([[height, width]], device=images.device).expand(len(images), 2)
    return Extents(own, padded, (height, width))


def _whole(side: int) -> int:
    """A side, padded; in this form torch.export sees that half of it, and half of that, are whole."""
    return (side + _COARSEST - 1) // _COARSEST * _COARSEST


def _cells(values: Tensor, images: Tensor, stride: int) -> Tensor:
    """Those of a map (B, C, H / stride, W / stride) of padded images that the images cover."""
    return top_left(values, [(side + stride - 1) // stride for side in images.shape[2:]])


def _padded(images: Tensor, extents: Extents) -> Tensor:
    """Normalized images with zeros to the right and below."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device, dtype=images.dtype)[:, None, None]
    std = torch.tensor(IMAGENET_STD, device=images.device, dtype=images.dtype)[:, None, None]
    height, width = images.shape[2:]
    # Written once in the layout and the dtype of the convolutions: a copy of a large image takes long.
    kind, dtype = images.device.type, images.dtype
    autocast = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    if autocast and dtype != torch.float64:  # which autocast leaves alone
        dtype = torch.get_autocast_dtype(kind)
    normal = (images - mean).div_(std).to(dtype)  # a copy that changes dtype and layout at once is slow
    if is_exporting():
        return F.pad(normal, (0, extents.padded[1] - width, 0, extents.padded[0] - height))
    padded = torch.empty(
        (*images.shape[:2], *extents.padded),
        dtype=dtype,
        device=images.device,
        memory_format=torch.channels_last,
    )
    padded[:, :, height:], padded[:, :, :, width:] = 0, 0
    padded[:, :, :height, :width] = normal
    return extents.clear(padded, 1)


def _sample(embedding: Tensor, points: Tensor, extents: Extents) -> Tensor:
    """The embedding (B, D, h, w) of the cell under each point, (B, P, D)."""
    height, width = embedding.shape[2:]
    if extents.sizes is None:
        cells = torch.tensor([[height, width]], device=points.device)
        cell = points * cells[:, None]
    else:
        cells = -(-extents.sizes // STRIDE)
        cell = points * extents.sizes[:, None] / STRIDE
    cell = torch.minimum(cell.long(), cells[:, None] - 1).clamp(min=0)
    flat = cell[..., 0] * width + cell[..., 1]
    rows = embedding.flatten(2).transpose(1, 2)
    return rows.gather(1, flat[..., None].expand(-1, -1, rows.shape[2]))


def _check(images: Tensor, sizes: Tensor | None, points: Tensor | None) -> None:
    refuse_jit("images", "size")
    if not isinstance(images, Tensor) or not images.is_floating_point():
        hint = "csl_plugin.proposers.images.read_images makes it of a path, a picture or an array."
        raise DTypeError("images", describe(images), "a tensor (B, 3, H, W) of floats in [0, 1]", hint)
    if images.ndim != 4 or images.shape[1] != 3 or 0 in images.shape:
        hint = "Add the batch axis of a single image with images[None]."
        raise ShapeError("images", f"shape {tuple(images.shape)}", "(B, 3, H, W)", hint)
    if sizes is not None and tuple(sizes.shape) != (len(images), 2):
        hint = "Give the height and width of every image."
        raise ShapeError("sizes", f"shape {tuple(sizes.shape)}", f"({len(images)}, 2)", hint)
    if points is not None and (points.ndim != 3 or len(points) != len(images) or points.shape[2] != 2):
        hint = "Give every image the same number of points, each (y, x)."
        raise ShapeError("points", f"shape {tuple(points.shape)}", f"({len(images)}, P, 2)", hint)
