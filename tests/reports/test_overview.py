"""The page of a run and of an archive: every part with its values, and what is left out with its reason."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lexport
from lexport.errors import InputError
from lexport.export.report import report, write_report
from lexport.reports.overview import html

from ..conftest import TASKS
from ..loadtest.samples import REPORT
from ..refusals import refused
from .reader import Section, read
from .test_hostile_pages import EVIL_HTML, compare


@pytest.fixture(scope="module")
def of_run(run_folder: Path) -> dict[str, Any]:
    return report(run_folder, texts=["a goal in the rain zzz"])


@pytest.fixture(scope="module")
def of_archive(archive_of: Callable[[str], Path]) -> dict[str, Any]:
    return report(archive_of("onnx-int8"))


def sections(found: dict[str, Any]) -> dict[str, Section]:
    return read(html(found))


def facts(section: Section) -> dict[str, str]:
    return dict(zip(section.facts[::2], section.facts[1::2], strict=True))


def test_the_page_of_a_run_has_a_section_for_each_part(of_run: dict[str, Any]) -> None:
    optional = ("Confused most often", "Most confident mistakes")
    headings = [
        one
        for one in sections(of_run)
        if ", logit " not in one and ", answered as " not in one and one not in optional
    ]
    assert headings == [
        "topics",
        "What it is",
        "Data and splits",
        "Training",
        "Metrics",
        "By label",
        "Confusion",
        "Calibration",
        "Unknown words",
        "Unknown words by frequency",
        "What words contribute",
        "Exported variants",
        "Gates",
        "How to call it",
        "Pack it",
        "Serve it",
        "Ask it with curl; KEY is the inference key of the server's key_file.json",
        "Ask it from Python",
        "Ask it without a server",
        "Provenance",
        "Not on this page",
    ]


def test_what_it_is_are_the_lines_of_the_model_card(of_run: dict[str, Any], run_folder: Path) -> None:
    section = sections(of_run)["What it is"]
    assert section.texts == [
        "A text classifier for 3 labels (kitchen, sport, weather), trained by lexport "
        f"{lexport.__version__} with the recipe bag."
    ]
    card = (run_folder / "README.md").read_text(encoding="utf-8")
    assert list(facts(section)) == [line[4:].partition("**")[0] for line in card.splitlines() if line[:4] == "- **"]
    assert "embedding table, encoder bag" in facts(section)["Model"]


def test_data_curve_and_evaluation_are_those_of_the_run(of_run: dict[str, Any], run_folder: Path) -> None:
    found = sections(of_run)
    info = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    [table] = found["Data and splits"].tables
    assert [row[:2] for row in table.rows] == [
        [part, f"{info['data'][part]:,}"] for part in ("train", "validation", "test")
    ]
    best = info["training"]["best_epoch"]
    titles, captions = found["Training"].captions[::2], found["Training"].captions[1::2]
    assert titles == ["Loss", "Accuracy on the validation texts"]
    assert all(f"Number {best} was kept." in caption for caption in captions)
    [metrics] = found["Metrics"].tables
    assert metrics.rows[0][:2] == ["accuracy", f"{of_run['evaluation']['accuracy']:.4f}"]


def test_the_texts_behind_each_cell_of_the_confusion_are_on_the_page(of_run: dict[str, Any]) -> None:
    found = sections(of_run)
    labels, confusion = of_run["labels"], of_run["evaluation"]["confusion"]
    cells = [
        (f"{truth}, answered as {answer}", confusion[row][column])
        for row, truth in enumerate(labels)
        for column, answer in enumerate(labels)
    ]
    assert [one for one in found if ", answered as " in one] == [name for name, count in cells if count]
    for name, count in cells:
        if count:
            [table] = found[name].tables
            assert len(table.rows) == min(count, 20)
            scores = [float(row[0]) for row in table.rows]
            assert scores == sorted(scores, reverse=True)


def test_variants_stand_side_by_side_with_their_gates(of_run: dict[str, Any]) -> None:
    found = sections(of_run)
    [variants] = found["Exported variants"].tables
    names = [one["name"] for one in of_run["evidence"]["variants"]]
    assert [row[0] for row in variants.rows] == ["trained model", *names]
    assert {row[-1] for row in variants.rows[1:]} <= {"passed", "slow", "refused"}
    [gates] = found["Gates"].tables
    assert gates.groups == [len(one["gates"]) for one in of_run["evidence"]["variants"] if one["gates"]]
    assert {row[1] for row in gates.rows} >= {"max_metric_drop", "max_flips"}


def test_a_text_is_shown_with_what_each_word_adds(of_run: dict[str, Any]) -> None:
    [one] = of_run["explanations"]
    heading = next(name for name in sections(of_run) if name.startswith(f"{one['label']}, logit"))
    section = sections(of_run)[heading]
    assert section.texts == ["a goal in the rain zzz"]
    [table] = section.tables
    added = {token["token"]: token["contributions"][one["label"]] for token in one["tokens"]}
    assert {row[0]: row[1] for row in table.rows} == {token: f"{value:+.3f}" for token, value in added.items()}
    largest = max(added, key=lambda token: abs(added[token]))
    assert f'style="--part:45%" title="{added[largest]:+.3f}">{largest}</span>' in html(of_run)


def test_the_page_of_an_archive_says_what_is_not_inside(of_archive: dict[str, Any]) -> None:
    found = sections(of_archive)
    assert "topics 1.0" in found
    missing = facts(found["Not on this page"])
    assert set(missing) >= {"curve of the training", "calibration of the scores", "worst mistakes", "unknown words"}
    assert "report its run" in missing["curve of the training"]
    assert {"Metrics", "By label", "Confusion", "Exported variants", "Gates", "What words contribute"} <= set(found)
    assert "Training" not in found
    assert facts(found["Provenance"])["archive, SHA-256"]
    page = html(of_archive)
    assert 'class="words strong" data-head="variant">onnx-int8' in page
    assert "lexport serve" in page
    assert "/predictions/topics" in page


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_its_page(task_run: Callable[[str], Path], name: str, tmp_path: Path) -> None:
    found = write_report(task_run(name), tmp_path / "page.html")
    page = read((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert ("What words contribute" in page) == (name in ("multilabel", "languages"))
    assert ("contributions of words" in found["left_out"]) == (name in ("vector", "joint"))
    if name == "languages":
        assert "&#34;lang&#34;: &#34;en&#34;" in html(found)


def test_a_load_test_is_shown_where_one_is_named(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "results.json").write_text(json.dumps(REPORT.as_dict()), encoding="utf-8")
    for place in (tmp_path, tmp_path / "results.json"):
        found = report(run_folder, loadtest=place)
        [table] = sections(found)["Load test"].tables
        assert len(table.rows) == len(REPORT.rows)
        assert table.rows[0][:2] == [REPORT.rows[0].archive, REPORT.rows[0].workers]
        assert "load test" not in found["left_out"]


@pytest.mark.parametrize("content", ["", "{}", '{"rows": [{"archive": "a"}]}', '{"rows": 3}', "[" * 100_000])
def test_what_is_no_load_test_is_refused(run_folder: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "results.json").write_text(content, encoding="utf-8")
    with refused(InputError, "LX-EVAL-057", "lexport loadtest --out"):
        report(run_folder, loadtest=tmp_path)


def test_more_texts_than_are_explained_at_once_are_refused(run_folder: Path) -> None:
    with refused(InputError, "LX-EVAL-056", "17", "16"):
        report(run_folder, texts=["a goal"] * 17)


def test_a_text_that_no_request_can_have_is_refused(run_folder: Path) -> None:
    with refused(InputError, "LX-EVAL-058", "surrogate", "--text"):
        report(run_folder, texts=["a goal", "\udcff"])


def test_damaged_evidence_is_refused(run_folder: Path, tmp_path: Path) -> None:
    run = shutil.copytree(run_folder, tmp_path / "run")
    (run / "export" / "evidence.json").write_text("{", encoding="utf-8")
    with refused(InputError, "LX-EXPORT-013", "evidence.json", "Export the run again"):
        report(run)


def test_a_page_loads_nothing_and_is_checked_before_the_work(run_folder: Path, tmp_path: Path) -> None:
    with refused(InputError, "LX-REPORT-001", "page.pdf"):
        write_report(run_folder, tmp_path / "page.pdf")
    write_report(run_folder, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert "src=" not in page.replace("default-src=", "")
    assert set(re.findall(r'href="(.)', page)) == {"#"}


def test_it_is_a_method_of_runs_and_archives(
    run_folder: Path, archive_of: Callable[[str], Path], tmp_path: Path
) -> None:
    for source in (run_folder, archive_of("onnx-int8")):
        model = lexport.load(source)
        assert isinstance(model, lexport.Run | lexport.Archive)
        assert model.report(str(tmp_path / "page.html"), texts=["a goal"]).is_file()


def test_hostile_names_and_texts_are_text(of_run: dict[str, Any]) -> None:
    def of(evil: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(of_run))
        found["name"] = f"n{evil}"
        found["data"]["name"] = f"d{evil}"
        flat = " ".join(evil.split())  # a card has it on one line
        found["card"] = f"# {flat}\n\nA model {flat}.\n\n- **Data**: {flat}\n"
        found["words"] = [(f"w{evil}", 3)]
        found["left_out"] = {f"part{evil}": evil}
        found["provenance"] = {f"p{evil}": evil, "run": evil}
        found["explanations"][0]["text"] += evil
        return found

    compare(html(of(EVIL_HTML)), html(of("x")))
