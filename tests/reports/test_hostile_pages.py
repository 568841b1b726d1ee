"""Pages made of hostile names, labels and texts: their structure is that of harmless ones, and all of it is text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from lexport.cli.options import show
from lexport.export.evaluate import evaluate
from lexport.loadtest.pages import report as loadtest_page
from lexport.loadtest.report import csv_text, table
from lexport.loadtest.results import LoadReport, NotRun, Verdict
from lexport.messages.escaping import visible
from lexport.reports import evaluation as evaluation_page

from ..hostile import EVIL, check
from ..loadtest.samples import REPORT, ROW

EVIL_HTML = EVIL + "\"'><img src=x onerror=alert(1)></title></style></svg><!--<script>alert(1)</script>"


class Page(HTMLParser):
    """The tags of a page with the names of their attributes, its text, and all values of attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.structure: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.values: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.structure.append((tag, *(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def compare(hostile: str, harmless: str) -> None:
    """Fail unless both pages have the same tags and attributes, and the hostile texts are there to be read."""
    check(hostile)
    found, expected = Page(hostile), Page(harmless)
    assert found.structure == expected.structure
    assert not any(tag == "script" or name.startswith("on") for tag, *names in found.structure for name in names)
    assert any(visible(EVIL_HTML)[:40] in text for text in found.texts)


def renamed(value: Any, names: dict[str, str]) -> Any:
    """A JSON value with these strings exchanged, as keys too."""
    if isinstance(value, dict):
        return {names.get(key, key): renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def test_the_page_of_an_evaluation(run_folder: Path) -> None:
    found = evaluate(run_folder, part="test", unknown_rates=[0.5]).to_json()
    found["mistakes"] = [one | {"text": "some text"} for one in found["mistakes"]]
    names = {label: f"{label}{EVIL_HTML}" for label in found["labels"]}
    names |= {"some text": EVIL_HTML, found["data"]: EVIL_HTML}
    compare(evaluation_page.html(renamed(found, names), EVIL_HTML), evaluation_page.html(found, "a model"))


@pytest.mark.parametrize("name", ["multilabel", "vector"])
def test_the_page_of_an_evaluation_of_other_tasks(task_run: Callable[[str], Path], name: str) -> None:
    found = evaluate(task_run(name)).to_json()
    texts = {one[key] for one in found["mistakes"] for key in ("text", "found") if key in one}
    names = {text: f"{text}{EVIL_HTML}" for text in texts | set(found.get("labels", ()))}
    hostile = renamed(found | {"data": EVIL_HTML}, names)
    compare(evaluation_page.html(hostile, EVIL_HTML), evaluation_page.html(found, "a model"))


def report(evil: str) -> LoadReport:
    """A load test whose every text has `evil` in it."""
    rows = (
        replace(ROW, archive=f"a{evil}", workers=f"cpu:1{evil}"),
        replace(ROW, archive=f"b{evil}", failures=2, reasons={evil: 2}),
    )
    variant = {"name": f"v{evil}", "size": evil, "test": {"accuracy": evil, "flips": 10**400}, "latency": evil}
    return replace(
        REPORT,
        rows=rows,
        not_run=(NotRun(f"c{evil}", f"gpu:1{evil}", f"no device{evil}"),),
        objectives=(f"p98 <= 2 {evil}",),
        verdicts=(Verdict(f"p98 {evil}", f"a{evil}", f"cpu:1{evil}", 16, evil, False),),
        warnings=(f"slow{evil}",),
        settings={**REPORT.settings, f"key{evil}": evil, "texts": [evil]},
        machine={"cores": 2, "processor": evil},
        versions={f"python{evil}": evil},
        evidence={f"a{evil}": {"variant": f"v{evil}", "trained": {"test": {}}, "variants": [variant, evil]}},
    )


def test_the_page_of_a_load_test() -> None:
    compare(loadtest_page.html(report(EVIL_HTML)), loadtest_page.html(report("x")))


def test_the_tables_of_a_load_test(capfd: pytest.CaptureFixture[str]) -> None:
    show(table(report(EVIL)))
    shown = capfd.readouterr().out
    assert r"\x1b[2J" in shown
    check(shown)
    check(csv_text(report(EVIL)))
