"""A proposer that another package registers, called when several processes are at work at the same time."""

import os

PLUG_IN = '''
import multiprocessing, os, signal, sys, time, warnings
from pathlib import Path
from csl_plugin.proposers import Superpixels

FAULT = os.environ.get("FAULT", "")
IS_WORKER = multiprocessing.parent_process() is not None


def make(device=None):
    if FAULT == "load" and IS_WORKER:
        raise MemoryError("no room")
    print("a model that prints")
    return Meeting()


class Meeting:
    """Superpixels, as soon as as many processes have an image as should."""

    def __init__(self):
        self.regions = Superpixels(scale=80)
        self.calls = 0

    def identity(self):
        return str(os.getpid()) if FAULT == "identity" else "meeting"

    def __call__(self, images):
        here = Path(os.environ["MEETING"])
        (here / str(os.getpid())).touch()
        end = time.monotonic() + 100
        while len(list(here.iterdir())) < int(os.environ["PROCESSES"]):
            assert time.monotonic() < end
            time.sleep(0.01)
        warnings.warn("a model that warns")
        self.calls += 1
        if FAULT == "kill" and IS_WORKER and self.calls == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        if FAULT == "exit" and IS_WORKER:
            sys.exit(5)
        if FAULT == "sleep" or (FAULT == "sleep later" and self.calls == 3):
            time.sleep(100)
        return self.regions(images)
'''


def install(folder, monkeypatch, processes, fault=""):
    """Put the package in a folder on the path, also of processes that are started from here."""
    info = folder / "meeting-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: meeting\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[csl_plugin.proposers]\nmeeting = meeting:make\n")
    (folder / "meeting.py").write_text(PLUG_IN)
    (folder / "met").mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("MEETING", str(folder / "met"))
    monkeypatch.setenv("PROCESSES", str(processes))
    monkeypatch.setenv("FAULT", fault)
    monkeypatch.delitem(__import__("sys").modules, "meeting", raising=False)
    return folder / "met"
