"""Hashes of words, of word n-grams and of subwords inside a graph: `handlers/text/hashing.py` as int64 nodes."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from ...handlers.text.hashing import BEGIN, END, LONGEST_TOKEN, MULTIPLIER, PRIME, murmur
from .nodes import MICROSOFT, Nodes, tokenized
from .splitting import Split


@dataclass(frozen=True)
class Block:
    """Map keys int64 [batch, columns], and bool of the same shape: where there is one."""

    keys: str
    present: str


def hashes(nodes: Nodes, strings: str, seed: int) -> str:
    """MurmurHash3 of each string's UTF-8 bytes: int64 of their shape."""
    found = nodes.add("MurmurHash3", strings, domain=MICROSOFT, seed=seed, positive=1)
    return nodes.add("Cast", found, to=TensorProto.INT64)


def word_grams(nodes: Nodes, words: Block, longest: int) -> list[Block]:
    """Return the n-grams of two words, of three, and so on up to `longest`, from the words' hashes."""
    keys, found = words.keys, []
    for order in range(2, longest + 1):
        keys = _combine(nodes, nodes.columns(keys, 0, -1), nodes.columns(words.keys, order - 1))
        # An n-gram ends at a word of the text, and PAD stands behind them alone.
        found.append(Block(keys, nodes.columns(words.present, order - 1)))
    return found


def subwords(nodes: Nodes, text: Split, orders: tuple[int, int], seed: int) -> Block:
    """Return the character n-grams of each text's words, of one word after the other, shortest first."""
    words = nodes.add("Compress", nodes.flat(text.words), nodes.flat(text.present), axis=0)
    places = nodes.add("Transpose", nodes.add("NonZero", text.present), perm=[1, 0])
    text_of_word = nodes.flat(nodes.columns(places, 0, 1))
    return _aligned(nodes, _of_words(nodes, words, orders, seed), text_of_word, nodes.size(text.words, 0))


@dataclass(frozen=True)
class _Spelt:
    """Keys int64 [words, columns], bool of the same shape: where there is one, and their number, int64 [words, 1]."""

    keys: str
    present: str
    counts: str


def _of_words(nodes: Nodes, words: str, orders: tuple[int, int], seed: int) -> _Spelt:
    """Return the character n-grams of each of `words`, string [words]."""
    spelled = characters(nodes, words, nodes.size(words, 0), LONGEST_TOKEN)
    present = nodes.add("Not", nodes.add("Equal", spelled, nodes.constant("", object)))
    last = nodes.add("Add", nodes.sum_rows(present), nodes.constant(1))
    edge = nodes.add("Shape", last)
    begin = nodes.add("Expand", nodes.constant(murmur(BEGIN, seed)), edge)
    blank = nodes.add("Expand", nodes.constant(0), edge)
    parts = nodes.add("Concat", begin, hashes(nodes, spelled, seed), blank, axis=1)
    position = nodes.add("Unsqueeze", _numbers(nodes, nodes.size(parts, 1)), nodes.constant([0]))
    parts = nodes.add("Where", nodes.add("Equal", position, last), nodes.constant(murmur(END, seed)), parts)
    grams, found, inside, count = parts, [], [], blank
    for order in range(2, orders[1] + 1):
        grams = _combine(nodes, nodes.columns(grams, 0, -1), nodes.columns(parts, order - 1))
        if order >= orders[0]:
            found.append(grams)
            inside.append(nodes.add("LessOrEqual", nodes.columns(position, order - 1), last))
            own = nodes.add("Max", nodes.add("Add", last, nodes.constant(2 - order)), nodes.constant(0))
            count = nodes.add("Add", count, own)
    keys, present = (nodes.add("Concat", *blocks, axis=1) for blocks in (found, inside))
    return _Spelt(keys, present, count)


def characters(nodes: Nodes, words: str, shape: str, kept: int) -> str:
    """Return the first `kept` characters of each word: string, `shape` and one axis more, "" behind a word's last.

    `shape`, int64, is that of `words`. A word is cut before it is split, so that a long one does not widen all.
    """
    short = nodes.add("Reshape", tokenized(nodes, words, tokenexp=f"(?s)^.{{1,{kept}}}"), shape, allowzero=1)
    spelled = tokenized(nodes, short, separators=[""])
    count = nodes.add("Max", nodes.add("Size", words), nodes.constant(1))
    longest = nodes.add("Reshape", nodes.add("Div", nodes.add("Size", spelled), count), nodes.constant([1]))
    return nodes.add("Reshape", spelled, nodes.add("Concat", shape, longest, axis=0), allowzero=1)


def _aligned(nodes: Nodes, words: _Spelt, text_of_word: str, batch: str) -> Block:
    """Return what a text's words are made of in one row, PAD on the right.

    `text_of_word` is the number of each word's text, int64 [words], rising, and `batch` how many texts there are.
    """
    none = nodes.add("Expand", nodes.constant(0), batch)
    counts = nodes.add("ScatterElements", none, text_of_word, nodes.flat(words.counts), axis=0, reduction="add")
    widest = nodes.add("ReduceMax", counts, keepdims=1)
    # The n-th key of all stands as many cells further as the rows before its text's have room for more.
    starts = nodes.add("CumSum", counts, nodes.constant(0), exclusive=1)
    shift = nodes.add("Sub", nodes.add("Mul", _numbers(nodes, batch), widest), starts)
    shift = nodes.add("Unsqueeze", nodes.add("Gather", shift, text_of_word), nodes.constant([1]))
    shift = nodes.add("Expand", shift, nodes.add("Shape", words.keys))
    inside = nodes.flat(words.present)
    found, shift = (nodes.add("Compress", nodes.flat(value), inside, axis=0) for value in (words.keys, shift))
    cells = nodes.add("Add", _numbers(nodes, nodes.add("Shape", found)), shift)
    blank = nodes.add("Expand", nodes.constant(0), nodes.add("Mul", batch, widest))
    shape = nodes.add("Concat", batch, widest, axis=0)
    rows = nodes.add("Reshape", nodes.add("ScatterElements", blank, cells, found, axis=0), shape, allowzero=1)
    present = nodes.add("Less", _numbers(nodes, widest), nodes.add("Unsqueeze", counts, nodes.constant([1])))
    return Block(rows, present)


def _numbers(nodes: Nodes, count: str) -> str:
    """0, 1, 2 … to `count`, int64 [1], less one: int64 [count]."""
    return nodes.add("Range", nodes.constant(0), nodes.add("Squeeze", count), nodes.constant(1))


def _combine(nodes: Nodes, left: str, right: str) -> str:
    """`hashing.combine`."""
    product = nodes.add("Mul", left, nodes.constant(MULTIPLIER))
    return nodes.add("Mod", nodes.add("Add", product, right), nodes.constant(PRIME))
