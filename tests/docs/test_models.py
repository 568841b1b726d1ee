"""docs/models.md and its like are run from top to bottom: every block of code does what the page says it does.

A section (from one heading to the next) is run in a folder of its own, so it holds all it needs. What a block is, its
first line says:

    python             run; blocks of one section share their names
    sh                 commands of lexport, run in this process
    toml NAME          a recipe in a file of that name, which is loaded, for the commands below it
    csv, jsonl, txt NAME    a file of that name
    text               what the block above it prints, to the letter; … stands for anything
    text about         the same, but for numbers with a decimal point, which a machine's rounding may move a little
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest

from lexport.__main__ import run as command_line
from lexport.models import recipes

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
TAUGHT = (
    PAGE,
    *map(
        PAGE.with_name, ("pretrained.md", "vectors.md", "python.md", "migrate.md", "score.md", "store.md", "train.md")
    ),
)
FILES = ("csv", "jsonl", "toml", "txt")
ROUNDING = 0.1
LONG = {"python.md: The whole chain", "score.md: An example", "store.md: An example", "vectors.md: Many searches"}

BLOCK = re.compile(r'^```(?P<kind>\w*)(?: title="(?P<title>[^"]*)")?\n(?P<body>.*?)^```$', re.MULTILINE | re.DOTALL)
DECIMAL = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Block:
    """A block of code.

    kind is the word after its fence, title its file's name or "about", line is where it begins in the page.
    """

    kind: str
    title: str | None
    body: str
    line: int


def sections(path: Path) -> Iterator[tuple[str, list[Block]]]:
    """The page's headings that have blocks below them, after the page's name, with these."""
    page = path.read_text(encoding="utf-8")
    # In code a line may begin with # too.
    outside = BLOCK.sub(lambda found: "\n" * found.group().count("\n"), page)
    headings = [(number, line.lstrip("# ")) for number, line in enumerate(outside.split("\n"), 1) if line[:1] == "#"]
    blocks = [
        Block(found["kind"], found["title"], found["body"], page.count("\n", 0, found.start()) + 1)
        for found in BLOCK.finditer(page)
    ]
    for (first, heading), (end, _) in zip_longest(headings, headings[1:], fillvalue=(len(page), "")):
        own = [block for block in blocks if first < block.line < end]
        if own:
            yield f"{path.name}: {heading}", own


SECTIONS = dict(section for path in TAUGHT for section in sections(path))


def execute(block: Block, names: dict[str, Any]) -> str | None:
    """Run one block in the current folder; what it printed, None where a block prints nothing."""
    printed = io.StringIO()
    if block.kind in FILES:
        assert block.title is not None, f"line {block.line}: the file has no name"
        Path(block.title).write_text(block.body, encoding="utf-8")
        if block.kind == "toml":
            recipes.load(block.title)
        return None
    with contextlib.redirect_stdout(printed):
        if block.kind == "python":
            exec(compile("\n" * block.line + block.body, "the page", "exec"), names)
        else:
            assert block.kind == "sh", f"line {block.line}: no block may go without being run, this is {block.kind!r}"
            for line in block.body.replace("\\\n", " ").splitlines():
                program, *arguments = shlex.split(line, comments=True)
                assert program == "lexport"
                with contextlib.redirect_stderr(io.StringIO()) as errors:
                    code = command_line(arguments)
                assert code == 0, f"line {block.line}: {line}\n{errors.getvalue()}"
    return printed.getvalue()


def agrees(found: str, shown: str, *, about: bool) -> bool:
    """Whether a block printed what the page shows; … stands for anything."""
    pattern = re.escape(shown.rstrip()).replace("…", ".*?")
    expected: list[float] = []
    if about:
        # A number may have become a digit longer, and its column wider.
        expected = list(map(float, DECIMAL.findall(shown)))
        pattern = re.sub(r"(?:\\?\s)+", r"\\s+", re.sub(r"(?:\\-)?\d+\\\.\d+", r"(-?\\d+\\.\\d+)", pattern))
    match = re.fullmatch(pattern, found.rstrip(), re.DOTALL)
    if match is None:
        return False
    pairs = zip(map(float, match.groups()), expected, strict=True)
    return all(abs(value - other) <= ROUNDING * max(abs(other), 1) for value, other in pairs)


@pytest.mark.parametrize(
    "heading",
    [pytest.param(one, marks=[pytest.mark.long] if one in LONG else []) for one in SECTIONS],
)
def test_a_sections_code_runs_and_prints_what_the_page_shows(
    heading: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    printed: str | None = None
    for block in SECTIONS[heading]:
        if block.kind == "text":
            assert printed is not None, f"line {block.line}: there is no code above this that prints"
            assert agrees(printed, block.body, about=block.title == "about"), (
                f"{heading}, line {block.line}, shows\n{block.body}\nand the code above it printed\n{printed}"
            )
            printed = None
        else:
            printed = execute(block, names)


def test_every_recipe_and_every_part_is_explained() -> None:
    page = PAGE.read_text(encoding="utf-8")
    headings = re.findall(r"^###? (.+)$", page, re.MULTILINE)
    for kinds in recipes.PARTS.values():
        for name in kinds:
            assert any(heading.startswith(f"`{name}`") for heading in headings), name
    for name in recipes.names():
        assert f"\n| `{name}` |" in page


def test_every_option_is_named() -> None:
    page = PAGE.read_text(encoding="utf-8")
    kinds = [kind for kinds in recipes.PARTS.values() for kind in kinds.values()]
    for kind in (*kinds, recipes.TextOptions, recipes.TrainingOptions):
        for option in fields(kind):
            assert f"`{option.name}`" in page, f"{kind.__name__}: {option.name}"


def test_every_link_to_a_page_of_ours_leads_somewhere() -> None:
    for page in (PAGE.parent.parent / "README.md", *PAGE.parent.glob("*.md")):
        for target, place in re.findall(r"\]\(([\w./-]*)(?:#([\w-]+))?\)", page.read_text(encoding="utf-8")):
            path = page.parent / target if target else page
            assert path.is_file(), f"{page.name}: {target}"
            assert not place or place in anchors(path), f"{page.name}: {target}#{place}"


def anchors(page: Path) -> set[str]:
    """What the headings of a page are linked by."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("found", "shown", "same"),
    [
        ("0.771 of 3", "0.762 of 3", True),
        ("0.771 of 3", "0.762 of 4", False),
        ("12.9", "9.1", False),
        ("trained in 3 s", "trained in … s", True),
    ],
)
def test_numbers_are_compared_closely_and_words_to_the_letter(found: str, shown: str, same: bool) -> None:
    assert agrees(found, shown, about=True) is same
