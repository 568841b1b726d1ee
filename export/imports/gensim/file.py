"""Files of gensim's `save`: a pickle of an object, and large arrays beside it in `.npy` files.

The pickle names gensim's and numpy's classes and holds the attributes of each object. Which attributes lie beside it,
and under which name, an object says itself in `__numpys` (gensim's `SaveLoad`). Of the classes that a pickle may name
there is a fixed list, those of the objects around word vectors; nothing of it is imported or called.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from ....errors import InputError
from ....storage.compression import shown
from ..pickled import arrays
from ..pickled.described import Instance, Name
from ..pickled.names import Build
from ..pickled.reader import LONGEST, PickleReader

_MODELS = "gensim.models."
_VECTORS = {
    f"{_MODELS}keyedvectors.{name}" for name in ("KeyedVectors", "Word2VecKeyedVectors", "EuclideanKeyedVectors")
}
_TRAINED = f"{_MODELS}word2vec.Word2Vec"
_SUBWORDS = {f"{_MODELS}fasttext.FastTextKeyedVectors", f"{_MODELS}keyedvectors.FastTextKeyedVectors"}
_WITH_SUBWORDS = {f"{_MODELS}fasttext.FastText"}
# Attributes of a trained model that lie around the vectors: they are read over.
_AROUND = {
    f"{_MODELS}word2vec.Word2VecVocab",
    f"{_MODELS}word2vec.Word2VecTrainables",
    f"{_MODELS}fasttext.FastTextVocab",
    f"{_MODELS}fasttext.FastTextTrainables",
    f"{_MODELS}keyedvectors.Vocab",
    "numpy.random._pickle.__randomstate_ctor",
    "numpy.random._pickle.__bit_generator_ctor",
    "numpy.random.__RandomState_ctor",
}
_OBJECTS = frozenset({*_VECTORS, _TRAINED, *_SUBWORDS, *_WITH_SUBWORDS, *_AROUND, *arrays.OBJECTS})
_NAMES = frozenset(
    {
        *arrays.NAMES,
        "builtins.hash",
        "builtins.int",
        "gensim.utils.call_on_class_only",
        "numpy.float32",
        "numpy.random._mt19937.MT19937",
    }
)
# The counts of words in a trained model; what it gives for other keys is left out.
_BUILDERS: dict[str, Build] = {"collections.defaultdict": lambda arguments: {}}
_WORDS = ("index_to_key", "index2word", "index2entity")  # by the age of gensim
_MATRICES = ("vectors", "syn0")


@dataclass(frozen=True)
class Keyed:
    """The word vectors of a file."""

    saved: str
    """The class that was saved: "KeyedVectors", "Word2Vec"."""
    words: list[str]
    """In the order of the rows."""
    vectors: npt.NDArray[Any]
    """Float [words, dim]; mapped where they lie in a file of their own."""


def read_gensim(path: Path) -> Keyed:
    """Return the word vectors in a file of gensim's KeyedVectors or Word2Vec.

    Raises InputError for an object of another class, which it names, and for a damaged file.
    """
    try:
        size = path.stat().st_size
        content = path.read_bytes() if size <= LONGEST else b""
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}). Name a file.", code="LX-IMPORT-350") from None
    if size > LONGEST:
        raise InputError(
            f"{shown(path)} is a pickle of {size:,} bytes; expected at most {LONGEST:,}, with large arrays in .npy "
            "files beside it. Save it again with gensim, without sep_limit, or with save_word2vec_format.",
            code="LX-IMPORT-351",
        )
    root = _Pickle(content, path.name, _BUILDERS, _NAMES, leaves=(Name,), objects=_OBJECTS).read()
    try:
        return _keyed(path, root)
    except ValueError as error:
        raise InputError(
            f"{shown(path)} has {shown(error)}; expected what gensim's save writes. Save it again, or with "
            "save_word2vec_format.",
            code="LX-IMPORT-352",
        ) from None


class _Pickle(PickleReader):
    """A pickle of gensim's that is being read."""

    def refuse(self, text: str) -> NoReturn:
        """Raise InputError for a pickle that names `text`."""
        raise InputError(
            f"{self.file} is a pickle that names {shown(text)}, which is not among the classes of gensim's word "
            "vectors. Loading it could run any program, so it is not read. If you trust it, load it with gensim, "
            "save its word vectors with save_word2vec_format, and name that file.",
            code="LX-IMPORT-355",
        )


def _keyed(path: Path, root: Any) -> Keyed:
    """Return the word vectors of what a file holds. Raises ValueError for a damaged one, and InputError."""
    name = arrays.called(root)
    if name in _SUBWORDS | _WITH_SUBWORDS:
        part = ".wv" if name in _WITH_SUBWORDS else ""
        kind = name.rpartition(".")[2]
        raise InputError(
            f"{shown(path)} is a {kind} of gensim's, which makes a word's vector of its own and of those of its "
            "n-grams, for words that it does not know too. A text vector of a run is the mean of all of them at "
            "once, so it would answer otherwise. Save the vectors of its words alone, and name that file:",
            f"from gensim.models.fasttext import {kind}\n"
            f"{kind}.load({str(path)!r}){part}.save_word2vec_format({f'{path}.bin'!r}, binary=True)",
            code="LX-IMPORT-353",
        )
    saved, aside = name.rpartition(".")[2], str(path.name)
    if name == _TRAINED:
        root, aside = _attributes(root).get("wv"), f"{aside}.wv"
        name = arrays.called(root)
    if name not in _VECTORS:
        raise ValueError(f"{shown(name)} in the place of word vectors")
    values = _attributes(root)
    words: list[Any] = next((values[one] for one in _WORDS if isinstance(values.get(one), list)), [])
    odd = [one for one in words if not isinstance(one, str)]
    if odd or not words:
        raise ValueError(f"the key {shown(repr(odd[0]))}, which is no word" if words else "no words")
    vectors = _matrix(path, values, aside)
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or len(vectors) != len(words) or not vectors.size:
        raise ValueError(f"{len(words):,} words and vectors {list(vectors.shape)} of {vectors.dtype}")
    return Keyed(saved, words, vectors)


def _attributes(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Instance) or not isinstance(value.state, dict):
        raise ValueError(f"{arrays.called(value)} without attributes")
    return value.state


def _matrix(path: Path, values: Mapping[str, Any], aside: str) -> npt.NDArray[Any]:
    """Return the vectors, of the pickle or a file of their own. Raises ValueError, InputError for that file."""
    outside = values.get("__numpys")
    for name in _MATRICES:
        if isinstance(outside, list) and name in outside:
            return _beside(path, path.with_name(f"{aside}.{name}.npy"))
        if values.get(name) is not None:
            return arrays.array_of(values[name])
    raise ValueError("no vectors")


def _beside(path: Path, file: Path) -> npt.NDArray[Any]:
    try:
        with np.errstate(over="ignore"):
            found: npt.NDArray[Any] = np.lib.format.open_memmap(file, mode="r")  # never unpickles
    except (OSError, ValueError, TypeError, ArithmeticError, MemoryError, SyntaxError, TokenError) as error:
        raise InputError(
            f"{shown(path)} has its vectors in {shown(file.name)} beside it, which cannot be opened "
            f"({shown(error)}); expected a .npy without Python objects. Copy all files that gensim wrote into one "
            "folder, under their names.",
            code="LX-IMPORT-354",
        ) from None
    return found
