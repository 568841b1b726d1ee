"""Zips that say one thing in one place and another in another: made field by field, as an attacker would."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

HIDDEN = b"print('not what was verified')\n"
_HEADER, _DIRECTORY = "<4sHHHLLLLHH", "<4sHHHHLLLLHHHHHLL"


@dataclass
class Part:
    """A member. What stands in `header` or `listed` by name overrules what would be written there."""

    name: bytes
    content: bytes
    deflated: bool = False
    before: bytes = b""  # bytes between the member before and this one's header
    slack: bytes = b""  # bytes behind the content, counted as packed
    extra: bytes = b""
    listed_extra: bytes = b""
    header: dict[str, Any] = field(default_factory=dict)
    listed: dict[str, Any] = field(default_factory=dict)
    is_listed: bool = True

    def both(self, **values: Any) -> None:
        """Say the same in the header and in the directory."""
        self.header |= values
        self.listed |= values


@dataclass
class Zip:
    """What lies around the members. order: of the directory; end: what overrules the end record."""

    parts: list[Part]
    between: bytes = b""
    order: list[int] | None = None
    before_end: bytes = b""
    end: dict[str, int] = field(default_factory=dict)
    comment: bytes = b""
    after: bytes = b""


def built(plan: Zip) -> bytes:
    """The bytes of a zip."""
    content, listed = b"", []
    for part in plan.parts:
        content += part.before
        packed = _deflate(part.content) if part.deflated else part.content
        packed += part.slack
        values: dict[str, Any] = {
            "version": 20,
            "flags": 0,
            "method": 8 if part.deflated else 0,
            "moment": 33 << 16,
            "crc": zlib.crc32(part.content),
            "packed": len(packed),
            "size": len(part.content),
            "name": part.name,
            "made_by": 3 << 8 | 20,
            "mode": 0o100644 << 16,
            "offset": len(content),
            "comment": b"",
            "signature": None,
        }
        header = values | part.header
        fields = [header[one] for one in ("version", "flags", "method", "moment", "crc", "packed", "size")]
        content += struct.pack(
            _HEADER, header["signature"] or b"PK\3\4", *fields, len(header["name"]), len(part.extra)
        )
        content += header["name"] + part.extra + packed
        if part.is_listed:
            listed.append(_listed(values | part.listed, part.listed_extra))
    content += plan.between
    directory = b"".join(listed if plan.order is None else [listed[one % len(listed)] for one in plan.order])
    end = {
        "disk": 0,
        "start": 0,
        "here": len(listed),
        "count": len(listed),
        "size": len(directory),
        "offset": len(content),
        "comment": len(plan.comment),
    } | plan.end
    return (
        content
        + directory
        + plan.before_end
        + struct.pack("<4sHHHHLLH", b"PK\5\6", *end.values())
        + (plan.comment + plan.after)
    )


def _listed(values: dict[str, Any], extra: bytes) -> bytes:
    names = ("made_by", "version", "flags", "method", "moment", "crc", "packed", "size")
    fields = [values[one] for one in names]
    lengths = (len(values["name"]), len(extra), len(values["comment"]), 0, 0)
    head = struct.pack(
        _DIRECTORY, values["signature"] or b"PK\1\2", *fields, *lengths, values["mode"], values["offset"]
    )
    return bytes(head + values["name"] + extra + values["comment"])


def _deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def member(name: bytes, content: bytes = HIDDEN) -> bytes:
    """A whole stored member that no directory lists."""
    return built(Zip([Part(name, content)]))[: 30 + len(name) + len(content)]


Change = Callable[[Zip, random.Random], None]


def _any(plan: Zip, draw: random.Random) -> Part:
    return draw.choice(plan.parts)


def stored_slack(plan: Zip, draw: random.Random) -> None:
    part = _any(plan, draw)
    part.deflated = False
    part.slack = draw.choice([member(b"handler.py"), member(b"new.py"), draw.randbytes(9), member(part.name), b"P"])


def deflated_slack(plan: Zip, draw: random.Random) -> None:
    part = _any(plan, draw)
    part.deflated = True
    part.slack = draw.choice([member(b"handler.py"), draw.randbytes(5), _deflate(HIDDEN), b"\0"])


def deflated_more(plan: Zip, draw: random.Random) -> None:
    """The stream expands to more, or fewer, bytes than declared."""
    part = _any(plan, draw)
    declared = part.content
    part.content = draw.choice([declared + HIDDEN, declared[:-1], HIDDEN])
    part.deflated = True
    part.both(size=len(declared), crc=zlib.crc32(draw.choice([declared, part.content])))


def stored_as_deflated(plan: Zip, draw: random.Random) -> None:
    _any(plan, draw).both(method=draw.choice([0, 8, 9, 12, 14, 99]))


def sizes(plan: Zip, draw: random.Random) -> None:
    part = _any(plan, draw)
    what, value = draw.choice(["packed", "size"]), draw.choice([0, 1, len(part.content) + 1, 0xFFFFFFFF, 7, 100])
    draw.choice([part.header.update, part.listed.update, lambda values: part.both(**values)])({what: value})


def both_sizes(plan: Zip, draw: random.Random) -> None:
    """Fewer bytes than there are, the rest of which begins with another member."""
    part = _any(plan, draw)
    part.deflated = False
    part.both(size=len(part.content), crc=zlib.crc32(part.content))
    part.content += member(draw.choice([b"handler.py", b"late.py"]))


def folder(plan: Zip, draw: random.Random) -> None:
    part = Part(b"folder/", draw.choice([b"", b"x", member(b"handler.py"), HIDDEN]), draw.random() < 0.4)
    if draw.random() < 0.5:
        part.both(size=0, crc=0)
    plan.parts.insert(draw.randrange(len(plan.parts) + 1), part)


def names(plan: Zip, draw: random.Random) -> None:
    part = _any(plan, draw)
    name = draw.choice(
        [
            "ä.txt".encode(),
            "ä.txt".encode("latin-1"),
            "好/handler.py".encode(),
            b"\xff.py",
            part.name + b"\0",
            part.name + b"\0.txt",
            b"a\0b.py",
            b"./" + part.name,
            b"a//b.py",
            b"a/./b.py",
            part.name + b"/",
            part.name + b"/inner.py",
            part.name.upper(),
            b"../up.py",
            b"/up.py",
            b"a\\b.py",
            b"new\nline",
            b"\x1b[31m.py",
            b" ",
            b"x" * 300,
            b"",
        ]
    )
    way = draw.randrange(4)
    if way == 0:
        part.header["name"] = name
    elif way == 1:
        part.listed["name"] = name
    else:
        part.both(name=name, flags=draw.choice([0, 0, 0x800]))


def twice(plan: Zip, draw: random.Random) -> None:
    part = replace(_any(plan, draw), content=HIDDEN, header={}, listed={}, is_listed=draw.random() < 0.5)
    plan.parts.insert(draw.randrange(len(plan.parts) + 1), part)


def unlisted(plan: Zip, draw: random.Random) -> None:
    part = Part(draw.choice([b"new.py", b"handler.py"]), HIDDEN, draw.random() < 0.5, is_listed=False)
    plan.parts.insert(draw.randrange(len(plan.parts) + 1), part)


def flags(plan: Zip, draw: random.Random) -> None:
    part, value = _any(plan, draw), 1 << draw.randrange(16)
    draw.choice([part.header.update, part.listed.update, lambda values: part.both(**values)])({"flags": value})


def descriptor(plan: Zip, draw: random.Random) -> None:
    part = _any(plan, draw)
    packed = _deflate(part.content) if part.deflated else part.content
    crc = zlib.crc32(part.content)
    part.slack = struct.pack("<4sLLL", b"PK\7\10", crc, len(packed), len(part.content))[draw.choice([0, 4]) :]
    part.both(flags=8)
    part.listed["packed"] = len(packed) + draw.choice([0, len(part.slack)])
    if draw.random() < 0.5:
        part.header |= {"crc": 0, "packed": 0, "size": 0}


def zip64(plan: Zip, draw: random.Random) -> None:
    """ZIP64's extra in a small member: the same sizes, or others."""
    part = _any(plan, draw)
    packed, size = len(_deflate(part.content) if part.deflated else part.content), len(part.content)
    values = draw.choice([(size, packed), (size, size), (0, 0), (size, packed + 9), (1, packed)])
    part.extra = struct.pack("<HHQQ", 1, 16, *values) + draw.choice([b"", struct.pack("<HHQQ", 1, 16, size, packed)])
    if draw.random() < 0.6:
        part.header |= draw.choice([{"packed": 0xFFFFFFFF, "size": 0xFFFFFFFF}, {"packed": 0xFFFFFFFF}])
    if draw.random() < 0.5:
        part.listed_extra = part.extra


