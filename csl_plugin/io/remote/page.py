"""The page by which a web server lists a folder."""

from __future__ import annotations

from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit


def links_of(page: str, url: str) -> list[str]:
    """The names, quoted as they are, of what a page links in its own folder; folders end in a slash.

    Args:
        page: HTML.
        url: Of the page; it ends in a slash. Links to other folders, hosts and schemes are left out.

    Example:
        >>> links_of('<a href="../">up</a> <a href="a%20b.png">a b</a> <a href="?C=N">sort</a>', "http://h/f/")
        ['a%20b.png']
    """
    parser = _Links()
    parser.feed(page)
    base = urlsplit(url)
    found: dict[str, None] = {}
    for link in parser.links:
        try:
            target = urlsplit(urljoin(url, link))
        except ValueError:
            continue
        same = (target.scheme, target.hostname, target.port) == (base.scheme, base.hostname, base.port)
        name = target.path.removeprefix(base.path)
        inside = same and target.path.startswith(base.path) and name and "/" not in name[:-1]
        if inside and not target.query and name not in (".", "..", "/"):
            found[name] = None
    return list(found)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]
