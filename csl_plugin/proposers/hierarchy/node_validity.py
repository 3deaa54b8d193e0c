"""V of the nodes of a basin tree, from the proposals of a network."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from torch import Tensor

from csl_plugin.proposers.hierarchy.basin_tree import BasinTree
from csl_plugin.proposers.hierarchy.merge_tree import Values

# Chosen on the even frames of two validation sets, the last also on the even photographs of BSDS500 val.
# Region scores are overconfident: their logits are divided by the temperature. Of two nodes that agree with
# proposals equally, the area exponent prefers the smaller. A network that fails on a scene proposes nearly
# the whole image as one region: nodes beyond the coarsest scale are excluded, so that it absorbs no object.
_TEMPERATURE = 3.0
_AREA_EXPONENT = -0.15
_COARSEST_SCALE = 160.0


def node_validity(
    basin_tree: BasinTree, mask_logits: Tensor, validity_logits: Tensor, step: tuple[float, float]
) -> Values:
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
    tree, (height, width) = basin_tree.tree, basin_tree.basins.shape
    count, h, w = mask_logits.shape
    rows = np.minimum(((np.arange(h) + 0.5) * step[0]).astype(np.int64), height - 1)
    columns = np.minimum(((np.arange(w) + 0.5) * step[1]).astype(np.int64), width - 1)
    leaf = tree.leaf_of_region[basin_tree.basins[rows[:, None], columns]].ravel()
    scores: Values = (mask_logits.detach().float() / _TEMPERATURE).sigmoid().reshape(count, -1).cpu().numpy()
    validity: Values = validity_logits.detach().float().sigmoid().cpu().numpy()
    shape = int(tree.leaf_of_region.max()) + 1, leaf.size
    member = coo_matrix((np.ones(leaf.size, np.float32), (leaf, np.arange(leaf.size))), shape).tocsr()
    inside = tree.totals(member @ scores.T)
    cells = tree.totals(np.bincount(leaf, minlength=shape[0]).astype(np.float64))
    union = scores.sum(1) + cells[:, None] - inside
    agreement = inside / np.maximum(union, 1e-9) * validity
    found: Values = agreement.max(1) * np.maximum(cells, 1.0) ** _AREA_EXPONENT
    found[tree.heights > basin_tree.height(_COARSEST_SCALE)] = -1.0
    return found
