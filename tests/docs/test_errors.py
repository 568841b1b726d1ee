"""Every error has a code of its own, a cause and a remedy, and docs/errors.md lists them all."""

from __future__ import annotations

import ast
import json
from collections import Counter
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import pytest

from lexport import errors
from lexport.__main__ import _explain
from lexport.client import UnknownModel
from lexport.docs.generate.errors import AREAS, CODE, PAGE, Entry, entries, page, sources
from lexport.docs.generate.wording import CAUSES, REMEDIES
from lexport.handlers.request.answers import render_refusal
from lexport.handlers.request.refusals import Refusal
from lexport.messages.escaping import visible

EVERY = entries()
RAISED = {"LexportError", "InputError", "RefusedError", "SystemProblem", "Busy", "_PortLost", "Refusal"}


def test_every_error_that_is_raised_has_a_code() -> None:
    without = []
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in RAISED:
                continue
            if not any(keyword.arg == "code" for keyword in node.keywords):
                without.append(f"{path.name}:{node.lineno}")
    assert without == []


def test_tests_assert_codes_and_values_not_sentences() -> None:
    """`pytest.raises(InputError, match=…)` would hold a sentence; `refused` holds the code."""
    every, with_code = [errors.LexportError], {"Refusal"}
    while every:
        kind = every.pop()
        with_code.add(kind.__name__)
        every += kind.__subclasses__()
    assert {"MissingExtra", UnknownModel.__name__} <= with_code
    sentences = []
    tests = Path(__file__).parents[1]
    for path in sorted(tests.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "pytest.raises":
                continue
            kinds = {name.id for name in ast.walk(node.args[0]) if isinstance(name, ast.Name)}
            if kinds & with_code and any(keyword.arg == "match" for keyword in node.keywords):
                sentences.append(f"{path.relative_to(tests)}:{node.lineno}")
    assert sentences == []


def test_codes_are_unique_and_of_known_areas() -> None:
    counts = Counter(entry.code for entry in EVERY)
    assert [code for code, count in counts.items() if count > 1] == []
    assert [code for code in counts if not CODE.fullmatch(code)] == []
    assert {code.split("-")[1] for code in counts} == set(AREAS)
    assert len(counts) > 380


@pytest.mark.parametrize("entry", [one for one in EVERY if not one.of_http], ids=lambda entry: entry.code)
def test_it_says_what_happened_and_what_to_do_on_one_line(entry: Entry) -> None:
    kind = {1: errors.RefusedError, 2: errors.InputError, 3: errors.SystemProblem}[entry.exit_code]
    error = kind(entry.message, code=entry.code)
    with redirect_stderr(StringIO()) as printed:
        assert _explain(error) == entry.exit_code
    assert printed.getvalue() == f"error[{entry.code}]: {visible(entry.message)}\n"
    assert len(entry.cause) >= 10
    assert len(entry.remedy) >= 8


@pytest.mark.parametrize("entry", [one for one in EVERY if one.of_http], ids=lambda entry: entry.code)
def test_a_refused_request_says_what_happened_and_what_to_send(entry: Entry) -> None:
    body = json.loads(render_refusal(Refusal(entry.exit_code, entry.message, entry.expected, code=entry.code)))
    assert body == {"error": entry.message, "expected": entry.expected, "code": entry.code}
    assert 400 <= entry.exit_code < 600
    assert len(entry.cause) >= 10
    assert len(entry.remedy) >= 8


def test_no_wording_is_left_of_an_error_that_is_gone() -> None:
    known = {entry.code for entry in EVERY}
    assert set(CAUSES) | set(REMEDIES) <= known


def test_the_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "Write it again with: python docs/generate"


def test_a_class_has_its_code_and_an_error_may_have_its_own() -> None:
    assert errors.MissingExtra.of("locust", "A load test").code == "LX-INSTALL-002"
    assert errors.InputError("It is wrong.").code == ""
    assert errors.InputError("It is wrong.", code="LX-DATA-999").code == "LX-DATA-999"
