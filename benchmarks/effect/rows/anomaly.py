"""The rows of docs/results/anomaly.md: what can be done to a score map with the image or its regions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import numpy as np

import csl_plugin
from benchmarks.effect.rows.case import Case
from benchmarks.effect.rows.filters import (
    BLURS,
    DENSE_FIELD,
    ScoreMap,
    guided_filter,
    missing_module,
    several_blurs,
)
from benchmarks.effect.rows.regions import proposer
from benchmarks.effect.rows.rules import eq3, filled
from csl_plugin import fuse
from csl_plugin.proposers import DEFAULT
from csl_plugin.proposers.identity import identity_of

NETWORK = "csl-tiny"
FASTER = (NETWORK, f"{NETWORK}:5", "superpixels")
THREE = f"{NETWORK}:auto,10+superpixels:40"  # the partitions that eq. 3 gained most with before
_RULE_CODE, _REGION_CODE = ("fusion", "ops"), ("proposers/hierarchy",)


@dataclass(frozen=True)
class Row:
    """One way to post-process a score map.

    Attributes:
        key: Its name in files and on the command line.
        title: In tables.
        method: From a case to the new map; monotone changes of a map do not matter.
        version: To be raised with every change of the method.
        sources: The proposers that it uses.
        needs: A package that it needs and that is not a dependency of the tests.
        default_rule: Whether it uses the rule that `fuse` has by default.
        components: Whether the components of its maps are measured too.
        bound: Whether it uses the labels, so that it is no competitor.
    """

    key: str
    title: str
    method: Callable[[Case], ScoreMap]
    version: int = 1
    sources: tuple[str, ...] = ()
    needs: str | None = None
    default_rule: bool = False
    components: bool = False
    bound: bool = False

    @property
    def missing(self) -> str | None:
        """The package that has to be installed first, if any."""
        return self.needs if self.needs is not None and missing_module(self.needs) else None

    def identity(self) -> str:
        """Changes with the version, the proposers' weights and parameters, and the code behind both."""
        parts = [identity_of(proposer(part)) for source in self.sources for part in source.split("+")]
        code = (_RULE_CODE if self.default_rule else ()) + (_REGION_CODE if self.sources else ())
        return " ".join([self.key, str(self.version), *parts, _digest_of(code)])


def default_with(network: str) -> str:
    """The name of the default proposer, with another bundled network in place of its own."""
    return DEFAULT.replace(NETWORK, network)


def _region_mean(case: Case, kind: str) -> ScoreMap:
    return fuse(case.score, getattr(case.regions, kind), rule="mean")


def _masks(case: Case, on_top: str) -> ScoreMap:
    masks = case.regions.masks
    labels = getattr(masks, on_top)
    covered = labels >= 0
    found: ScoreMap = case.score.copy()
    found[covered] = masks.means(case.score)[labels[covered]]
    return found


def _default(case: Case, source: str) -> ScoreMap:
    return fuse(case.score, case.regions.of(source))


def _hard(case: Case) -> ScoreMap:
    found: ScoreMap = np.sqrt(fuse(case.score, case.regions.hard, rule="mean") * case.score)
    return found


BASE = Row("base", "base score", lambda case: case.score, components=True)
EQ3 = Row(
    "eq3",
    f"eq. 3, {THREE}",
    partial(eq3, source=THREE),
    sources=(THREE,),
    components=True,
)
MEAN = Row(
    "mean",
    f"region mean, {THREE}",
    lambda case: case.mean(THREE),
    sources=(THREE,),
    components=True,
)
FILLED = Row("filled", f"m x max(m, D), {THREE}", partial(filled, source=THREE), sources=(THREE,))
SHIPPED = Row(
    "default",
    "the default",
    partial(_default, source=DEFAULT),
    sources=(DEFAULT,),
    default_rule=True,
    components=True,
)
TRUE = Row(
    "true",
    "true regions, default rule",
    lambda case: fuse(case.score, case.true),
    default_rule=True,
    components=True,
    bound=True,
)
ROWS = (
    BASE,
    Row(
        "blur",
        f"mean of Gaussian blurs, sigma {', '.join(f'{sigma:g}' for sigma in BLURS)}",
        lambda case: several_blurs(case.score),
    ),
    Row("guided", "guided filter", lambda case: guided_filter(case.score, case.regions.gray)),
    Row("crf", "DenseCRF", lambda case: case.regions.dense_field(case.score), needs=DENSE_FIELD),
    Row(
        "felzenszwalb",
        "Felzenszwalb, region mean",
        partial(_region_mean, kind="felzenszwalb"),
        needs="skimage",
    ),
    Row("slic", "SLIC, region mean", partial(_region_mean, kind="slic"), needs="skimage"),
    Row(
        "masks-smallest",
        "masks as given, smallest on top",
        partial(_masks, on_top="smallest"),
        sources=(NETWORK,),
    ),
    Row("masks-best", "masks as given, best on top", partial(_masks, on_top="best"), sources=(NETWORK,)),
    Row("hard", f"hard assignment, eq. 3, {NETWORK}", _hard, sources=(NETWORK,)),
    Row("eq3-one", f"eq. 3, {NETWORK}", partial(eq3, source=NETWORK), sources=(NETWORK,)),
    Row("eq3-default", f"eq. 3, {DEFAULT}", partial(eq3, source=DEFAULT), sources=(DEFAULT,)),
    EQ3,
    MEAN,
    FILLED,
    SHIPPED,
    *(
        Row(
            name.removeprefix(f"{NETWORK}-"),
            f"the default with {name}",
            partial(_default, source=default_with(name)),
            sources=(default_with(name),),
            default_rule=True,
        )
        for name in ("csl-tiny-strict", "csl-tiny-open")
    ),
    *(
        Row(
            f"default-{name.replace(':', '-')}",
            f"the default's rule with {name}",
            partial(_default, source=name),
            sources=(name,),
            default_rule=True,
        )
        for name in FASTER
    ),
    TRUE,
)


@lru_cache
def _digest_of(folders: tuple[str, ...]) -> str:
    """A digest of the package's code in some folders."""
    package = Path(csl_plugin.__file__).parent
    files = sorted(path for folder in folders for path in (package / folder).rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:16]
