"""`python -m tests.mutants`: which changes to the numerical core no test notices.

Each mutant is a copy of the package with one change; a forked process runs the tests of the changed file on
it. Results go to a file line by line, so that a run that was stopped goes on. The seed orders the mutants: a
larger sample begins with a smaller one.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2  # noqa: F401  what a forked process need not import again
import pytest
import scipy.sparse.csgraph  # noqa: F401
import torch
from tqdm import tqdm

from tests.mutants.mutations import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
_ORACLE_TESTS = ("tests/ops/test_reference.py",)
_LAWS = (*_ORACLE_TESTS, "tests/ops/test_adaptive.py", "tests/ops/test_laws.py", "tests/fusion")
_CALLS = ("tests/test_bad_inputs.py", "tests/fusion", *_ORACLE_TESTS)
_ASSIGN = ("tests/ops/test_cpu_assign.py", *_ORACLE_TESTS)
# Which tests are about which files, the quickest first.
TESTS: Mapping[str, tuple[str, ...]] = {
    "csl_plugin/calibration/*.py": ("tests/test_calibration.py",),
    "csl_plugin/fusion/*.py": _CALLS,
    "csl_plugin/regions/*.py": _CALLS,
    "csl_plugin/ops/cpu/assign.py": _ASSIGN,
    "csl_plugin/ops/cpu/top2.py": _ASSIGN,
    "csl_plugin/ops/cpu/bilinear.py": _ASSIGN,
    "csl_plugin/ops/adaptive.py": ("tests/ops/test_adaptive.py",),
    "csl_plugin/ops/*.py": _LAWS,
    "csl_plugin/ops/cpu/*.py": _LAWS,
}
# The equations themselves, against which everything is compared, have tests by hand of their own.
_ORACLE = "csl_plugin/ops/reference.py"


class Task(NamedTuple):
    """A mutant with its file and its tests."""

    file: str
    mutant: Mutant | None
    tests: tuple[str, ...]

    @property
    def source(self) -> str:
        """The file's text after the change; as it is where there is none."""
        text = (ROOT / self.file).read_text(encoding="utf-8")
        return text if self.mutant is None else self.mutant.applied(text)

    @property
    def name(self) -> str:
        """Of this change of this text, whatever else the repository holds."""
        digest = hashlib.sha256((ROOT / self.file).read_bytes()).hexdigest()[:8]
        if self.mutant is None:
            return f"unchanged: {' '.join(self.tests)}"
        return f"{self.file}:{self.mutant.line}:{self.mutant.change} {self.mutant.place} of {digest}"


def tasks(seed: int) -> list[Task]:
    """All mutants in the order of the seed."""
    chosen: dict[str, tuple[str, ...]] = {}
    for pattern, names in TESTS.items():
        for path in sorted(ROOT.glob(pattern)):
            chosen.setdefault(path.relative_to(ROOT).as_posix(), names)
    chosen.pop(_ORACLE)
    found = [
        Task(file, mutant, names)
        for file, names in chosen.items()
        for mutant in mutants((ROOT / file).read_text(encoding="utf-8"))
    ]
    random.Random(seed).shuffle(found)  # noqa: S311
    return found


def outcome(task: Task, seconds: float) -> str:
    """What the tests say of a mutant: killed, survived or timeout."""
    with tempfile.TemporaryDirectory() as folder:
        copied = Path(folder)
        for name in ("csl_plugin", "tests"):
            shutil.copytree(ROOT / name, copied / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("pyproject.toml", "docs", "examples", "benchmarks"):
            (copied / name).symlink_to(ROOT / name)
        (copied / task.file).write_text(task.source, encoding="utf-8")
        child = os.fork()
        if child == 0:
            os.setsid()
            _test(copied, task.tests)
        try:
            return _waited(child, seconds)
        except BaseException:
            _kill(child)
            raise


def _test(folder: Path, tests: tuple[str, ...]) -> None:
    """Run the tests in a process of their own, which ends here."""
    status = 70
    try:
        os.chdir(folder)
        sys.path.insert(0, str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] in ("csl_plugin", "tests")]:
            del sys.modules[name]
        os.environ["PYTHONPATH"] = str(folder)
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--rootdir", str(folder)]
        status = int(pytest.main([*options, *tests]))
    finally:
        os._exit(status)


def _waited(child: int, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.05)
    _kill(child)
    return "timeout"


def _kill(child: int) -> None:
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)


def main() -> None:
    """Try mutants and print those that survive."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=150, help="how many mutants, 0 for all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=600.0, help="per mutant; slower counts as found")
    parser.add_argument("--file", default="", help="only files whose path contains this")
    parser.add_argument("--results", type=Path, default=Path("mutants.jsonl"), help="read and continued")
    options = parser.parse_args()
    torch.set_num_threads(1)
    every = [task for task in tasks(options.seed) if options.file in task.file]
    chosen = every[: options.count or None]
    lines = options.results.read_text(encoding="utf-8").splitlines() if options.results.exists() else []
    known = dict(map(json.loads, lines))
    with options.results.open("a", encoding="utf-8") as file:
        for task in tqdm(chosen, unit="mutant"):
            unchanged = task._replace(mutant=None)  # to see that its tests pass
            for one in (unchanged, task):
                if one.name not in known:
                    known[one.name] = outcome(one, options.seconds)
                    file.write(json.dumps([one.name, known[one.name]]) + "\n")
                    file.flush()
            if known[unchanged.name] != "survived":
                sys.exit(f"{' '.join(task.tests)}: these fail, or take too long, without any change")
    for task in sorted(chosen, key=lambda task: (task.file, task.mutant)):
        if task.mutant and known[task.name] != "killed":
            print(f"{known[task.name]:8} {task.file}:{task.mutant.line}  {task.mutant.change}")
    counts = Counter(known[task.name] for task in chosen)
    print(f"{len(chosen)} of {len(every)} mutants: {dict(counts)}")


if __name__ == "__main__":
    main()
