"""Tables of the commands for people. Programs use --json.

Names, labels, texts and everything else from outside is shown through `Table` and `shown`, which write control
characters as codes. Everything is printed through `Escaped`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from typing import Any

from rich import box, table
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.errors import NotRenderableError
from rich.measure import Measurement
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text

from ..errors import LexportError
from ..messages.escaping import visible, visible_lines

_COMPONENTS = 4  # of a vector are shown
_INDENT = 4  # columns before the rest of a line that is too long
_FOLDED = 20  # columns that are enough for words which may be folded


class Escaped:
    """A renderable that is safe for a terminal: no control characters except line ends and colours, and no links."""

    def __init__(self, screen: RenderableType) -> None:
        """Keep a rich renderable."""
        self._screen = screen

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the screen, piece by piece."""
        for text, style, control in console.render(self._screen, options):
            if not control:
                style = style.update_link(None) if style is not None and style.link else style
                yield Segment(visible_lines(text, part=True), style)


class Quoted:
    """Several lines from outside, each after a bar, so that none looks like a line of lexport's."""

    def __init__(self, screen: RenderableType) -> None:
        """Keep a rich renderable."""
        self._screen = screen

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the screen between a bar and the right edge."""
        for line in console.render_lines(self._screen, options.update_width(options.max_width - 2), pad=False):
            yield Segment("| ")
            yield from line
            yield Segment.line()


class Line:
    """One line from outside; if it is too long for the screen, the rest is indented, unlike lexport's own lines."""

    def __init__(self, value: object, style: str = "") -> None:
        """Keep the text of `value`."""
        self._text = shown(value, style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the line, or its pieces."""
        width = max(1, options.max_width - _INDENT)
        for number, line in enumerate(console.render_lines(self._text, options.update_width(width), pad=False)):
            yield Segment(" " * _INDENT if number else "")
            yield from line
            yield Segment.line()


class Table(table.Table):
    """A table whose strings come from outside: each stays on one line and is not markup. A `Text` stays as it is.

    Where the screen is too narrow for its longest words and numbers, each row becomes a paragraph, so that nothing is
    cut.
    """

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw the table, or its rows as paragraphs."""
        widths = self._widths(console, options)
        if widths is None:
            yield from self._paragraphs(options.max_width)
            return
        fitted = copy(self)
        fitted.columns = [copy(column) for column in self.columns]
        for column, width in zip(fitted.columns, widths, strict=True):
            column.width = width
            column.overflow = "fold"  # rich puts an ellipsis for the space after a word of wide letters
        yield from table.Table.__rich_console__(fitted, console, options)

    def _widths(self, console: Console, options: ConsoleOptions) -> list[int] | None:
        """Return the width of each column such that lines are broken between words alone; None if there is no room.

        rich itself would cut words of the widest column before it breaks a line of another one.
        """
        room = options.max_width - (len(self.columns) + 1) - len(self.columns) * sum(self.padding[1::2])
        least, most = [], []
        for column in self.columns:
            sizes = [Measurement.get(console, options, cell) for cell in (column.header, *column.cells)]
            longest = max(size.minimum for size in sizes)
            least.append(min(longest, _FOLDED) if column.overflow == "fold" else longest)
            most.append(max(size.maximum for size in sizes))
        widths, spare = list(least), room - sum(least)
        if spare < 0:
            return None
        # The columns that lack least first: each that is whole needs no second line.
        for place in sorted(range(len(widths)), key=lambda place: most[place] - least[place]):
            more = min(most[place] - least[place], spare)
            widths[place] += more
            spare -= more
        return widths

    def _paragraphs(self, width: int) -> Iterator[RenderableType]:
        """Yield a paragraph for each row: its first cell, then the others with their names, as many as fit a line.

        Each line is indented, unlike lexport's own lines.
        """
        yield Text()
        for cells in zip(*(column.cells for column in self.columns), strict=True):
            line, *others = (_cell(cell).copy() for cell in cells)
            line.stylize("bold")
            indent = 1
            for column, cell in zip(self.columns[1:], others, strict=True):
                if not cell:
                    continue
                head = _cell(column.header)
                named = Text.assemble(head, " " if head else "", cell)
                if line and (indent + line.cell_len + 2 + named.cell_len > width or "\n" in cell.plain):
                    yield Padding(line, (0, 0, 0, indent), expand=False)
                    line, indent = Text(), _INDENT
                line.append("  " if line else "").append_text(named)
            yield Padding(line, (0, 0, 0, indent), expand=False)
        yield Text()

    def add_column(self, header: RenderableType = "", footer: RenderableType = "", **options: Any) -> None:
        """Add a column, as rich does."""
        super().add_column(_cell(header), _cell(footer), **options)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        """Add a row, as rich does."""
        super().add_row(*[None if cell is None else _cell(cell) for cell in cells], **options)


def _cell(content: object) -> Text:
    return content if isinstance(content, Text) else shown(content)


def shown(value: object, style: str = "") -> Text:
    """Return a value from outside on one line, with codes for invisible characters; it is never read as markup."""
    return Text(visible(value), style)


def new_table(*columns: str) -> Table:
    """Return a table whose first column is text and the others numbers."""
    table = Table(box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns):
        table.add_column(column, justify="left" if position == 0 else "right")
    return table


def text_table(columns: Mapping[str, bool]) -> Table:
    """Return a table as wide as the screen whose column "text" takes the room that is left; each row is one line.

    columns: the heads, and whether each column has numbers.
    """
    table = Table(box=box.SIMPLE_HEAD, expand=True)
    for head, numeric in columns.items():
        table.add_column(
            head,
            justify="right" if numeric else "left",
            no_wrap=True,
            ratio=1 if head == "text" else None,
            overflow="ellipsis",
        )
    return table


@contextmanager
def reading(what: object, kind: type[LexportError]) -> Iterator[None]:
    """Raise an error of this kind, with the name `what`, if a value is missing or has a wrong type or range."""
    try:
        yield
    except (
        LookupError,
        TypeError,
        ValueError,
        AttributeError,
        ArithmeticError,
        StopIteration,
        NotRenderableError,
    ) as error:
        raise kind(
            f"{what} is not as lexport writes it ({type(error).__name__}: {str(error)[:200]}). "
            "Look at it with --json.",
            code="LX-REPORT-003",
        ) from None


def megabytes(size: float) -> str:
    """Return bytes as MB with one decimal."""
    return f"{size / 1e6:.1f} MB"


def titled(title: str, table: Table, note: str = "") -> Group:
    """Return a table under a title and a note; the note may be wider than the table."""
    return Group(Line(title, "bold"), *([Text(note, "bold")] if note else []), table)


def answers(given: Sequence[str], found: Sequence[Mapping[str, Any]]) -> Table:
    """Return a table of texts, or of the names of images, with the model's answers."""
    counted = any("tokens" in answer for answer in found)
    heads = ("vector", "values") if any("vector" in answer for answer in found) else ("label", "score")
    table = new_table("text" if counted else "image", *heads, *(("tokens", "unknown") if counted else ()))
    table.columns[1].justify = "left"
    for name, answer in zip(given, found, strict=True):
        cut = name if len(name) <= 60 else name[:59] + "…"
        cells: list[str | Text] = [*_answer_cells(answer)]
        if counted:
            cells += [str(answer["tokens"]) + ("+" if answer["truncated"] else ""), str(answer["unknown"])]
        table.add_row(repr(cut), *cells)
    return table


def explanations(given: Sequence[str], found: Sequence[Mapping[str, Any]]) -> Group:
    """Return what each token of each text adds to the logit of the best label."""
    parts: list[Group] = []
    for text, one in zip(given, found, strict=True):
        label = one.get("label") or max(one["logits"], key=one["logits"].__getitem__)
        table = new_table("token", "characters", f"adds to {label}")
        table.add_row("(bias)", "", f"{one['bias'][label]:+.4f}")
        for token in one["tokens"]:
            table.add_row(
                repr(token["token"]), f"{token['start']}-{token['end']}", f"{token['contributions'][label]:+.4f}"
            )
        table.add_row("(logit)", "", f"{one['logits'][label]:+.4f}")
        sampled = f", {one['orders']} orders, standard error {one['standard_error']:.4f}" if "orders" in one else ""
        parts.append(titled(f"{text[:60]!r} ({one['method']}{sampled})", table))
    return Group(*parts)


def _answer_cells(answer: Mapping[str, Any]) -> tuple[str | Text, str | Text]:
    """Return an answer in two cells: a label and its score, labels and scores, or a vector and its width."""
    if "vector" in answer:
        vector = answer["vector"]
        first = "  ".join(f"{value:.4f}" for value in vector[:_COMPONENTS])
        return first + ("  …" if len(vector) > _COMPONENTS else ""), str(len(vector))
    if "labels" in answer:
        labels = answer["labels"]
        names = Text("\n").join(shown(one["label"]) for one in labels)
        return names or "none", Text("\n".join(share(one["score"]) for one in labels))
    return answer["label"], f"{answer['score']:.4f}"


_MARKS = {
    "ok": ("✓", "green"),
    "note": ("!", "yellow"),
    **dict.fromkeys(("problem", "danger"), ("✗", "red")),
}


def findings(values: Sequence[Mapping[str, Any]]) -> Table:
    """Return the findings of `doctor`, each with its remedy below."""
    table = new_table("", "what", "found")
    for column in table.columns:
        column.justify = "left"
    for one in values:
        mark, colour = _MARKS[one["state"]]
        found = shown(one["found"])
        if one["remedy"]:
            found.append("\n").append_text(shown(f"→ {one['remedy']}", colour))
        table.add_row(Text(mark, colour), one["subject"], found)
    return table


def setting_findings(values: Sequence[Mapping[str, Any]]) -> Table:
    """Return the findings on a file of settings: the value, what can happen and, below it, what to set instead."""
    table = new_table("", "setting", "what can happen")
    for column in table.columns:
        column.justify, column.overflow = "left", "fold"
    for one in values:
        mark, colour = _MARKS[one["level"]]
        setting = shown(one["setting"] if one["line"] is None else f"{one['setting']}, line {one['line']}")
        setting.append("\n").append_text(shown(one["found"], "dim"))
        danger = shown(one["danger"])
        if one["fix"]:
            danger.append("\n").append_text(shown(f"→ {one['fix']}", colour))
        table.add_row(Text(mark, colour), setting, danger)
    return table


def share(value: float) -> str:
    """Return a share from 0 to 1, or a score, with four decimals."""
    return f"{value:.4f}"


def with_interval(values: Mapping[str, Any], name: str) -> str:
    """Return a value of a JSON object and, where it has one, its interval."""
    ends = values.get(f"{name}_interval")
    return share(values[name]) + (f" [{share(ends[0])}, {share(ends[1])}]" if ends else "")
