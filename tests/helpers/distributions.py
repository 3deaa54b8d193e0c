"""What a wheel and an sdist may hold, and their sizes: `python -m tests.helpers.distributions dist`."""

from __future__ import annotations

import hashlib
import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

from csl_plugin import __version__
from csl_plugin.proposers.bundled import BUNDLED

LARGEST = {".whl": 30_000_000, ".gz": 45_000_000}
LARGEST_FILES = {".safetensors": 9_000_000, "": 1_500_000}  # "" for all others
IN_THE_WHEEL = {
    ".py",
    ".json",
    ".md",
    ".safetensors",
    ".jpg",
    ".png",
    ".txt",
    ".typed",
    ".css",
    ".html",
    ".js",
}
TOPS_OF_THE_SDIST = {"csl_plugin", "tests", "benchmarks", "examples", "docs", ".github"}
NEVER = {"_build", "__pycache__", ".ipynb_checkpoints", "data_sets", "shared", "demo_out", "dist", ".venv"}
PICKLES = {".pt", ".pth", ".pkl", ".bin", ".ckpt"}


def faults(distribution: Path) -> list[str]:
    """What is wrong with a wheel or an sdist; empty if nothing is."""
    files = _files(distribution)
    found = [
        f"{name} has no place in it"
        for name in files
        if NEVER & set(PurePosixPath(name).parts) or PurePosixPath(name).suffix in PICKLES
    ]
    found += [
        f"{name} has {len(content)} bytes"
        for name, content in files.items()
        if len(content) > LARGEST_FILES.get(PurePosixPath(name).suffix, LARGEST_FILES[""])
    ]
    size, largest = distribution.stat().st_size, LARGEST[distribution.suffix]
    found += [f"{size} bytes in all, more than {largest}"] if size > largest else []
    found += _of_the_networks(files)
    return found + (_of_the_wheel(files) if distribution.suffix == ".whl" else _of_the_sdist(files))


def _files(distribution: Path) -> dict[str, bytes]:
    """The contents by name; those of an sdist without the folder that holds them."""
    if distribution.suffix == ".whl":
        with zipfile.ZipFile(distribution) as archive:
            return {item.filename: archive.read(item) for item in archive.infolist() if not item.is_dir()}
    with tarfile.open(distribution) as archive:
        return {
            item.name.partition("/")[2]: archive.extractfile(item).read() for item in archive if item.isfile()
        }


def _of_the_networks(files: dict[str, bytes]) -> list[str]:
    found = []
    for name, digest in BUNDLED.items():
        folder = f"csl_plugin/weights/{name}"
        weights = files.get(f"{folder}/model.safetensors", b"")
        if hashlib.sha256(weights).hexdigest() != digest:
            found.append(f"{folder}/model.safetensors is missing or another")
        others = (f"{folder}/{other}" for other in ("config.json", "README.md", "recipe.json"))
        found += [f"{other} is missing" for other in others if other not in files]
    return found


def _of_the_wheel(files: dict[str, bytes]) -> list[str]:
    information = f"csl_plugin-{__version__}.dist-info"
    inside = [name for name in files if not name.startswith(information + "/")]
    found = [f"{name} is no part of the package" for name in inside if not name.startswith("csl_plugin/")]
    found += [
        f"{name} is of no known kind" for name in inside if PurePosixPath(name).suffix not in IN_THE_WHEEL
    ]
    needed = ("csl_plugin/py.typed", f"{information}/METADATA", f"{information}/licenses/LICENSE")
    return found + [f"{name} is missing" for name in needed if name not in files]


def _of_the_sdist(files: dict[str, bytes]) -> list[str]:
    folders = {name.partition("/")[0] for name in files if "/" in name}
    return [f"{name}/ has no place in it" for name in sorted(folders - TOPS_OF_THE_SDIST)]


def main() -> int:
    """Check every wheel and sdist of a folder; say what is wrong."""
    paths = sorted(Path(sys.argv[1]).glob("*.whl")) + sorted(Path(sys.argv[1]).glob("*.tar.gz"))
    if len(paths) != 2:
        print(f"{sys.argv[1]} holds {len(paths)} distributions, not a wheel and an sdist")
        return 1
    wrong = 0
    for path in paths:
        found = faults(path)
        wrong += len(found)
        count = len(_files(path))
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {count} files, {len(found)} faults")
        print("".join(f"  {fault}\n" for fault in found), end="")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
