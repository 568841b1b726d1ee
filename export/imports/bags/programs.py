"""Foreign TorchScript and ONNX files, opened so that they compute and do nothing else, and asked about rows."""

from __future__ import annotations

import re
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ....errors import InputError
from ....handlers.engine.engines import open_session
from ....handlers.engine.operators import OPCODES, OPERATORS, code_problem, pickle_problem
from ....handlers.engine.storages import storage_problem
from ....storage.compression import shown
from ....storage.zips import DAMAGED_ZIP, members_of
from .bag import Array, Ask

# By torch's own code in C++, of programs that are damaged.
_RAISED = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, OSError, MemoryError)
_LONGEST = 1 << 20  # bytes of a program's code and pickles
_MEMBER = re.compile(
    r"[^/]+/(?:code/__torch__(?:/\w+)*\.py|(?:data|constants)(?:\.pkl|/[0-9]+)|version|byteorder"
    r"|\.data/(?:version|serialization_id))",
    re.ASCII,
)
# What torch.jit.save adds for debugging and of example inputs; a program runs without them.
_LEFT_OUT = re.compile(r"[^/]+/(?:code/.*\.debug_pkl|traced_inputs(?:\.pkl|/[0-9]+)|extra/.*)", re.ASCII)
# What text classifiers call beyond what lexport's exports do. Like those, they touch nothing but their arguments.
_OPERATORS = OPERATORS | {
    "torch.__is__",
    "torch.__isnot__",
    "torch.addmm",
    "torch.contiguous",
    "torch.detach",
    "torch.dropout",
    "torch.log_softmax",
    "torch.matmul",
    "torch.max",
    "torch.mean",
    "torch.neg",
    "torch.t",
}
# What torch.jit.save writes of attributes that exports lack: values that are None, single items, large numbers.
_OPCODES = OPCODES | {"NONE", "APPEND", "SETITEM", "LONG1", "LONG_BINPUT", "LONG_BINGET", "EMPTY_LIST"}
# In the text of an error's message; the check knows strings without.
_ESCAPED = re.compile(rb"\\[\\\"'nrt]")
# What a value that may be None is known to be, once it was looked at.
_REFINED = re.compile(rb"(?<![\w.])unchecked_cast\((?=(?:Tensor|int|float|bool), )")
_DEFINITIONS = re.compile(rb"(?=^ *def )", re.MULTILINE)
_OWN_FUNCTION = re.compile(rb"^ +(_[0-9]+) = __torch__(?:\.\w+)+$", re.MULTILINE)
# A call of a module within the program; no operator of torch has this name.
_CALL = re.compile(rb"\)\.forward\(")


def is_torchscript(path: Path) -> bool:
    """Return whether the file is a zip with a program of `torch.jit.save`."""
    return any(name.partition("/")[2] == "constants.pkl" for name in members_of(path))


def open_torchscript(path: Path, file: str) -> tuple[Mapping[str, Array], Ask]:
    """Return the parameters of a TorchScript file by name, and how it is asked.

    Its code and pickles are read before torch opens them: it may call operators that compute on tensors, and its own
    modules. Raises InputError for one that has or calls anything else.
    """
    import torch

    with tempfile.TemporaryDirectory(prefix="lexport-import-") as folder:
        checked = Path(folder) / "model.pt"
        _copy_checked(path, checked, file)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = torch.jit.load(str(checked), map_location="cpu")  # type: ignore[no-untyped-call]
        except _RAISED as error:
            first = str(error).strip().partition("\n")[0]
            raise InputError(
                f"{shown(file)} cannot be opened as TorchScript ({shown(first)}). Save it again with torch.jit.save.",
                code="LX-IMPORT-090",
            ) from None
    model.eval()
    if not hasattr(model, "forward"):
        raise InputError(
            f"{shown(file)} is TorchScript without a method forward, so it cannot be asked. Export the module that "
            "answers texts.",
            code="LX-IMPORT-402",
        )
    names = [one.name for one in model.forward.schema.arguments if one.name != "self"]

    def ask(ids: Sequence[int]) -> Array:
        feeds = _feeds(names, [""] * len(names), ids, file)
        try:
            with torch.inference_mode():
                output = model(*map(torch.from_numpy, feeds))
        except _RAISED as error:
            raise _cannot_answer(file, names, len(ids), error) from None
        if not isinstance(output, torch.Tensor):
            raise _cannot_answer(file, names, len(ids), "it returns no tensor")
        return output.double().numpy().reshape(-1)

    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    return state, ask


