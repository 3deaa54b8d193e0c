"""V, the probability that a region is real, from class logits of which the last is "no object".

The logits of V are differences of logits, so that V is not rounded to 0 or 1 where a softmax is.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_validity_logits(class_logits: Tensor) -> Tensor:
    """Logits of the largest class probability: low where several classes are likely.

    Args:
        class_logits: (..., K + 1) of K classes and of none.

    Returns:
        (...); the sigmoid is max(softmax(class_logits)[:-1]).

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.5]])
        >>> torch.allclose(class_validity_logits(logits).sigmoid(), logits.softmax(-1)[:, :2].amax(-1))
        True
    """
    largest, index = class_logits[..., :-1].max(-1, keepdim=True)
    others = class_logits.scatter(-1, index, -torch.inf)
    return largest[..., 0] - others.logsumexp(-1)


def object_validity_logits(class_logits: Tensor) -> Tensor:
    """Logits of the probability that there is an object of any class.

    Args:
        class_logits: (..., K + 1) of K classes and of none.

    Returns:
        (...); the sigmoid is 1 - softmax(class_logits)[-1].

    Example:
        >>> logits = torch.tensor([[2.0, 1.0, 0.0]])
        >>> object_validity_logits(logits).sigmoid() + logits.softmax(-1)[:, -1]
        tensor([1.])
    """
    return class_logits[..., :-1].logsumexp(-1) - class_logits[..., -1]
