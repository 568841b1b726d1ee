"""A page read back: its headings with what stands below each."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser

Rows = list[list[str]]


@dataclass
class Read:
    """A table: heads, the rows of all groups, the rows in each group, and the classes of the last row's cells."""

    heads: list[str] = field(default_factory=list)
    rows: Rows = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)


@dataclass
class Section:
    """What stands below a heading, in order: its paragraphs, tables, captions of figures, names and values."""

    heading: str
    texts: list[str] = field(default_factory=list)
    tables: list[Read] = field(default_factory=list)
    captions: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)


class Reader(HTMLParser):
    """Reads a page as a browser shows it, drawings left out. The first section is that of the title."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sections: list[Section] = []
        self._open: list[tuple[str, str]] = []
        self._text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("br", "meta"):
            self._text += " " if tag == "br" else ""
            return
        style = dict(attrs).get("class") or ""
        self._open.append((tag, style))
        if tag in ("h1", "h2", "h3", "p", "li", "th", "td", "dt", "dd", "figcaption"):
            self._text = ""
        if tag == "table":
            self.sections[-1].tables.append(Read())
        elif tag == "tbody":
            self.sections[-1].tables[-1].groups.append(0)
        elif tag == "tr" and any(one == "tbody" for one, _ in self._open):
            self.sections[-1].tables[-1].groups[-1] += 1
            self.sections[-1].tables[-1].rows.append([])
            self.sections[-1].tables[-1].styles = []

    def handle_endtag(self, tag: str) -> None:
        opened, style = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        text = " ".join(self._text.split())
        in_figure = any(one == "figure" for one, _ in self._open)
        if tag in ("h1", "h2", "h3") and not in_figure:
            self.sections.append(Section(text))
        elif tag in ("p", "li") and text:
            self.sections[-1].texts.append(text)
        elif tag in ("dt", "dd"):
            self.sections[-1].facts.append(text)
        elif tag == "th":
            self.sections[-1].tables[-1].heads.append(text)
        elif tag == "td":
            self.sections[-1].tables[-1].rows[-1].append(text)
            self.sections[-1].tables[-1].styles.append(style)
        elif in_figure and tag in ("h3", "figcaption"):
            self.sections[-1].captions.append(text)

    def handle_data(self, data: str) -> None:
        if not any(tag == "svg" for tag, _ in self._open):
            self._text += data


def read(page: str) -> dict[str, Section]:
    """The sections of a page by their headings, in its order."""
    found = Reader(page).sections
    assert len({one.heading for one in found}) == len(found)
    return {one.heading: one for one in found}