def extras(plan: Zip, draw: random.Random) -> None:
    part = _any(plan, draw)
    unicode_path = b"\1" + struct.pack("<L", zlib.crc32(part.name)) + b"other.py"
    content = draw.choice([b"", b"UT", member(b"handler.py"), unicode_path])
    extra = struct.pack("<HH", draw.choice([0x7075, 0x5455, 0x9901, 0xCAFE]), len(content)) + content
    extra += draw.choice([b"", b"\0", b"\1\0\xff\xff"])
    if draw.random() < 0.7:
        part.extra = extra
    if draw.random() < 0.7:
        part.listed_extra = extra


def crc(plan: Zip, draw: random.Random) -> None:
    part, value = _any(plan, draw), draw.randrange(1 << 32)
    draw.choice([part.header.update, part.listed.update, lambda values: part.both(**values)])({"crc": value})


def gaps(plan: Zip, draw: random.Random) -> None:
    _any(plan, draw).before = draw.choice([b"\0", member(b"new.py"), member(b"handler.py"), b"PK", b"PK\5\6"])


def between(plan: Zip, draw: random.Random) -> None:
    plan.between = draw.choice([member(b"handler.py"), member(b"new.py"), b"\0", b"PK\3\4"])


def order(plan: Zip, draw: random.Random) -> None:
    count = len(plan.parts)
    plan.order = draw.choice([draw.sample(range(count), count), [*range(count - 1)], [*range(count), 0]])


