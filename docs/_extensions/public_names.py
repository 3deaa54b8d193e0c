"""Directives for the pages of the API: tables of public names and of modules, and each name in full."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from code_names import public_places
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

_LONGEST_VALUE = 90


class PublicTable(SphinxDirective):
    """`{public-table} csl_plugin`: what a module says of itself, and its public names, each with a line."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """The nodes of what `lines` gives, which is reStructuredText as docstrings are."""
        module = importlib.import_module(self.arguments[0])
        self.env.note_dependency(str(module.__file__))
        names = sorted(module.__all__, key=lambda name: (_kind(getattr(module, name)), name.lower()))
        return self.parse_text_to_nodes("\n".join(["`````{eval-rst}", *self.lines(module, names), "`````"]))

    def lines(self, module: ModuleType, names: list[str]) -> Iterator[str]:
        """The text of the module and the table."""
        yield from (f".. automodule:: {module.__name__}", "")
        rows = [(f":py:obj:`{name} <{module.__name__}.{name}>`", _summary(module, name)) for name in names]
        yield from _table(rows)


class PublicNames(PublicTable):
    """`{public-names} csl_plugin.fusion`: the table, and the documentation of every name."""

    def lines(self, module: ModuleType, names: list[str]) -> Iterator[str]:
        """The table, and what autodoc makes of the names."""
        yield from super().lines(module, names)
        for name in names:
            yield from ("", *_documented(module, name))


class PublicPlaces(SphinxDirective):
    """`{public-places}`: a table of the modules with public names, which links their pages."""

    def run(self) -> list[nodes.Node]:
        """The nodes of the table."""
        rows = []
        for place in public_places():
            module = importlib.import_module(place)
            page = place.removeprefix("csl_plugin.")
            rows.append((f":doc:`{place} </api/{page}>`", (module.__doc__ or "").partition("\n\n")[0]))
        return self.parse_text_to_nodes("\n".join(["`````{eval-rst}", *_table(rows), "`````"]))


def _table(rows: list[tuple[str, str]]) -> Iterator[str]:
    yield from (".. list-table::", "   :class: names", "   :widths: auto", "")
    for first, second in rows:
        yield f"   * - {first}"
        yield f"     - {' '.join(second.split())}"


def _kind(value: object) -> int:
    """The place among the kinds: functions, classes, exceptions, data."""
    if inspect.isclass(value):
        return 2 if issubclass(value, BaseException) else 1
    return 0 if inspect.isroutine(inspect.unwrap(value)) else 3  # type: ignore[arg-type]


def _summary(module: ModuleType, name: str) -> str:
    value = getattr(module, name)
    text = _data(module, name)[1] if _kind(value) == 3 else inspect.getdoc(value) or ""
    return " ".join(text.strip().partition("\n\n")[0].split("\n"))


def _documented(module: ModuleType, name: str) -> Iterator[str]:
    """The directive of one name."""
    kind = _kind(getattr(module, name))
    if kind < 3:
        yield f".. auto{('function', 'class', 'exception')[kind]}:: {module.__name__}.{name}"
        if kind:
            yield "   :members:"
        if kind == 1:
            yield "   :special-members: __call__"
        return
    value, text = _data(module, name)
    yield f".. py:data:: {module.__name__}.{name}"
    if len(value) <= _LONGEST_VALUE:
        yield f"   :value: {value}"
    yield ""
    yield from (f"   {line}" for line in text.splitlines())


def _data(module: ModuleType, name: str) -> tuple[str, str]:
    """The value of a constant or an alias as it is written in its module, and the text below it."""
    package = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    home = module.__name__
    for node in ast.walk(package):  # some are imported at their first use
        if isinstance(node, ast.ImportFrom) and any(name in (item.asname, item.name) for item in node.names):
            home = str(node.module)
    if home != module.__name__:
        return _data(importlib.import_module(home), name)
    analyzer = ModuleAnalyzer.for_module(home)
    text = "\n".join(analyzer.find_attr_docs().get(("", name), []))
    for node in package.body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == name for target in targets):
            value = node.value  # type: ignore[attr-defined]
            quoted = isinstance(value, ast.Constant) and getattr(node, "annotation", None) is not None
            return (value.value if quoted and isinstance(value.value, str) else ast.unparse(value)), text
    raise LookupError(f"{home} does not assign {name}")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directives."""
    app.add_directive("public-table", PublicTable)
    app.add_directive("public-names", PublicNames)
    app.add_directive("public-places", PublicPlaces)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
