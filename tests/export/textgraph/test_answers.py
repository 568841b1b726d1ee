"""What a text-in model answers: the ids-in model's scores, counts, labels, for any text, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from lexport.errors import InputError
from lexport.export.export import export
from lexport.export.formats.variants import choose
from lexport.export.textgraph import make_text_in, reason_against
from lexport.handlers.text.encoder import TOKEN_PATTERN, TextEncoder, TextSpec
from lexport.handlers.text.spec import Layout
from lexport.models.run import Run, open_run

from ...refusals import refused
from .cases import LABELS, LAYOUTS, both, encoder_of

EDGES = [
    "",
    " \t\r\n\u3000\u00a0",
    "film",
    "qxzvkj wqpfzx",
    "[PAD] [UNK] <pad> PAD",
    "good " * 11 + "film",
    "good " * 12 + "film",
    "film\0good\x01\x85\u200b\ufeffgood",
    "İSTANBUL ΟΔΥΣΣΕΥΣ ẞ K",
    "👩\u200d👧 🏳️\u200d🌈 e\u0301",
    "\u0378 a\u0378b \U0010ffff \U000e0001 \ue000",
    "naïve…“quoted” film-maker's 3.14",
]
HUGE = ["good " * 100_000, "x" * 1_000_000, " " * 1_000_000, "好" * 20_000]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_edge_is_answered_alone_and_among_others(layout: str) -> None:
    model = both(layout)
    for text in [*EDGES, *HUGE]:
        model.check([text])
    model.check(EDGES)
    model.check(["", "", ""])
    model.check(["film"] * 70)


@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=1, max_size=6))
@example(["a", "", "good film 電影"])
def test_any_unicode_text_is_answered_as_by_python(layout: str, texts: list[str]) -> None:
    both(layout).check(texts)


@pytest.mark.parametrize("layout", ["pairs", "hashes of grams", "characters"])
def test_a_text_that_is_no_unicode_is_the_callers_error(layout: str) -> None:
    with pytest.raises(UnicodeEncodeError):
        both(layout).text_in(["film \ud800"], None)


def test_no_text_at_all_is_refused_with_the_reason() -> None:
    with pytest.raises(Exception, match=r"lower-case the texts, at least one.*must be greater than 0"):
        both("pairs").text_in([], None)


def test_a_language_is_part_of_every_text() -> None:
    model = both("languages")
    model.check(["good 好"] * 2, ["zh", "en"])
    for languages, reason in (
        (["en", "xx"], "the languages are en, zh; another was given"),
        (["en"], "one language for each text"),
        (["en", "en", "zh"], "one language for each text"),
    ):
        with pytest.raises(Exception, match=reason):
            model.text_in(["good", "film"], languages)


def small(path: Path, labels: int) -> Path:
    """An ids-in model whose scores are a text's first ids, divided by 10."""
    ids = helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "length"])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["batch", labels])
    numbers = {"zero": [0], "all": [labels], "one": [1], "pads": [0, 0, 0, labels]}
    nodes = [helper.make_node("Constant", [], [name], value_ints=value) for name, value in numbers.items()]
    nodes.append(helper.make_node("Constant", [], ["ten"], value_float=10.0))
    nodes += [
        helper.make_node("Pad", ["ids", "pads"], ["wide"]),
        helper.make_node("Slice", ["wide", "zero", "all", "one"], ["first"]),
        helper.make_node("Cast", ["first"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "ten"], ["scores"]),
    ]
    graph = helper.make_graph(nodes, "small", [ids], [scores])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), str(path))
    return path


def answers(path: Path, texts: list[str]) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"texts": np.array(texts, object)}), strict=True))


WORDS = [chr(ord("a") + number) for number in range(8)]
ENCODER = TextEncoder(TextSpec(words=10, max_tokens=4), WORDS)


