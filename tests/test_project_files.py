"""pyproject.toml, constraints, workflows and the pages of the root agree with one another and the code."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

from csl_plugin import __version__

ROOT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS = PROJECT["optional-dependencies"]
OWN = {"csl_plugin", "benchmarks", "examples", "tests"}
DISTRIBUTIONS = {
    "cc3d": "connected-components-3d",
    "cv2": "opencv-python",
    "PIL": "pillow",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
}


def names(requirements):
    """The distributions of a list of requirements; those of this package's own extras too."""
    found = set()
    for requirement in requirements:
        name, extras = re.match(r"([\w.-]+)(?:\[(.*?)\])?", requirement).groups()
        if name == PROJECT["name"]:
            found |= names(item for extra in extras.split(",") for item in EXTRAS[extra])
        else:
            found.add(name)
    return found


def imported(folder):
    """The distributions that the modules of a folder import anywhere, less the standard library."""
    files = sorted((ROOT / folder).rglob("*.py"))
    local = OWN | {file.stem for file in files}  # a script imports the one beside it
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module]
            else:
                continue
            tops = {module.partition(".")[0] for module in modules}
            found |= tops - set(sys.stdlib_module_names) - local
    return {DISTRIBUTIONS.get(name, name) for name in found}


def lowest_versions():
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.partition("#")[0].strip().split("==") for line in lines if line and line[0] != "#")


def test_what_the_package_imports_is_what_it_declares():
    base, found = names(PROJECT["dependencies"]), imported("csl_plugin")
    optional = names(
        EXTRAS["hdf5"] + EXTRAS["raster"] + EXTRAS["supervision"] + EXTRAS["viz"] + EXTRAS["app"]
    )
    brought = {"triton", "fsspec", "pillow"}  # by torch; by whoever passes a picture
    assert found - optional - brought == base


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("tests", ["test", "test-app", "test-kernels", "anomalib"]),
        ("benchmarks", ["bench", "test", "anomalib", "notebooks"]),
        ("examples", ["ray"]),
    ],
)
def test_what_the_rest_imports_is_declared(folder, extras):
    declared = names(PROJECT["dependencies"] + [item for extra in extras for item in EXTRAS[extra]])
    by_hand = {"pydensecrf"} if folder == "benchmarks" else set()  # the Makefile compiles it where that works
    assert imported(folder) - declared <= by_hand


def test_the_lowest_versions_are_tested():
    lowest, floors = lowest_versions(), {}
    for requirement in PROJECT["dependencies"] + [
        item for extra in ("test", "hdf5", "transformers", "viz") for item in EXTRAS[extra]
    ]:
        if match := re.match(r"([\w-]+)>=([\d.]+)", requirement):
            floors[match[1]] = match[2]
    del floors["torch"]
    assert floors.keys() == lowest.keys()
    for name, floor in floors.items():
        assert lowest[name] == floor or lowest[name].startswith(f"{floor}.0"), name


def test_the_workflows_run_the_versions_that_are_declared():
    workflow = (ROOT / ".github/workflows/test.yml").read_text(encoding="utf-8")
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
    assert re.search(r"python: \[(.*)\]", workflow)[1] == ", ".join(f'"{version}"' for version in pythons)
    assert PROJECT["requires-python"] == f">={pythons[0]}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == pythons[0]
    floor = next(item for item in PROJECT["dependencies"] if item.startswith("torch>="))
    oldest = floor.removeprefix("torch>=")
    assert f'python: "{pythons[0]}", torch: "{oldest}.0"' in workflow
    assert f"LOWEST_TORCH={oldest}.0" in workflow


def test_the_citation_is_of_this_version():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    version = re.search(r"^version: (.*)$", citation, re.MULTILINE)[1]
    date = re.search(r"^date-released: (.*)$", citation, re.MULTILINE)[1]
    assert version == __version__
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(rf"^## \[{re.escape(version)}\] - (.*)$", changelog, re.MULTILINE) in ([], [date])


@pytest.mark.parametrize("page", ["README.md", "examples/space/requirements.txt"])
def test_what_is_installed_is_this_version(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert set(re.findall(r"(?:/v|@v|csl_plugin-)(\d+\.\d+\.\d+)", text)) == {__version__}


def test_pre_commit_runs_the_ruff_of_make_lint():
    pinned = re.search(r"^ruff==(.*)$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)[
        1
    ]
    assert f"rev: v{pinned} " in (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")


def test_the_package_index_can_follow_the_links_of_the_readme():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
        assert (ROOT / target).exists(), target
    for rule in PYPROJECT["tool"]["hatch"]["metadata"]["hooks"]["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    assert re.findall(r"\]\((?!https?:|#)[^)]*\)", text) == []
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]*)\)", text)
    assert pictures
    assert all(picture.startswith("https://raw.githubusercontent.com/") for picture in pictures)


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_the_files_that_a_page_names_are_there(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    tops = {path.name for path in ROOT.iterdir()}
    quoted = [name for name in re.findall(r"`([\w./-]+)`", text) if name.partition("/")[0] in tops]
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    for name in quoted + linked:
        assert (ROOT / name).exists(), name
