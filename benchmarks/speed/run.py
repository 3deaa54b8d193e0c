"""`make bench`: measure on the CPU and write docs/results/performance.md."""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.speed import inputs, memory, plot, report
from benchmarks.speed.contestants import Spec
from benchmarks.speed.measure import Result, measure
from benchmarks.timing import one_thread

_ROUNDS, _QUICK_ROUNDS = 7, 3
_CITY = (1024, 2048)
_SIZES = ((512, 1024), (720, 1280), _CITY)
_MANY_CLASSES = (640, 640)
_CLASSES = {_MANY_CLASSES: (171,)}
_FURTHER = ((128, 256), (256, 512))
_LARGE = (8192, 8192)
_QUICK_SIZES = ((128, 256), (256, 512))


def specs(*, quick: bool) -> list[Spec]:
    """The cases of a job."""
    sizes = _QUICK_SIZES if quick else (*_SIZES, _MANY_CLASSES)
    found = [Spec("assign", size, compiled=size == _CITY) for size in sizes]
    found.append(Spec("assign", sizes[0], source="noise"))
    found += [Spec("components", size) for size in sizes]
    # One size and one number of classes after the other, so that the cases can share their inputs.
    for size in sizes:
        for classes in _CLASSES.get(size, (1, 19)):
            stages = ("means", "apply", "whole") if classes == 1 else ("means", "apply", "labels", "whole")
            found += [Spec(stage, size, classes) for stage in stages]
    found.append(Spec("lowres", sizes[-1] if quick else _CITY, 19))
    found += [
        Spec(stage, sizes[-1] if quick else _CITY)
        for stage in ("objects", "pixel metrics", "component metrics")
    ]
    if quick:
        return found
    return [*found, *(Spec("scaling", size, 1) for size in _FURTHER), Spec("large", _LARGE, 19)]


def of_network(path: Path) -> list[Spec]:
    """The cases on the proposals of a network."""
    size, source = inputs.from_file(path).size, str(path)
    return [
        Spec("assign", size, source=source),
        Spec("components", size, source=source),
        Spec("whole", size, 1, source),
        Spec("whole", size, 19, source),
    ]


def run(chosen: list[Spec], rounds: int) -> report.Job:
    """Measure the cases, time first, then memory in a separate process."""
    one_thread()
    _quiet()
    began, load = time.perf_counter(), machine.load()
    results = []
    for spec in chosen:
        started = time.perf_counter()
        results.append(measure(spec, 1 if spec.stage == "large" else rounds))
        print(f"{spec.key}: {time.perf_counter() - started:.0f} s", flush=True)
    peaks = memory.extra_bytes(chosen)
    for result in results:
        for row in result.rows:
            row.extra_bytes = peaks.get(result.spec.key, {}).get(row.name)
    print(f"memory of all of them; load {machine.load():.2f}", flush=True)
    minutes = (time.perf_counter() - began) / 60
    return report.Job(machine.describe(), (load, machine.load()), rounds, minutes, results)


def save(done: report.Job, path: Path) -> None:
    """Store all measurements as JSON."""
    values: dict[str, Any] = {
        **asdict(replace(done, results=[])),
        "results": [r.to_json() for r in done.results],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(values), encoding="utf-8")


def read(path: Path) -> report.Job:
    """Inverse of `save`."""
    values = json.loads(path.read_text(encoding="utf-8"))
    values["results"] = [Result.from_json(result) for result in values["results"]]
    values["load"] = tuple(values["load"])
    return report.Job(**values)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small images and three rounds, in build/")
    parser.add_argument("--rounds", type=int, help=f"turns of every contestant (default: {_ROUNDS})")
    parser.add_argument(
        "--proposals", type=Path, help="of a network: .npz or .safetensors with mask_logits and validity"
    )
    parser.add_argument("--only", nargs="+", metavar="WORD", help="cases whose name contains one of these")
    parser.add_argument("--out", type=Path, help="folder of the report (default: docs/results)")
    parser.add_argument("--from", dest="again", type=Path, help="write the report of stored measurements")
    options = parser.parse_args()
    folder = options.out or Path("build/benchmarks" if options.quick or options.only else "docs/results")
    if options.again:
        done = read(options.again)
    else:
        chosen = specs(quick=options.quick) + (of_network(options.proposals) if options.proposals else [])
        words = options.only or [""]
        chosen = [spec for spec in chosen if any(word in spec.key for word in words)]
        done = run(chosen, options.rounds or (_QUICK_ROUNDS if options.quick else _ROUNDS))
        save(done, Path("build/benchmarks/results.json"))
    if not plot.draw(done.results, folder / "performance.png"):
        print("no plot: matplotlib is not installed, or there are too few sizes")
    print(f"written: {report.write(done, folder)}")


def _quiet() -> None:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=FutureWarning)


if __name__ == "__main__":
    main()
