"""The targets of the engine, and whether they are met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.speed.measure import Result, Row

MEGABYTE = 1e6
_CITY = "1024x2048"
_SMALLER = ("512x1024", "720x1280", "640x640")
_NOISE = 0.95  # two measurements of the same call differ by a few per cent


@dataclass(frozen=True)
class Verdict:
    """One row of the table; `met` is None if something was not measured."""

    target: str
    measured: str
    met: bool | None


class Book:
    """Results by the key of their spec."""

    def __init__(self, results: list[Result]) -> None:
        self.results = {result.spec.key: result for result in results}

    def row(self, key: str, name: str) -> Row | None:
        """The measurements of a contestant, or None if it is missing."""
        result = self.results.get(key)
        return result[name] if result is not None and name in result else None

    def faster(self, what: str, factor: float, key: str, ours: str, than: str, alias: str = "") -> Verdict:
        """Whether the medians are at least `factor` times apart."""
        target = f"{what}: at least {factor:g} times faster than {alias or than}"
        mine, other = self.row(key, ours), self.row(key, than)
        if mine is None or other is None:
            return Verdict(target, "not measured", None)
        ratio, best = other.median / mine.median, other.fastest / mine.fastest
        return Verdict(target, f"{_digits(ratio)} (fastest calls {_digits(best)})", ratio >= factor)

    def within(self, what: str, factor: float, key: str, ours: str, than: str, alias: str = "") -> Verdict:
        """Whether the median is at most `factor` times that of another contestant."""
        target = f"{what}: at most {factor:g} times {alias or than}"
        mine, other = self.row(key, ours), self.row(key, than)
        if mine is None or other is None:
            return Verdict(target, "not measured", None)
        ratio, best = mine.median / other.median, mine.fastest / other.fastest
        return Verdict(target, f"{_digits(ratio)} (fastest calls {_digits(best)})", ratio <= factor)

    def lean(self, what: str, megabytes: float, key: str, ours: str, beside_output: bool = False) -> Verdict:
        """Whether the extra memory is at most `megabytes`."""
        target = f"{what}: at most {megabytes:g} MB extra" + (" beside the output" if beside_output else "")
        mine = self.row(key, ours)
        if mine is None or mine.extra_bytes is None:
            return Verdict(target, "not measured", None)
        taken = mine.extra_bytes / MEGABYTE
        output = mine.output_bytes / MEGABYTE
        if beside_output:
            return Verdict(target, f"{taken - output:.1f}", taken - output <= megabytes)
        share = f" ({output:.1f} of it the output)" if output else ""
        return Verdict(target, f"{taken:.1f}{share}", taken <= megabytes)

    def right(self, what: str, key: str, name: str, target: str) -> Verdict:
        """Whether the result equals the oracle's."""
        mine = self.row(key, name)
        if mine is None:
            return Verdict(f"{what}: {target}", "not measured", None)
        return Verdict(f"{what}: {target}", mine.agreement, mine.agrees)


def verdicts(results: list[Result]) -> list[Verdict]:
    """All rows, in the order of the stages."""
    book = Book(results)
    return [
        *_assign(book),
        *_means(book),
        *_fusion(book),
        *_labels(book),
        *_components(book),
        *_whole(book),
        *_large(book),
        *_objects(book),
        *_evaluation(book),
        *_threads(book),
    ]


def _assign(book: Book) -> Iterator[Verdict]:
    key = f"assign {_CITY}"
    yield book.faster(key, 40, key, "ours", "naive")
    yield book.faster(key, 12, key, "ours", "per-query streaming")
    yield book.faster(key, 6, key, "ours", "torch.compile(naive)")
    yield book.lean(key, 32, key, "ours")
    for size in _SMALLER:
        key = f"assign {size}"
        yield book.faster(key, 30, key, "ours", "naive")
        yield book.faster(key, 8, key, "ours", "per-query streaming")
        yield book.lean(key, 24, key, "ours")
    for size in (_CITY, *_SMALLER):
        key = f"assign {size}"
        yield book.faster(f"{key}, sigmoid after", 20, key, "ours, sigmoid after", "naive")
    key = f"assign {_CITY}"
    yield book.within(key, 25, key, "ours", "read L once", "L.sum()")
    yield book.within(f"{key}, stretch", 12, key, "ours", "read L once", "L.sum()")
    for size in (_CITY, *_SMALLER):
        for name in ("ours", "ours, sigmoid after", "ours, bfloat16 logits"):
            key = f"assign {size}"
            yield book.right(f"{key}{name[4:]}", key, name, "no wrong pixel outside ties")
    key = "assign 512x1024 noise"
    yield book.right(key, key, "ours", "no wrong pixel outside ties")
    yield book.faster(key, 1, key, "ours", "naive")
    yield book.lean(key, 64, key, "ours")


