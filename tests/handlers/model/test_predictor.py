"""Texts and images to answers, for every task and layout of ids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from lexport.export.formats.torchscript_onnx import write_torchscript
from lexport.handlers.engine.engines import open_engine
from lexport.handlers.model.decoders import labels_above
from lexport.handlers.model.predictor import (
    MAX_BATCH,
    MAX_PADDING,
    MAX_PIECE_BYTES,
    MAX_PIECE_TEXTS,
    IdsIn,
    ModelFile,
)
from lexport.handlers.text.batch import Batch
from lexport.handlers.text.encoder import Ids, TextError
from lexport.handlers.text.spec import Layout

from ..models import LABELS, PIXELS, engine, predictor

TEXTS = ["goal rain", "", "zebra goal goal rain rain", "rain"]
COUNTS = ["tokens", "unknown", "truncated"]
LAYOUTS: list[dict[str, Any]] = [
    {"inputs": Layout.INDICES},
    {"inputs": Layout.INDICES, "ngrams": 2, "subwords": (3, 4), "buckets": 64},
    {"inputs": Layout.HASHES, "subwords": (3, 3)},
    {"inputs": Layout.CHARACTERS},
    {"inputs": Layout.LANGUAGES},
]


def languages_of(layout: dict[str, Any], count: int) -> list[str] | None:
    return ["en", "de"] * (count // 2) + ["en"] * (count % 2) if layout["inputs"] == "languages" else None


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_a_text_is_answered_alike_alone_in_a_batch_and_in_turns(layout: dict[str, Any]) -> None:
    model = predictor(**layout)
    texts = [
        " ".join(["goal", "rain", "zebras", "it"][number % 4 :] * (number % 9)) for number in range(2 * MAX_BATCH + 5)
    ]
    languages = languages_of(layout, len(texts))
    found = model.predict(texts, languages)
    tokens, raw = model.raw_outputs(Batch(texts, languages))
    assert raw.shape == (len(texts), 3)
    assert raw.dtype == np.float32
    assert [answer["tokens"] for answer in found] == tokens.lengths.tolist()
    assert [answer["unknown"] for answer in found] == tokens.unknown.tolist()
    for number in (0, 1, 3, 8, MAX_BATCH - 1, MAX_BATCH, 2 * MAX_BATCH + 4):
        own = None if languages is None else [languages[number]]
        [alone] = model.predict([texts[number]], own)
        assert alone == found[number]
        assert (
            list(alone["scores"].values())
            == raw[number].tolist()
            == engine(model.encode(Batch([texts[number]], own))[1][0][1])[0].tolist()
        )


@pytest.mark.parametrize(
    ("parallel", "vector_bytes"), [(True, 0), (False, MAX_PIECE_BYTES // 40), (True, MAX_PIECE_BYTES // 90)]
)
@given(texts=st.lists(st.text("goalrin ", max_size=30), max_size=40))
def test_pieces_hold_every_text_whole(parallel: bool, vector_bytes: int, texts: list[str]) -> None:
    model = predictor(parallel=parallel, vector_bytes=vector_bytes, ngrams=2, subwords=(3, 4), buckets=64)
    tokens, pieces = model.encode(Batch(texts))
    whole = model.encoder.assemble(tokens)
    seen = []
    for positions, ids in pieces:
        seen += positions.tolist()
        assert (whole[positions][:, : ids.shape[1]] == ids).all()
        assert not whole[positions][:, ids.shape[1] :].any()
        assert ids.shape[1] == 1 or ids[:, -1].any()  # padded to its own longest
        assert not parallel or (
            len(ids) <= MAX_PIECE_TEXTS and (len(ids) <= 1 or padding(model, texts, positions) <= MAX_PADDING)
        )
        assert len(ids) <= 1 or ids.size * vector_bytes <= MAX_PIECE_BYTES
    assert sorted(seen) == list(range(len(texts)))


def padding(model: IdsIn, texts: list[str], positions: Ids) -> int:
    """The cells beyond each text's own width, were these texts one piece."""
    tokens = model.encoder.look_up([texts[position] for position in positions])
    widths = model.encoder.widths(tokens.lengths, tokens.subword_counts)
    return int(len(widths) * widths.max() - widths.sum())


def test_one_long_text_does_not_make_the_others_pay() -> None:
    model = predictor(parallel=True)
    short, long = "goal " * 10, "goal " * 200
    for place in (0, 7, 15):
        texts = [short] * 16
        texts[place] = long
        _, pieces = model.encode(Batch(texts))
        assert [ids.shape for _, ids in pieces] == [(15, 10), (1, 200)]
        assert pieces[1][0].tolist() == [place]
    # Texts of like lengths stay together, and so do few: a call of the engine costs as much as 50 to 100 cells.
    for lengths, count in ((range(1, 17), 1), (range(10, 42, 2), 2), ([10, 60], 1), ([10, 200], 2)):
        assert len(model.encode(Batch(["goal " * length for length in lengths]))[1]) == count


def test_a_batch_is_cut_only_where_that_pays() -> None:
    texts = ["goal " * 10] * 60 + ["goal " * 100] * 4
    for changes, sizes in (
        # Rows are added to a sum as they are read: one piece, however wide.
        ({}, [64]),
        # Narrow vectors: all fit a core's cache.
        ({"vector_bytes": 4 * 16}, [64]),
        # Wide ones do not: at 300 numbers 12 kB a short text and 120 kB a long one.
        ({"vector_bytes": 4 * 300}, [60, 4]),
        ({"vector_bytes": 4 * 3000}, [8, 8, 8, 8, 8, 8, 8, 4, 1, 1, 1, 1]),
        # Every cell costs an encoder's work: no more than 16 together, and the short ones do not pay for the long.
        ({"parallel": True, "vector_bytes": 4 * 16}, [16, 16, 16, 12, 4]),
    ):
        _, pieces = predictor(**changes).encode(Batch(texts))  # type: ignore[arg-type]
        assert [len(ids) for _, ids in pieces] == sizes, changes


