"""Runs of every kind that takes new words, each trained once a worker."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from lexport.data.load import Columns
from lexport.models.run import Run
from lexport.training.train import train

from .cases import KINDS, expanded, recipe, write_rows


@pytest.fixture(scope="session")
def run_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of a kind, trained once. Tests only read it."""
    made: dict[str, Run] = {}

    def make(kind: str) -> Run:
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            source = write_rows(folder / "rows.csv", languages=kind == "languages")
            columns = Columns(language="lang" if kind == "languages" else None)
            made[kind] = train(str(source), folder / "run", recipe=recipe(kind), columns=columns, seed=3)
        return made[kind]

    return make


@pytest.fixture(scope="module", params=KINDS)
def pair(
    request: pytest.FixtureRequest, run_of: Callable[[str], Run], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Run, Run]:
    """A run and what it becomes with NEW words, of its first language if it has several."""
    run = run_of(request.param)
    return run, expanded(run, tmp_path_factory.mktemp(f"{request.param}-more"))
