"""The HTML of all reports: pages of one file that load nothing and run nothing, for light and dark mode."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from ..messages.escaping import visible

COLOURS = """
:root{color-scheme:light dark;--page:#fff;--panel:#f6f7f9;--ink:#1b1f24;--soft:#57606a;--rule:#d5d9df;
--good:#116329;--good-bg:#e3f5e7;--bad:#a40e26;--bad-bg:#fdeaec;--note:#7a4b00;--note-bg:#fff4dc;
--c0:#1f6fb2;--c1:#b8500a;--c2:#0a7a5a;--c3:#7a4fb5;--c4:#b3264a}
@media(prefers-color-scheme:dark){:root{--page:#14171b;--panel:#1d2126;--ink:#e8eaed;--soft:#a3abb5;--rule:#3a4048;
--good:#7fd996;--good-bg:#12301a;--bad:#ff9aa6;--bad-bg:#3d151b;--note:#f0c674;--note-bg:#352a10;
--c0:#6cb2f0;--c1:#f59a56;--c2:#4cc9a0;--c3:#b899f0;--c4:#f2789a}}
"""

DRAWING = """
svg text{fill:var(--soft);font-size:12px;font-family:inherit}
svg .label{fill:var(--ink)}
.grid{stroke:var(--rule);stroke-width:1;opacity:.7}
.axis{stroke:var(--soft);stroke-width:1;fill:none}
.limit{stroke:var(--bad);stroke-width:1.5;stroke-dasharray:2 4}
svg .limit-name{fill:var(--bad)}
.line{fill:none;stroke:currentColor;stroke-width:2;stroke-linejoin:round}
.span{stroke:currentColor;stroke-width:1.5;opacity:.55}
.mark{fill:currentColor;stroke:var(--panel);stroke-width:1}
.faint .line{stroke-width:1.5;stroke-dasharray:5 4}
.faint .mark{fill:var(--panel);stroke:currentColor;stroke-width:1.5}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}
.d1 .line{stroke-dasharray:9 4}.d2 .line{stroke-dasharray:2 3}
"""
"""Style of a drawing with the colours of COLOURS, on a page or in its own file."""

_PAGE = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1120px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:26px;line-height:1.2;margin:0 0 4px}
h2{font-size:18px;margin:40px 0 12px}
h3{font-size:14px;margin:0 0 6px}
p{margin:0 0 10px;max-width:76ch}
.soft{color:var(--soft)}
.banner{border-left:5px solid;border-radius:4px;padding:12px 16px;margin:20px 0}
.banner p:last-child,.banner ul{margin-bottom:0}
.banner ul{margin-top:4px;padding-left:20px}
.good{color:var(--good)}.bad{color:var(--bad)}
.banner.good{background:var(--good-bg)}.banner.bad{background:var(--bad-bg)}
.banner.note{background:var(--note-bg);color:var(--note)}
.banner.plain{background:var(--panel);border-color:var(--rule)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;min-width:min(100%,640px)}
th,td{padding:6px 11px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
th{color:var(--soft);font-weight:600;font-size:13px;vertical-align:bottom}
th.l,td.l{text-align:left}
.note{margin-top:8px}
tr.first td{border-top:2px solid var(--rule)}
figure{margin:0;background:var(--panel);border-radius:8px;padding:16px}
.pair,.many{display:grid;gap:16px;grid-template-columns:repeat(auto-fit,minmax(min(100%,440px),1fr))}
.many{grid-template-columns:repeat(auto-fit,minmax(min(100%,320px),1fr))}
figcaption{font-size:13px;color:var(--soft);margin-top:6px}
svg{display:block;width:100%;height:auto}
.legend{display:flex;flex-wrap:wrap;gap:6px 22px;margin:0 0 12px;padding:0;list-style:none}
.legend li{display:flex;align-items:center;gap:8px}
.swatch{width:34px;height:14px}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
li{max-width:76ch}
@media print{main{padding:0;max-width:none}figure{break-inside:avoid}}
"""

CSS = COLOURS + _PAGE + DRAWING


def escaped(text: object) -> str:
    """Return a value from outside as HTML, for text or attributes: one line, with codes for invisible characters."""
    return html.escape(visible(text))


def page(title: str, in_short: str, parts: Iterable[str]) -> str:
    """Return the whole page: a title, a line below it, and `parts` of HTML.

    Its content security policy forbids it to load anything.
    """
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escaped(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n<main>",
            f"<h1>{escaped(title)}</h1>",
            f'<p class="soft">{escaped(in_short)}</p>',
            *parts,
            "</main>\n</body>\n</html>\n",
        ]
    )


def figure(title: str, drawing: str, caption: str) -> str:
    """Return a drawing (already HTML) with a title above and a caption below."""
    return f"<figure><h3>{escaped(title)}</h3>{drawing}<figcaption>{escaped(caption)}</figcaption></figure>"


def table(heads: Sequence[str], rows: Iterable[tuple[Sequence[str], bool]], left: int) -> str:
    """Return a table whose first `left` columns are text; cells are already HTML; a row may begin a group."""

    def cells(tag: str, values: Sequence[str]) -> str:
        return "".join(
            f"<{tag}{' class=l' if place < left else ''}>{value}</{tag}>" for place, value in enumerate(values)
        )

    body = "\n".join(f"<tr{' class=first' if first else ''}>{cells('td', values)}</tr>" for values, first in rows)
    head = f"<thead><tr>{cells('th', heads)}</tr></thead>"
    return f'<div class="scroll"><table>\n{head}\n<tbody>\n{body}\n</tbody></table></div>'
