"""Names in docstrings: one between backticks is code, and a link where it is a public name of the package.

Names are written as a reader of the code would: `fuse`, `Threshold.fit_pixels`, `csl_plugin.fuse`. Signatures
name classes by the module that defines them. Both are led to the page of the package that makes them public.
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import make_refnode

import csl_plugin

# The engine, the commands, and what processes of a job exchange.
INTERNAL = {"ops", "cli", "distributed"}

_LIBRARY = "https://docs.python.org/3/library"
_NUMPY = "https://numpy.org/doc/stable/reference"
_TORCH = "https://docs.pytorch.org/docs/stable"
# Addresses in place of the inventories of intersphinx, which the build would have to download.
_ELSEWHERE = {
    r"(collections\.abc|os|pathlib)\.(\w+)": _LIBRARY + r"/\1.html#\1.\2",
    r"numpy\.(ndarray|dtype)": _NUMPY + r"/generated/numpy.\1.html",
    r"numpy\.typing\.NDArray": _NUMPY + "/typing.html#numpy.typing.NDArray",
    r"numpy\.(bool|u?int\d+|float\d+)": _NUMPY + r"/arrays.scalars.html#numpy.\1",
    r"numpy\.random\.(?:_generator\.)?Generator": _NUMPY + "/random/generator.html#numpy.random.Generator",
    r"gradio\.Blocks": "https://www.gradio.app/docs/gradio/blocks",
    r"matplotlib\.figure\.Figure": "https://matplotlib.org/stable/api/figure_api.html#matplotlib.figure.Figure",
    r"torch\.Tensor": _TORCH + "/tensors.html",
    r"torch\.device": _TORCH + "/tensor_attributes.html#torch.device",
    r"torch\.nn\.(?:modules\.module\.)?Module": _TORCH + "/generated/torch.nn.Module.html",
    r"torch\.(?:_C\.)?Generator": _TORCH + "/generated/torch.Generator.html",
}


# Sphinx shows annotations as they are written where it cannot evaluate all of a signature.
_SHORT = {
    "Tensor": "torch.Tensor",
    "Path": "pathlib.Path",
    "NDArray": "numpy.typing.NDArray",
    "np.uint8": "numpy.uint8",
    "Blocks": "gradio.Blocks",
    "Figure": "matplotlib.figure.Figure",
}


class DottedNames(SphinxTransform):
    """Code such as `csl_plugin.tiles.fuse_large` in a page leads to the API, where that has it."""

    default_priority = 400

    def apply(self, **options: Any) -> None:
        """Visit the code of one page."""
        for code in list(self.document.findall(nodes.literal)):
            inside = isinstance(code.parent, (addnodes.pending_xref, nodes.reference))
            if not inside and re.fullmatch(r"csl_plugin(\.\w+)+", code.astext()):
                reference = _reference(code.astext(), self.env.docname)
                code.replace_self(reference)
                reference += code


class CodeName(SphinxRole):
    """The default role: code, linked where it names something."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """A reference that nobody misses."""
        code = nodes.literal(self.text, self.text, classes=["code-name"])
        reference = _reference(self.text, self.env.docname)
        reference += code
        self.set_source_info(reference)
        reference["py:module"] = self.env.ref_context.get("py:module")
        reference["py:class"] = self.env.ref_context.get("py:class")
        return [reference], []


def _reference(target: str, page: str) -> addnodes.pending_xref:
    """A reference that stays code where nothing has the name."""
    options = {"refdomain": "py", "reftype": "obj", "reftarget": target, "lenient": True}
    return addnodes.pending_xref("", refdoc=page, **options)


def public_places() -> list[str]:
    """The modules and packages with public names, without those of the root."""
    places = [item.name for item in pkgutil.iter_modules(csl_plugin.__path__) if item.name not in INTERNAL]
    return [*(f"csl_plugin.{place}" for place in places if place[0] != "_"), "csl_plugin.objects.formats"]


def _public_values() -> Iterator[tuple[str, str, Any]]:
    """Home, name and value of every public name."""
    for place in public_places():
        module = importlib.import_module(place)
        for name in module.__all__:
            yield f"{place}.{name}", name, getattr(module, name)


@cache
def public_homes() -> dict[str, str]:
    """Every spelling of a public name, and its place: of `fuse`, "csl_plugin.fusion.fuse"."""
    homes: dict[str, set[str]] = {}
    for home, name, value in _public_values():
        for spelling in {name, home, _defined(value) or home}:
            homes.setdefault(spelling, set()).add(home)
    for name in csl_plugin.__all__:
        home = homes[_defined(getattr(csl_plugin, name))]
        homes[name] = homes[f"csl_plugin.{name}"] = home
    return {spelling: min(found) for spelling, found in homes.items() if len(found) == 1}


def _defined(value: Any) -> str | None:
    """The name of a class or a function in the module that defines it."""
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"{value.__module__}.{value.__qualname__}"
    return None


def public_aliases() -> dict[str, str]:
    """What `autodoc_type_aliases` takes, so that a signature says `Rule` and not what that stands for."""
    homes = public_homes()
    return {
        name: home
        for home, name, value in _public_values()
        if _defined(value) is None and homes.get(name) == home
    }


def resolve(
    app: Sphinx, env: BuildEnvironment, node: addnodes.pending_xref, content: nodes.TextElement
) -> nodes.Element | None:
    """The target of a name that Sphinx does not find where it stands."""
    if node["refdomain"] != "py":
        return None
    objects = env.domains.python_domain.objects
    words = node["reftarget"].removesuffix("()").split(".")
    for count in range(len(words), 0, -1):
        home = public_homes().get(".".join(words[:count]))
        if home is None:
            continue
        target = ".".join([home, *words[count:]])
        if target in objects:
            entry = objects[target]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, content, target)
    written = _SHORT.get(node["reftarget"], node["reftarget"])
    for pattern, address in _ELSEWHERE.items():
        if match := re.fullmatch(pattern, written):
            return nodes.reference("", "", content, refuri=match.expand(address), internal=False)
    return content if node.get("lenient") else None


def keep_colons(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """Keep Napoleon from taking what stands before a colon for a type: the annotations say the types."""
    if what in ("attribute", "data", "property"):
        lines[:0] = ["..", ""]  # an empty comment, which has no colon
    if "Returns:" not in lines:
        return
    start = lines.index("Returns:")
    end = next((at for at in range(start + 1, len(lines)) if re.match(r"\S", lines[at])), len(lines))
    text = inspect.cleandoc("\n".join(["", *lines[start + 1 : end]])).split("\n")
    lines[start:end] = [f":returns: {text[0]}", *(f"    {line}" for line in text[1:]), ""]


def plain_defaults(
    app: Sphinx,
    what: str,
    name: str,
    value: object,
    options: object,
    signature: str | None,
    result: str | None,
) -> tuple[str | None, str | None]:
    """A signature that Sphinx can read, where a dataclass makes a default of a field."""
    return (signature and signature.replace("<factory>", "..."), result)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the role and what resolves names."""
    app.add_role("code-name", CodeName())
    app.add_transform(DottedNames)
    app.connect("missing-reference", resolve)
    app.connect("autodoc-process-signature", plain_defaults)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
