"""Templates: what they show is escaped, what they lack is an error, and what they write loads and runs nothing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from jinja2 import UndefinedError, nodes

from lexport.loadtest.pages import report as loadtest_page
from lexport.reports import evaluation
from lexport.reports import pages as pages_module
from lexport.reports.pages import TEMPLATES, Cell, render, render_part

from ..hostile import EVIL, check
from ..loadtest.samples import REPORT, ROW
from .reader import read
from .samples import CLASSIFY, MULTILABEL, VECTOR

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "api",
    "cli",
    "client",
    "data",
    "evaluation",
    "export",
    "loadtest",
    "messages",
    "models",
    "reports",
    "serving",
)
NAMES = sorted(path.name for path in TEMPLATES.iterdir() if path.suffix in (".html", ".svg"))
POLICY = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A template of one's own, in the environment of all."""
    monkeypatch.setattr(pages_module, "TEMPLATES", tmp_path)
    pages_module._environment.cache_clear()
    yield tmp_path / "one.html"
    pages_module._environment.cache_clear()


@pytest.mark.parametrize(
    ("template", "value", "text"),
    [
        ("<p>{{ value }}</p>", "<b>&\"'", "<p>&lt;b&gt;&amp;&#34;&#39;</p>"),
        ('<p title="{{ value }}"></p>', '" onclick="x', '<p title="&#34; onclick=&#34;x"></p>'),
        ("{{ value }}", "a\u202e\nb\x1b", r"a\u202e\nb\x1b"),
        ("{{ value ~ '<' }}", "\u200e<", r"\u200e&lt;&lt;"),
        ("{{ value|join(', ') }}", ["<", "\u202e"], r"&lt;, \u202e"),
        ("{% set one %}<br>{{ value }}{% endset %}{{ one }}", "<\u202e", r"<br>&lt;\u202e"),
        ("{% macro one(text) %}<i>{{ text }}</i>{% endmacro %}{{ one(value) }}", "<\u202e", r"<i>&lt;\u202e</i>"),
        ("{{ value }}", 3, "3"),
        ("{{ value|px }} {{ value|thousands }}", 1234.56, "1234.6 1,234.56"),
    ],
)
def test_whatever_a_template_shows_is_text(shown: Path, template: str, value: object, text: str) -> None:
    shown.write_text(template, encoding="utf-8")
    assert render("one.html", value=value) == text


def test_only_what_a_template_wrote_is_taken_as_it_is(shown: Path) -> None:
    class Claims:
        def __html__(self) -> str:
            return "<script>"

    shown.write_text("<b>{{ value }}</b>", encoding="utf-8")
    inner = render_part("one.html", value="<")
    assert render("one.html", value=inner) == "<b><b>&lt;</b></b>"
    assert render("one.html", value=str(inner)) == "<b>&lt;b&gt;&amp;lt;&lt;/b&gt;</b>"
    assert "<script>" not in render("one.html", value=Claims())
    assert type(render("one.html", value=inner)) is str


@pytest.mark.parametrize("template", ["{{ absent }}", "{{ value.absent }}", "{% if absent %}{% endif %}"])
def test_a_value_that_is_missing_is_an_error(shown: Path, template: str) -> None:
    shown.write_text(template, encoding="utf-8")
    with pytest.raises(UndefinedError):
        render("one.html", value={})


@pytest.mark.parametrize("name", NAMES)
def test_a_template_escapes_everything_and_quotes_every_attribute(name: str) -> None:
    text = (TEMPLATES / name).read_text(encoding="utf-8")
    tree = pages_module._environment().parse(text)
    assert not list(tree.find_all((nodes.ScopedEvalContextModifier, nodes.EvalContextModifier, nodes.MarkSafe)))
    filters = {one.name for one in tree.find_all(nodes.Filter)}
    assert filters <= {"join", "length", "px", "striptags", "thousands"}
    assert not re.search(r"=\s*\{\{", re.sub(r"\{%.*?%\}", "", text)), "an attribute without quotes"
    # The one page with a script names it by its digest; tests/reports/test_word_map.py holds that.
    text = text.replace('<script>{% include "word_map.js" %}</script>', "") if name == "word_map.html" else text
    assert not re.search(
        r"<(script|link|img|iframe|object|base|form)\b|\son\w+=|(?<!<a )\b(href|src)=|javascript:", text
    )


