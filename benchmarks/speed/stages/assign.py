"""Equation 2: logits and validity to a label per pixel."""

from __future__ import annotations

import shutil
import time
from functools import partial
from typing import Any

import torch

from benchmarks.speed.contestants import Case, Contestant, Spec
from benchmarks.speed.oracle import AssignOracle
from benchmarks.speed.peers.equations import naive_assign, streaming_assign
from benchmarks.speed.stages.subject import Subject
from csl_plugin import ops

_ON_NOISE = ("read L once", "naive", "per-query streaming", "ours", "ours, sigmoid after")


def build(spec: Spec) -> Case:
    """The contestants of the assignment."""
    p = Subject(spec).proposals
    stored = p.stored_as(torch.bfloat16)
    before, after = AssignOracle(p, "before"), AssignOracle(p, "after")
    arguments = p.logits, p.validity, p.size
    ours = partial(ops.assign, p.logits[None], p.validity[None], p.size)
    ours_stored = partial(ops.assign, stored.logits[None], p.validity[None], p.size, "before")
    contestants = [
        Contestant("read L once", "floor", p.logits.sum),
        Contestant("naive", "naive", partial(naive_assign, *arguments), verify=before),
        Contestant(
            "naive, sigmoid after",
            "peer",
            partial(naive_assign, *arguments, "after"),
            verify=after,
            aside=True,
        ),
        Contestant("per-query streaming", "simple", partial(streaming_assign, *arguments), verify=before),
        Contestant("ours", "ours", partial(ours, "before"), verify=before),
        Contestant("ours, sigmoid after", "ours", partial(ours, "after"), verify=after),
        Contestant("ours, bfloat16 logits", "ours", ours_stored, verify=AssignOracle(stored, "before")),
        Contestant("ours, 2 threads", "ours", partial(ours, "before"), verify=before, threads=2),
    ]
    fraction = f"{p.boundary_fraction():.1%} of the low-resolution squares have corners that disagree"
    if spec.source == "noise":
        contestants = [entry for entry in contestants if entry.name in _ON_NOISE]
    case = Case(contestants, [fraction])
    if spec.compiled:
        _add_compiled(case, arguments, before)
    return case


def _add_compiled(case: Case, arguments: tuple[Any, ...], oracle: AssignOracle) -> None:
    if shutil.which("g++") is None and shutil.which("clang++") is None:
        case.missing.append("torch.compile(naive): no C++ compiler here")
        return
    torch.set_num_threads(1)
    call = partial(torch.compile(naive_assign, dynamic=False), *arguments)
    began = time.perf_counter()
    call()
    case.notes.append(f"torch.compile(naive) took {time.perf_counter() - began:.0f} s to compile")
    case.contestants.insert(3, Contestant("torch.compile(naive)", "peer", call, verify=oracle))
