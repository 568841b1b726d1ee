"""The files beside a classifier: the row of each word, and the names of the labels."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ....errors import InputError
from ....storage.compression import shown
from ....storage.pickled.reader import read_pickle
from ....storage.pickled.tensors import is_torch_file, read_torch
from ....storage.strict_json import parse_json

_UNKNOWN = ("<unk>", "<UNK>", "[UNK]", "[unk]", "UNK", "<oov>", "<OOV>")
# Rows of these are never looked up for a word of a text.
_SPECIAL = ("<pad>", "<PAD>", "[PAD]", "<bos>", "<eos>", "<s>", "</s>", "[CLS]", "[SEP]")
_PICKLE = b"\x80"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_LONGEST_GRAM = 5
LONGEST = 1 << 28
"""The most bytes of a vocabulary or of labels."""
_MOST_VALUES = 12_000_000  # of JSON


@dataclass(frozen=True)
class WordRows:
    """A vocabulary: the row of each word in the foreign table."""

    rows: dict[str, int]
    """The row of each word but the unknown one."""
    unknown: int
    """The row of all other words."""
    ngrams: int
    """The longest n-gram among them, in words."""


def read_file(path: Path, code: str) -> bytes:
    """Return the content of a file that the user named. Raises InputError, with `code` if it cannot be read."""
    try:
        with path.open("rb") as handle:
            content = handle.read(LONGEST + 1)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}). Name a file.", code=code) from None
    if len(content) > LONGEST:
        raise InputError(
            f"{path} has more than {LONGEST:,} bytes; no vocabulary and no labels have so many. Name another file.",
            code="LX-IMPORT-401",
        )
    return content


def read_word_rows(content: bytes, file: str) -> WordRows:
    """Return the vocabulary in a file: JSON, a pickle or a file of torch.save with a dictionary from word to row or a
    list of words, or a text file with a word a line.

    Raises InputError for another content, a row that two words have, and a vocabulary without an unknown word.
    """
    value = _value(content, file)
    if isinstance(value, Mapping) and not isinstance(value.get("stoi", value.get("itos", 0)), int):
        value = value.get("stoi", value.get("itos"))
    rows = dict(value) if isinstance(value, Mapping) else None
    if isinstance(value, (list, tuple)) and len(set(map(repr, value))) == len(value):
        rows = {word: row for row, word in enumerate(value)}
    if not rows or not all(isinstance(word, str) and type(row) is int and row >= 0 for word, row in rows.items()):
        raise InputError(
            f"{shown(file)} is no vocabulary; expected a dictionary from each word to its row, or a list of "
            "different words, as JSON, as a pickle of plain values or as a text file with a word a line.",
            code="LX-IMPORT-081",
        )
    unknown = next((rows[word] for word in _UNKNOWN if word in rows), None)
    if unknown is None:
        raise InputError(
            f"{shown(file)} has no row for words that it does not know ({', '.join(_UNKNOWN[:3])} …), so its model "
            'has no answer for most texts. Add one, such as "<unk>": 0, with the row that your program takes.',
            code="LX-IMPORT-082",
        )
    words = {word: row for word, row in rows.items() if word not in (*_UNKNOWN, *_SPECIAL)}
    odd = [word for word in words if " ".join(word.split()) != word or not word]
    ngrams = max((word.count(" ") + 1 for word in words), default=1)
    if odd or ngrams > _LONGEST_GRAM:
        example = odd[0] if odd else max(words, key=lambda word: word.count(" "))
        raise InputError(
            f"{shown(file)} has the entry {shown(repr(example))}, which is no word; expected words without white "
            f"space, or n-grams of up to {_LONGEST_GRAM} words with one space between them.",
            code="LX-IMPORT-083",
        )
    return WordRows(words, unknown, ngrams)


def _value(content: bytes, file: str) -> Any:
    if is_torch_file(content):
        return read_torch(io.BytesIO(content), file)
    # The protocols 0 and 1 have no mark; their names of files have.
    if content.startswith(_PICKLE) or file.endswith((".pkl", ".pickle", ".pt", ".pth")):
        return read_pickle(content, file)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{shown(file)} is neither a pickle nor UTF-8 ({error.reason} at byte {error.start:,}); expected JSON, a "
            "pickle of plain values or a text file.",
            code="LX-IMPORT-084",
        ) from None
    if text.lstrip()[:1] not in ("{", "["):
        return [line for line in text.replace("\r\n", "\n").split("\n") if line]
    try:
        return parse_json(content.removeprefix(_BYTE_ORDER_MARK), _MOST_VALUES)
    except ValueError as error:
        raise InputError(
            f"{shown(file)} is not valid JSON ({shown(error)}). Write it again.", code="LX-IMPORT-085"
        ) from None


def read_names(content: bytes, file: str) -> list[str]:
    """Return the labels in the order of the outputs: of TorchServe's index_to_name.json, of a JSON list, of a
    dictionary from label to number, or of a text file with a label a line.

    Raises InputError for another content, and for labels that are not different.
    """
    value = _value(content, file)
    names: list[Any] = []
    if isinstance(value, list):
        names = value
    elif isinstance(value, dict):
        if all(isinstance(number, int) for number in value.values()):
            value = {str(number): label for label, number in value.items()}
        names = [value[str(number)] for number in range(len(value)) if str(number) in value]
        if len(names) != len(value):
            names = []
    if len(names) < 2 or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise InputError(
            f"{shown(file)} does not name the labels; expected two or more different ones: a JSON list in the order "
            'of the outputs, {"0": "first", "1": "second", …}, or a text file with a label a line.',
            code="LX-IMPORT-086",
        )
    return names
