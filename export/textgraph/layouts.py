"""From words to the ids that a model takes, in each of the four layouts of `handlers/text/encoder.py`, as nodes.

Each function returns the ids, int64, batch first, and the number of unknown words, int64 [batch, 1]. The words of a
text, its n-grams of two words, of three and so on, and its subwords stand in blocks side by side, each padded to the
longest of the batch. Within each block PAD is on the right alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import TensorProto

from ...handlers.text.encoder import TextEncoder
from ...handlers.text.spec import FIRST_WORD, PAD, UNK, TextSpec
from .grams import Block, characters, hashes, subwords, word_grams
from .nodes import ML, Nodes
from .splitting import Split

# Far beyond any number of languages.
_NOWHERE = 1 << 40


def indices(nodes: Nodes, encoder: TextEncoder, text: Split) -> tuple[str, str]:
    """Return rows of words, and buckets of what is hashed: [batch, length]."""
    spec = encoder.spec
    rows = dict(zip(encoder.vocabulary, range(FIRST_WORD, spec.words), strict=True))
    words = label(nodes, text.words, {"": PAD} | rows, UNK)
    grams = [_buckets(nodes, spec, gram, spec.words) for gram in _grams(nodes, spec, text)]
    return _beside(nodes, [words, *grams]), _count(nodes, words, UNK)


def hashed(nodes: Nodes, encoder: TextEncoder, text: Split) -> tuple[str, str]:
    """1 + the hash of words and of what is made of them: [batch, length]; nothing is unknown."""
    spec = encoder.spec
    words = _hashed_words(nodes, spec, text)
    blocks = [words, *_grams(nodes, spec, text, words)]
    keys = [_masked(nodes, nodes.add("Add", block.keys, nodes.constant(1)), block.present) for block in blocks]
    return _beside(nodes, keys), nodes.add("Mul", text.tokens, nodes.constant(0))


def spelled(nodes: Nodes, encoder: TextEncoder, text: Split) -> tuple[str, str]:
    """Return rows of characters: [batch, length, characters]; unknown is a word whose characters all are."""
    found = characters(nodes, text.words, nodes.add("Shape", text.words), encoder.spec.word_length)
    rows = {one: row for row, one in enumerate(encoder.characters, FIRST_WORD)}
    ids = _at_least_one(nodes, label(nodes, found, {"": PAD} | rows, UNK), 3)
    return ids, _count(nodes, nodes.add("ReduceMax", ids, nodes.constant([2]), keepdims=0), UNK)


def by_language(nodes: Nodes, encoder: TextEncoder, text: Split, languages: str) -> tuple[str, str]:
    """Return rows of words within their language, buckets, and the languages' numbers: [batch, length, 2]."""
    spec = encoder.spec
    names = list(spec.languages)
    numbers = label(nodes, languages, dict(zip(names, range(len(names)), strict=True)), _NOWHERE)
    # Beside the texts' counts they stand only if there are as many.
    numbers = nodes.add("Unsqueeze", numbers, nodes.constant([1]))
    numbers = nodes.add("Concat", text.tokens, numbers, axis=1, name="one language for each text")
    known = nodes.add("Range", *(nodes.constant(number) for number in (0, len(names), 1)))
    reason = f"the languages are {', '.join(names)}; another was given"
    numbers = nodes.add("Gather", known, nodes.columns(numbers, 1, 2), name=reason)
    # A word is looked up behind its language's number and a space, which no word holds.
    prefixes = nodes.add(
        "LabelEncoder",
        numbers,
        domain=ML,
        keys_int64s=list(range(len(names))),
        values_strings=[f"{number} " for number in range(len(names))],
    )
    rows = label(nodes, nodes.add("StringConcat", prefixes, text.words), _rows_by_language(encoder), UNK)
    words = _masked(nodes, rows, text.present)
    grams = [_buckets(nodes, spec, gram, 1) for gram in _grams(nodes, spec, text)]
    shared = [
        _masked(nodes, nodes.constant(len(names)), nodes.add("Cast", gram, to=TensorProto.BOOL)) for gram in grams
    ]
    own = _masked(nodes, numbers, text.present)
    pair = [
        nodes.add("Unsqueeze", _beside(nodes, blocks), nodes.constant([2]))
        for blocks in ([words, *grams], [own, *shared])
    ]
    return nodes.add("Concat", *pair, axis=2), _count(nodes, words, UNK)


def label(nodes: Nodes, strings: str, numbers: Mapping[str, int], default: int) -> str:
    """Return the number of each string, int64 of the strings' shape."""
    return nodes.add(
        "LabelEncoder",
        strings,
        domain=ML,
        keys_strings=list(numbers),
        values_int64s=list(numbers.values()),
        default_int64=default,
    )


def _rows_by_language(encoder: TextEncoder) -> dict[str, int]:
    found: dict[str, int] = {}
    start = 0
    for number, rows in enumerate(encoder.spec.languages.values()):
        words = encoder.vocabulary[start : start + rows - 1]
        found |= {f"{number} {word}": row for row, word in enumerate(words, FIRST_WORD)}
        start += len(words)
    return found


def _hashed_words(nodes: Nodes, spec: TextSpec, text: Split) -> Block:
    return Block(hashes(nodes, text.words, spec.hash_seed), text.present)


def _grams(nodes: Nodes, spec: TextSpec, text: Split, words: Block | None = None) -> list[Block]:
    """N-grams of each order, then subwords; `words` are the words' hashes, where they are known already."""
    found: list[Block] = []
    if spec.ngrams > 1:
        found += word_grams(nodes, words or _hashed_words(nodes, spec, text), spec.ngrams)
    if spec.subwords:
        found.append(subwords(nodes, text, spec.subwords, spec.hash_seed))
    return found


def _buckets(nodes: Nodes, spec: TextSpec, gram: Block, first: int) -> str:
    """Return the row of each n-gram: its bucket behind the row `first`."""
    bucket = nodes.add("Mod", gram.keys, nodes.constant(spec.buckets))
    return _masked(nodes, nodes.add("Add", bucket, nodes.constant(first)), gram.present)


def _masked(nodes: Nodes, values: str, present: str) -> str:
    return nodes.add("Where", present, values, nodes.constant(PAD))


def _count(nodes: Nodes, rows: str, row: int) -> str:
    return nodes.sum_rows(nodes.add("Equal", rows, nodes.constant(row)))


def _beside(nodes: Nodes, blocks: Sequence[str]) -> str:
    """Blocks side by side, [batch, columns], at least one column."""
    return _at_least_one(nodes, nodes.add("Concat", *blocks, axis=1) if len(blocks) > 1 else blocks[0], 2)


def _at_least_one(nodes: Nodes, ids: str, axes: int) -> str:
    """`ids` with PAD where an axis has length 0: texts without a word."""
    lacking = nodes.add("Sub", nodes.constant(1), nodes.add("Shape", ids))
    behind = nodes.add("Max", lacking, nodes.constant(0))
    return nodes.add("Pad", ids, nodes.add("Concat", nodes.constant([0] * axes), behind, axis=0))
