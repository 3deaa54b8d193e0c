"""Pages are written for the repository host; here they become pages of a site.

Links to files of the repository that are no pages lead to the host, links that show the name of a page's file
show its title, and the index of decisions lists its pages.
"""

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

ROOT = Path(__file__).parents[2]
_LOGGER = logging.getLogger(__name__)


class RepositoryLinks(SphinxTransform):
    """Replaces MyST's references to files outside of the site; a file that is not there is a warning."""

    default_priority = 400

    def apply(self, **options: Any) -> None:
        """Visit the references of one page."""
        for kind in (addnodes.pending_xref, addnodes.download_reference):
            for reference in list(self.document.findall(kind)):
                if reference.get("reftype") == "myst":
                    self._visit(reference)

    def _visit(self, reference: nodes.Element) -> None:
        text = reference.astext().partition("#")[0]
        if text.endswith(".md") and reference.get("refdomain") == "doc":
            reference["refexplicit"] = False
            reference.children = [nodes.inline()]
        place, _, anchor = str(reference["reftarget"]).partition("#")
        if not place or place in self.env.found_docs:
            return
        anchor = anchor or reference.get("reftargetid") or ""
        if reference.get("refdomain") == "doc":
            path = self.env.srcdir / f"{place}.md"
        else:
            path = Path(self.env.relfn2path(place)[1])
        path = path.resolve()
        if path == ROOT / "docs" / "README.md":
            reference["reftarget"] = "index"
            return
        if not path.exists() or not path.is_relative_to(ROOT):
            _LOGGER.warning("no such file: %s", place, location=reference)
            return
        kind = "tree" if path.is_dir() else "blob"
        branch = self.config.repository_branch
        uri = f"{self.config.repository}/{kind}/{branch}/{path.relative_to(ROOT).as_posix()}"
        link = nodes.reference("", "", refuri=f"{uri}#{anchor}" if anchor else uri, internal=False)
        link += reference.children
        reference.replace_self(link)


def list_decisions(app: Sphinx, page: str, source: list[str]) -> None:
    """Append the list that the navigation needs, and that the host would show as code."""
    if page == "adr/README":
        source[0] += "\n```{toctree}\n:hidden:\n:glob:\n\n*\n```\n"


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the transform, its two settings, and the list."""
    app.add_config_value("repository", "", "env", str)
    app.add_config_value("repository_branch", "main", "env", str)
    app.add_transform(RepositoryLinks)
    app.connect("source-read", list_decisions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