def _copy_checked(path: Path, to: Path, file: str) -> None:
    """Copy the members that a program needs, each checked. Raises InputError."""
    try:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(to, "w") as copy:
            code, raw, known = 0, 0, set[str]()
            sizes = {one.filename: one.file_size for one in archive.infolist()}
            for one in archive.infolist():
                if _LEFT_OUT.fullmatch(one.filename):
                    continue
                problem = None if _MEMBER.fullmatch(one.filename) else "is not a member of a program"
                # torch finds members whatever their case.
                if one.filename.lower() in known:
                    problem = "is there twice"
                elif one.filename.endswith((".py", ".pkl")):
                    code += one.file_size
                    problem = problem or ("is too long" if code > _LONGEST else _problem(archive, one, sizes))
                else:
                    raw += one.file_size
                    if one.compress_type != zipfile.ZIP_STORED or raw > path.stat().st_size:
                        problem = "is compressed, which torch.jit.save never does with tensors"
                if problem is not None:
                    raise InputError(
                        f"{shown(file)}: {shown(one.filename)} {problem}. Only programs that compute on tensors are "
                        "opened; one that does more cannot be brought in.",
                        code="LX-IMPORT-091",
                    )
                known.add(one.filename.lower())
                copy.writestr(one.filename, archive.read(one))
    except DAMAGED_ZIP as error:
        raise InputError(
            f"{shown(file)} cannot be read ({shown(error)}). Save it again with torch.jit.save.",
            code="LX-IMPORT-092",
        ) from None


def _problem(archive: zipfile.ZipFile, member: zipfile.ZipInfo, sizes: Mapping[str, int]) -> str | None:
    # For the checks alone, of the same length: modules of torch.nn are classes of the program's own code, unlike
    # torch.classes.
    content = archive.read(member).replace(b"__torch__.torch.nn.", b"__torch__.t_rch.nn.")
    if member.filename.endswith(".pkl"):
        folder = f"{member.filename.removesuffix('.pkl')}/"
        storages = {name.removeprefix(folder): size for name, size in sizes.items() if name.startswith(folder)}
        return pickle_problem(content, _OPCODES) or storage_problem(content, storages)
    content = _REFINED.sub(b"annotate(", _ESCAPED.sub(b"__", content))
    # To the check a call of a module or of an own function is one of a function that it knows.
    functions = [_with_known_calls(one) for one in _DEFINITIONS.split(content)]
    return code_problem(_CALL.sub(b") - annotate(", b"".join(functions)), _OPERATORS)


def _with_known_calls(function: bytes) -> bytes:
    """Return the code of a function with the calls of names that stand for the program's own functions replaced.

    The names are those that one line makes another word for such a function, and that are called and nothing else.
    """
    for name in _OWN_FUNCTION.findall(function):
        called = re.compile(rb"(?<![\w.])" + name + rb"\(")
        if len(called.findall(function)) + 1 == len(re.findall(rb"(?<!\w)" + name + rb"(?!\w)", function)):
            function = called.sub(b"annotate(", function)
    return function


