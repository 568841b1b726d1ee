"""Check the members and operators of a TorchScript file before `torch.jit.load` compiles it.

TorchScript has operators that write files (`torch.save`) and that read or overwrite them (`torch.from_file`), and
code in a file may run as soon as the file is opened. So a file is opened only if its code uses the part of the
language and the operators that lexport's exports use, and its two pickles use only the types that they need.

The code is checked token by token, not as Python's syntax tree: torch has its own parser, and with few kinds of
tokens both parsers read the same.
"""

from __future__ import annotations

import keyword
import pickletools
import re
from collections.abc import Callable, Iterator, Sequence, Set
from itertools import pairwise
from pathlib import Path

from .storages import storage_problem

# What exports call; `torch.x` is aten::x. tests/handlers/engine/test_operators.py exports every recipe and compares.
# None of them touches anything but its arguments, except torch.warn, which writes a line to the log.
_OPERATORS = """
    ops.prim.RaiseException ops.prim.device ops.prim.dtype ops.quantized.embedding_bag_4bit_rowwise_offsets
    ops.quantized.embedding_bag_byte_rowwise_offsets ops.quantized.linear_dynamic torch.__contains__ torch.__not__
    torch.__or__ torch.add torch.amax torch.any torch.append torch.arange torch.bitwise_not torch.cat torch.chunk
    torch.clamp torch.clamp_min torch.conv1d torch.dim torch.div torch.embedding torch.embedding_bag torch.eq
    torch.expand torch.expand_as torch.flatten torch.floordiv torch.format torch.gather torch.ge torch.gelu torch.gt
    torch.index torch.is_floating_point torch.layer_norm torch.linear torch.list torch.log torch.lstm torch.lt
    torch.masked_fill torch.mul torch.ne torch.norm torch.numel torch.ones_like torch.pad torch.quantized_lstm
    torch.relu torch.remainder torch.reshape torch.scaled_dot_product_attention torch.select torch.sigmoid
    torch.size torch.slice torch.softmax torch.sqrt torch.squeeze torch.sub torch.sum torch.to torch.transpose
    torch.unique_dim torch.unsqueeze torch.view torch.warn torch.where torch.zeros torch.zeros_like
"""
OPERATORS = frozenset(_OPERATORS.split())
# torch's own C++ classes in the code, and functions of the language.
CLASSES = frozenset({"__torch__.torch.classes.rnn.CellParamsBase"})
FUNCTIONS = frozenset({"annotate", "uninitialized"})
# What the pickles name, module and name, besides the classes of the file's own code.
GLOBALS = frozenset(
    {
        "__torch__.torch.classes.quantized LinearPackedParamsBase",
        "__torch__.torch.classes.rnn CellParamsBase",
        "collections OrderedDict",
        "torch ByteStorage",
        "torch DoubleStorage",
        "torch FloatStorage",
        "torch HalfStorage",
        "torch LongStorage",
        "torch QInt8Storage",
        "torch per_channel_affine",
        "torch per_tensor_affine",
        "torch._utils _rebuild_qtensor",
        "torch._utils _rebuild_tensor_v2",
        "torch.jit._pickle build_doublelist",
        "torch.jit._pickle build_intlist",
        "torch.jit._pickle build_tensorlist",
        "torch.jit._pickle restore_type_tag",
    }
)
_OPCODES = """
    APPENDS BINFLOAT BINGET BININT BININT1 BININT2 BINPERSID BINPUT BINUNICODE BUILD EMPTY_DICT EMPTY_LIST EMPTY_TUPLE
    GLOBAL MARK NEWFALSE NEWOBJ NEWTRUE PROTO REDUCE SETITEMS STOP TUPLE TUPLE1 TUPLE2 TUPLE3
"""
OPCODES = frozenset(_OPCODES.split())

_MEMBER = re.compile(
    r"code/__torch__(?:/\w+)*\.py|(?:data|constants)(?:\.pkl|/[0-9]+)"
    r"|version|byteorder|\.data/(?:version|serialization_id)",
    re.ASCII,
)
_LONGEST = 1 << 20  # bytes of all code and pickles together; those of exports have some thousands
KEYWORDS = frozenset({"class", "def", "return", "pass", "if", "else", "None", "True", "False"})
_TOKEN = re.compile(
    r"[ \n]*+(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*+(?:\.[A-Za-z_][A-Za-z0-9_]*+)*+)(?![.\"'])"
    r"|(?P<value>[0-9]++(?:\.[0-9]*+)?+(?:e[-+]?[0-9]++)?+(?![\w.])|\"[ !#-\[\]-~]*+\"(?![\w\"']))"
    r"|(?P<mark>->|[-=:,()\[\]])|(?P<end>\Z))"
)
_OWN = re.compile(r"__torch__(?!\.torch\b)(?:\.\w+)*", re.ASCII)
_OWN_GLOBAL = re.compile(rf"{_OWN.pattern} \w+", re.ASCII)


