"""How valid each node of a tree of merging basins is, by the regions that a network proposes."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix
from torch import Tensor

from csl_plugin.proposers.hierarchy.merge_tree import Values
from csl_plugin.proposers.hierarchy.scales import Hierarchy

# Chosen on the even frames of two validation sets, the last also on the even photographs of BSDS500 val.
# Region scores are surer than they should be: their logits are divided by the temperature. Of two nodes that
# agree with proposals alike the smaller one is taken. A proposal of nearly the whole image, which is what a
# network has to say of a scene it does not understand, shall not swallow the things in it.
_TEMPERATURE = 3.0
_AREA_EXPONENT = -0.15
_COARSEST_SCALE = 160.0


def node_validity(
    hierarchy: Hierarchy, mask_logits: Tensor, validity_logits: Tensor, step: tuple[float, float]
) -> Values:
    """The greatest V_q J(n, R_q) over the proposals q, times |n| to a small negative power.

    J is the Jaccard index of node n with the region scores R_q, which are taken as shares of a cell:
    sum of R_q in n / (sum of R_q + |n| - sum of R_q in n).

    Args:
        hierarchy: Of an image of (H, W).
        mask_logits: (N, h, w) logits of the proposals' region scores.
        validity_logits: (N,) logits of their validities.
        step: Rows and columns of the image from one cell to the next.

    Returns:
        (nodes,); zero for a node that holds no cell's center, -1 for one beyond the coarsest scale.
    """
    tree, (height, width) = hierarchy.tree, hierarchy.basins.shape
    count, h, w = mask_logits.shape
    rows = np.minimum(((np.arange(h) + 0.5) * step[0]).astype(np.int64), height - 1)
    columns = np.minimum(((np.arange(w) + 0.5) * step[1]).astype(np.int64), width - 1)
    leaf = tree.leaf_of_region[hierarchy.basins[rows[:, None], columns]].ravel()
    scores: Values = (mask_logits.detach().float() / _TEMPERATURE).sigmoid().reshape(count, -1).cpu().numpy()
    validity: Values = validity_logits.detach().float().sigmoid().cpu().numpy()
    shape = int(tree.leaf_of_region.max()) + 1, leaf.size
    member = coo_matrix((np.ones(leaf.size, np.float32), (leaf, np.arange(leaf.size))), shape).tocsr()
    inside = tree.totals(member @ scores.T)
    cells = tree.totals(np.bincount(leaf, minlength=shape[0]).astype(np.float64))
    union = scores.sum(1) + cells[:, None] - inside
    agreement = inside / np.maximum(union, 1e-9) * validity
    found: Values = agreement.max(1) * np.maximum(cells, 1.0) ** _AREA_EXPONENT
    found[tree.heights > hierarchy.height(_COARSEST_SCALE)] = -1.0
    return found
