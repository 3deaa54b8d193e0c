"""Processes that draw batches: whatever ends them ends the iteration with one clear error."""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import psutil
import pytest

from csl_plugin.errors import CSLError, FileError
from csl_plugin.training import DeadLeaves, Mixture, Part, Scene, Textures, batches
from csl_plugin.training.workers import draw_ahead

pytestmark = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


class TwoWordsError(Exception):
    """An error whose pickle cannot be read."""

    def __init__(self, first, second):
        super().__init__(f"{first} {second}")


@dataclass(frozen=True)
class Faulty:
    """Draws the number of the step, until something happens."""

    fault: str
    at: int = 5

    def __call__(self, step):
        if step == self.at:
            if self.fault == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.fault == "exit":
                os._exit(3)
            elif self.fault == "out of memory":
                np.empty(1 << 50)
            elif self.fault == "file":
                raise FileError("a.png", "nothing there", "a file", "Restore it.")
            elif self.fault == "two words":
                raise TwoWordsError("not", "here")
            elif self.fault == "unsendable":
                raise ValueError(lambda: 0)
        return np.full(40_000, step)  # more than a pipe holds


FAULTS = {
    "killed": (CSLError, "a process that was ended by SIGKILL.*workers=0"),
    "exit": (CSLError, "a process that ended with the code 3"),
    "out of memory": (CSLError, "no memory left at step 5.*smaller batches or crops.*workers=0"),
    "file": (FileError, "a.png: got nothing there"),
    "two words": (CSLError, "TwoWordsError: not here, at step 5"),
    "unsendable": (CSLError, "ValueError: .*lambda.*, at step 5"),
}


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_ends_the_iteration_with_its_error(fault, workers):
    kind, said = FAULTS[fault]
    drawn = draw_ahead(Faulty(fault), range(100), workers)
    assert [int(next(drawn)[0]) for _ in range(5)] == list(range(5))
    with pytest.raises(kind, match=said):
        next(drawn)
    assert multiprocessing.active_children() == []


def test_everything_arrives_in_order_and_the_processes_end():
    found = [int(drawn[-1]) for drawn in draw_ahead(Faulty("none"), range(3, 40, 4), 4)]
    assert found == list(range(3, 40, 4))
    assert multiprocessing.active_children() == []
    left = draw_ahead(Faulty("none"), range(10**9), 2)
    assert int(next(left)[0]) == 0
    assert len(multiprocessing.active_children()) == 2
    left.close()
    assert multiprocessing.active_children() == []
    assert list(draw_ahead(Faulty("none"), range(0), 2)) == []


def test_a_limit_on_open_files_is_named():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (free + 5, hard))  # one process fits, the next does not
        with pytest.raises(CSLError, match=r"workers: got .*Too many open files.*workers=0.*ulimit"):
            list(draw_ahead(Faulty("none"), range(20), 16))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert multiprocessing.active_children() == []


ORPHANS = """
import multiprocessing, os, signal
from csl_plugin.training.workers import draw_ahead
from tests.training.test_workers import Faulty
drawn = draw_ahead(Faulty("none"), range(10**6), 3)
next(drawn)
print(*(process.pid for process in multiprocessing.active_children()), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_no_process_is_left_when_the_first_is_killed():
    done = subprocess.run([sys.executable, "-c", ORPHANS], capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = [int(number) for number in done.stdout.split()]
    assert len(left) == 3
    end = time.monotonic() + 30
    while any(map(alive, left)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, left))


def alive(process):
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Killed:
    """A source whose process the system ends."""

    def draw(self, rng: np.random.Generator, size: tuple[int, int]) -> Scene:
        if multiprocessing.parent_process() is not None and rng.random() < 0.2:
            os.kill(os.getpid(), signal.SIGKILL)
        return DeadLeaves(Textures()).draw(rng, size)


def test_batches_say_that_their_process_was_killed():
    mixture = Mixture([Part(Killed())], crop=(32, 32))
    with pytest.raises(CSLError, match="SIGKILL"):
        list(batches(mixture, 2, stop=200, workers=2))
    assert len(list(batches(mixture, 1, stop=3))) == 3


SMALL = """
import csl_plugin.training as training
mixture = training.Mixture([training.Part(training.DeadLeaves(training.Textures()))], crop=(256, 256))
print(len(list(training.batches(mixture, 2, stop=3, workers=2))))
"""


@pytest.mark.slow
def test_no_shared_memory_is_needed():
    """In a namespace of its own, /dev/shm holds less than a batch."""
    mount = "mount -t tmpfs -o size=16k tmpfs /dev/shm && exec"
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", f'{mount} "$0" -c "$1"']
    try:
        able = (
            subprocess.run([*command[:-1], f"{mount} true"], capture_output=True, check=False).returncode == 0
        )
    except OSError:
        able = False
    if not able:
        pytest.skip("this system mounts no file system in a namespace")
    done = subprocess.run(
        [*command, sys.executable, SMALL], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout == "3\n", done.stderr
