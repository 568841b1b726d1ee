"""Parts from outside go through the whole chain: an embedding, an encoder, a head, a task, an engine, a command."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.__main__ import run as command_line
from lexport.cli.options import app
from lexport.evaluation.tasks import TASKS
from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.evaluate import evaluate
from lexport.export.export import export
from lexport.export.formats.variants import FORMATS, VARIANTS, choose
from lexport.handlers.engine.engines import OPENERS
from lexport.models import recipes
from lexport.models.embeddings import EMBEDDINGS
from lexport.models.encoders import ENCODERS
from lexport.models.heads import HEADS
from lexport.models.predict import text_outputs
from lexport.models.run import open_run
from lexport.training.train import train

from . import parts

PAGE = Path(__file__).parents[2] / "docs" / "extending.md"
RECIPES = {
    "gated": '[embedding]\nname = "gated"\ndim = 16\n[text]\nngrams = 2',
    "edges": '[embedding]\nname = "table"\ndim = 16\n[encoder]\nname = "edges"',
    "cosine": '[embedding]\ndim = 16\n[head]\nname = "cosine"',
}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Register the parts, and take them out again for the other tests."""
    registries: list[dict[str, Any]] = [EMBEDDINGS, ENCODERS, HEADS, TASKS, VARIANTS, FORMATS, OPENERS]
    before = [dict(registry) for registry in registries]
    parts.register()
    yield
    for registry, names in zip(registries, before, strict=True):
        for name in set(registry) - set(names):
            del registry[name]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "cosine" else [pytest.mark.long]) for name in RECIPES]
)
def test_a_part_of_ones_own_is_trained_exported_and_packed(name: str, tiny_csv: Path, tmp_path: Path) -> None:
    recipe = recipes.parse(name, RECIPES[name]).changed("training", epochs=12, learning_rate=0.02)
    run = train(str(tiny_csv), tmp_path / "run", recipe=recipe)
    assert run.metrics["test"]["accuracy"] > 0.6, "a third would be chance"
    assert open_run(tmp_path / "run").recipe == run.recipe
    evidence = export(run, choose("torchscript-fp32,torchscript-int8,onnx-fp32,onnx-int8"))
    assert {one.name: one.refused for one in evidence.variants} == dict.fromkeys(
        ("torchscript-fp32", "torchscript-int8", "onnx-fp32", "onnx-int8")
    )
    texts = run.held_out("test").texts[:40]
    for variant in ("torchscript-fp32", "onnx-int8"):
        path = archive(run.folder, version="1.0", variant=variant, out=tmp_path / variant)
        with load_archive(path) as archived:
            found = np.array([list(answer["scores"].values()) for answer in archived.predict(texts)])
        trained = text_outputs(run.model, run.encoder, texts)
        np.testing.assert_allclose(found, trained, rtol=0, atol=1e-5 if variant.endswith("fp32") else 0.05)


def test_a_task_of_ones_own_judges_trained_models_variants_and_archives(
    tiny_csv: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = recipes.parse("levels", '[embedding]\ndim = 8\n[head]\nname = "levels"').changed("training", epochs=3)
    run = train(str(tiny_csv), tmp_path / "run", recipe=recipe)
    [variant] = export(run, choose("onnx-int8")).variants
    path = archive(run.folder, version="1.0", out=tmp_path / "store")
    judged = [evaluate(run.folder).to_json(), evaluate(path, str(tiny_csv), part="test").to_json()]
    assert [one["task"] for one in judged] == ["levels", "levels"]
    for found in (run.metrics["test"], variant.test, *judged):
        assert found["accuracy"] <= found["within_one"] <= 1
    assert judged[1]["within_one"] == pytest.approx(judged[0]["within_one"], abs=0.05)
    for found in judged:
        low, high = found["within_one_interval"]
        assert 0 <= low <= found["within_one"] <= high <= 1
    assert "within one" in (run.folder / "README.md").read_text(encoding="utf-8")
    assert command_line(["evaluate", str(path), str(tiny_csv)]) == 0
    assert "within one level" in capsys.readouterr().out
    with load_archive(path) as archived:
        assert archived.predict(["oven"])[0].keys() >= {"label", "score", "scores"}


def test_a_variant_of_ones_own_is_exported_and_judged(tiny_csv: Path, tmp_path: Path) -> None:
    recipe = recipes.load("bag").changed("embedding", dim=8).changed("training", epochs=2)
    run = train(str(tiny_csv), tmp_path / "run", recipe=recipe)
    [found] = export(run, choose("torchscript-half")).variants
    assert (found.engine, found.precision, found.refused) == ("torchscript", "half", None)
    assert 0 < found.test["largest_difference"] < 0.01


def test_an_engine_of_ones_own_is_exported_packed_and_asked(tiny_csv: Path, tmp_path: Path) -> None:
    recipe = recipes.load("bag").changed("encoder", mode="mean").changed("training", epochs=2)
    run = train(str(tiny_csv), tmp_path / "run", recipe=recipe)
    [found] = export(run, choose("numpy-fp32")).variants
    assert (found.engine, found.refused, found.test["flips"]) == ("numpy", None, 0)
    path = archive(run.folder, version="1.0", out=tmp_path / "store")
    texts = run.held_out("test").texts[:40]
    with load_archive(path) as archived:
        scores = np.array([list(answer["scores"].values()) for answer in archived.predict(texts)])
    np.testing.assert_allclose(scores, text_outputs(run.model, run.encoder, texts), rtol=0, atol=1e-5)


def test_what_an_engine_cannot_run_is_left_out_with_its_reason(tiny_csv: Path, tmp_path: Path) -> None:
    recipe = recipes.load("cnn").changed("embedding", dim=8).changed("training", epochs=1)
    run = train(str(tiny_csv), tmp_path / "run", recipe=recipe)
    assert export(run, choose("numpy-*,onnx-fp32")).left_out == {
        "numpy-fp32": "NumPy runs a mean with a classifier alone"
    }


def test_a_command_of_ones_own_is_run(capsys: pytest.CaptureFixture[str]) -> None:
    def greet(name: str) -> None:
        """Greet somebody."""
        print(f"Hello, {name}!")  # noqa: T201

    app.command()(greet)
    try:
        assert command_line(["greet", "you"]) == 0
    finally:
        app.registered_commands.pop()
    assert capsys.readouterr().out == "Hello, you!\n"


def test_the_page_shows_this_very_code() -> None:
    code = Path(parts.__file__).read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) >= 4
    for block in blocks:
        assert block.strip() in code
