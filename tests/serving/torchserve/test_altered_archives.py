"""Archives altered after they were packed, digests made to fit: the real TorchServe gets no ready worker of them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.errors import SystemProblem
from lexport.export.archive.format.reader import extracted
from lexport.export.formats.torchscript_onnx import rewrite
from lexport.serving import serve

from ...refusals import refused
from ...trust_cases import fitted

Members = dict[str, bytes]

pytestmark = pytest.mark.usefixtures("java")

WORD = b"goal"


def one_label(members: Members) -> Members:
    """A label is called otherwise."""
    return {"labels.json": members["labels.json"].replace(b'"sport"', b'"spork"')}


def one_scale(members: Members) -> Members:
    """The float32 scale behind one word's row of bytes is a hundred times as large."""
    with zipfile.ZipFile(io.BytesIO(members["model.pt"])) as program:
        table = max(program.infolist(), key=lambda member: member.file_size)
    spec = json.loads(members["text.json"])
    width = table.file_size // (spec["words"] + spec["buckets"])
    row = 2 + members["vocabulary.txt"].split(b"\n").index(WORD)

    def alter(content: bytes) -> bytes:
        altered, place = bytearray(content), row * width + width - 8
        scale = np.frombuffer(content[place : place + 4], np.float32)
        altered[place : place + 4] = (scale * np.float32(100)).tobytes()
        return bytes(altered)

    written = io.BytesIO()
    rewrite(
        io.BytesIO(members["model.pt"]),
        written,
        drop=lambda name: False,
        edit=lambda name: alter if name == table.filename else None,
    )
    return {"model.pt": written.getvalue()}


def one_line(members: Members) -> Members:
    """A word of the vocabulary is written otherwise, and so unknown where it is asked."""
    lines = members["vocabulary.txt"].split(b"\n")
    lines[lines.index(WORD)] += b"x"
    return {"vocabulary.txt": b"\n".join(lines)}


@pytest.mark.parametrize(
    ("alter", "says"),
    [
        pytest.param(one_label, r"labels are \[.*'spork'.*\], recorded \[.*'sport'.*\]", marks=pytest.mark.long),
        (one_scale, r"score of '\w+' is [\d.]+, recorded [\d.]+ \(tolerance 0\.02\)"),
        pytest.param(one_line, r"unknown is 1, recorded 0", marks=pytest.mark.long),
    ],
)
def test_no_worker_of_an_archive_altered_by_one_label_scale_or_line_becomes_ready(
    archive_of: Callable[[str], Path], tmp_path: Path, traces: Any, alter: Callable[[Members], Members], says: str
) -> None:
    source = archive_of("torchscript-int8")
    with zipfile.ZipFile(source) as before:
        members = {name: before.read(name) for name in before.namelist()}
    texts = [json.loads(line)["text"] for line in members["golden.jsonl"].splitlines()]
    assert any(WORD.decode() in text.split() for text in texts)
    [(name, content)] = alter(members).items()
    assert content != members[name]
    members[name] = content
    members = fitted(members)
    altered = tmp_path / source.name
    with zipfile.ZipFile(altered, "w") as after:
        for name, one in members.items():
            after.writestr(name, one)
    with extracted(altered):  # which checks the digests: they do not give it away
        pass

    with refused(SystemProblem, "LX-SERVE-072", "topics 1.0") as caught:
        serve([altered], workers="cpu:1", state_dir=tmp_path / "state", port=0)
    said = str(caught.value).partition("\n")[0]
    assert re.search(rf"golden answers of topics 1\.0 \(torchscript-int8\) differ: .*{says}", said), said
    assert traces.processes() == []
    assert traces.folders() == []
