"""Queries that become region prototypes: a transformer decoder with masked attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from csl_plugin.models.layers import Extents
from csl_plugin.models.positions import encode, grid_positions
from csl_plugin.models.validity import class_validity_logits

_STRIDES = (32, 16, 8)


class RegionPrediction(NamedTuple):
    """The regions as one layer predicts them.

    Attributes:
        mask_logits: (B, N, H / 4, W / 4); their sigmoid is R.
        validity_logits: (B, N); their sigmoid is V.
        class_logits: (B, N, K + 1) of K classes and of none, the last; None unless queries have classes.
    """

    mask_logits: Tensor
    validity_logits: Tensor
    class_logits: Tensor | None = None


class RegionDecoder(nn.Module):
    """Masked attention (Cheng et al. 2022): each query attends within the region it has predicted so far.

    Args:
        embedding_width: Channels of the per-pixel embeddings.
        width: Channels of a query.
        num_heads: Attention heads.
        num_layers: Layers, over strides 32, 16, 8, 32, ...
        feedforward_width: Hidden channels of a layer's feed-forward network.
        classes: K of the class-aware variant, 0 for a validity only.
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
        self.input_projections = nn.ModuleList(nn.Linear(embedding_width, width) for _ in _STRIDES)
        self.level_embedding = nn.Parameter(nn.init.normal_(torch.empty(len(_STRIDES), width), std=0.02))
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
        attention_mask: Tensor | None,
        embeddings: dict[int, Tensor],
        mask_features: Tensor,
        extents: Extents,
    ) -> list[RegionPrediction]:
        """Refine queries layer by layer.

        Args:
            queries: (B, N, width) to start from.
            positions: (B, N, width) added to queries wherever they attend.
            attention_mask: (N, N) bool for self-attention, True where a query may attend to another; None
                where all may.
            embeddings: By stride, (B, D, H / s, W / s).
            mask_features: (B, D, H / 4, W / 4) that prototypes are compared with.
            extents: Of the batch.

        Returns:
            In training mode a prediction before the first layer and one after each; else the last one.
        """
        memory = [
            self._memory(embeddings[stride], stride, level, extents) for level, stride in enumerate(_STRIDES)
        ]
        # A mean of similarities is the similarity to the mean: no mask at stride 4 is needed on the way.
        pooled = [F.avg_pool2d(mask_features.detach(), stride // 4) for stride in _STRIDES]
        predicted = []
        for number, layer in enumerate(self.layers):
            predicted.append(queries)
            level = number % len(_STRIDES)
            keys, values, inside = memory[level]
            similarity = self._similarity(self.norm(queries.detach()), pooled[level])
            masks = _cross_attention_mask(similarity, inside)
            queries = layer(queries, positions, attention_mask, keys, values, masks)
        predicted.append(queries)
        return [self._predict(queries, mask_features) for queries in predicted[0 if self.training else -1 :]]

    def _memory(
        self, embedding: Tensor, stride: int, level: int, extents: Extents
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Keys and values (B, cells, width), and which cells lie in their image, (B, 1, cells)."""
        values = self.input_projections[level](embedding.flatten(2).transpose(1, 2))
        values = values + self.level_embedding[level]
        positions = encode(grid_positions(extents, stride, len(embedding), embedding), self.width)
        inside = extents.inside(stride)
        return values + positions.to(values.dtype), values, None if inside is None else inside.flatten(2)

    def _similarity(self, queries: Tensor, features: Tensor) -> Tensor:
        """Of the prototypes of normalized queries to features (B, D, h, w): (B, N, h, w)."""
        prototypes: Tensor = self.prototype(queries)
        return (prototypes @ features.flatten(2)).view(*prototypes.shape[:2], *features.shape[2:])

    def _predict(self, queries: Tensor, mask_features: Tensor) -> RegionPrediction:
        queries = self.norm(queries)
        mask_logits = self._similarity(queries, mask_features)
        logits = self.validity(queries)
        if logits.shape[-1] == 1:
            return RegionPrediction(mask_logits, logits[..., 0])
        return RegionPrediction(mask_logits, class_validity_logits(logits), logits)


class _Layer(nn.Module):
    def __init__(self, width: int, num_heads: int, feedforward_width: int) -> None:
        super().__init__()
        self.cross_attention = _Attention(width, num_heads)
        self.self_attention = _Attention(width, num_heads)
        self.ffn = nn.Sequential(
            nn.Linear(width, feedforward_width), nn.ReLU(), nn.Linear(feedforward_width, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))

    def forward(
        self,
        queries: Tensor,
        positions: Tensor,
        self_attention_mask: Tensor | None,
        keys: Tensor,
        values: Tensor,
        cross_attention_mask: Tensor,
    ) -> Tensor:
        attended = self.cross_attention(queries + positions, keys, values, cross_attention_mask)
        queries = self.norms[0](queries + attended)
        own = queries + positions
        queries = self.norms[1](queries + self.self_attention(own, own, queries, self_attention_mask))
        return self.norms[2](queries + self.ffn(queries))  # type: ignore[no-any-return]


class _Attention(nn.Module):
    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(self, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None) -> Tensor:
        """`attention_mask` is bool, (queries, keys) or (B, queries, keys): True where a query attends."""
        query, key = self._heads(self.query(query)), self._heads(self.key(key))
        value = self._heads(self.value(value))
        if attention_mask is not None and attention_mask.dim() == 3:
            attention_mask = attention_mask[:, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _heads(self, tensor: Tensor) -> Tensor:
        batch, count, width = tensor.shape
        return tensor.view(batch, count, self.num_heads, width // self.num_heads).transpose(1, 2)


def _cross_attention_mask(mask_logits: Tensor, inside: Tensor | None) -> Tensor:
    """Where queries attend, (B, N, cells): in their region, or in the whole image if that is empty."""
    mask = mask_logits.flatten(2) >= 0
    if inside is not None:
        mask = mask & inside
    # Without a choice between two boolean tensors, which ONNX runtimes do not have.
    empty = ~mask.any(2, keepdim=True)
    return mask | empty if inside is None else mask | (empty & inside)


def select_queries(predictions: Sequence[RegionPrediction], part: slice) -> list[RegionPrediction]:
    """The predictions of some of the queries."""
    return [RegionPrediction(p.mask_logits[:, part], p.validity_logits[:, part]) for p in predictions]
