"""The address of a served model is read as requests write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.client.questions import Question, served_model

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(NAMES, st.none() | NAMES)
def test_a_name_and_a_version_come_back_from_the_path_of_a_request(name: str, version: str | None) -> None:
    path = Question("a text", version=version).path(name)
    assert served_model(f"http://127.0.0.1:8080{path}") == ("http://127.0.0.1:8080", name, version)


@pytest.mark.parametrize(
    "path", ["", "/", "/ping", "/predictions", "/predictions/", "/models/a", "/predictions/a/1/2"]
)
def test_another_path_names_no_model(path: str) -> None:
    assert served_model(f"http://127.0.0.1:8080{path}") is None
