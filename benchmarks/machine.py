"""The machine and the date of a measurement."""

from __future__ import annotations

import datetime
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "torch",
    "numpy",
    "scipy",
    "opencv-python",
    "scikit-image",
    "connected-components-3d",
    "transformers",
    "pydensecrf2",
    "triton",
)


def describe() -> dict[str, str]:
    """Processor, versions and date, by their names in the report."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    packages = [f"{name} {found}" for name in _PACKAGES if (found := _version(name))]
    return {
        "processor": f"{_processor()}, {cores} cores",
        "versions": ", ".join(
            [f"csl-plugin {_version('csl-plugin')}", f"Python {platform.python_version()}", *packages]
        ),
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }


def load() -> float:
    """The load average of the last minute; 0 where the system does not report it."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    lines = information.read_text().splitlines() if information.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
