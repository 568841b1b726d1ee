"""Write docs/layers.svg: which folder may import which, from the contract in pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "layers.svg"
WIDTH, ROW, TOP = 620, 34, 40
# What each folder is for, beside its name.
WORDS = {
    "cli": "the commands",
    "ui": "the page in a browser",
    "api": "what import lexport has",
    "loadtest": "load tests",
    "client": "asking a server",
    "serving": "starting and stopping one",
    "export": "variants, evidence, archives",
    "training": "how a model learns",
    "reports": "tables, charts, pages",
    "evaluation": "metrics and intervals",
    "models": "what a model is",
    "data": "labelled texts",
    "handlers": "what runs in a worker: imports nothing of the kit",
    "storage": "files",
    "errors": "what is refused",
    "messages": "texts for people",
    "version": "its number",
}
STYLE = (
    ".box{fill:#f4f6fb;stroke:#5b6b8c;stroke-width:1.5}.key{fill:#e3f3ea;stroke:#2f7d54;stroke-width:2}"
    ".name{font-weight:600;fill:#1d2740}.what{font-size:12px;fill:#46536e}.bg{fill:#fff}"
    ".flow{fill:none;stroke:#5b6b8c;stroke-width:2;marker-end:url(#tip)}"
)


def layers() -> list[list[str]]:
    """Return the folders and modules of each layer, the uppermost first."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    rows = contracts["contracts"][0]["layers"]
    named = [[name.removeprefix("lexport.").strip() for name in row.split(" | ")] for row in rows]
    return [row for row in named if row != ["__main__"]]


def page() -> str:
    """Return docs/layers.svg."""
    rows = layers()
    height = TOP + ROW * len(rows) + 10
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        ' font-family="ui-sans-serif, system-ui, sans-serif" font-size="14">',
        "  <title>The layers: each may import those below it</title>",
        f"  <style>{STYLE}</style>",
        '  <defs><marker id="tip" markerWidth="9" markerHeight="9" refX="7" refY="4" orient="auto">'
        '<path d="M0 0 L8 4 L0 8 z" fill="#5b6b8c"/></marker></defs>',
        f'  <rect class="bg" width="{WIDTH}" height="{height}" rx="8"/>',
        '  <text class="what" x="20" y="24">Each may import those below it; two side by side, not each other</text>',
        f'  <path class="flow" d="M32 {TOP + 4} V{height - 14}"/>',
    ]
    for number, row in enumerate(rows):
        room = (WIDTH - 76) / len(row)
        for place, name in enumerate(row):
            x, y = 56 + place * room, TOP + number * ROW
            kind = "key" if name == "handlers" else "box"
            lines += [
                f'  <rect class="{kind}" x="{x:g}" y="{y}" width="{room - 8:g}" height="{ROW - 6}" rx="6"/>',
                f'  <text class="name" x="{x + 12:g}" y="{y + 19}">{name}</text>',
                f'  <text class="what" x="{x + 108:g}" y="{y + 19}">{WORDS[name]}</text>',
            ]
    return "\n".join([*lines, "</svg>"]) + "\n"
