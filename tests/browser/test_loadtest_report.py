"""The report of a load test, looked at: on a desktop, on a phone, in the dark, on paper."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.loadtest import cells
from lexport.loadtest.report import write
from lexport.loadtest.results import LoadReport
from lexport.loadtest.runner import loadtest
from lexport.loadtest.targets import Endpoint

from ..loadtest.conftest import Stub
from .devtools import Page
from .looks import A4, boxes, cut_off, drawings, faint, fits, rows
from .samples import open_loops, report
from .samples import rows as sample

REPORTS: dict[str, Callable[[], LoadReport]] = {
    "several loads": lambda: report(sample()),
    "a single load": lambda: report(sample(users=(16,))),
    "one server, one load": lambda: report(sample(workers=("127.0.0.1:8080",), users=(16,))),
    "variants, engines, devices": lambda: report(sample(("films-torchscript-fp32-dynamic", "films-onnx-int8-text"))),
    "a ramp": lambda: open_loops("ramp"),
    "a spike": lambda: open_loops("spike"),
}
SIZES = {"desktop": 1280, "tablet": 820, "phone": 390, "small phone": 320}


@pytest.fixture(params=list(REPORTS))
def found(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A report's page."""
    write(REPORTS[request.param](), tmp_path / "out", "")
    return tmp_path / "out" / "report.html"


def one(name: str, folder: Path) -> Path:
    write(REPORTS[name](), folder / "out", "")
    return folder / "out" / "report.html"


def test_it_loads_nothing_and_says_nothing_in_the_console(page: Page, found: Path) -> None:
    page.open(found)
    assert page.requests == [found.resolve().as_uri()]
    assert page.problems == []


@pytest.mark.parametrize("size", SIZES)
def test_every_chart_is_drawn_in_its_frame_and_can_be_read(page: Page, found: Path, size: str) -> None:
    charts = drawings(page.size(SIZES[size]).open(found))
    assert charts
    for chart in charts:
        assert chart["drawn"], chart
        assert chart["outside"] == [], chart
        assert chart["overlap"] == [], chart
        assert chart["letters"] >= (8 if size == "small phone" else 9), chart


@pytest.mark.parametrize("size", SIZES)
def test_the_verdict_p99_and_the_slo_of_every_run_are_in_sight(page: Page, found: Path, size: str) -> None:
    """What failed before: on a phone p99 and SLO stood right of the screen."""
    page.size(SIZES[size]).open(found)
    assert fits(page)
    assert cut_off(page, ".banner, .banner li, .cards td:not(:empty), figure, h1, h2") == []
    assert boxes(page, "td[data-head='p99, ms']")
    assert boxes(page, "td[data-head=SLO]")


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_every_text_stands_out(page: Page, found: Path, colours: str) -> None:
    page.show_as(colours=colours).open(found)
    assert faint(page) == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[colours]


def test_paper_cuts_nothing_off(page: Page, found: Path) -> None:
    """What failed before: the column of the SLO was cut off in print."""
    page.size(A4).show_as("print").open(found)
    assert fits(page)
    assert cut_off(page, "td, th, figure, svg[role=img], .banner li") == []
    assert page.send("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"]


def test_a_lone_figure_is_no_larger_than_others(page: Page, tmp_path: Path) -> None:
    """What failed before: it was as wide as the page, with letters of 40 px."""
    charts = drawings(page.open(one("one server, one load", tmp_path)))
    assert all(chart["letters"] <= 16 for chart in charts)
    assert all(figure["width"] <= 560 for figure in boxes(page, "figure"))


def test_a_single_load_is_drawn_as_bars_with_their_values(page: Page, tmp_path: Path) -> None:
    """What failed before: a heap of markers above one number of users."""
    path = one("a single load", tmp_path)
    page.open(path)
    results = json.loads(path.with_name("results.json").read_text())["rows"]
    for chart in ("Requests per second", "Latency, p50 and p99"):
        svg = f"svg[aria-label='{chart}']"
        assert not boxes(page, f"{svg} .mark")
        bars = boxes(page, f"{svg} rect.bar")
        assert len(bars) == len(results) * (2 if "Latency" in chart else 1)
        names = [box["text"] for box in boxes(page, f"{svg} text.over")]
        assert names[::2] == [row["workers"] for row in results]
    lengths = [bar["width"] for bar in boxes(page, "svg[aria-label='Requests per second'] rect.bar")]
    rates = [row["requests_per_second"] for row in results]
    for length, rate in zip(lengths, rates, strict=True):  # in px, to scale from zero
        assert length / lengths[0] == pytest.approx(rate / rates[0], rel=0.02)


def test_the_knee_of_a_ramp_is_marked(page: Page, tmp_path: Path) -> None:
    page.open(one("a ramp", tmp_path))
    assert [box["text"] for box in boxes(page, ".upright-name")] == ["knee 120 requests/s", "knee 150 requests/s"]


def test_sections_show_what_the_rows_can_tell(page: Page, tmp_path: Path) -> None:
    page.open(one("variants, engines, devices", tmp_path))
    headings = [box["text"] for box in boxes(page, "h2")]
    for heading in ("The knee", "Over time", "Latency distribution", "What makes a difference"):
        assert heading in headings
    told = {row["Difference"] for row in rows(page, "What makes a difference")}
    assert told == {
        "2 workers against 1",
        "GPU against CPU",
        "embedded against torchserve",
        "films-onnx-int8-text against films-torchscript-fp32-dynamic",
    }


# A table's heads, and what they show of a row in results.json.
NUMBERS: dict[str, Callable[[dict[str, Any]], float]] = {
    "Users": lambda row: row["users"],
    "Requests/s": lambda row: row["requests_per_second"],
    "p50, ms": lambda row: row["p50_ms"],
    "p95, ms": lambda row: row["p95_ms"],
    "p99, ms": lambda row: row["p99_ms"],
    "max, ms": lambda row: row["max_ms"],
    "Failed": lambda row: row["failures"],
    "Client CPU, % of a core": lambda row: 100 * row["client_cpu"],
    "Machine CPU, % of all cores": lambda row: 100 * row["machine_cpu"],
}


def test_a_real_load_test_shows_the_numbers_of_its_results(
    page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "SETTLE", 0.2)
    stub = Stub()
    thread = threading.Thread(target=stub.serve_forever, args=(0.05,))
    thread.start()
    try:
        loadtest(
            endpoint=Endpoint(f"{stub.url}/ask"),
            users=[1, 4],
            duration=2.0,
            warmup=0.0,
            slo=["p99=20s", "rps=1"],
            expect="label",
            out=tmp_path / "out",
        )
    finally:
        stub.shutdown()
        thread.join()
        stub.server_close()
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    page.open(tmp_path / "out" / "report.html")
    shown = rows(page, "Results")
    assert len(shown) == len(results["rows"]) == 2
    for line, row in zip(shown, results["rows"], strict=True):
        for head, value in NUMBERS.items():
            number = float(line[head].replace(",", "").removeprefix("≥ "))
            assert number == pytest.approx(value(row), rel=0.006, abs=0.51 if "CPU" in head else 0), head
        assert line["SLO"] == ("not judged: the client was the limit" if row["client_limit"] else "met")
    assert [chart for chart in drawings(page) if not chart["drawn"] or chart["outside"] or chart["overlap"]] == []
    assert page.problems == []
