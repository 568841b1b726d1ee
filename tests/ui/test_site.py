"""The pages of `lexport ui`: what lies in a folder, answers beside each other, and the texts behind the figures."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

import lexport
from lexport.client.answers import Prediction

from ..hostile import EVIL
from .conftest import HOST, Visitor


def test_the_first_page_links_to_everything_in_the_folder(visitor: Visitor) -> None:
    links = visitor.links()
    assert set(links) == {"runs/topics", "model_store/topics-1.0.mar"}
    for address in links.values():
        assert visitor.ask(address).status == 200


def test_answers_of_the_trained_model_and_every_variant_stand_beside_each_other(
    visitor: Visitor, folder: Path
) -> None:
    key = visitor.links()["runs/topics"].removeprefix("item/")
    found = visitor.answer(key, text="the goal by zzzq")
    run = lexport.load(folder / "runs" / "topics")
    expected = run.predict("the goal by zzzq")
    assert isinstance(expected, Prediction)
    variants = json.loads((folder / "runs/topics/export/evidence.json").read_text())["variants"]
    assert [one["name"] for one in found["answers"]] == ["trained model", *(one["name"] for one in variants)]
    for one in found["answers"]:
        assert one["labels"] == [expected.label]
        assert one["scores"][0] == [expected.label, pytest.approx(expected.score, abs=0.02)]
    explained = run.explain("the goal by zzzq")
    assert [one["token"] for one in found["tokens"]] == [one.token for one in explained.tokens]
    unknown = [one["token"] for one in found["tokens"] if one["unknown"]]
    assert "zzzq" in unknown
    assert len(unknown) == expected.unknown != len(found["tokens"])
    for one, other in zip(found["tokens"], explained.tokens, strict=True):
        assert one["adds"] == pytest.approx(other.contributions[expected.label], abs=1e-6)
    assert found["closed"] == []


def test_the_page_of_a_run_has_its_variants_and_the_curve_of_its_training(visitor: Visitor, folder: Path) -> None:
    page = visitor.page(visitor.links()["runs/topics"])
    evidence = json.loads((folder / "runs/topics/export/evidence.json").read_text())
    for variant in evidence["variants"]:
        cells = re.search(rf'<td class="words" data-head="variant">{variant["name"]}</td>(.*?)</tr>', page, re.DOTALL)
        assert cells is not None
        assert f">{variant['test']['flips']}/{variant['test']['texts']}</td>" in cells[1]
    best = json.loads((folder / "runs/topics/run.json").read_text())["training"]["best_epoch"]
    assert f"Number {best} was kept." in page


def test_an_archive_answers_too(visitor: Visitor, folder: Path) -> None:
    key = visitor.links()["model_store/topics-1.0.mar"].removeprefix("item/")
    [one] = visitor.answer(key, text="rain and storm")["answers"]
    with lexport.load(folder / "model_store" / "topics-1.0.mar") as archive:
        expected = archive.predict("rain and storm")
    assert isinstance(expected, Prediction)
    assert (one["name"], one["labels"]) == ("onnx-int8", [expected.label])


@pytest.mark.parametrize(
    ("name", "asked", "first"),
    [
        ("multilabel", {"text": "goal match"}, "labels"),
        ("vector", {"text": "goal match"}, "vector"),
        ("languages", {"text": "goal match", "lang": "en"}, "labels"),
    ],
)
def test_every_task_has_answers(
    tmp_path: Path, task_run: Callable[[str], Path], name: str, asked: dict[str, str], first: str
) -> None:
    from lexport.ui.site import Site

    visitor = Visitor(Site(task_run(name), HOST))
    [address] = visitor.links().values()
    page = visitor.page(address)
    assert ("<option>ne</option>" in page) == (name == "languages")
    found = visitor.answer(address.removeprefix("item/"), **asked)
    assert len(found["answers"]) == 2
    assert first in found["answers"][0]
    assert bool(found["tokens"]) == (name != "vector")
    assert visitor.ask(address.replace("item", "evaluation")).status == 200


def test_a_cell_of_the_confusion_matrix_leads_to_its_texts(visitor: Visitor, folder: Path) -> None:
    key = visitor.links()["runs/topics"].removeprefix("item/")
    page = visitor.page(f"evaluation/{key}")
    metrics = json.loads((folder / "runs/topics/metrics.json").read_text())["test"]
    labels = json.loads((folder / "runs/topics/labels.json").read_text())
    cells = re.findall(rf'<a href="\.\./texts/{key}\?truth=(\w+)&amp;answer=(\w+)"', page)
    assert cells
    shown = 0
    for truth, answer in cells:
        count = metrics["confusion"][labels.index(truth)][labels.index(answer)]
        texts = visitor.page(f"texts/{key}?truth={truth}&answer={answer}")
        assert texts.count('class="words long"') == count
        shown += count
    assert shown == metrics["count"]


def test_reports_and_maps_of_runs_and_archives_are_made_once(visitor: Visitor) -> None:
    for name, address in visitor.links().items():
        report = visitor.page(address.replace("item", "report"))
        assert "What it is" in report
        drawn = visitor.ask(address.replace("item", "map"))
        assert drawn.status == 200, name
        assert drawn.script is not None
        assert f"script-src '{drawn.script}'" in drawn.content.decode()
        assert b"goal" in drawn.content
        assert visitor.ask(address.replace("item", "map")).content == drawn.content
        assert visitor.page(address.replace("item", "report")) == report


def test_two_are_compared_with_a_text_for_both(visitor: Visitor) -> None:
    one, other = (address.removeprefix("item/") for address in visitor.links().values())
    page = visitor.page(f"compare?a={one}&b={other}")
    assert "accuracy" in page
    assert "variant" in page
    assert f"{one} {other} " in page


def test_a_report_of_a_load_test_is_shown_as_it_is(visitor: Visitor, folder: Path) -> None:
    report = folder / "loadtest-report"
    report.mkdir()
    (report / "report.html").write_text("<p>the report</p>")
    rows = [{"archive": "topics-1.0", "requests_per_second": 1234.5}]
    (report / "results.json").write_text(json.dumps({"rows": rows, "objectives": [], "passed": True}))
    page = visitor.page()
    assert "most requests/s 1,234" in page
    assert visitor.page(visitor.links()["loadtest-report"]) == "<p>the report</p>"


def test_names_and_texts_of_the_folder_never_become_markup(visitor: Visitor, folder: Path) -> None:
    evil = folder / "<img src=x onerror=alert(1)>"
    evil.mkdir()
    (evil / "run.json").write_text("{}")
    page = visitor.page()
    assert "<img" not in page
    assert "&lt;img src=x" in page
    key = visitor.links()["runs/topics"].removeprefix("item/")
    assert "<script" not in visitor.page(f"texts/{key}?truth=<script>&answer={EVIL.encode().hex()}")


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "{", '{"test": 1}', "[" * 100_000, '{"recipe": {"name": 1}, "data": 3}'),
        '{"recipe": {"name": "bag"}, "data": {}, "test": {"loss": 1}}',
    ],
)
def test_damaged_runs_are_shown_with_their_reason_and_the_rest_works(
    visitor: Visitor, folder: Path, content: str
) -> None:
    (folder / "damaged" / "export").mkdir(parents=True)
    for file in ("run.json", "metrics.json", "export/evidence.json"):
        (folder / "damaged" / file).write_text(content)
    (folder / "half.mar").write_bytes((folder / "model_store" / "topics-1.0.mar").read_bytes()[:-1000])
    page = visitor.page()
    assert page.count('class="bad"') == 2
    assert set(visitor.links()) == {"runs/topics", "model_store/topics-1.0.mar"}


def test_a_time_that_no_calendar_has_is_left_out(visitor: Visitor, folder: Path) -> None:
    os.utime(folder / "runs" / "topics", (1e12, 1e12))
    assert visitor.links().keys() == {"runs/topics", "model_store/topics-1.0.mar"}


def test_a_run_that_breaks_when_it_is_opened_has_a_page_that_says_so(visitor: Visitor, folder: Path) -> None:
    key = visitor.links()["runs/topics"].removeprefix("item/")
    (folder / "runs" / "topics" / "weights.safetensors").write_bytes(b"no weights")
    page = visitor.page(f"item/{key}")
    assert 'class="banner bad"' in page
    assert "<textarea" not in page
    assert "error" in visitor.answer(key, text="the goal")
    assert visitor.ask(f"evaluation/{key}").status == 422


def test_a_changed_variant_is_not_opened(visitor: Visitor, folder: Path) -> None:
    key = visitor.links()["runs/topics"].removeprefix("item/")
    [model] = (folder / "runs/topics/export/torchscript-fp32").glob("*.pt")
    model.write_bytes(model.read_bytes() + b"x")
    found = visitor.answer(key, text="the goal")
    assert [one["name"] for one in found["closed"]] == ["torchscript-fp32"]
    assert "is not the file that was measured" in found["closed"][0]["reason"]
    assert "torchscript-fp32" not in [one["name"] for one in found["answers"]]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"[]", "not JSON"),
        (b'{"text": 1}', "not JSON"),
        (b'{"text": "a", "lang": 2}', "not JSON"),
        (b'{"text": " "}', "1 characters"),
        (json.dumps({"text": "x" * 20_001}).encode(), "20,001 characters"),
        (b'{"text": "goal", "lang": "xx"}', "lang"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_bad_questions_have_their_reason(visitor: Visitor, body: bytes, words: str) -> None:
    key = visitor.links()["runs/topics"].removeprefix("item/")
    reply = visitor.ask(f"answer/{key}", "POST", body)
    assert reply.status == 422
    assert words in json.loads(reply.content)["error"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:7070"}, 200),
        ({"origin": f"http://{HOST}"}, 200),
        ({"host": "evil.example:7070"}, 403),
        ({"host": "127.0.0.1:80"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://localhost:7070"}, 403),
        ({"origin": f"https://{HOST}"}, 403),
    ],
)
def test_other_hosts_and_origins_are_refused(visitor: Visitor, headers: dict[str, str], status: int) -> None:
    reply = visitor.site.respond("GET", f"/{visitor.site.token}/", {"host": HOST} | headers)
    assert reply.status == status


@pytest.mark.parametrize("target", ["/", "", "/x/", "//", "/?token", "/%00/", "/\x00/", "http://127.0.0.1:7070/"])
def test_an_address_without_the_token_shows_nothing(visitor: Visitor, target: str) -> None:
    reply = visitor.site.respond("GET", target, {"host": HOST})
    assert reply.status == 404
    assert b"topics" not in reply.content


@pytest.mark.parametrize(
    ("method", "place", "status"),
    [
        ("PUT", "", 404),
        ("POST", "", 404),
        ("GET", "item/../../etc/passwd", 404),
        ("GET", "item/absent", 422),
        ("GET", "loadtest/absent", 422),
        ("GET", "evaluation/absent", 422),
        ("GET", "texts/absent", 422),
        ("GET", "compare", 422),
        ("GET", "answer/absent", 404),
        ("POST", "answer/absent", 422),
        ("GET", "nothing", 404),
    ],
)
def test_what_is_not_there(visitor: Visitor, method: str, place: str, status: int) -> None:
    assert visitor.ask(place, method, b"{}").status == status