def check_onnx(path: Path, file: str, more: frozenset[str] = frozenset()) -> Any:
    """Return the ModelProto of an ONNX file.

    Raises InputError for a file that is not valid, keeps weights in other files, or has operators beyond the standard
    and those of `more`, further domains.
    """
    import onnx

    try:
        model = onnx.load_model(str(path), load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{shown(file)} is no valid ONNX model ({shown(first)}). Export it again.", code="LX-IMPORT-093"
        ) from None
    outside = [one.name for one in model.graph.initializer if one.data_location == onnx.TensorProto.EXTERNAL]
    domains = sorted({node.domain for node in model.graph.node} - {"", "ai.onnx", "ai.onnx.ml", *more})
    if outside or domains:
        what = f"weights in another file, such as {shown(outside[0])}" if outside else f"operators of {domains[0]}"
        raise InputError(
            f"{shown(file)} has {what}; expected one file with standard operators. Export the model again.",
            code="LX-IMPORT-094",
        )
    return model


def open_onnx(path: Path, file: str) -> tuple[Mapping[str, Array], Ask]:
    """Return the weights of an ONNX file by name, and how it is asked. Raises InputError as `check_onnx` does."""
    from onnx import numpy_helper

    model = check_onnx(path, file)
    tensors = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant" and node.attribute and node.attribute[0].name == "value":
            tensors[node.output[0]] = node.attribute[0].t
    try:
        arrays = {name: numpy_helper.to_array(one) for name, one in tensors.items()}
        session = open_session(path, 1, "cpu")
    except Exception as error:
        first = str(error).strip().partition("\n")[0]
        raise InputError(
            f"{shown(file)} is not run by onnxruntime ({shown(first)}). Export it again, for an older opset.",
            code="LX-IMPORT-095",
        ) from None
    inputs = session.get_inputs()
    names, kinds = [one.name for one in inputs], [one.type for one in inputs]
    flat = len(inputs[0].shape or []) == 1 if inputs else False

    def ask(ids: Sequence[int]) -> Array:
        feeds = _feeds(names, kinds, ids, file, flat=flat)
        try:
            output: Array = session.run(None, dict(zip(names, feeds, strict=True)))[0]
        except Exception as error:
            raise _cannot_answer(file, names, len(ids), error) from None
        return output.reshape(-1)

    return arrays, ask


_KINDS: Mapping[str, Any] = {
    "tensor(int32)": np.int32,
    "tensor(float)": np.float32,
    "tensor(bool)": np.bool_,
}


def _feeds(
    names: Sequence[str], kinds: Sequence[str], ids: Sequence[int], file: str, *, flat: bool = False
) -> list[Array]:
    """Return the inputs of a model for a text of these rows, by the names of its inputs. Raises InputError."""
    second: Callable[[], Array] | None = None
    further = names[1].lower() if len(names) == 2 else ""
    if "offset" in further:
        flat, second = True, lambda: np.zeros(1, np.int64)
    elif "len" in further:
        second = lambda: np.array([len(ids)], np.int64)  # noqa: E731
    elif "mask" in further:
        second = lambda: np.ones((1, len(ids)), np.int64)  # noqa: E731
    if not names or len(names) > 2 or (len(names) == 2 and second is None):
        raise InputError(
            f"{shown(file)} takes the inputs {', '.join(map(shown, names)) or 'none'}; expected the rows of words, "
            "and after them at most their offsets, lengths or mask, by that name.",
            code="LX-IMPORT-096",
        )
    rows = np.array(ids, np.int64)
    feeds = [rows if flat else rows[None, :], *([second()] if second else [])]
    return [feed.astype(_KINDS.get(kind, np.int64)) for feed, kind in zip(feeds, kinds, strict=True)]


def _cannot_answer(file: str, names: Sequence[str], words: int, error: object) -> InputError:
    first = str(error).strip().partition("\n")[0]
    return InputError(
        f"{shown(file)} does not answer a text of {words} words, given as {', '.join(map(shown, names))} "
        f"({shown(first)}). Leave such texts out of --texts, or export the model again.",
        code="LX-IMPORT-097",
    )
