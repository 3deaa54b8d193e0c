"""Queries that become region prototypes: a transformer decoder with masked attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.models.layers import Extents
from csl_plugin.models.positions import encode, grid_positions

_STRIDES = (32, 16, 8)


class RegionPrediction(NamedTuple):
    """What one layer says of the regions.

    Attributes:
        mask_logits: (B, N, H / 4, W / 4); their sigmoid is R.
        validity_logits: (B, N); their sigmoid is V.
        class_logits: (B, N, K + 1) of K classes and of none, the last; None unless queries have classes.
    """

    mask_logits: Tensor
    validity_logits: Tensor
    class_logits: Tensor | None = None


class RegionDecoder(nn.Module):
    """Cheng et al. 2022: each query looks only where it sees its region so far.

    Args:
        embedding_width: Channels of the per-pixel embeddings.
        width: Channels of a query.
        num_heads: Attention heads.
        num_layers: Layers, over strides 32, 16, 8, 32, ...
        feedforward_width: Hidden channels of a layer's perceptron.
        classes: K of the class-aware variant, 0 for validity alone.
    """

    def __init__(
        self,
        embedding_width: int,
        width: int,
        num_heads: int,
        num_layers: int,
        feedforward_width: int,
        classes: int = 0,
    ) -> None:
        super().__init__()
        self.width = width
        self.inputs = nn.ModuleList(nn.Linear(embedding_width, width) for _ in _STRIDES)
        self.level = nn.Parameter(torch.randn(len(_STRIDES), width) * 0.02)
        self.layers = nn.ModuleList(_Layer(width, num_heads, feedforward_width) for _ in range(num_layers))
        self.norm = nn.LayerNorm(width)
        self.prototype = nn.Sequential(
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, embedding_width),
        )
        self.validity = nn.Linear(width, classes + 1)

    def forward(
        self,
        queries: Tensor,
        positions: Tensor,
        apart: Tensor | None,
        embeddings: dict[int, Tensor],
        pixels: Tensor,
        extents: Extents,
    ) -> list[RegionPrediction]:
        """Refine queries layer by layer.

        Args:
            queries: (B, N, width) to start from.
            positions: (B, N, width) added to queries wherever they attend.
            apart: (N, N) bool, which queries do not see which; None where all see all.
            embeddings: By stride, (B, D, H / s, W / s).
            pixels: (B, D, H / 4, W / 4) that prototypes are compared with.
            extents: Of the batch.

        Returns:
            A prediction before the first layer and one after each.
        """
        memory = [
            self._memory(embeddings[stride], stride, place, extents) for place, stride in enumerate(_STRIDES)
        ]
        predictions = [self._predict(queries, pixels)]
        for number, layer in enumerate(self.layers):
            place = number % len(_STRIDES)
            keys, values, outside = memory[place]
            hidden = _hidden(predictions[-1].mask_logits.detach(), _STRIDES[place], outside)
            queries = layer(queries, positions, apart, keys, values, hidden)
            predictions.append(self._predict(queries, pixels))
        return predictions

    def _memory(
        self, embedding: Tensor, stride: int, place: int, extents: Extents
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        values = self.inputs[place](embedding.flatten(2).transpose(1, 2)) + self.level[place]
        where = encode(grid_positions(extents, stride, len(embedding), embedding), self.width)
        inside = extents.inside(stride)
        outside = None if inside is None else ~inside.flatten(2)
        return values + where.to(values.dtype), values, outside

    def _predict(self, queries: Tensor, pixels: Tensor) -> RegionPrediction:
        queries = self.norm(queries)
        prototypes = self.prototype(queries)
        mask_logits = torch.einsum("bnd,bdhw->bnhw", prototypes, pixels)
        logits = self.validity(queries)
        if logits.shape[-1] == 1:
            return RegionPrediction(mask_logits, logits[..., 0])
        return RegionPrediction(mask_logits, validity_of_classes(logits), logits)


class _Layer(nn.Module):
    def __init__(self, width: int, num_heads: int, feedforward_width: int) -> None:
        super().__init__()
        self.look = _Attention(width, num_heads)
        self.confer = _Attention(width, num_heads)
        self.think = nn.Sequential(
            nn.Linear(width, feedforward_width), nn.ReLU(), nn.Linear(feedforward_width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(
        self,
        queries: Tensor,
        positions: Tensor,
        apart: Tensor | None,
        keys: Tensor,
        values: Tensor,
        hidden: Tensor,
    ) -> Tensor:
        queries = self.norms[0](queries + self.look(queries + positions, keys, values, hidden))
        own = queries + positions
        queries = self.norms[1](queries + self.confer(own, own, queries, apart))
        return self.norms[2](queries + self.think(queries))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, hidden: Tensor | None) -> Tensor:
        """`hidden` is bool, broadcastable to (B, queries, keys): True where a query does not look."""
        query, key = self._split(self.query(query)), self._split(self.key(key))
        value = self._split(self.value(value))
        seen = None if hidden is None else ~(hidden if hidden.dim() == 2 else hidden[:, None])
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, tensor: Tensor) -> Tensor:
        batch, count, width = tensor.shape
        return tensor.view(batch, count, self.num_heads, width // self.num_heads).transpose(1, 2)


def _hidden(mask_logits: Tensor, stride: int, outside: Tensor | None) -> Tensor:
    """Where queries do not look, (B, N, cells): outside their region. One without looks everywhere."""
    step = stride // 4
    hidden = F.avg_pool2d(mask_logits, step, step).flatten(2) < 0
    if outside is not None:
        hidden = hidden | outside
    blind = hidden.all(2, keepdim=True)
    everywhere = torch.zeros_like(hidden) if outside is None else outside.expand_as(hidden)
    return torch.where(blind, everywhere, hidden)


def validity_of_classes(class_logits: Tensor) -> Tensor:
    """The logit of the largest class probability, which is V where queries have classes.

    Args:
        class_logits: (..., K + 1) of K classes and of none.

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.5]])
        >>> torch.allclose(validity_of_classes(logits).sigmoid(), logits.softmax(-1)[:, :2].amax(-1))
        True
    """
    largest, place = class_logits[..., :-1].max(-1, keepdim=True)
    others = class_logits.scatter(-1, place, -torch.inf)
    return largest[..., 0] - others.logsumexp(-1)


def stacked(predictions: Sequence[RegionPrediction], part: slice) -> list[RegionPrediction]:
    """The predictions of some of the queries."""
    return [RegionPrediction(p.mask_logits[:, part], p.validity_logits[:, part]) for p in predictions]
