"""A page's head for search engines and for those who show links: its first paragraph and a picture."""

from html import escape
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

_LONGEST = 200


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add the description and the Open Graph tags to a page's context."""
    base = app.config.html_baseurl.rstrip("/") + "/"
    if page == "404":  # it is served in place of pages of every depth
        context["metatags"] = f'<base href="{escape(base)}">'
    if doctree is None:
        return
    paragraph = next(doctree.findall(nodes.paragraph), None)
    text = " ".join(paragraph.astext().split()) if paragraph is not None else app.config.project
    if len(text) > _LONGEST:
        text = text[:_LONGEST].rpartition(" ")[0] + " ..."
    tags = {
        "og:title": context["title"],
        "og:description": text,
        "og:type": "website",
        "og:url": base + app.builder.get_target_uri(page),
        "og:site_name": app.config.html_title,
        "og:image": base + "_static/demo.png",
        "og:image:alt": "A score of every pixel, regions, and the score fused with them",
    }
    lines = [f'<meta name="description" content="{escape(text)}">']
    lines += [f'<meta property="{name}" content="{escape(value)}">' for name, value in tags.items()]
    lines.append('<meta name="twitter:card" content="summary_large_image">')
    context["metatags"] = context.get("metatags", "") + "\n" + "\n".join(lines)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the handler."""
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
