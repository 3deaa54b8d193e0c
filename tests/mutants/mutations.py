"""Small changes to a module that a test should notice, made on its syntax tree."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from typing import NamedTuple

_COMPARISONS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
}  # fmt: skip
_NAMES = {
    "min": "max", "amin": "amax", "minimum": "maximum", "any": "all", "argmax": "argmin", "floor": "ceil",
    "zeros": "ones", "zeros_like": "ones_like", "sqrt": "abs", "round": "floor", "cumsum": "cumprod",
}  # fmt: skip
_NAMES |= {after: before for before, after in _NAMES.items()}


class Mutant(NamedTuple):
    """One change.

    Attributes:
        line: Where, from 1 on.
        change: The expression or statement before and after.
        place: Which expression or statement of the module, and which of its variants.
    """

    line: int
    change: str
    place: tuple[int, int]

    def applied(self, source: str) -> str:
        """The module after the change."""
        tree = ast.parse(source)
        number, variant = self.place
        node = _nodes(tree)[number]
        changed = _Replacing(node, list(_variants(node))[variant]).visit(tree)
        return ast.unparse(ast.fix_missing_locations(changed))


def mutants(source: str) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of its lines; messages, annotations and docstrings stay."""
    nodes = _nodes(ast.parse(source))
    skipped = {id(inner) for node in nodes for part in _untouched(node) for inner in ast.walk(part)}
    for number, node in enumerate(nodes):
        if id(node) in skipped:
            continue
        for variant, after in enumerate(_variants(node)):
            yield Mutant(node.lineno, f"{_short(node)}  ->  {_short(after)}", (number, variant))


def _nodes(tree: ast.AST) -> list[ast.expr | ast.stmt]:
    return [node for node in ast.walk(tree) if isinstance(node, (ast.expr, ast.stmt))]


def _untouched(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a node that no test is about."""
    for argument in getattr(getattr(node, "args", None), "args", []):
        if isinstance(argument, ast.arg) and argument.annotation:
            yield argument.annotation
    if isinstance(node, ast.FunctionDef):
        yield from (arg.annotation for arg in node.args.kwonlyargs if arg.annotation)
        yield from filter(None, [node.returns])
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
        yield from node.decorator_list
    if isinstance(node, ast.AnnAssign):
        yield node.annotation
    if isinstance(node, (ast.JoinedStr, ast.Import, ast.ImportFrom)):
        yield node
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        yield node
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield from node.exc.args
    names = [name.id for name in getattr(node, "targets", []) if isinstance(name, ast.Name)]
    if isinstance(node, ast.Assign) and {"hint", "expected", "got", "__all__"} & set(names):
        yield node


def _variants(node: ast.AST) -> Iterator[ast.AST]:
    """The changes of one node."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        yield _with(node, ops=[_COMPARISONS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, (ast.BinOp, ast.AugAssign)) and type(node.op) in _OPERATORS:
        yield _with(node, op=_OPERATORS[type(node.op)]())
    elif isinstance(node, ast.BoolOp):
        yield _with(node, op=ast.Or() if isinstance(node.op, ast.And) else ast.And())
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.Invert, ast.USub)):
        yield node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield ast.Constant(node.value * 2 if isinstance(node.value, float) and node.value else node.value + 1)
    elif isinstance(node, ast.Attribute) and node.attr in _NAMES:
        yield _with(node, attr=_NAMES[node.attr])
    elif isinstance(node, ast.Name) and node.id in ("min", "max", "any", "all"):
        yield _with(node, id=_NAMES[node.id])
    elif isinstance(node, ast.IfExp):
        yield _with(node, body=node.orelse, orelse=node.body)
    if isinstance(node, (ast.Expr, ast.AugAssign, ast.Raise, ast.Continue, ast.Break)):
        yield ast.Pass()
    if isinstance(node, (ast.If, ast.While)):
        yield _with(node, test=ast.Constant(False))
    if isinstance(node, ast.If):
        yield _with(node, test=ast.Constant(True))


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _short(node: ast.AST) -> str:
    line = ast.unparse(node).splitlines()[0]
    return line if len(line) <= 90 else f"{line[:87]}..."


class _Replacing(ast.NodeTransformer):
    def __init__(self, target: ast.AST, replacement: ast.AST) -> None:
        self.target, self.replacement = target, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        if node is self.target:
            return ast.copy_location(self.replacement, node)
        return self.generic_visit(node)
