"""A model repository for Triton: its configuration fits Triton's schema, its graph and its samples fit that."""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from lexport.errors import InputError, RefusedError
from lexport.export.archive.pack import archive
from lexport.export.archive.verify import verify
from lexport.export.exits.packed import Packed, read_packed
from lexport.export.exits.running import Environment
from lexport.export.exits.triton import Triton
from lexport.export.exits.triton_config import graph_config
from lexport.export.exits.triton_proof import graph_proof
from lexport.export.exits.writing import write_exit
from lexport.storage.atomic import sha256_file

from ...refusals import refused

PYTHON = Path(sys.executable)
ArchiveOf = Callable[[str], Path]


def config_of(model: Path) -> Any:
    text = (model / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def strings(content: bytes) -> list[str]:
    found, place = [], 0
    while place < len(content):
        [length] = struct.unpack_from("<I", content, place)
        found.append(content[place + 4 : place + 4 + length].decode())
        place += 4 + length
    return found


@pytest.fixture
def of_graph(archive_of: ArchiveOf, tmp_path: Path) -> Path:
    written = write_exit(archive_of("onnx-int8-text"), "triton", Triton(), tmp_path / "out", python=PYTHON)
    assert [proof.proven for proof in written.proofs] == [True, True]
    return tmp_path / "out" / "repository" / "topics"


@pytest.fixture
def of_code(archive_of: ArchiveOf, tmp_path: Path) -> Path:
    write_exit(archive_of("onnx-fp32"), "triton", Triton(), tmp_path / "out", python=PYTHON)
    return tmp_path / "out" / "repository" / "topics"


def test_a_model_that_takes_texts_runs_on_the_onnx_runtime_backend(of_graph: Path) -> None:
    config = config_of(of_graph)
    assert (config.name, config.backend, config.max_batch_size) == ("topics", "onnxruntime", 64)
    assert [one.name for one in config.input] == ["texts"]
    assert [one.name for one in config.output] == ["scores", "label", "label_index", "tokens", "unknown", "truncated"]
    # Triton has an axis more than the graph, whose texts lie in one row.
    assert list(config.input[0].dims) == [1]
    assert list(config.input[0].reshape.shape) == []
    assert (of_graph / "1" / "model.onnx").is_file()


def test_any_other_model_runs_on_the_python_backend_with_the_tensors_of_lexports_servers(of_code: Path) -> None:
    config = config_of(of_code)
    assert config.backend == "python"
    assert [one.name for one in config.input] == ["text"]
    assert [one.name for one in config.output] == ["label", "score", "scores", "tokens", "unknown", "truncated"]
    assert {path.name for path in (of_code / "1").iterdir()} == {"model.py", "lexport_model.py", "model"}


def test_the_members_lie_in_the_folder_of_the_version(of_graph: Path, archive_of: ArchiveOf) -> None:
    assert verify(of_graph / "1").digest == sha256_file(archive_of("onnx-int8-text"))


def test_requests_are_answered_together_for_as_long_as_the_archive_says(of_graph: Path) -> None:
    assert config_of(of_graph).dynamic_batching.max_queue_delay_microseconds == 1000


def test_without_batches_there_are_none(run_folder: Path, tmp_path: Path) -> None:
    mar = archive(run_folder, version="1.0", variant="onnx-fp32-text", out=tmp_path, profile="latency")
    write_exit(mar, "triton", Triton(), tmp_path / "out", python=PYTHON)
    config = config_of(tmp_path / "out" / "repository" / "topics")
    assert config.max_batch_size == 1
    assert not config.HasField("dynamic_batching")


def test_it_warms_up_with_goldens(of_graph: Path) -> None:
    goldens = (of_graph / "1" / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    config = config_of(of_graph)
    assert len(config.model_warmup) == 16
    for sample, golden in zip(config.model_warmup, goldens, strict=False):
        file = sample.inputs["texts"].input_data_file
        assert strings((of_graph / "warmup" / file).read_bytes()) == [json.loads(golden)["text"]]


def test_labels_are_named_for_tritons_classification(of_graph: Path) -> None:
    [scores] = [one for one in config_of(of_graph).output if one.name == "scores"]
    names = (of_graph / scores.label_filename).read_text(encoding="utf-8").splitlines()
    assert names == ["kitchen", "sport", "weather"]


@pytest.mark.parametrize(("version", "number", "given"), [("2.3", 2, None), ("rc", 1, None), ("2.3", 7, 7)])
def test_versions_are_numbers(run_folder: Path, tmp_path: Path, version: str, number: int, given: int | None) -> None:
    mar = archive(run_folder, version=version, variant="onnx-fp32-text", out=tmp_path)
    write_exit(mar, "triton", Triton(number=given), tmp_path / "out", python=PYTHON)
    assert (tmp_path / "out" / "repository" / "topics" / str(number) / "model.onnx").is_file()


@pytest.mark.parametrize("task", ["multilabel", "vector", "joint", "languages"])
def test_every_task_has_a_configuration_that_fits(
    task_archive: Callable[[str], Path], tmp_path: Path, task: str
) -> None:
    written = write_exit(task_archive(task), "triton", Triton(), tmp_path / "out", python=PYTHON)
    assert written.proofs[0].proven
    config = config_of(tmp_path / "out" / "repository" / task)
    names = {"multilabel": ["text"], "vector": ["text"], "joint": ["text", "image"], "languages": ["text", "lang"]}
    assert [one.name for one in config.input] == names[task]
    assert [one.optional for one in config.input] == [task == "joint"] * len(names[task])


def test_a_graph_that_differs_from_its_configuration_is_refused(archive_of: ArchiveOf, tmp_path: Path) -> None:
    write_exit(archive_of("onnx-fp32-text"), "triton", Triton(), tmp_path / "out", python=PYTHON)
    repository = tmp_path / "out" / "repository"
    packed: Packed = read_packed(repository / "topics" / "1")
    config = graph_config(packed)
    wrong = replace(config, outputs=(replace(config.outputs[0], name="logits"), *config.outputs[1:]))
    with refused(RefusedError, "LX-EXPORT-114", "output", "logits"):
        graph_proof(repository, packed, wrong, Environment(PYTHON))


def test_options_that_cannot_be_are_refused(archive_of: ArchiveOf, tmp_path: Path) -> None:
    with refused(InputError, "LX-EXPORT-110", "tensorrt", "onnxruntime", "python"):
        Triton(backend="tensorrt")
    with refused(InputError, "LX-EXPORT-111", 0):
        Triton(number=0)
    with refused(InputError, "LX-EXPORT-112", "onnx-fp32", "--backend python"):
        write_exit(archive_of("onnx-fp32"), "triton", Triton(backend="onnxruntime"), tmp_path / "out", python=PYTHON)
    assert list(tmp_path.iterdir()) == []
