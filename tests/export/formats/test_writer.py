"""A variant's folder is written once and complete; measuring opens nothing again and writes nothing."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lexport.export import export as exporting
from lexport.export.evidence import collect
from lexport.export.evidence.evidence import Evidence, VariantEvidence
from lexport.export.formats.variants import choose, families
from lexport.export.formats.writer import VariantWriter, WrittenVariant
from lexport.handlers.engine import engines
from lexport.handlers.model.predictor import Predictor
from lexport.models.run import open_run
from lexport.storage.atomic import sha256_file

# Of every engine and input one that is timed against another, which is named behind it.
NAMES = "onnx-int8,onnx-fp32,torchscript-int4,torchscript-fp32,pt2-fp32,onnx-int8-text,onnx-fp32-text"
State = dict[str, tuple[int, str]]


@dataclass
class Observed:
    """What an export did."""

    evidence: Evidence
    opened: Counter[str] = field(default_factory=Counter)
    """How often each model file was opened, as VARIANT/FILE."""
    touched: dict[str, tuple[State, State]] = field(default_factory=dict)
    """What lay in the export's and in the temporary folder before and after a variant was measured."""
    open_before: list[int] = field(default_factory=list)
    """How many variants were open when the next one was written."""


def state_of(*folders: Path) -> State:
    """Every file with its digest and every folder, with the times when they changed."""
    found = {}
    for path in [one for folder in folders for one in (folder, *folder.rglob("*"))]:
        found[str(path)] = (path.stat().st_mtime_ns, sha256_file(path) if path.is_file() else "")
    return found


def counted(opening: Callable[..., Any], opened: Counter[str]) -> Callable[..., Any]:
    """A function of `engines` that opens a model file, and notes that it did."""

    def open_file(file: Path, *rest: Any) -> Any:
        opened[f"{file.parent.name}/{file.name}"] += 1
        return opening(file, *rest)

    return open_file


@pytest.fixture(scope="module")
def observed(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Observed:
    folder, scratch = tmp_path_factory.mktemp("once") / "topics", tmp_path_factory.mktemp("scratch")
    shutil.copytree(run_folder, folder, ignore=shutil.ignore_patterns("export"))
    found = Observed(evidence=None)  # type: ignore[arg-type]
    alive: weakref.WeakSet[Predictor] = weakref.WeakSet()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        # With more cores a variant is also timed on engines with more threads.
        patch.setattr(collect, "cores", lambda: 1)
        for name in ("open_session", "open_torchscript", "open_program"):
            patch.setattr(engines, name, counted(getattr(engines, name), found.opened))

        def measuring(run: Any, written: WrittenVariant, *rest: Any) -> VariantEvidence:
            alive.add(written.predictor)
            before = state_of(written.folder.parent, scratch)
            one = collect.collect_evidence(run, written, *rest)
            found.touched[written.variant.name] = before, state_of(written.folder.parent, scratch)
            return one

        patch.setattr(exporting, "collect_evidence", measuring)
        write = VariantWriter.write

        def writing(writer: VariantWriter, variant: Any) -> WrittenVariant:
            found.open_before.append(len(alive))
            return write(writer, variant)

        patch.setattr(VariantWriter, "write", writing)
        found.evidence = exporting.export(open_run(folder), choose(NAMES))
    return found


@pytest.mark.long
def test_measuring_writes_nothing(observed: Observed) -> None:
    assert set(observed.touched) == set(NAMES.split(","))
    for name, (before, after) in observed.touched.items():
        assert before == after, name


def test_what_was_there_when_measuring_began_has_its_digest_in_the_evidence(observed: Observed) -> None:
    for one in observed.evidence.variants:
        _, after = observed.touched[one.name]
        files = {Path(path).name: digest for path, (_, digest) in after.items() if Path(path).parent.name == one.name}
        assert files == one.digests
        assert {"model.json", "requirements.txt", "golden.jsonl", "golden.made.jsonl", one.file} <= files.keys()


def test_a_variant_is_opened_once_though_others_are_timed_against_it(observed: Observed) -> None:
    assert observed.opened == {f"{one.name}/{one.file}": 1 for one in observed.evidence.variants}
    timed = {one.name for one in observed.evidence.variants if "min_speedup" in [gate["name"] for gate in one.gates]}
    assert timed == {"onnx-int8", "torchscript-int4", "onnx-int8-text"}


def test_beside_the_one_that_is_written_only_its_fp32_variant_is_open(observed: Observed) -> None:
    assert max(observed.open_before) == 1
    # A family's first finds none open.
    assert observed.open_before.count(0) == len(families(choose(NAMES)))


def test_the_evidence_has_the_variants_in_the_order_of_their_choice(observed: Observed) -> None:
    assert ",".join(one.name for one in observed.evidence.variants) == NAMES
