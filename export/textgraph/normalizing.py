"""Unicode normalization inside a graph, as `handlers/text/normalization.py` has it.

ONNX has no operator for it. A regular expression tells whether any text of a batch may need it, which few do; only
then are the texts taken apart into characters, replaced, sorted and composed by the tables of Unicode, and joined
again. The algorithm is that of Unicode Standard Annex #15.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache

import regex
from onnx import TensorProto

from ...handlers.text.normalization import IGNORABLE, IN_RUN, JOINED, JOINERS, LONGEST_RUN, Normalization
from .nodes import ML, Nodes, tokenized
from .patterns import character_class

# No character, and so no value of a table.
_NONE = "\uffff"
# Behind every key that a character has where characters are sorted.
_LAST = 1 << 40
_CLASSES = 256  # of combining marks, the numbers from 0
_HANGUL = range(0xAC00, 0xD7A4)
# Between the ideographs and the tags, and behind the tags, no character is changed.
_CODES = [*range(0xD800), *range(0xE000, 0x30000), *range(0xE0000, 0xE1000)]
_VOWELS, _TAILS = 21, 28


def normalized(nodes: Nodes, texts: str, form: Normalization) -> str:
    """Return the texts, string [batch], in the form."""
    tables = _tables(form)
    plain = nodes.add("RegexFullMatch", texts, pattern=tables.plain)
    # Of no texts at all none needs it.
    any_text = [nodes.constant([0]), nodes.add("Cast", nodes.add("Not", plain), to=TensorProto.INT64)]
    needed = nodes.add("ReduceMax", nodes.add("Concat", *any_text, axis=0), keepdims=0)
    needed = nodes.add("Cast", needed, to=TensorProto.BOOL)
    replaced = nodes.inner("normalize/")
    found = _joined(replaced, _composed(replaced, _decomposed(replaced, texts, tables), tables))
    left = nodes.inner("leave/")
    return nodes.add(
        "If",
        needed,
        name="normalize the texts",
        then_branch=replaced.branch(found),
        else_branch=left.branch(left.add("Identity", texts)),
    )


def _decomposed(nodes: Nodes, texts: str, tables: _Tables) -> str:
    """Return the characters that are kept of texts, decomposed: string [batch, characters], "" in many places."""
    # With a space, no word, behind each: the operator makes nothing of strings that are all empty.
    every = tokenized(nodes, nodes.add("StringConcat", texts, nodes.constant(" ", object)), tokenexp="(?s).")
    in_run = nodes.add("Cast", nodes.add("RegexFullMatch", every, pattern=tables.in_run), to=TensorProto.INT64)
    upto = nodes.add("CumSum", in_run, nodes.constant(1))
    run = nodes.add("Sub", upto, _moved(nodes, upto, LONGEST_RUN + 1))
    long = nodes.add("Equal", run, nodes.constant(LONGEST_RUN + 1))
    joiner = nodes.add("RegexFullMatch", every, pattern=f"[{JOINERS}]")
    joins = nodes.add("Cast", nodes.add("RegexFullMatch", every, pattern=f"[{JOINED}]"), to=TensorProto.INT64)
    alone = nodes.add("Equal", _moved(nodes, joins, 1), nodes.constant(0))
    gone = nodes.add("Or", long, nodes.add("And", joiner, alone))
    kept = nodes.add("Where", gone, nodes.constant("", object), every)
    replaced, found = _replaced(nodes, kept, tables.decompositions)
    kept = nodes.add("Where", found, replaced, kept)
    # Again into characters; those of one stand side by side.
    parts = tokenized(nodes, kept, tokenexp="(?s).")
    return nodes.add("Reshape", parts, nodes.add("Concat", nodes.size(texts, 0), nodes.constant([-1]), axis=0))


def _composed(nodes: Nodes, characters: str, tables: _Tables) -> str:
    """Return characters with marks in canonical order, and composed with what they follow as long as any are."""
    body = nodes.inner("compose/")
    before = f"{body.prefix}before"
    after, composed = _compose_once(body, before, tables)
    any_left = body.add("ReduceMax", body.add("Cast", composed, to=TensorProto.INT32), keepdims=0)
    any_left = body.add("Cast", any_left, to=TensorProto.BOOL)
    loop = body.loop(before, after, any_left)
    return nodes.add("Loop", "", nodes.constant(True, bool), characters, name="compose characters", body=loop)


def _compose_once(nodes: Nodes, characters: str, tables: _Tables) -> tuple[str, str]:
    """Return the characters sorted and then each composed with one that follows it at most; which were, as bool."""
    zero, one = nodes.constant(0), nodes.constant(1)
    length = nodes.size(characters, 1)

    def number(flags: str) -> str:
        return nodes.add("Cast", flags, to=TensorProto.INT64)

    def classes(found: str) -> str:
        return nodes.add(
            "LabelEncoder",
            found,
            domain=ML,
            keys_strings=list(tables.classes),
            values_int64s=list(tables.classes.values()),
            default_int64=0,
        )

    def segments(found: str, marks: str) -> tuple[str, str, str]:
        """Where a character is, where one that is no mark, and how many of those up to there."""
        present = nodes.add("Not", nodes.add("Equal", found, nodes.constant("", object)))
        starter = nodes.add("And", present, nodes.add("Equal", marks, zero))
        return present, starter, nodes.add("CumSum", number(starter), one)

    def order(keys: str) -> str:
        """Positions by their keys; the operator keeps the order of equal ones."""
        return nodes.add("TopK", keys, length, place=1, largest=0)

    marks = classes(characters)
    present, _, segment = segments(characters, marks)
    keys = nodes.add("Add", nodes.add("Mul", segment, nodes.constant(_CLASSES)), marks)
    sorted_ = order(nodes.add("Where", present, keys, nodes.constant(_LAST)))
    characters = nodes.add("GatherElements", characters, sorted_, axis=1)
    marks = nodes.add("GatherElements", marks, sorted_, axis=1)
    present, starter, segment = segments(characters, marks)

    # The character that each may be composed with: of a mark its starter, of a starter the one before.
    places = nodes.add("Range", zero, nodes.add("Squeeze", length), one)
    is_mark = nodes.add("Greater", marks, zero)
    starters = order(nodes.add("Where", starter, places, nodes.constant(_LAST)))
    which = nodes.add("Sub", segment, nodes.add("Where", is_mark, one, nodes.constant(2)))
    has = nodes.add("And", present, nodes.add("GreaterOrEqual", which, zero))
    base = nodes.add("GatherElements", starters, nodes.add("Max", which, zero), axis=1)
    # Nothing may stand between them but marks of a lower class.
    next_to = nodes.add("Equal", nodes.add("Sub", places, base), one)
    lower = nodes.add("And", is_mark, nodes.add("Less", _moved(nodes, marks, 1), marks))
    free = nodes.add("And", has, nodes.add("Or", next_to, lower))
    pair = nodes.add("StringConcat", nodes.add("GatherElements", characters, base, axis=1), characters)
    whole, found = _replaced(nodes, pair, tables.compositions)
    candidate = number(nodes.add("And", free, found))
    # The first for each, and only if the one before is not itself composed with another.
    upto = nodes.add("CumSum", candidate, one)
    rank = nodes.add("Sub", upto, nodes.add("GatherElements", upto, base, axis=1))
    of_base = nodes.add("GatherElements", candidate, base, axis=1)
    chosen = nodes.add("And", nodes.add("Equal", rank, one), nodes.add("Equal", of_base, zero))
    chosen = nodes.add("And", chosen, nodes.add("Cast", candidate, to=TensorProto.BOOL))

    # Put right behind its partner, it takes the partner's place.
    two = nodes.constant(2)
    beside = nodes.add("Add", nodes.add("Mul", base, two), one)
    moved = order(nodes.add("Where", chosen, beside, nodes.add("Mul", places, two)))
    characters, whole = (nodes.add("GatherElements", value, moved, axis=1) for value in (characters, whole))
    second = nodes.add("GatherElements", number(chosen), moved, axis=1)
    first = nodes.add("Cast", _moved(nodes, second, -1), to=TensorProto.BOOL)
    following = nodes.add("Concat", nodes.columns(whole, 1), nodes.columns(whole, 0, 1), axis=1)
    characters = nodes.add("Where", first, following, characters)
    second = nodes.add("Cast", second, to=TensorProto.BOOL)
    return nodes.add("Where", second, nodes.constant("", object), characters), chosen


def _joined(nodes: Nodes, characters: str) -> str:
    """Return the strings of each row as one: string [batch]."""
    body = nodes.inner("join/")
    before = f"{body.prefix}before"
    odd = body.add("Mod", body.size(before, 1), body.constant([2]))
    nothing = body.add("Where", body.constant(False, bool), body.columns(before, 0, 1), body.constant("", object))
    nothing = body.add("Slice", nothing, body.constant([0]), odd, body.constant([1]))
    even = body.add("Concat", before, nothing, axis=1)
    halves = [
        body.add("Slice", even, *(body.constant([number]) for number in (start, 1 << 40, 1, 2))) for start in (0, 1)
    ]
    after = body.add("StringConcat", *halves)
    going_on = body.add("Squeeze", body.add("Greater", body.size(after, 1), body.constant([1])))
    loop = body.loop(before, after, going_on)
    # At least once: one character alone stays what it is.
    joined = nodes.add("Loop", "", nodes.constant(True, bool), characters, name="join characters", body=loop)
    return nodes.flat(joined)


def _replaced(nodes: Nodes, strings: str, table: dict[str, str]) -> tuple[str, str]:
    """Return what a table has for strings, and where it has something."""
    found = nodes.add(
        "LabelEncoder",
        strings,
        domain=ML,
        keys_strings=list(table),
        values_strings=list(table.values()),
        default_string=_NONE,
    )
    return found, nodes.add("Not", nodes.add("Equal", found, nodes.constant(_NONE, object)))


def _moved(nodes: Nodes, values: str, places: int) -> str:
    """Return int64 [rows, columns] moved to the right by a number of places (to the left if negative), 0 before."""
    if places < 0:
        return nodes.columns(nodes.add("Pad", values, nodes.constant([0, 0, 0, -places])), -places)
    return nodes.columns(nodes.add("Pad", values, nodes.constant([0, places, 0, 0])), 0, -places)


@dataclass(frozen=True)
class _Tables:
    """What the Unicode Character Database says of a form."""

    plain: str
    """The regular expression of a text that certainly has the form."""
    in_run: str
    """The regular expression of a character that a run of combining marks may hold."""
    decompositions: dict[str, str]
    compositions: dict[str, str]
    classes: dict[str, int]
    """The canonical combining class of each character where it is not 0."""


@cache
def _tables(form: Normalization) -> _Tables:
    every = "".join(map(chr, _CODES))
    in_run = frozenset(regex.findall(f"[{IN_RUN}]", every))
    ignorable = frozenset(regex.findall(f"[{IGNORABLE}]", every))
    apart = [one for one in every if unicodedata.decomposition(one)]
    canonical = form is Normalization.NFC
    decompositions = {one: unicodedata.normalize("NFD" if canonical else "NFKD", one) for one in apart}
    compositions = dict(_compositions(apart))
    changed = {one for one in apart if not unicodedata.is_normalized("NFC" if canonical else "NFKC", one)}
    changed |= {pair[-1] for pair in compositions}
    mark = character_class(map(ord, in_run - changed - ignorable - frozenset(JOINERS)))
    special = character_class(map(ord, changed | in_run))
    return _Tables(
        # No two marks side by side, whatever their order.
        plain=f"(?:{mark}?[^{special[1:]}+)*{mark}?",
        in_run=character_class(map(ord, in_run)),
        decompositions=dict.fromkeys(ignorable, "")
        | {one: whole for one, whole in decompositions.items() if whole != one and one not in ignorable},
        compositions=compositions,
        classes={one: unicodedata.combining(one) for one in every if unicodedata.combining(one)},
    )


def _compositions(apart: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield pairs of characters and what they are composed to; `apart`: the characters that have a decomposition."""
    for one in apart:
        parts = unicodedata.decomposition(one).split()
        if len(parts) == 2 and not parts[0].startswith("<"):
            pair = "".join(chr(int(part, 16)) for part in parts)
            if unicodedata.normalize("NFC", pair) == one:
                yield pair, one
    for code in _HANGUL:
        syllable, tail = divmod(code - _HANGUL.start, _TAILS)
        if tail:
            yield chr(code - tail) + chr(0x11A7 + tail), chr(code)
        else:
            lead, vowel = divmod(syllable, _VOWELS)
            yield chr(0x1100 + lead) + chr(0x1161 + vowel), chr(code)