def test_several_labels_are_those_above_the_threshold_best_first() -> None:
    [answer, empty, *_] = predictor("multilabel").predict(TEXTS)
    assert list(answer) == ["labels", "scores", *COUNTS]
    assert list(answer["scores"]) == list(LABELS)
    ranked = sorted(answer["scores"].items(), key=lambda item: -item[1])
    assert [(one["label"], one["score"]) for one in answer["labels"]] == [one for one in ranked if one[1] >= 0.5]
    assert empty["labels"] == []
    assert (empty["tokens"], empty["scores"]["sport"]) == (0, 0.0)
    assert labels_above(0.5, {"a": 0.5, "b": 0.4999}) == [{"label": "a", "score": 0.5}]


@pytest.mark.parametrize("task", ["vector", "joint"])
def test_vector_models_answer_vectors(task: str) -> None:
    model = predictor(task, labels=())
    found = model.predict(TEXTS)
    assert [list(answer) for answer in found] == [["vector", *COUNTS]] * 4
    assert [answer["vector"] for answer in found] == model.raw_outputs(Batch(TEXTS))[1].tolist()


def test_images_become_vectors_alone_as_in_a_batch() -> None:
    model = predictor("joint", labels=())
    images = np.random.default_rng(0).random((40, PIXELS), dtype=np.float32)
    found = model.predict_images(images)
    assert found == [{"vector": (2 * image[:3]).tolist()} for image in images]
    assert model.predict_images(images[7:8]) == found[7:8]
    with pytest.raises(ValueError, match=r"the shape \[40, 3\], expected \[images, 4\]"):
        model.image_outputs(images[:, :3])
    with pytest.raises(ValueError, match="is a vector model and takes no images"):
        predictor("vector").image_outputs(images)


def test_languages_must_be_those_of_the_model() -> None:
    several = predictor(inputs=Layout.LANGUAGES)
    english, german = several.predict(["goal", "goal"], ["en", "de"])
    assert (english["unknown"], german["unknown"]) == (0, 1)
    for given_ in (None, ["en"], ["en", "fr"]):
        with pytest.raises(TextError):
            several.predict(["goal", "goal"], given_)
    with pytest.raises(TextError):
        predictor().predict(["goal"], ["en"])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"task": "translate"}, "names the task 'translate'; known are classify, multilabel, vector, joint"),
        ({"task": "joint"}, "a joint model needs both"),
        ({"task": "joint", "image_file": "image.onnx"}, "image_values 0"),
        ({"image_file": "image.onnx", "image_values": 4}, "any other none"),
        ({"schema": 2}, "has schema 2"),
        ({"task": "joint", "image_file": "../image.onnx", "image_values": 4}, "names the file '../image.onnx'"),
    ],
)
def test_a_model_file_this_version_cannot_serve_is_refused(changes: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        ModelFile("m", "1.0", "onnx-fp32", "onnx", "fp32", "model.onnx", **changes)


@pytest.mark.parametrize("field", ["name", "version", "variant", "engine", "precision", "file"])
@pytest.mark.parametrize("value", ["1.0\r\nLexport-Variant: other", "x\x1b[2J", "\u202e", "\ud800", 7, None])
def test_a_name_that_would_break_a_line_of_a_log_or_a_header_is_refused(field: str, value: Any) -> None:
    fields = dict.fromkeys(("name", "version", "variant", "engine", "precision", "file"), "x") | {field: value}
    with pytest.raises(ValueError, match=f"has the {field} .*; printable characters were expected") as caught:
        ModelFile(**fields)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("file", ["../model.onnx", "/model.onnx", "a/b.onnx", "..", "", "a\\b"])
def test_a_model_file_outside_of_the_archives_folder_is_refused(file: str) -> None:
    with pytest.raises(ValueError, match="a file beside it was expected"):
        ModelFile("m", "1.0", "onnx-fp32", "onnx", "fp32", file)


class Tower(torch.nn.Module):
    def __init__(self, weight: torch.Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Buffer(weight.T.contiguous())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.normalize(torch.nn.functional.linear(image, self.weight))


def as_onnx(weight: torch.Tensor, path: Path) -> None:
    nodes = [
        helper.make_node("MatMul", ["image", "weight"], ["long"]),
        helper.make_node("LpNormalization", ["long"], ["scores"], axis=1, p=2),
    ]
    shapes: dict[str, list[str | int | None]] = {
        "image": ["batch", weight.shape[0]],
        "scores": ["batch", weight.shape[1]],
    }
    ends = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    table = onnx.numpy_helper.from_array(weight.numpy(), "weight")
    graph = helper.make_graph(nodes, "tower", [ends["image"]], [ends["scores"]], [table])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_both_engines_open_an_image_tower(tmp_path: Path) -> None:
    weight = torch.linspace(-1, 1, 12).reshape(4, 3)
    as_onnx(weight, tmp_path / "image.onnx")
    write_torchscript(Tower(weight), tmp_path / "image.pt")
    images = np.random.default_rng(1).random((5, 4), dtype=np.float32)
    expected = Tower(weight)(torch.from_numpy(images)).numpy()
    for name, file in (("onnx", "image.onnx"), ("torchscript", "image.pt")):
        run = open_engine(name, tmp_path / file, threads=1, device="cpu", feed="image")
        found = run(images)
        assert found.dtype == np.float32
        assert found == pytest.approx(expected, abs=1e-6)