def _means(book: Book) -> Iterator[Verdict]:
    key = f"means {_CITY} C=19"
    yield book.faster(key, 15, key, "ours", "mask loop")
    yield book.faster(key, 4, key, "ours", "index_add")
    yield book.within(key, 6, key, "ours", "read D once", "D.sum()")
    yield book.right(key, key, "ours", "error at most 5e-7 against float64")


def _fusion(book: Book) -> Iterator[Verdict]:
    key = f"apply {_CITY} C=19"
    yield book.faster(key, 2.5, key, "ours", "m[:, a] * D")
    yield book.lean(key, 4, key, "ours", beside_output=True)
    yield book.faster(f"{key}, in place", 7, key, "ours, in place", "m[:, a] * D")
    yield book.lean(f"{key}, in place", 8, key, "ours, in place")
    yield book.within(f"{key}, in place", 4, key, "ours, in place", "D.mul_(1.)")


def _labels(book: Book) -> Iterator[Verdict]:
    key = f"labels {_CITY} C=19"
    yield book.faster(key, 4, key, "ours, means included", "(m[:, a] * D).argmax(0)")
    yield book.faster(key, 2, key, "ours, means included", "D.argmax(0), not fused", "D.argmax(0)")
    yield book.lean(key, 8, key, "ours, means included")


def _components(book: Book) -> Iterator[Verdict]:
    key = f"components {_CITY}"
    yield book.faster(key, 20, key, "ours", "scipy.ndimage.label per region", "scipy per region")
    yield book.faster(key, 5, key, "ours", "cv2.connectedComponents per box", "cv2 per box")
    yield book.within(key, 2.5, key, "ours", "cc3d")


def _objects(book: Book) -> Iterator[Verdict]:
    key = f"objects {_CITY}"
    yield book.faster(key, 1, key, "ours, pixels decide", "skimage.measure.regionprops", "skimage")
    yield book.faster(key, 1.5, key, "ours, two partitions decide", "cv2, a dense mask each")


def _whole(book: Book) -> Iterator[Verdict]:
    key = f"whole {_CITY} C=1"
    yield book.faster(key, 60, key, "ours", "naive")
    yield book.faster(key, 40, key, "ours", "careful torch")
    semantic = "HF semantic (384x384), assignment only"
    yield book.faster(key, 2, key, "ours", semantic, "HF's semantic path at 384x384")
    yield book.lean(key, 40, key, "ours")
    several = "ours, 4 partitions, adaptive"
    yield book.within(f"{key}, four partitions", 5, key, several, "ours", "eq. 3 with one")
    key = f"whole {_CITY} C=19"
    yield book.faster(key, 12, key, "ours", "careful torch")
    yield book.faster(f"{key}, in place", 30, key, "ours, in place", "careful torch")
    yield book.lean(f"{key}, in place", 32, key, "ours, in place")
    key = "whole 640x640 C=171"
    yield book.faster(key, 3.5, key, "ours", "careful torch")
    yield book.faster(f"{key}, in place", 7, key, "ours, in place", "careful torch")
    yield book.lean(f"{key}, in place", 64, key, "ours, in place")
    yield book.faster(f"{key}, labels", 4, key, "ours, labels", "careful torch, labels")
    yield book.lean(f"{key}, labels", 32, key, "ours, labels")


def _large(book: Book) -> Iterator[Verdict]:
    key = "large 8192x8192 C=19"
    yield book.lean(f"{key}, labels", 1500, key, "ours, size=, split")


def _evaluation(book: Book) -> Iterator[Verdict]:
    for dtype in ("float16", "float32"):
        key = f"pixel metrics {_CITY}"
        yield book.faster(f"{key}, {dtype}", 3, key, f"ours, {dtype}", f"numpy, as defined, {dtype}")
        key = f"component metrics {_CITY}"
        yield book.faster(f"{key}, {dtype}", 5, key, f"ours, {dtype}", f"scipy, mask by mask, {dtype}")


def _threads(book: Book) -> Iterator[Verdict]:
    for key, result in book.results.items():
        for row in result.rows:
            single = row.name.removesuffix(", 2 threads")
            if single == row.name or result.spec.source == "noise":
                continue
            ratio = result[single].median / row.median
            what = f"{key}{single[4:]}, 2 threads: not slower than 1"
            yield Verdict(what, f"{_digits(ratio)} times as fast", ratio >= _NOISE)


def _digits(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 20 else f"{ratio:.1f}" if ratio >= 2 else f"{ratio:.2f}"
