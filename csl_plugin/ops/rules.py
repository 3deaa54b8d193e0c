"""The fusion rules: their names, and the parameters of "trust"."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from csl_plugin._options import as_float
from csl_plugin.arrays import shown
from csl_plugin.errors import OptionError

PlainRule: TypeAlias = Literal["product", "geometric", "mean"]
"""Rules without parameters: of a pixel's score and the average of its region means."""


@dataclass(frozen=True)
class Trust:
    """The fusion rule that weights every region by how well it predicts its pixels.

    Every region of every partition is an expert on its pixels. Its answer is its mean score, shrunk toward
    the image's mean, more for smaller regions. Its weight is how well it predicts the pixels it holds. A
    pixel gets the weighted mean of its experts, plus the part of its own difference from it that exceeds the
    noise. `docs/guide/fusion.md` derives the rule and shows what each parameter does.

    Args:
        effective_samples: How many independent observations the scores of a whole image are worth.
            Neighboring scores are almost equal, so a region's weight grows with its share of the image,
            not with its pixels. At least 1; no pixel counts as more than one.
        exponent: Half the number of observations by which a pixel judges its experts: weights are
            (predictive variance) ** -exponent. 0 weights all alike.
        prior_strength: Observations that a region needs before its own spread counts more than the prior, the
            spread of the whole image. Not negative.
        keep_sigma: Standard deviations at which a pixel keeps half of its difference from its experts. 0
            leaves every pixel unchanged, infinity replaces it by its experts' answer.

    Raises:
        OptionError: A value out of its bounds.

    Example:
        >>> import numpy as np
        >>> from csl_plugin import Trust, fuse
        >>> scores = np.random.default_rng(0).random((32, 48), dtype=np.float32)
        >>> labels = np.zeros((32, 48), dtype=np.int32)
        >>> bool(fuse(scores, labels, rule=Trust(keep_sigma=4.0)).std() < scores.std())
        True

    Source:
        Empirical Bayes (Efron and Morris 1973) for the means, inverse-variance weights for the experts, the
        local Wiener filter (Lee 1980) for the pixel.
    """

    effective_samples: float = 2500.0
    exponent: float = 1.5
    prior_strength: float = 1.0
    keep_sigma: float = 2.0

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            least = 1 if field.name == "effective_samples" else 0
            endless = field.name == "keep_sigma"
            value = as_float(given)
            if not value >= least or (value == math.inf and not endless):
                expected = f"a number of at least {least}" + (", or infinity" if endless else "")
                hint = f"The default is {field.default:g}; help(csl_plugin.Trust) says what it does."
                raise OptionError(field.name, shown(given), expected, hint)
            object.__setattr__(self, field.name, value)
