"""A plain folder: the model with programs in Python, Node and C++ that need ONNX Runtime alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...errors import SystemProblem
from ...handlers.model.goldens import Golden
from .evidence import Proof, judged, unproven
from .exit import MODEL_PROGRAM, Exit, program, readme, requirements
from .open_inference import answer_of_row
from .packed import Packed
from .running import Environment, run

_PYTHON, _NODE, _CPP = "python predict.py", "node predict.cjs", "predict.cpp"
_MOST_BYTES = 100_000  # of an argument of a command; Linux has a limit of 128 KiB
_MOST_ARGUMENTS = 1_000_000  # bytes of all of them; Linux has one of 2 MiB
_INTEGERS = ("tokens", "unknown")
_NOT_TEXT_IN = (
    "The model takes ids, and what makes ids of texts is Python. Archive a variant whose graph takes texts, such as "
    "onnx-int8-text."
)
_LEFT_OUT = "Images, and texts that no command line can hold, were not asked."
_NODE_MODULES = (
    "Node.js does not find onnxruntime-node. After npm install onnxruntime-node, name its folder node_modules in "
    "NODE_PATH."
)
_SONAME = "libonnxruntime.so.1"
_LIBRARIES = (
    "import pathlib, onnxruntime; folder = pathlib.Path(onnxruntime.__file__).parent / 'capi'; "
    "print(*folder.glob('libonnxruntime.so*'), sep='\\n')"
)
_TEXTS = """
Programs that need ONNX Runtime alone; what makes words of a text is in the model file.

    pip install onnxruntime && python predict.py "a text"

    npm install onnxruntime-node && node predict.cjs "a text"

    ln -s LIBRARY libonnxruntime.so.1
    g++ -std=c++17 -O2 predict.cpp -o predict ./libonnxruntime.so.1 -Wl,-rpath,'$ORIGIN'
    ./predict "a text"

LIBRARY is ONNX Runtime's library for C, which PyPI's `onnxruntime` has (`capi/libonnxruntime.so.…`), npm's
`onnxruntime-node` (`bin/…/libonnxruntime.so.1`), and its releases.

Each prints, for each text, the outputs of the model by name. `model/golden.jsonl` has requests with their answers.
"""
_LANGUAGES = "The model has languages: name one before each text, one of {languages}.\n"
_IDS = f"""
`predict.py` answers with the archive's own code: `pip install -r requirements.txt`, `python predict.py "a text"`. It
prints, for each text, the tensors of the answer by name. `model/golden.jsonl` has requests with their answers.

There are no programs for Node and C++. {_NOT_TEXT_IN}
"""


class Folder(Exit):
    """The archive's members and programs beside them."""

    def files(self, packed: Packed) -> dict[str, bytes]:
        """Return three programs for a model that takes texts; for any other one in Python with the archive's code."""
        languages = _LANGUAGES.format(languages=", ".join(packed.languages)) if packed.languages else ""
        if not packed.takes_text:
            return {
                MODEL_PROGRAM: program(MODEL_PROGRAM),
                "predict.py": program("predict_ids.py"),
                "requirements.txt": requirements(packed),
                "README.md": readme(packed, "a plain folder", _IDS + languages),
            }
        programs = ("predict.py", "predict.cjs", "predict.cpp", "onnxruntime_c_api.h")
        return {
            **{name: program(name) for name in programs},
            "requirements.txt": b"numpy\nonnxruntime\n",
            "README.md": readme(packed, "a plain folder", _TEXTS + languages),
        }

    def prove(self, folder: Path, packed: Packed, environment: Environment) -> Sequence[Proof]:
        """Run each program whose tools are there."""
        with tempfile.TemporaryDirectory(prefix="lexport-") as scratch:
            asked = _Asked(folder, packed, environment, Path(scratch))
            if not packed.takes_text:
                return [asked.python(), unproven(_NODE, _NOT_TEXT_IN), unproven(_CPP, _NOT_TEXT_IN)]
            return [asked.python(), asked.node(), asked.compiled()]


