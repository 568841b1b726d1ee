"""Files that skops wrote come in with scikit-learn's labels, without skops; kept/ has files of skops 0.16."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.errors import InputError
from lexport.export.imports.scikit import skops
from lexport.export.imports.scikit.skops import read_skops
from lexport.models.predict import text_outputs

from ....refusals import refused
from .test_kind import bring, texts

KEPT = Path(__file__).parent / "kept"


@pytest.mark.parametrize("name", ["logistic", "svc", "sgd"])
def test_texts_get_the_labels_that_scikit_learn_gave_them(name: str, tmp_path: Path) -> None:
    run = bring(KEPT / f"{name}.skops", tmp_path)
    found = text_outputs(run.model, run.encoder, texts(300, seed=9)).argmax(axis=1)
    assert [run.labels[row] for row in found] == json.loads((KEPT / "labels.json").read_text())[name]
    assert run.info.imported["file"] == f"{name}.skops"


def test_what_a_run_cannot_have_is_named(tmp_path: Path) -> None:
    with refused(InputError, "LX-IMPORT-105", "svd.skops", "decomposition.TruncatedSVD"):
        bring(KEPT / "svd.skops", tmp_path)
    with refused(InputError, "LX-IMPORT-109", "tokenizer.skops", "tokenizer=", "own"):
        bring(KEPT / "tokenizer.skops", tmp_path)


def rewritten(change: Callable[[str, bytes], bytes], to: Path) -> Path:
    """A file of skops with its members changed."""
    with zipfile.ZipFile(KEPT / "svc.skops") as before, zipfile.ZipFile(to, "w") as after:
        for one in before.namelist():
            after.writestr(one, change(one, before.read(one)))
    return to


def _header(shape: tuple[int, ...], kind: str) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": kind, "fortran_order": False, "shape": shape})
    return stream.getvalue()


def _deep() -> bytes:
    node: dict[str, Any] = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode", "content": "1"}
    for _ in range(100):
        node = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": [node]}
    return json.dumps(node).encode()


def _node(loader: str, content: Any, number: int | None = None, **others: Any) -> dict[str, Any]:
    return {"__class__": "k", "__module__": "m", "__loader__": loader, "__id__": number, "content": content, **others}


def _laughs() -> bytes:
    """Lists of ten times the one before, thirty of them within one another."""
    node = _node("ListNode", [], 0)
    for number in range(1, 31):
        again = [_node("CachedNode", None, number - 1) for _ in range(9)]
        node = _node("ListNode", [node, *again], number)
    return json.dumps(node).encode()


@pytest.mark.parametrize(
    ("member", "content"),
    [
        pytest.param("schema.json", _laughs(), id="a billion laughs"),
        pytest.param("schema.json", json.dumps(_node("JsonNode", "[[1]]")).encode(), id="several values as one"),
        pytest.param(".npy", _header((1,), "<f8")[:-40] + b"{'descr': (" + b" " * 29, id="an open header"),
        pytest.param("schema.json", b"{", id="no JSON"),
        pytest.param("schema.json", b"[" * 100_000, id="deep JSON"),
        pytest.param("schema.json", _deep(), id="deep nodes"),
        pytest.param("schema.json", b"{}", id="no node"),
        pytest.param("schema.json", b"[]", id="a list"),
        pytest.param(".npy", b"no array", id="no array"),
        pytest.param(".npy", _header((1 << 40,), "<f8"), id="a large array"),
        pytest.param(".npy", _header((1,), "|O") + b"\x80\x04N.", id="an array of objects"),
    ],
)
def test_a_damaged_file_is_refused(member: str, content: bytes, tmp_path: Path) -> None:
    path = rewritten(lambda name, found: content if name.endswith(member) else found, tmp_path / "spoiled.skops")
    with refused(InputError, "LX-IMPORT-119", "spoiled.skops"):
        read_skops(path)


def test_a_small_file_does_not_become_a_large_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bomb.skops"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("schema.json", b"[" + b"[]," * 100 + b"[]]")
        packed.writestr("zeros.npy", bytes(1 << 20))
    monkeypatch.setattr(skops, "_ALWAYS_EXPANDED", 1 << 20)
    with refused(InputError, "LX-IMPORT-118", "bomb.skops", "1,048,880", "1,048,576"):
        read_skops(path)
    monkeypatch.setattr(skops, "_ALWAYS_EXPANDED", 1 << 28)
    monkeypatch.setattr(skops, "_MOST_SIGNS", 100)
    with refused(InputError, "LX-IMPORT-119", "bomb.skops", "202 values", "100"):
        read_skops(path)


def test_an_array_is_read_once_and_lists_in_arrays_are_not_written_out(tmp_path: Path) -> None:
    array = _node("NdArrayNode", None, type="numpy", file="own.npy")
    nested = _node("NdArrayNode", [_node("ListNode", [_node("JsonNode", "1")]), "a" * 1_000_000], type="json")
    with zipfile.ZipFile(tmp_path / "own.skops", "w") as packed:
        packed.writestr("schema.json", json.dumps(_node("ListNode", [array, array, nested])))
        packed.writestr("own.npy", _header((2,), "<f8") + bytes(16))
    first, second, listed = read_skops(tmp_path / "own.skops")
    assert first is second
    assert listed.tolist() == ["list", "a" * 1_000_000]
    assert listed.nbytes < 100


@pytest.mark.parametrize("name", ["vocabulary_", "ngram_range", "classes_", "norm"])
def test_values_that_scikit_learn_never_gives_are_refused(name: str, tmp_path: Path) -> None:
    def change(member: str, content: bytes) -> bytes:
        if member != "schema.json":
            return content
        schema = json.loads(content)
        steps = schema["content"]["content"]["steps"]["content"]
        for step in steps:
            own = step["content"][1]["content"]["content"]
            if name in own:
                own[name] = _node("DictNode", {"a": _node("JsonNode", '"b"')})
        return json.dumps(schema).encode()

    path = rewritten(change, tmp_path / "odd.skops")
    with pytest.raises(InputError) as caught:
        bring(path, tmp_path)
    assert caught.value.code in ("LX-IMPORT-403", "LX-IMPORT-106", "LX-IMPORT-107", "LX-IMPORT-112")


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    node = {"__class__": "Classifier", "__module__": "own", "__loader__": "ObjectNode", "content": None}
    path = rewritten(
        lambda name, found: json.dumps(node).encode() if name == "schema.json" else found, tmp_path / "other.skops"
    )
    with refused(InputError, "LX-IMPORT-117", "other.skops", "own.Classifier"):
        bring(path, tmp_path)