def test_one_label_is_named_and_numbered_the_first_of_equals(tmp_path: Path) -> None:
    path = small(tmp_path / "model.onnx", 3)
    make_text_in(path, ENCODER, "classify", LABELS, 0.5)
    found = answers(path, ["a c b", "b b", "", "zz a b c d"])
    assert list(found) == ["scores", "label", "label_index", "labels", "tokens", "unknown", "truncated"]
    assert found["label_index"].tolist() == [1, 0, 0, 2]
    assert found["label"].tolist() == ["négatif", "positive", "positive", "中"]
    assert found["labels"].tolist() == LABELS
    tenths = np.array([[2, 4, 3], [3, 3, 0], [0, 0, 0], [1, 2, 3]], np.float32)
    np.testing.assert_array_equal(found["scores"], tenths / np.float32(10))
    assert found["tokens"].tolist() == [3, 2, 0, 4]
    assert found["unknown"].tolist() == [0, 0, 0, 1]
    assert found["truncated"].tolist() == [False, False, False, True]
    kinds = {name: values.dtype.kind for name, values in found.items()}
    assert kinds == dict.fromkeys(["label", "labels"], "O") | {"scores": "f", "truncated": "b"} | dict.fromkeys(
        ["label_index", "tokens", "unknown"], "i"
    )


@pytest.mark.parametrize("threshold", [0.3, 0.4, 0.7])
def test_several_labels_are_those_whose_score_is_the_threshold_or_more(tmp_path: Path, threshold: float) -> None:
    path = small(tmp_path / "model.onnx", 3)
    make_text_in(path, ENCODER, "multilabel", LABELS, threshold)
    found = answers(path, ["a b c", "f g h", "a"])
    assert list(found) == ["scores", "chosen", "labels", "tokens", "unknown", "truncated"]
    assert found["chosen"].tolist() == [[score >= threshold for score in row] for row in found["scores"].tolist()]


@pytest.mark.parametrize("task", ["vector", "joint"])
def test_a_vector_is_answered_as_one(tmp_path: Path, task: str) -> None:
    path = small(tmp_path / "model.onnx", 3)
    make_text_in(path, ENCODER, task, [], 0.5)
    found = answers(path, ["a b c"])
    assert list(found) == ["vector", "tokens", "unknown", "truncated"]
    assert found["vector"].shape == (1, 3)
    assert [dim.dim_param for dim in onnx.load(str(path)).graph.output[0].type.tensor_type.shape.dim] == ["batch", ""]


REFUSED = {
    "another token pattern": (TextSpec(words=2, pattern=r"\w+"), "splits by lexport's own token pattern"),
    "very long words": (
        TextSpec(words=2, inputs=Layout.CHARACTERS, word_length=1001, characters=2),
        "at most 1,000 characters of a word; word_length is 1,001",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_text_in_form_is_told_in_a_line(tmp_path: Path, name: str) -> None:
    spec, reason = REFUSED[name]
    with pytest.raises(ValueError, match=reason):
        make_text_in(small(tmp_path / "model.onnx", 3), TextEncoder(spec, []), "vector", [], 0.5)
    found = reason_against(spec)
    assert found is not None
    assert "\n" not in found


def test_every_layout_and_the_longest_words_have_a_text_in_form() -> None:
    assert {reason_against(encoder_of(layout).spec) for layout in LAYOUTS} == {None}
    assert TextSpec(words=2).pattern == TOKEN_PATTERN
    longest = TextSpec(words=2, inputs=Layout.CHARACTERS, word_length=1000, characters=2)
    assert reason_against(longest) is None


def test_an_export_goes_on_without_what_cannot_be_made(
    run_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "topics"
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    run: Run = open_run(folder)
    object.__setattr__(run.encoder.spec, "pattern", r"\w+")
    evidence = export(run, choose("onnx-fp32*"))
    assert [variant.name for variant in evidence.variants] == ["onnx-fp32"]
    assert evidence.left_out["onnx-fp32-text"].startswith("text-in splits by lexport's own token pattern")
    with refused(InputError, "LX-EXPORT-006", "onnx-fp32-text", "text-in splits"):
        export(run, choose("onnx-fp32-text"))