class _Asked:
    """The programs of a folder, which are asked all goldens that a command line can hold."""

    def __init__(self, folder: Path, packed: Packed, environment: Environment, scratch: Path) -> None:
        self._folder = folder
        self._packed = packed
        self._environment = environment
        self._scratch = scratch
        self._variables = environment.variables(scratch)
        self._goldens = _on_a_command_line(packed.goldens)

    def python(self) -> Proof:
        """Run predict.py in the environment."""
        package = _engine(self._packed)
        version = self._environment.version(package)
        if version is None:
            return unproven(_PYTHON, self._environment.missing(package))
        command = [self._environment.python, self._folder.resolve() / "predict.py"]
        return self._judged(_PYTHON, command, {package: version})

    def node(self) -> Proof:
        """Run predict.cjs with the onnxruntime-node that NODE_PATH has."""
        node = shutil.which("node")
        if node is None:
            return unproven(_NODE, "Node.js is not on the PATH.")
        self._variables |= {name: os.environ[name] for name in ("NODE_PATH",) if name in os.environ}
        there = "console.log(require('onnxruntime-node/package.json').version)"
        try:
            version = self._run([node, "-e", there], "node").strip()
        except SystemProblem:
            return unproven(_NODE, _NODE_MODULES)
        return self._judged(_NODE, [node, self._folder.resolve() / "predict.cjs"], {"onnxruntime-node": version})

    def compiled(self) -> Proof:
        """Compile predict.cpp against the library in the environment's onnxruntime, and run it."""
        compiler = shutil.which("g++") or shutil.which("c++")
        version = self._environment.version("onnxruntime")
        if compiler is None:
            return unproven(_CPP, "There is no C++ compiler on the PATH: neither g++ nor c++.")
        if version is None:
            return unproven(_CPP, self._environment.missing("onnxruntime"))
        libraries = self._run([self._environment.python, "-c", _LIBRARIES], "python").split()
        if not libraries:
            return unproven(_CPP, f"onnxruntime {version} beside {self._environment.python} has no library for C.")
        # The program finds the model and the library, by the name that is inside it, beside itself.
        (self._scratch / "model").symlink_to(self._folder.resolve() / "model")
        library = self._scratch / _SONAME
        library.symlink_to(libraries[0])
        made = self._scratch / "predict"
        own: list[str | Path] = ["-std=c++17", "-O2", self._folder.resolve() / "predict.cpp", "-o", made, library]
        self._run([compiler, *own, "-Wl,-rpath,$ORIGIN"], Path(compiler).name)
        return self._judged(_CPP, [made], {"onnxruntime": version})

    def _run(self, command: Sequence[str | Path], what: str) -> str:
        return run(command, cwd=self._scratch, variables=self._variables, what=what)

    def _judged(self, name: str, command: Sequence[str | Path], versions: Mapping[str, str]) -> Proof:
        given = [part for one in self._goldens for part in ([one.lang, one.text] if one.lang else [one.text])]
        found = [_answer(self._packed, block) for block in _blocks(self._run([*command, *given], name))]
        left_out = len(self._goldens) < len(self._packed.goldens)
        return judged(name, self._packed, self._goldens, found, why=_LEFT_OUT * left_out, versions=versions)


def _engine(packed: Packed) -> str:
    """Return the distribution of the engine that runs a model."""
    return "onnxruntime" if packed.model.engine == "onnx" else "torch"


def _on_a_command_line(goldens: Sequence[Golden]) -> list[Golden]:
    chosen, total = [], 0
    for golden in goldens:
        size = len(golden.text.encode())
        fits = size <= _MOST_BYTES and total + size <= _MOST_ARGUMENTS and "\0" not in golden.text
        if golden.image is None and fits:
            chosen.append(golden)
            total += size
    return chosen


def _blocks(printed: str) -> list[dict[str, list[str]]]:
    """Return what was printed for each text: values by the name of the output."""
    blocks: list[dict[str, list[str]]] = []
    for line in printed.split("\n"):
        name, *values = line.split("\t")
        if name == "text":
            blocks.append({})
        elif blocks:
            blocks[-1][name] = values
    return blocks


def _answer(packed: Packed, block: Mapping[str, list[str]]) -> dict[str, Any]:
    row: dict[str, list[Any]] = {
        name: [float(value) for value in block[name]] for name in ("scores", "vector", "score") if name in block
    }
    row |= {name: [int(value) for value in block[name]] for name in _INTEGERS if name in block}
    row["truncated"] = [value.lower() == "true" for value in block["truncated"]]
    if "label_index" in block:
        row["label"] = [packed.labels[int(block["label_index"][0])]]
    elif "label" in block:
        row["label"] = block["label"]
    return answer_of_row(packed, row)
