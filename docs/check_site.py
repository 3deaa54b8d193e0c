"""Every link and picture of a built site that leads to the site itself leads to a file, and to a place in it.

`python docs/check_site.py docs/_build/html` prints the links that do not, and ends with 1 if there are any.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class _Page(HTMLParser):
    """The ids of a page and the addresses that it names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids = {"", "top"}
        self.addresses: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.ids.add(value)
            elif name in ("href", "src") and value:
                self.addresses.add(value)


def broken_links(site: Path) -> list[str]:
    """The links of a site that lead nowhere, as "page: address"."""
    files = {path.resolve() for path in site.rglob("*") if path.is_file()}
    pages = {path: _Page(path.read_text(encoding="utf-8")) for path in files if path.suffix == ".html"}
    broken = []
    for path, page in pages.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            known = pages[target].ids if target in pages else {unquote(parts.fragment)}
            if target not in files or unquote(parts.fragment) not in known:
                broken.append(f"{path.relative_to(site.resolve())}: {address}")
    return sorted(broken)


def main() -> int:
    """Check the folder that the command line names."""
    broken = broken_links(Path(sys.argv[1]))
    print("\n".join(broken) if broken else "All links within the site lead somewhere.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