def check_torchscript(path: Path) -> None:
    """Raise ValueError unless the TorchScript file holds and calls only what exports of lexport do.

    Raises RuntimeError for a file that torch cannot read at all.
    """
    import torch

    with path.open("rb") as handle:
        # By its first bytes torch.jit.load takes a file for a flatbuffer, which is another program beside the zip.
        if handle.read(4) != b"PK\3\4":
            raise ValueError(f"{path.name} does not begin as the zip that it should be. It is not opened.")
    # The reader that torch.jit.load uses: both see the same members.
    reader = torch._C.PyTorchFileReader(str(path))
    check_torchscript_members(path.name, reader.get_all_records(), reader.get_record_size, reader.get_record)


def check_torchscript_members(
    file: str, names: Sequence[str], size: Callable[[str], int], read: Callable[[str], bytes]
) -> None:
    """Do the same for members by name, without their common folder."""
    others = sorted({name for name in names if not _MEMBER.fullmatch(name)})
    # torch finds members whatever their case.
    if others or len({name.lower() for name in names}) < len(names):
        raise ValueError(
            f"{file} has {', '.join(map(ascii, others[:3])) or 'a member twice'}, which no TorchScript file of "
            "lexport has. It is not opened."
        )
    if (total := sum(size(name) for name in names if name.endswith((".py", ".pkl")))) > _LONGEST:
        raise ValueError(f"{file} has {total:,} bytes of code and pickles, expected at most {_LONGEST:,}.")
    for name in sorted(names, key=lambda name: name.endswith(".pkl")):
        if name.endswith((".py", ".pkl")):
            content = read(name)
            if name.endswith(".py"):
                problem = code_problem(content)
            else:
                folder = name.removesuffix("pkl").replace(".", "/")
                sizes = {one.removeprefix(folder): size(one) for one in names if one.startswith(folder)}
                problem = pickle_problem(content) or storage_problem(content, sizes)
            if problem is not None:
                raise ValueError(f"{file}: {name} {problem}; no export of lexport does. It is not opened.")


def code_problem(content: bytes, operators: Set[str] = OPERATORS) -> str | None:
    """Return what a code member has that no export has, in words that follow its name; None if nothing.

    operators: those that it may call, for programs of others.
    """
    try:
        tokens = [*_tokens(content.decode("ascii"))]
    except ValueError as error:
        return f"is not plain code of torch.jit.save: {error}"
    before = ("", "")
    for (kind, token), (_, after) in pairwise([*tokens, ("", "")]):
        if kind == "name":
            problem = _name_problem(token, operators, called=after == "(", defined=before[1] in ("def", "class"))
            if problem is not None:
                return problem
        elif token == "(" and (before[0] == "value" or before[1] in (")", "]")):
            return f"calls {before[1]!r}"
        before = kind, token
    return None


def _tokens(code: str) -> Iterator[tuple[str, str]]:
    """Yield kind ("name", "value" or "mark") and text of each token.

    Raises ValueError for one that exports do not have.
    """
    place = 0
    while True:
        match = _TOKEN.match(code, place)
        if match is None:
            line = code.count("\n", 0, place) + 1
            raise ValueError(f"line {line} has {code[place : place + 20].strip()!a}")
        kind = str(match.lastgroup)
        if kind == "end":
            return
        yield kind, match[kind]
        place = match.end()


def _name_problem(name: str, operators: Set[str], *, called: bool, defined: bool) -> str | None:
    """Return what is wrong with a name, of parts joined by dots: `torch.size`, `self.model`, `return`, `ids`."""
    root, *rest = name.split(".")
    if any(keyword.iskeyword(part) and (rest or part not in KEYWORDS) for part in (root, *rest)):
        return f"has the word {name!r}"
    if defined:
        return f"defines {name!r}" if rest or root in ("torch", "ops") else None
    if root in ("torch", "ops"):
        return None if name in operators else f"has the operator {name!r}"
    if root == "__torch__" and name not in CLASSES and not _OWN.fullmatch(name):
        return f"has the class {name!r}"
    if called and name not in FUNCTIONS and name not in KEYWORDS:
        return f"calls {name!r}"
    return None


def pickle_problem(content: bytes, opcodes: Set[str] = OPCODES) -> str | None:
    """Return what a pickle has that no export's pickle has, in words that follow its name; None if nothing.

    opcodes: those that it may have, for programs of others.
    """
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name not in opcodes:
                return f"has the pickle's opcode {opcode.name}"
            if opcode.name == "GLOBAL":
                name = str(argument)
                if name not in GLOBALS and not _OWN_GLOBAL.fullmatch(name):
                    return f"names {name!a}"
    except (ValueError, OverflowError) as error:
        return f"is a damaged pickle ({error})"
    return None
