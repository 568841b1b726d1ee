"""What becomes of a new word: trained further, exported, packed, answered with."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from lexport.export.archive.inprocess import load_archive
from lexport.export.archive.pack import archive
from lexport.export.export import export
from lexport.export.formats.tables import ByteTable, Int8GatherTable
from lexport.export.formats.variants import choose
from lexport.models.predict import text_outputs
from lexport.models.run import Run
from lexport.training.train import train

from .cases import expanded, recipe, table, vector, write_rows

ASKED = ["goalkeeper butterfly", "goalkeeper", "the match", "neverseen", ""]


def test_a_new_word_is_trained_exported_packed_and_answered_with(
    run_of: Callable[[str], Run], tmp_path: Path
) -> None:
    run = run_of("words")
    grown = expanded(run, tmp_path, "goalkeeper", "butterfly")
    rows = write_rows(tmp_path / "more.csv", languages=False).read_text().replace(" of ", " goalkeeper ")
    (tmp_path / "more.csv").write_text(rows, encoding="utf-8")
    trained = train(str(tmp_path / "more.csv"), tmp_path / "further", recipe=grown.recipe, start=grown, seed=3)

    assert not torch.equal(vector(trained, "goalkeeper"), vector(grown, "goalkeeper"))
    assert torch.equal(vector(trained, "butterfly"), vector(grown, "butterfly"))
    assert not table(trained)[0].any()
    assert trained.encoder.spec == grown.encoder.spec
    assert trained.encoder.spec.version == 2
    expansion, training = trained.info.history
    assert expansion["expanded"]["from"] == run.digest
    assert training == {"trained_from": grown.digest}

    export(trained, choose("torchscript-int8,onnx-fp32"))
    expected = text_outputs(trained.model, trained.encoder, ASKED)
    for variant, distance in (("torchscript-int8", 0.05), ("onnx-fp32", 1e-5)):
        packed = archive(trained.folder, version="1.0", variant=variant, out=tmp_path / variant)
        with load_archive(packed) as model:
            answers = model.predict(ASKED)
        assert [answer["tokens"] for answer in answers] == [2, 1, 2, 1, 0]
        assert [answer["unknown"] for answer in answers] == [0, 0, 0, 1, 0]
        scores = [[answer["scores"][label] for label in trained.labels] for answer in answers]
        np.testing.assert_allclose(scores, expected, atol=distance)


@pytest.fixture(scope="module")
def silent_unknown(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose unknown words count for nothing, grown by four words."""
    folder = tmp_path_factory.mktemp("silent")
    source = write_rows(folder / "rows.csv", languages=False)
    own = recipe("words").changed("embedding", padding_idx=1)
    return expanded(train(str(source), folder / "run", recipe=own, seed=3), folder)


def test_unknown_words_that_count_for_nothing_still_do_beside_new_ones(silent_unknown: Run) -> None:
    weight = table(silent_unknown)
    assert silent_unknown.recipe.embedding == recipe("words").changed("embedding", padding_idx=1).embedding
    assert not weight[:2].any()
    assert weight[2 : silent_unknown.encoder.spec.words].any(dim=1).all()


@pytest.mark.parametrize("form", [ByteTable, Int8GatherTable])
def test_they_do_in_eight_bits_too(form: type[ByteTable | Int8GatherTable], silent_unknown: Run) -> None:
    packed = form(table(silent_unknown))
    found = packed.vectors(torch.arange(silent_unknown.encoder.spec.words)[None])[0]
    assert not found[:2].any()
    assert found[2:].any(dim=1).all()
