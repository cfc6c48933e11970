"""The report as one HTML file without outside requests."""

import base64
from collections.abc import Sequence
from html import escape

from eval.report.tables import Table

__all__ = ["Section", "page"]

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1240px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 12.5px; font-variant-numeric: tabular-nums; }
th, td { padding: .22rem .6rem; border-bottom: 1px solid #8884; text-align: left; white-space: nowrap; }
th { border-bottom: 2px solid #8888; }
tbody tr:hover { background: #8881; }
figure { margin: 1rem 0; } figure svg { width: 100%; height: auto; background: white; }
figure img { max-width: 100%; }
figcaption { font-size: 13px; opacity: .8; }
pre { overflow-x: auto; padding: .6rem; background: #8882; }
"""


class Section:
    """A piece of the page: HTML that is right as it stands."""

    def __init__(self, html: str) -> None:
        self.html = html

    @classmethod
    def table(cls, table: Table) -> "Section":
        """A table with its title and note."""
        return cls(table.html())

    @classmethod
    def svg(cls, title: str, caption: str, svg: str) -> "Section":
        """A drawing."""
        return cls(
            f"<h2>{escape(title)}</h2>\n<figure role=img aria-label='{escape(title)}'>{svg}"
            f"<figcaption>{escape(caption)}</figcaption></figure>\n"
        )

    @classmethod
    def picture(cls, title: str, caption: str, data: bytes) -> "Section":
        """A JPEG picture."""
        source = "data:image/jpeg;base64," + base64.b64encode(data).decode()
        return cls(
            f"<h2>{escape(title)}</h2>\n<figure><img alt='{escape(title)}' src='{source}'>"
            f"<figcaption>{escape(caption)}</figcaption></figure>\n"
        )

    @classmethod
    def text(cls, title: str, lines: Sequence[str], code: str = "") -> "Section":
        """A list of sentences, and a command."""
        items = "".join(f"<li>{escape(line)}</li>" for line in lines)
        block = f"<pre>{escape(code)}</pre>" if code else ""
        return cls(f"<h2>{escape(title)}</h2>\n<ul>{items}</ul>{block}\n")


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole page."""
    body = "".join(section.html for section in sections)
    return (
        f"<!doctype html>\n<html lang=en><meta charset=utf-8><title>{escape(title)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>\n"
        f"<h1>{escape(title)}</h1>\n{body}</html>\n"
    )
