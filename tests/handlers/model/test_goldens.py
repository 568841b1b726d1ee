"""What a worker proves before it is ready: digests first, then goldens."""

from __future__ import annotations

import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from lexport.errors import RefusedError
from lexport.export.archive.format.reader import extracted
from lexport.export.archive.inprocess import load_archive
from lexport.handlers.model.digests import DIGESTS, check_digests, read_digests
from lexport.handlers.model.goldens import Golden, check_goldens, differences, read_goldens
from lexport.handlers.text.spec import Layout
from lexport.handlers.worker import load_checked

from ...refusals import refused
from ..models import predictor

Archives = Callable[[str], Path]
Repack = Callable[..., Path]


def members(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened_archive:
        return {name: opened_archive.read(name) for name in opened_archive.namelist()}


def shuffled_vocabulary(files: dict[str, bytes]) -> dict[str, bytes]:
    words = files["vocabulary.txt"].split(b"\n")[:-1]
    return {"vocabulary.txt": b"\n".join([*words[1:], words[0], b""])}


def other_case(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"text.json": files["text.json"].replace(b'"lowercase": true', b'"lowercase": false')}


def other_labels(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"labels.json": json.dumps(json.loads(files["labels.json"])[::-1]).encode()}


def renamed_label(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"labels.json": files["labels.json"].replace(b"sport", b"spork")}


def fewer_tokens(files: dict[str, bytes]) -> dict[str, bytes]:
    return {"text.json": re.sub(rb'"max_tokens": \d+', b'"max_tokens": 2', files["text.json"])}


def damaged_weights(files: dict[str, bytes]) -> dict[str, bytes]:
    """The scales, the exponent of some floats or the rows, whatever lies there."""
    name = max((name for name in files if name.startswith("model.onnx")), key=lambda name: len(files[name]))
    content = bytearray(files[name])
    for place in range(len(content) // 4, len(content) // 2):
        content[place] ^= 0x55
    return {name: bytes(content)}


def changed_golden(files: dict[str, bytes]) -> dict[str, bytes]:
    first, _, rest = files["golden.jsonl"].partition(b"\n")
    golden = json.loads(first)
    golden["variant"]["scores"] = {label: 1 - score for label, score in golden["variant"]["scores"].items()}
    return {"golden.jsonl": json.dumps(golden).encode() + b"\n" + rest}


TAMPERED = [
    shuffled_vocabulary,
    other_case,
    other_labels,
    renamed_label,
    fewer_tokens,
    damaged_weights,
    changed_golden,
]


@pytest.mark.parametrize("change", TAMPERED)
def test_goldens_notice_what_digests_do_not(
    archive_of: Archives, repack: Repack, change: Callable[[dict[str, bytes]], dict[str, bytes]], tmp_path: Path
) -> None:
    source = archive_of("onnx-fp32")
    changes = change(members(source))
    assert all(content != members(source)[name] for name, content in changes.items())
    with (
        refused(RefusedError, "LX-ARCHIVE-014", "of 32", "topics 1.0 (onnx-fp32)", "in a batch"),
        load_archive(repack(source, changes)),
    ):
        pass


def one_scale(files: dict[str, bytes]) -> dict[str, bytes]:
    """The scale of one row, that of a word which a golden has, a hundred times as large."""
    spec = json.loads(files["text.json"])
    words = files["vocabulary.txt"].decode().split("\n")
    asked = " ".join(json.loads(line)["text"] for line in files["golden.jsonl"].splitlines())
    row = 2 + next(place for place, word in enumerate(words) if f" {word} " in asked)
    rows = spec["words"] + spec["buckets"]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("model.onnx", "model.onnx.data"):
            (Path(folder) / name).write_bytes(files[name])
        model = onnx.load(f"{folder}/model.onnx")
        [scale] = [one for one in model.graph.initializer if one.data_type == 1 and max(one.dims, default=0) == rows]
        values = onnx.numpy_helper.to_array(scale).copy()
        values[row] *= -100
        data = files["model.onnx.data"].replace(onnx.numpy_helper.to_array(scale).tobytes(), values.tobytes())
    return {"model.onnx.data": data}


def one_vocabulary_line(files: dict[str, bytes]) -> dict[str, bytes]:
    """One frequent word is written otherwise, and so unknown."""
    words = files["vocabulary.txt"].split(b"\n")
    asked = files["golden.jsonl"]
    place = next(place for place, word in enumerate(words) if b" " + word + b" " in asked)
    return {"vocabulary.txt": b"\n".join([*words[:place], words[place] + b"x", *words[place + 1 :]])}


@pytest.mark.parametrize("change", [renamed_label, one_scale, one_vocabulary_line])
def test_one_label_one_scale_or_one_line_is_enough(
    archive_of: Archives, repack: Repack, change: Callable[[dict[str, bytes]], dict[str, bytes]], tmp_path: Path
) -> None:
    source = archive_of("onnx-int8")
    changes = change(members(source))
    assert all(content != members(source)[name] for name, content in changes.items())
    with (
        refused(RefusedError, "LX-ARCHIVE-014", "of 32", "topics 1.0 (onnx-int8)", "golden"),
        load_archive(repack(source, changes)),
    ):
        pass


@pytest.mark.parametrize("change", TAMPERED)
def test_stale_digests_are_noticed_before_anything_is_loaded(
    archive_of: Archives, repack: Repack, change: Callable[[dict[str, bytes]], dict[str, bytes]], tmp_path: Path
) -> None:
    source = archive_of("onnx-fp32")
    changes = change(members(source))
    damaged = repack(source, changes, stale=True)
    with zipfile.ZipFile(damaged) as archive:
        archive.extractall(tmp_path)
    names = "; ".join(f"{name} was altered" for name in changes)
    with pytest.raises(ValueError, match=re.escape(names)):
        load_checked(tmp_path, threads=1, device="cpu")
    with refused(RefusedError, "LX-ARCHIVE-077", names), extracted(damaged):
        pass


def test_members_too_many_or_too_few_are_named(unpacked: Path, tmp_path: Path) -> None:
    for name in members_of(unpacked):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes((unpacked / name).read_bytes())
    check_digests(tmp_path)
    (tmp_path / "labels.json").unlink()
    (tmp_path / "lexport_handlers" / "extra.py").write_text("")
    with pytest.raises(ValueError, match=r"labels\.json is missing; lexport_handlers/extra\.py is not listed"):
        check_digests(tmp_path)
    (tmp_path / DIGESTS).unlink()
    with pytest.raises(ValueError, match="DIGESTS is missing"):
        check_digests(tmp_path)
    with pytest.raises(ValueError, match="line 2 is not"):
        read_digests(f"{'0' * 64}  a\nnonsense\n")


def members_of(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def answer(scores: dict[str, float], **facts: Any) -> dict[str, Any]:
    label = max(scores, key=lambda name: scores[name])
    return {"label": label, "scores": scores, "tokens": 3, "unknown": 1, "truncated": False} | facts


@pytest.mark.parametrize(
    ("found", "precision", "says"),
    [
        (answer({"a": 0.6, "b": 0.4}), "fp32", []),
        (answer({"a": 0.60009, "b": 0.39991}), "fp32", []),
        (answer({"a": 0.6002, "b": 0.3998}), "fp32", ["(tolerance 0.0001)"]),
        (answer({"a": 0.61, "b": 0.39}), "int8", []),
        (answer({"a": 0.63, "b": 0.37}), "int8", ["score of 'a'"]),
        (answer({"a": float("nan"), "b": 0.4}), "int8", ["score of 'a' is nan"]),
        (answer({"a": 0.6, "b": float("nan")}), "int8", ["score of 'b' is nan"]),
        (answer({"a": 0.6, "b": 0.4}, label="b"), "fp32", ["label is 'b', recorded 'a'"]),
        (
            answer({"a": 0.6, "b": 0.4}, tokens=4, unknown=0, truncated=True),
            "fp32",
            ["tokens", "unknown", "truncated"],
        ),
        (answer({"a": 0.6, "c": 0.4}), "fp32", ["labels are ['a', 'c'], recorded ['a', 'b']"]),
    ],
)
def test_how_far_an_answer_may_be_from_its_golden(found: dict[str, Any], precision: str, says: list[str]) -> None:
    golden = Golden("text", {}, answer({"a": 0.6, "b": 0.4}))
    given = differences(golden, found, precision)
    assert len(given) == len(says)
    assert all(part in whole for part, whole in zip(says, given, strict=True))


def test_a_near_call_may_fall_either_way() -> None:
    golden = Golden("text", {}, answer({"a": 0.505, "b": 0.495}))
    assert differences(golden, answer({"a": 0.495, "b": 0.505}), "int8") == []
    assert differences(golden, answer({"a": 0.495, "b": 0.505}), "fp32") != []


def several(scores: dict[str, float], *labels: str) -> dict[str, Any]:
    chosen = [{"label": label, "score": scores[label]} for label in labels]
    return {"labels": chosen, "scores": scores, "tokens": 3, "unknown": 1, "truncated": False}


@pytest.mark.parametrize(
    ("found", "precision", "says"),
    [
        (several({"a": 0.9, "b": 0.505, "c": 0.1}, "a", "b"), "fp32", []),
        (several({"a": 0.9, "b": 0.505, "c": 0.1}, "a"), "fp32", ["the labels are ['a'], recorded ['a', 'b']"]),
        (several({"a": 0.9, "b": 0.495, "c": 0.1}, "a"), "int8", []),
        (several({"a": 0.9, "b": 0.505, "c": 0.1}, "b"), "int8", ["the labels are ['b'], recorded ['a', 'b']"]),
        (several({"a": 0.9, "b": 0.505, "c": 0.1}, "a", "b", "c"), "int8", ["the labels are ['a', 'b', 'c']"]),
        (several({"a": 0.9, "b": float("nan"), "c": 0.1}, "a", "b"), "int8", ["score of 'b' is nan"]),
        (several({"a": 0.9, "b": 0.505}, "a", "b"), "fp32", ["labels are ['a', 'b'], recorded ['a', 'b', 'c']"]),
        (answer({"a": 0.9, "b": 0.505, "c": 0.1}), "fp32", ["the answer has label, score"]),
    ],
)
def test_how_far_several_labels_may_be_from_their_golden(
    found: dict[str, Any], precision: str, says: list[str]
) -> None:
    golden = Golden("text", {}, several({"a": 0.9, "b": 0.505, "c": 0.1}, "a", "b"))
    given = differences(golden, found, precision, threshold=0.5)
    assert len(given) == len(says)
    assert all(part in whole for part, whole in zip(says, given, strict=True))


@pytest.mark.parametrize(
    ("vector", "precision", "says"),
    [
        ([0.6, -0.8], "fp32", []),
        ([0.60009, -0.79991], "fp32", []),
        ([0.61, -0.79], "int8", []),
        ([0.6, -0.83], "int8", ["1 of 2 components differ, component 1 is -0.830000, recorded -0.800000"]),
        ([0.602, -0.81], "fp32", ["2 of 2 components differ, component 1 is"]),
        ([float("nan"), -0.8], "int8", ["component 0 is nan"]),
        ([0.6], "int8", ["the vector has 1 components, recorded 2"]),
    ],
)
def test_how_far_a_vector_may_be_from_its_golden(vector: list[float], precision: str, says: list[str]) -> None:
    given = differences(Golden("", {}, {"vector": [0.6, -0.8]}, image=[1.0]), {"vector": vector}, precision)
    assert len(given) == len(says)
    assert all(part in whole for part, whole in zip(says, given, strict=True))


def goldens_of(task: str, inputs: Layout) -> list[Golden]:
    """Texts and, for a joint model, images between them, with the model's own answers."""
    model = predictor(task, inputs)
    languages = ["en", "de", "en"] if inputs == "languages" else None
    texts = ["goal rain", "tor zebra", ""]
    told = model.predict(texts, languages)
    found = [
        Golden(text, {}, told[number], lang=languages[number] if languages else None)
        for number, text in enumerate(texts)
    ]
    if task == "joint":
        images = [[1.0, 2.0, 3.0, 4.0], [0.0, 0.5, 0.0, 0.0]]
        shown = model.predict_images(np.array(images, np.float32))
        for place, image in enumerate(images):
            found.insert(2 * place, Golden("", {}, shown[place], image=image))
    return found


@pytest.mark.parametrize("task", ["classify", "multilabel", "vector", "joint"])
@pytest.mark.parametrize("inputs", list(Layout))
def test_goldens_of_every_task_hold_and_a_changed_one_is_named(task: str, inputs: Layout) -> None:
    goldens, model = goldens_of(task, inputs), predictor(task, inputs)
    assert check_goldens(model, goldens) == len(goldens)
    for number, golden in enumerate(goldens):
        key = "vector" if "vector" in golden.variant else "scores"
        shifted = (
            [value + 0.01 for value in golden.variant["vector"]]
            if key == "vector"
            else {label: score + 0.01 for label, score in golden.variant["scores"].items()}
        )
        changed = replace(golden, variant=golden.variant | {key: shifted})
        with pytest.raises(
            ValueError, match=rf"^2 of {2 * len(goldens)} golden answers.*golden {number + 1} in a batch"
        ):
            check_goldens(model, [*goldens[:number], changed, *goldens[number + 1 :]])


def test_a_golden_in_a_language_the_model_lacks_is_refused() -> None:
    [golden, *_] = goldens_of("classify", Layout.LANGUAGES)
    for lang in ("fr", None):
        with pytest.raises(ValueError, match="language"):
            check_goldens(predictor(inputs=Layout.LANGUAGES), [replace(golden, lang=lang)])


def test_goldens_are_read_with_their_languages_and_images(tmp_path: Path) -> None:
    lines = [
        {"text": "a", "trained": {}, "variant": {}},
        {"text": "b", "lang": "en", "trained": {}, "variant": {}},
        {"image": [0.5, 1.0], "trained": {}, "variant": {}},
    ]
    (tmp_path / "golden.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert read_goldens(tmp_path / "golden.jsonl") == [
        Golden("a", {}, {}),
        Golden("b", {}, {}, lang="en"),
        Golden("", {}, {}, image=[0.5, 1.0]),
    ]


def test_a_damaged_golden_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_text('{"text": "a", "trained": {}, "variant": {}}\n{"text": 1}\n')
    with pytest.raises(ValueError, match=r"golden\.jsonl, line 2"):
        read_goldens(tmp_path / "golden.jsonl")


@pytest.mark.parametrize(
    "line", ["{}", "[]", "7", '{"text": "a", "trained": {}, "variant": []}', "[" * 100_000, "9" * 5000]
)
def test_what_is_no_golden_is_named_by_its_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "golden.jsonl").write_text(line + "\n")
    with pytest.raises(ValueError, match=r"golden\.jsonl, line 1"):
        read_goldens(tmp_path / "golden.jsonl")


def test_the_last_golden_needs_no_end_of_line(tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_text('{"text": "a", "trained": {}, "variant": {}}')
    assert read_goldens(tmp_path / "golden.jsonl") == [Golden("a", {}, {})]


def test_no_goldens_prove_nothing(tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_text("")
    assert read_goldens(tmp_path / "golden.jsonl") == []
    with pytest.raises(ValueError, match=r"golden\.jsonl has no golden request, so the model cannot be checked"):
        check_goldens(predictor(), [])


@pytest.mark.parametrize("scores", [5, [], {"sport": "much"}, None])
def test_a_recorded_answer_of_another_shape_differs(scores: object) -> None:
    [golden, *_] = goldens_of("classify", Layout.INDICES)
    with pytest.raises(ValueError, match="1 in a batch"):
        check_goldens(predictor(), [replace(golden, variant=golden.variant | {"scores": scores})])


def test_a_worker_refuses_an_archive_without_goldens(archive_of: Archives, repack: Repack) -> None:
    empty = repack(archive_of("onnx-int8"), {"golden.jsonl": b""})
    with refused(RefusedError, "LX-ARCHIVE-014", "golden.jsonl"), load_archive(empty):
        pass
