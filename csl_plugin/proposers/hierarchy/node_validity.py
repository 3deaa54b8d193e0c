"""V of the nodes of a basin tree, from the proposals of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from csl_plugin.proposers.hierarchy.basin_tree import BasinTree

# Chosen on the even frames of two validation sets, the last also on the even photographs of BSDS500 val.
# Region scores are overconfident: their logits are divided by the temperature. Of two nodes that agree with
# proposals equally, the area exponent prefers the smaller. A network that fails on a scene proposes nearly
# the whole image as one region: nodes beyond the coarsest scale are excluded, so that it absorbs no object.
_TEMPERATURE = 3.0
_AREA_EXPONENT = -0.15
COARSEST_SCALE = 160.0


def node_validity(
    basin_tree: BasinTree, mask_logits: Tensor, validity_logits: Tensor, step: tuple[float, float]
) -> Tensor:
    """The greatest V_q J(n, R_q) over the proposals q, times |n| to a small negative power.

    J is the Jaccard index of node n with the region scores R_q, where R_q is the share of a cell that belongs
    to the proposal: sum of R_q in n / (sum of R_q + |n| - sum of R_q in n).

    Args:
        basin_tree: Of an image of (H, W).
        mask_logits: (N, h, w) logits of the proposals' region scores.
        validity_logits: (N,) logits of their validities.
        step: Rows and columns of the image from one cell to the next.

    Returns:
        (nodes,); zero for a node that contains no cell's center, -1 for one beyond the coarsest scale.
    """
    tree, device = basin_tree.tree, basin_tree.basins.device
    logits, validity = (values.detach().to(device).float() for values in (mask_logits, validity_logits))
    leaf = tree.leaf_of_region.index_select(0, at_centers(basin_tree.basins, logits.shape[1:], step))
    scores = cell_scores(logits)
    of_leaves = scores.new_zeros(tree.num_leaves, scores.shape[1] + 1)
    of_leaves.index_add_(0, leaf, with_count(scores))
    found = agreement(tree.totals(of_leaves), scores.sum(0), validity.sigmoid())
    return found.masked_fill(tree.heights > basin_tree.height(COARSEST_SCALE), -1.0)


def at_centers(labels: Tensor, cells: Sequence[int], step: tuple[float, float]) -> Tensor:
    """The label (H, W) of the pixel in the middle of each of h x w cells, (h w,)."""
    centers = (torch.arange(count, dtype=torch.float64, device=labels.device) + 0.5 for count in cells)
    rows, columns = (
        (center * cell).long().clamp(max=side - 1)
        for center, cell, side in zip(centers, step, labels.shape, strict=True)
    )
    return labels[rows[:, None], columns].flatten()


def cell_scores(mask_logits: Tensor) -> Tensor:
    """The region scores of each cell, (h w, N) float64, of logits (N, h, w)."""
    return (mask_logits / _TEMPERATURE).sigmoid().double().flatten(1).T


def with_count(scores: Tensor) -> Tensor:
    """The scores of each cell, and one for the cell itself, (h w, N + 1)."""
    return torch.cat([scores, torch.ones_like(scores[:, :1])], 1)


def agreement(of_nodes: Tensor, of_image: Tensor, validity: Tensor) -> Tensor:
    """How well one of the proposals agrees with each node, (nodes,).

    Args:
        of_nodes: The scores of their cells added up, and how many cells they have, (nodes, N + 1).
        of_image: The scores of all cells added up, (N,).
        validity: V, (N,).
    """
    inside, cells = of_nodes[:, :-1], of_nodes[:, -1:]
    union = of_image + cells - inside
    found = inside / union.clamp(min=1e-9) * validity
    return found.amax(1) * cells[:, 0].clamp(min=1) ** _AREA_EXPONENT