def end(plan: Zip, draw: random.Random) -> None:
    what = draw.choice(["disk", "start", "here", "count", "size", "offset", "comment"])
    value = draw.choice([0, 1, 2, 5, 46, 0xFFFF, *([0xFFFFFFFF, 200] if what in ("size", "offset") else [])])
    plan.end[what] = value


def end64(plan: Zip, draw: random.Random) -> None:
    values = [44, 45, 45, 0, 0, *(draw.choice([0, 1, 5, 300, 2**40]) for _ in range(4))]
    plan.before_end = struct.pack("<4sQHHLLQQQQ4sLQL", b"PK\6\6", *values, b"PK\6\7", 0, draw.choice([0, 500]), 1)


def comments(plan: Zip, draw: random.Random) -> None:
    content = draw.choice([b"a comment", member(b"handler.py"), built(Zip([Part(b"handler.py", HIDDEN)]))])
    if draw.random() < 0.5:
        plan.comment = content
    else:
        _any(plan, draw).listed["comment"] = content


def behind(plan: Zip, draw: random.Random) -> None:
    plan.after = draw.choice([b"\0", b"\n", member(b"handler.py"), built(plan), built(Zip([Part(b"x", b"y")]))])


def signatures(plan: Zip, draw: random.Random) -> None:
    part = _any(plan, draw)
    draw.choice([part.header, part.listed])["signature"] = draw.choice([b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK00"])


def harmless(plan: Zip, draw: random.Random) -> None:
    """Dates, versions, modes and systems, which neither Python nor Java heeds."""
    part = _any(plan, draw)
    values = {"moment": draw.randrange(1 << 32), "version": draw.randrange(64), "made_by": draw.randrange(1 << 16)}
    values |= {"mode": draw.choice([0, 0o600 << 16, 0o120777 << 16, 0o40755 << 16 | 0x10, 0xFFFFFFFF])}
    what = draw.choice(list(values))
    draw.choice([part.header.update, part.listed.update, lambda one: part.both(**one)])({what: values[what]})


def other_content(plan: Zip, draw: random.Random) -> None:
    """A whole and honest zip of something else; also empty, also as large as a block of Java's."""
    part = _any(plan, draw)
    part.content, part.deflated = draw.randbytes(draw.choice([0, 1, 512, 8192])), draw.random() < 0.5


CHANGES: Sequence[Change] = (
    stored_slack,
    deflated_slack,
    deflated_more,
    stored_as_deflated,
    sizes,
    both_sizes,
    folder,
    names,
    twice,
    unlisted,
    flags,
    descriptor,
    zip64,
    extras,
    crc,
    gaps,
    between,
    order,
    end,
    end64,
    comments,
    behind,
    signatures,
    harmless,
    other_content,
)


def flipped(content: bytes, draw: random.Random) -> bytes:
    """Bytes changed, removed, repeated or put in anywhere."""
    changed = bytearray(content)
    for _ in range(draw.choice([1, 1, 2, 4])):
        start, length = draw.randrange(len(changed)), draw.choice([1, 2, 4, 30])
        way = draw.randrange(5)
        if way == 0:
            changed[start] ^= 1 << draw.randrange(8)
        elif way == 1:
            changed[start] = draw.randrange(256)
        elif way == 2 and len(changed) > 200:
            del changed[start : start + length]
        elif way == 3:
            changed[start:start] = changed[start : start + length]
        else:
            changed[start : start + 4] = draw.choice([b"\xff" * 4, b"\0" * 4, b"PK\3\4", b"PK\5\6"])
    return bytes(changed)


def mutant(parts: Sequence[Part], draw: random.Random) -> bytes:
    """A zip of these parts with one or two things changed, and at times some bytes on top."""
    plan = Zip([replace(part, header={}, listed={}) for part in parts])
    for change in draw.choices(CHANGES, k=draw.choice([0, 1, 1, 1, 2])):
        change(plan, draw)
    try:
        content = built(plan)
    except struct.error:  # a comment or a value that no field takes
        return mutant(parts, draw)
    return flipped(content, draw) if draw.random() < 0.15 or content == built(Zip(list(parts))) else content
