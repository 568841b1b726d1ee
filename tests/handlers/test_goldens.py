"""What a worker proves before it is ready: digests first, then goldens."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lexport.errors import RefusedError
from lexport.export.inprocess import opened
from lexport.export.reader import extracted
from lexport.handlers.digests import DIGESTS, check_digests, read_digests
from lexport.handlers.goldens import Golden, differences, read_goldens
from lexport.handlers.worker import load_checked

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
        pytest.raises(
            RefusedError, match=r"golden answers of topics 1\.0 \(onnx-fp32\) differ: golden \d+ in a batch"
        ),
        opened(repack(source, changes)),
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
    with pytest.raises(RefusedError, match="does not match its digests"), extracted(damaged):
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


def test_a_damaged_golden_is_named_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "golden.jsonl").write_text('{"text": "a", "trained": {}, "variant": {}}\n{"text": 1}\n')
    with pytest.raises(ValueError, match=r"golden\.jsonl, line 2"):
        read_goldens(tmp_path / "golden.jsonl")