def test_no_html_is_put_together_in_python() -> None:
    tag = re.compile(
        r"</?(a|b|circle|dd|div|dl|dt|g|h[1-6]|html|li|p|path|rect|span|svg|table|td|text|th|tr|ul)\b[^<]*>"
    )
    found = []
    for path in (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        said = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        found += [
            f"{path.relative_to(ROOT)}:{node.lineno}: {node.value[:60]!r}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said
            if tag.search(node.value)
        ]
        if path.name != "pages.py":
            imported = {
                alias.name
                for node in ast.walk(tree)
                if isinstance(node, ast.Import | ast.ImportFrom) and node not in _for_types(tree)
                for alias in node.names
            }
            found += [
                f"{path.relative_to(ROOT)}: Markup" for name in imported & {"Markup", "jinja2", "markupsafe"} if name
            ]
    assert not found


def _for_types(tree: ast.Module) -> list[ast.stmt]:
    """The imports under TYPE_CHECKING."""
    return [
        inner
        for node in tree.body
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in node.body
    ]


def everything() -> dict[str, str]:
    """Every page, large ones among them."""
    labels = [f"label {place}" for place in range(300)]
    many = [[(7 * row + 3 * column) % 11 + 90 * (row == column) for column in range(300)] for row in range(300)]
    one = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 5}
    large = CLASSIFY | {"labels": labels, "confusion": many, "per_class": dict.fromkeys(labels, one)}
    large |= {"mistakes": [CLASSIFY["mistakes"][0] | {"text": "a long text " * 80}] * 100}
    rows = tuple(
        replace(
            ROW,
            workers=f"cpu:{workers}",
            users=users,
            curve=tuple((percent, 1.0 + percent) for percent in range(100)),
        )
        for workers in (1, 2, 4, 8, 16)
        for users in (1, 4, 16, 64, 256)
    )
    return {
        **{one["task"]: evaluation.html(one, "a model") for one in (CLASSIFY, MULTILABEL, VECTOR)},
        "large": evaluation.html(large, "a model"),
        "load test": loadtest_page.html(replace(REPORT, rows=rows)),
    }


def test_every_page_is_one_file_below_a_megabyte_that_loads_and_runs_nothing() -> None:
    for name, page in everything().items():
        assert page.startswith('<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n' + POLICY), name
        assert page.endswith("</html>\n")
        assert len(page.encode()) < 1_000_000, name
        assert not re.search(r"<script|<link|<img|\b(src|href)=|url\(|@import|://", page), name
        for style in ("color-scheme:light dark", "@media(prefers-color-scheme:dark)", "@media print", ".c4{color:"):
            assert page.count(style) == 1, (name, style)
        assert read(page)


def test_a_table_has_its_groups_and_styles(shown: Path) -> None:
    (shown.parent / "parts.html").write_text((TEMPLATES / "parts.html").read_text(encoding="utf-8"), encoding="utf-8")
    shown.write_text(
        "{% from 'parts.html' import table %}<h1>x</h1>{{ table(heads, groups, words) }}", encoding="utf-8"
    )
    groups = [[["a", "1"], ["b", Cell("2", "bad")]], [[Cell(EVIL, "strong"), "<3>"]]]
    text = render("one.html", heads=["Name", "Number"], groups=groups, words=["Name"])
    [table] = read(text)["x"].tables
    assert (table.heads, table.groups, table.styles) == (["Name", "Number"], [2, 1], ["words strong", ""])
    assert table.rows[:2] == [["a", "1"], ["b", "2"]]
    assert table.rows[2][1] == "<3>"
    assert '<td class="bad">2</td>' in text
    assert '<th class="words">Name</th><th>Number</th>' in text
    check(text)


def test_importing_the_kit_and_its_reports_imports_no_jinja() -> None:
    program = (
        "import sys, lexport, lexport.cli.app, lexport.reports.notebook, lexport.loadtest.report\n"
        "import lexport.reports.evaluation\n"
        "print(sorted({'jinja2', 'markupsafe'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
