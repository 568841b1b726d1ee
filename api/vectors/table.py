"""`lexport.vectors` and `lexport.Vectors`: the word vectors of a run, an archive, a file or gensim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from ...errors import InputError, import_optional
from ...storage.compression import listed
from ...storage.progress import Progress, Say, silent
from ..packages import names_missing_packages
from ..paths import StrPath

if TYPE_CHECKING:
    from ...data.pretrained import KeyedVectors
    from ...evaluation.vectors.mapping import WordMap
    from ...evaluation.vectors.quality import Judged, Kept
    from ...evaluation.vectors.table import Neighbour, WordTable
    from ..model import Model
    from .index import WordIndex

_LOW = ("int8", "int4")
_FLOATS = ("fp16", "fp32", "fp64")


@dataclass(frozen=True)
class VectorEvaluation:
    """What was found out about a table of word vectors."""

    name: str
    """Of the table."""
    words: int
    """With a vector of their own."""
    dim: int
    """Dimensions of a vector."""
    precision: str
    """What a number is stored as."""
    sets: Sequence[Judged]
    """Each set in each precision."""
    kept: Sequence[Kept]
    """How many of ten neighbours the table in int8 and in int4 has, unless it has fewer bits itself."""


class Vectors:
    """Word vectors, to ask for the nearest ones, evaluate and draw.

    vectors = lexport.vectors("runs/reviews")
    vectors.similar("good")[0].word
    vectors.analogy("man", "king", "woman")
    vectors["good"]
    """

    def __init__(
        self, table: WordTable, model: Callable[[], Model] | None = None, stack: ExitStack | None = None
    ) -> None:
        """Wrap a table; `model` opens the run or archive that gives labels, `stack` is closed with it."""
        self._stack = stack or ExitStack()
        self._table, self._model = table, model

    @property
    def name(self) -> str:
        """The name in messages."""
        return self._table.name

    @property
    def words(self) -> Sequence[str]:
        """The words in the order of the table, which is that of their frequency in runs and in most files."""
        return self._table.words

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._table.rows.dim

    @property
    def precision(self) -> str:
        """What a number is stored as: "fp16", "fp32", "fp64", "int8" or "int4"."""
        return self._table.rows.precision

    def similar(self, words: str | Sequence[str], top: int = 10) -> list[Neighbour]:
        """Return the `top` words with the highest cosine to `words`, to the mean of their directions if several.

        None of `words` is among them, nor are words without a direction. Raises InputError for an unknown word, with
        the words that are spelled alike.
        """
        return self._table.similar([words] if isinstance(words, str) else list(words), top)

    def analogy(self, first: str, second: str, third: str, top: int = 10) -> list[Neighbour]:
        """Return what is to `third` as `second` is to `first`: the words nearest to second - first + third.

        None of the three is among them. Raises InputError as `similar` does.
        """
        return self._table.analogy(first, second, third, top)

    @names_missing_packages
    def evaluate(
        self, sets: Sequence[str] | None = None, *, sample: int = 1000, progress: Progress = silent
    ) -> VectorEvaluation:
        """Return how the vectors agree with people's judgements, as they are and with fewer bits.

        `sets` are some of "wordsim353", "simlex999" and "analogies" (None: all). A table of floats is judged as the
        export would store it in int8 and in int4 too, and `sample` words are asked how many of their ten nearest
        stay; 0 compares none. Raises InputError for another set, MissingExtra without the sets' package.
        """
        from ...evaluation.vectors import quality
        from ...evaluation.vectors.sets import ANALOGIES, SETS

        names = list(SETS) if sets is None else list(sets)
        unknown = [name for name in names if name not in SETS]
        if unknown:
            raise InputError(
                f"There is no set {listed(unknown)}; expected some of: {', '.join(SETS)}. Name one of them.",
                code="LX-VECTORS-110",
            )
        tables = [self._table]
        if self.precision in _FLOATS:
            tables += [self._table.in_precision(precision) for precision in _LOW]
        found = []
        for name in names:
            for table in tables:
                if name == ANALOGIES:
                    found.append(quality.judge_analogies(table, progress=progress))
                else:
                    found.append(quality.judge_pairs(table, name))
        kept = quality.kept_neighbours(self._table, tables[1:], sample, progress=progress) if sample > 0 else []
        return VectorEvaluation(self.name, len(self), self.dim, self.precision, found, kept)

    @names_missing_packages
    def index(self, file: StrPath | None = None, *, say: Say = silent, progress: Progress = silent) -> WordIndex:
        """Return an approximate index of the vectors, for many searches of a large table; `similar` itself is exact.

        Without `file` it is built in memory. With one, the index that the file has is opened; if there is no such
        file the index is built and written to it. `say` is told how many of ten neighbours are the exact ones, over
        200 words. Raises InputError for a file that is damaged, no index, or that of other vectors, MissingExtra
        without voyager.
        """
        from .index import open_index

        return open_index(self._table, None if file is None else Path(file), say=say, progress=progress)

    @names_missing_packages
    def map(
        self,
        words: Sequence[str] | None = None,
        *,
        top: int = 1000,
        method: str = "tsne",
        colour: str = "frequency",
        seed: int = 0,
        say: Say = silent,
    ) -> WordMap:
        """Return a map of `words`, or of the `top` first words: two numbers for each, near for like vectors.

        `method` is "tsne", "umap" or "pca", `colour` "frequency", "label" (of a classifier) or "cluster". The same
        seed and versions make the same map; `save_map` draws it. Raises InputError for an unknown word, fewer than
        five or labels that there are not, MissingExtra where a package is absent.
        """
        from ...evaluation.vectors import mapping
        from ...evaluation.vectors.map_options import Colour, Method

        ways = {"method": (method, Method), "colour": (colour, Colour)}
        for option, (value, kind) in ways.items():
            if value not in list(kind):
                raise InputError(
                    f"The {option} of a map is '{value}'; expected one of: {', '.join(kind)}.", code="LX-VECTORS-111"
                )
        return mapping.make_map(
            self._table,
            mapping.chosen(self._table, words, top),
            method=Method(method),
            colour=Colour(colour),
            labels=None if self._model is None else self._labels,
            seed=seed,
            say=say,
        )

    def projector(
        self, folder: StrPath, words: Sequence[str] | None = None, *, top: int = 10_000, replace: bool = False
    ) -> Path:
        """Write vectors.tsv and metadata.tsv of `words`, or of the `top` first ones, and return their new folder.

        TensorBoard's projector loads both. Raises InputError for an unknown word or a folder that is there.
        """
        from ...evaluation.vectors import mapping
        from ...reports.vectors.projector import write_projector

        places = mapping.chosen(self._table, words, top)
        shown = [self._table.words[place] for place in places.tolist()]
        return write_projector(Path(folder), shown, self._table.rows.vectors(places), replace=replace)

    def close(self) -> None:
        """Remove the extracted files of an archive."""
        self._stack.close()

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, word: object) -> bool:
        return word in self._table

    def __getitem__(self, word: str) -> np.ndarray[Any, Any]:
        """Return the vector of a word, float32 [dim]. Raises InputError for an unknown one."""
        found: np.ndarray[Any, Any] = self._table.rows.vectors(np.array([self._table.place_of(word)]))[0]
        return found

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Vectors({self.name!r}, {len(self):,} words, {self.dim} dimensions, {self.precision})"

    def _labels(self, words: Sequence[str]) -> Sequence[str]:
        """Return the label that the run or archive gives each word alone."""
        from ...client.answers import Prediction

        assert self._model is not None
        with self._model() as model:
            answers = list(model.predict(words))
        found = [answer.label for answer in answers if isinstance(answer, Prediction)]
        if len(found) != len(words):
            raise InputError(
                f"{self.name} does not give one label for each word. Choose --colour frequency or cluster.",
                code="LX-VECTORS-112",
            )
        return found


@names_missing_packages
def vectors(source: StrPath | KeyedVectors, *, keys: Sequence[StrPath] | None = None) -> Vectors:
    """Return the word vectors of a run folder, a `.mar`, a file of vectors, `glove-6b-50d`, or gensim's in memory.

    Rows of a run, a .npy, GloVe's package and an ONNX archive stay mapped; files of text and .bin are read whole.
    `keys` are files with public keys, one of which must have signed an archive (None: those of LEXPORT_KEYS). Raises
    InputError for what cannot be read, and for a model whose words have no vectors of their own.
    """
    from ...evaluation.vectors.opening import of_run, of_vectors
    from ..functions import load, read_keys

    if not isinstance(source, str | Path):
        return Vectors(of_vectors(source))
    path = Path(source)
    model = partial(load, path, keys=keys)
    if (path / "run.json").is_file():
        return Vectors(of_run(path), model)
    if path.suffix == ".mar" and path.is_file():
        from ...export.archive.word_tables import archived_words

        stack = ExitStack()
        return Vectors(stack.enter_context(archived_words(path, trusted=read_keys(keys))), model, stack)
    return Vectors(of_vectors(source))


@names_missing_packages
def save_map(made: WordMap, out: StrPath, *, font: StrPath | None = None, say: Say = silent) -> Path:
    """Write a map as a page (.html) or a picture (.png) and return its path.

    The page is one file that loads nothing. `font` is a file for the labels of a picture, None: one of this machine
    or of `lexport[vectors]` that has the characters. Raises InputError for another ending, MissingExtra for a picture
    without matplotlib.
    """
    path = Path(out)
    check_map(path)
    if path.suffix == ".html":
        from ...reports.vectors.word_map import page
        from ...storage.atomic import write_file

        return write_file(path, page(made).encode())
    from ...reports.vectors.word_picture import write_picture

    return write_picture(made, path, font=None if font is None else Path(font), say=say)


def check_map(out: Path) -> None:
    """Check, before the work, that a map can be written to a file of that name.

    Raises InputError for another ending than .html and .png, MissingExtra for a picture without matplotlib.
    """
    if out.suffix not in (".html", ".png"):
        raise InputError(
            f"{out} ends in {out.suffix or 'nothing'}; expected .html for a page or .png for a picture. Rename "
            "--out.",
            code="LX-VECTORS-113",
        )
    if out.suffix == ".png":
        import_optional("matplotlib", "A picture of a map")
