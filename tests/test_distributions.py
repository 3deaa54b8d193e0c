"""What `make dist` refuses: of a wheel and an sdist, made here of the package's own files."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from csl_plugin import __version__
from tests.helpers.distributions import faults

ROOT = Path(__file__).parents[1]
INFORMATION = f"csl_plugin-{__version__}.dist-info"


@pytest.fixture(scope="module")
def package() -> dict[str, bytes]:
    files = [path for path in (ROOT / "csl_plugin").rglob("*") if path.is_file()]
    return {
        path.relative_to(ROOT).as_posix(): path.read_bytes()
        for path in files
        if "__pycache__" not in path.parts
    }


def wheel(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / f"csl_plugin-{__version__}-py3-none-any.whl"
    own = {f"{INFORMATION}/{name}": b"" for name in ("METADATA", "licenses/LICENSE")}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**own, **files}.items():
            archive.writestr(name, content)
    return path


def sdist(folder: Path, files: dict[str, bytes]) -> Path:
    path = folder / f"csl_plugin-{__version__}.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in files.items():
            item = tarfile.TarInfo(f"csl_plugin-{__version__}/{name}")
            item.size = len(content)
            archive.addfile(item, io.BytesIO(content))
    return path


def test_the_package_as_it_is_may_be_published(package, tmp_path):
    assert faults(wheel(tmp_path, package)) == []
    assert faults(sdist(tmp_path, {**package, "README.md": b"", "docs/guide/files.md": b""})) == []
    done = subprocess.run(
        [sys.executable, "-m", "tests.helpers.distributions", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.count("0 faults") == 2


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("tests/test_arrays.py", b"", "tests/test_arrays.py is no part of the package"),
        ("csl_plugin/weights/csl-tiny/model.pt", b"", "csl-tiny/model.pt has no place in it"),
        ("csl_plugin/demo/street.tif", b"", "csl_plugin/demo/street.tif is of no known kind"),
        ("csl_plugin/demo/street.png", bytes(1_600_000), "csl_plugin/demo/street.png has 1600000 bytes"),
        ("csl_plugin/weights/csl-tiny/model.safetensors", b"", "/model.safetensors is missing or another"),
    ],
)  # fmt: skip
def test_what_a_wheel_may_not_hold(package, tmp_path, name, content, fault):
    assert any(found.endswith(fault) for found in faults(wheel(tmp_path, {**package, name: content})))


@pytest.mark.parametrize("name", ["docs/_build/html/index.html", "shared/paper.md", "csl_plugin/x.pkl"])
def test_what_an_sdist_may_not_hold(tmp_path, name):
    assert any(
        name.partition("/")[0] in fault and "no place" in fault
        for fault in faults(sdist(tmp_path, {name: b""}))
    )


def test_what_is_missing_is_named(package, tmp_path):
    less = {
        name: content for name, content in package.items() if not name.endswith(("py.typed", "recipe.json"))
    }
    assert sorted(faults(wheel(tmp_path, less))) == [
        "csl_plugin/py.typed is missing",
        "csl_plugin/weights/csl-tiny-open/recipe.json is missing",
        "csl_plugin/weights/csl-tiny-strict/recipe.json is missing",
        "csl_plugin/weights/csl-tiny/recipe.json is missing",
    ]
