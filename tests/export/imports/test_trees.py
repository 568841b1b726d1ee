"""Trees of labels, of fastText's hierarchical softmax."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from lexport.export.formats.variants import VARIANTS
from lexport.export.imports.fasttext.huffman import huffman_ways
from lexport.export.imports.fasttext.kind import FastTextClassifier
from lexport.export.imports.kind import ImportOptions
from lexport.handlers.engine.engines import OPENERS
from lexport.models.predict import text_outputs

HERE = Path(__file__).parent / "fasttext"


def test_huffmans_tree_gives_frequent_labels_short_ways() -> None:
    counts = [50, 20, 20, 5, 5]
    ways = huffman_ways(counts)
    depths = [len(way) for way in ways]
    best = min(
        sum(count * depth for count, depth in zip(counts, order, strict=True))
        for order in itertools.permutations([1, 2, 3, 4, 4])
    )
    assert sum(count * depth for count, depth in zip(counts, depths, strict=True)) == best
    # Every inner node has a label on each side.
    sides = {step for way in ways for step in way}
    assert sides == {(node, right) for node in range(4) for right in (True, False)}


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", ["onnx-fp32", "onnx-int8", "torchscript-fp32", "pt2-fp32"])
def test_every_engine_answers_as_the_model_does(name: str, tmp_path: Path) -> None:
    imported = FastTextClassifier().read(HERE / "tree.bin", ImportOptions())
    imported.model.eval()
    texts = ["goal team match", "butter", "", "rain qqq storm"]
    expected = text_outputs(imported.model, imported.encoder, texts)
    variant = VARIANTS[name]
    variant.write(imported.model, imported.encoder.spec.inputs, tmp_path)
    engine = OPENERS[variant.engine](tmp_path / variant.file, 1, "cpu", "ids")
    ids = imported.encoder.assemble(imported.encoder.look_up(texts))
    assert np.abs(engine(ids) - expected).max() < (1e-5 if variant.precision == "fp32" else 2e-2)
