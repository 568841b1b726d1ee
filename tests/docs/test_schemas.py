"""The published JSON Schemas: made from the code, true of real files, and as strict as the code where they can be."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lexport.docs.generate import schemas
from lexport.errors import InputError
from lexport.export.archive.inprocess import load_archive
from lexport.models import recipes

from .. import json_schema

KEPT = Path(__file__).parents[1] / "models" / "kept"


def problems(name: str, value: Any) -> list[str]:
    return json_schema.problems(
        json.loads((schemas.FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")), value
    )


def test_they_are_written_from_the_code() -> None:
    found = {path: path.read_text(encoding="utf-8") for path in schemas.FOLDER.iterdir()}
    assert found == schemas.files(), "Write them again with: python docs/generate"
    for content in found.values():
        json_schema.check(json.loads(content))


@pytest.mark.parametrize("name", recipes.names())
def test_every_shipped_recipe_is_valid(name: str) -> None:
    content = (resources.files("lexport.models.recipes") / f"{name}.toml").read_text(encoding="utf-8")
    assert problems("recipe", tomllib.loads(content)) == []


def test_files_of_real_runs_and_archives_are_valid(run_folder: Path, archive_of: Callable[[str], Path]) -> None:
    for run in (run_folder, *(path.parent for path in KEPT.glob("*/run.json"))):
        for name in ("run", "text"):
            assert problems(name, json.loads((run / f"{name}.json").read_text(encoding="utf-8"))) == []
    with load_archive(archive_of("onnx-int8")) as archived:
        assert problems("model", archived.read("model.json")) == []
        assert problems("evidence", archived.read("MAR-INF/EVIDENCE.json")) == []


OPTIONS = st.dictionaries(
    st.sampled_from(["epochs", "learning_rate", "optimizer", "clip", "epoch"]),
    st.one_of(st.integers(1, 9), st.floats(0.1, 0.9), st.booleans(), st.just("adam"), st.just([1])),
)


@given(OPTIONS)
def test_what_the_schema_refuses_the_code_refuses_and_the_other_way_round(options: dict[str, Any]) -> None:
    """Ranges and names of optimizers are the code's alone, so the values here are all within them."""
    content = "[training]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in options.items())
    try:
        recipes.parse("mine", content)
        refused = False
    except InputError as error:
        refused = "must be" not in str(error)
    assert bool(problems("recipe", tomllib.loads(content))) == refused
