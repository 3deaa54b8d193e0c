"""The structure of the package, read from its imports: `python -m tests.helpers.structure` prints it."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "csl_plugin"

Graph = Mapping[str, set[str]]


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / PACKAGE).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports() -> dict[str, set[str]]:
    """Which modules of the package each module imports, anywhere in its code."""
    known = modules()
    graph: dict[str, set[str]] = {}
    for name, path in known.items():
        used = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in known:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    used.add(inner if inner in known else node.module)
            elif isinstance(node, ast.Import):
                used |= {alias.name for alias in node.names} & known.keys()
        graph[name] = used - {name}
    return graph


def part(module: str) -> str:
    """The folder or file directly below the package that holds a module; the package itself for its root."""
    return ".".join(module.split(".")[:2])


def parts(graph: Graph) -> dict[str, set[str]]:
    """The same graph between parts."""
    between: dict[str, set[str]] = defaultdict(set)
    for module, used in graph.items():
        between[part(module)] |= {part(other) for other in used} - {part(module)}
    return dict(between)


def cycles(graph: Graph) -> list[list[str]]:
    """The cycles of a graph, each as the names in it."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        number[name] = lowest[name] = len(number)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in number:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], number[other])
        if lowest[name] == number[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(graph):
        if name not in number:
            visit(name)
    return found


def layers(graph: Graph) -> dict[str, int]:
    """The longest way down from each part of a graph without cycles."""
    height: dict[str, int] = {}

    def of(name: str) -> int:
        if name not in height:
            height[name] = 1 + max((of(other) for other in graph.get(name, ())), default=0)
        return height[name]

    return {name: of(name) for name in graph}


def main() -> None:
    """Print parts by layer, imports, cycles, files per folder and the largest files."""
    graph = imports()
    between = parts(graph)
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in modules().values()}
    between_parts = sum(map(len, between.values()))
    print(f"{len(between)} parts, {between_parts} imports between them, cycles: {cycles(between) or 'none'}")
    print(f"{len(graph)} modules, {sum(map(len, graph.values()))} imports, cycles: {cycles(graph) or 'none'}")
    for name, layer in sorted(layers(between).items(), key=lambda item: (-item[1], item[0])):
        below = " ".join(other.partition(".")[2] for other in sorted(between[name]))
        print(f"  layer {layer:2}  {name:26} {below}")
    print("files and lines per folder")
    folders: dict[str, list[int]] = defaultdict(list)
    for path, count in lines.items():
        folders[path.parent.relative_to(ROOT).as_posix()].append(count)
    for folder, counts in sorted(folders.items()):
        print(f"  {len(counts):3} {sum(counts):6}  {folder}")
    print("largest files")
    for path, count in sorted(lines.items(), key=lambda item: -item[1])[:10]:
        print(f"  {count:4}  {path.relative_to(ROOT).as_posix()}")


if __name__ == "__main__":
    main()
