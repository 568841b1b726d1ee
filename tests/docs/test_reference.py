"""The pages that are made from the code are what the code says now."""

from __future__ import annotations

from dataclasses import fields
from types import ModuleType

import pytest

import lexport
from lexport.docs.generate import api, benchmarks, cli, layers, options
from lexport.models.recipes import PARTS, GateOptions, TextOptions, TrainingOptions

KINDS = [TextOptions, TrainingOptions, GateOptions, *(kind for kinds in PARTS.values() for kind in kinds.values())]


@pytest.mark.parametrize(
    "module", [api, benchmarks, cli, layers, options], ids=["api", "benchmarks", "cli", "layers", "options"]
)
def test_a_page_is_written_from_the_code(module: ModuleType) -> None:
    assert module.PAGE.read_text(encoding="utf-8") == module.page(), "Write it again with: python docs/generate"


def test_every_public_name_has_an_entry_with_a_text() -> None:
    page = api.page()
    for name in lexport.__all__:
        if not name.startswith("_"):
            _, found, rest = page.partition(f"\n## lexport.{name}\n")
            assert found
            assert len(rest.partition("\n## ")[0].strip().splitlines()) > 2


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_option_says_what_it_is(kind: type) -> None:
    said = options.described(kind)
    assert [one.name for one in fields(kind) if not said.get(one.name)] == []
