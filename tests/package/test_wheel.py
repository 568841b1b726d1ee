"""The wheel works where no checkout is: built, installed beside the same dependencies, used from an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt  # rich brings it

from lexport.serving.torchserve.java import find_java

from ..conftest import write_rows

ROOT = Path(__file__).resolve().parents[2]

# Endings of the files that are packed.
PACKED = set(".binpb .cjs .cpp .css .h .html .jinja .js .lua .properties .proto .py .svg .toml .xml".split())


def checkout_files() -> list[Path]:
    """Tracked files, and new ones that git does not ignore, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs git and a checkout")
    paths = [Path(os.fsdecode(name)) for name in listing.split(b"\0") if name]
    return [path for path in paths if (ROOT / path).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the checkout, which is renamed afterwards."""
    pytest.importorskip("setuptools", minversion="77")
    folder = tmp_path_factory.mktemp("build")
    for path in checkout_files():
        (folder / "checkout" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / path, folder / "checkout" / path)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    subprocess.run([*command, "--wheel-dir", folder, folder / "checkout"], check=True)
    (folder / "checkout").rename(folder / "renamed")
    [path] = folder.glob("*.whl")
    return path


class Installed:
    """A virtual environment with the wheel, and an empty folder to work in."""

    def __init__(self, bin_: Path, cwd: Path, environment: dict[str, str]) -> None:
        self.bin = bin_
        self.cwd = cwd
        self.environment = environment

    def call(self, command: str, *arguments: str) -> str:
        done = subprocess.run(
            [self.bin / command, *arguments],
            cwd=self.cwd,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return json.loads(self.call("lexport", *arguments, "--json"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    variables = {"base": str(home), "platbase": str(home)}
    own = Path(sysconfig.get_path("purelib", "venv", variables))
    # The same dependencies, but none of their .pth files: one of those makes the checkout importable.
    shared = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    (own / "shared.pth").write_text("".join(f"{path}\n" for path in dict.fromkeys(shared)))
    pip = [sys.executable, "-m", "pip", "--python", str(home / "bin" / "python"), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", "--ignore-installed", str(wheel)], check=True)
    cwd = tmp_path_factory.mktemp("empty")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LEXPORT"))}
    environment |= {"XDG_STATE_HOME": str(tmp_path_factory.mktemp("state")), "VIRTUAL_ENV": str(home)}
    there = Installed(home / "bin", cwd, environment)
    yield there
    if list(Path(environment["XDG_STATE_HOME"]).glob("lexport/server.json")):
        there.call("lexport", "stop")


def test_it_holds_what_is_needed_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        [metadata] = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
    expected = {
        "lexport/config.properties",
        "lexport/py.typed",
        "lexport/serving/torchserve/log4j2.xml",
        "lexport/loadtest/driver/locustfile.py",
        "lexport/models/recipes/bag.toml",
        "lexport/handlers/handler.py",
    }
    sources = {
        f"lexport/{path.as_posix()}"
        for path in checkout_files()
        if path.suffix in PACKED
        and path.parts[0] not in ("tests", "benchmarks", "docs", "pyproject.toml", "setup.py")
    }
    plugin = {f"lexport/{path.as_posix()}" for path in checkout_files() if "plugin" in path.parts}
    own = {name for name in names if ".dist-info/" not in name}
    assert expected <= own
    assert own == sources | plugin | {"lexport/py.typed", "lexport/__init__.pyi", "lexport/client/__init__.pyi"}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert "Requires-Python: <3.14,>=3.11" in metadata
    for extra in (
        "all",
        "grpc",
        "index",
        "loadtest",
        "otel",
        "parquet",
        "samples",
        "serve",
        "sign",
        "torchserve",
        "train",
        "zstd",
    ):
        assert f"Provides-Extra: {extra}" in metadata


def test_the_index_page_can_show_who_made_it_and_where_its_links_lead(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        [name] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = message_from_bytes(archive.read(name))
    assert metadata["Author"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Description-Content-Type"].startswith("text/markdown")
    assert {url.partition(", ")[0] for url in metadata.get_all("Project-URL", [])} >= {"Source", "Changelog"}
    assert "Programming Language :: Python :: 3.13" in metadata.get_all("Classifier", [])
    described = metadata.get_payload()
    assert isinstance(described, str)
    targets = list(link_targets(described))
    assert len(targets) >= 30
    assert [target for target in targets if not target.startswith("https://")] == []
    # The same files as in a checkout.
    assert len(targets) == len(list(link_targets((ROOT / "README.md").read_text(encoding="utf-8"))))
    for target in targets:
        assert "/main/" not in target or (ROOT / target.partition("/main/")[2].partition("#")[0]).exists(), target


def link_targets(text: str) -> Iterator[str]:
    """Where the links and images of a page in Markdown lead, as a renderer sees it."""
    for block in MarkdownIt().enable("table").parse(text):
        for token in block.children or []:
            target = token.attrGet("href") or token.attrGet("src")
            if target:
                yield str(target)


@pytest.mark.long  # half a minute, and an index to install from
def test_bare_and_with_serve_it_is_small_and_works(
    wheel: Path, tmp_path: Path, archive_of: Callable[[str], Path]
) -> None:
    venv.create(tmp_path, with_pip=False)
    python = tmp_path / "bin" / "python"
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "LEXPORT"))}

    def install(what: str) -> int:
        """The bytes of all that is then installed, compiled files among them; there is no pip in it."""
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        subprocess.run([*pip, what], check=True, timeout=300)
        return sum(file.stat().st_size for file in tmp_path.glob("lib/**/*") if file.is_file())

    def lexport(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "bin" / "lexport"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)

    archive = str(archive_of("onnx-int8"))
    assert install(f"lexport @ {wheel.as_uri()}") < 130_000_000
    done = lexport("run", archive, "goal")
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.endswith('pip install "lexport[serve]"\n')
    assert install(f"lexport[serve] @ {wheel.as_uri()}") < 222_000_000
    assert "sport" in lexport("run", archive, "goal").stdout


def test_it_is_not_the_checkout_that_is_used(installed: Installed) -> None:
    program = "import lexport, sys; print(lexport.__file__); print(*sys.path, sep='\\n')"
    file, *paths = installed.call("python", "-c", program).splitlines()
    assert Path(file).is_relative_to(installed.bin.parent)
    assert str(ROOT) not in paths
    assert installed.call("lexport", "--version") == "0.1.0\n"


@pytest.mark.long
def test_the_whole_chain_from_an_empty_folder(installed: Installed) -> None:
    find_java()
    write_rows(installed.cwd / "topics.csv", rows=300)
    options = ["--epochs", "5", "--dim", "8"]
    assert installed.json("train", "topics.csv", "--out", "runs/topics", *options)["count"] > 0
    evidence = installed.json("export", "runs/topics")
    assert len(evidence["variants"]) == 6
    made = installed.json("archive", "runs/topics", "--version", "1.0")
    assert made["archive"] == "model_store/topics-1.0.mar"
    assert 0 <= installed.json("evaluate", made["archive"], "topics.csv")["accuracy"] <= 1
    texts = ["match goal", "soup", ""]
    expected = installed.json("run", made["archive"], *texts)
    served = installed.json("serve", "--workers", "cpu:1", "--port", "0")
    assert [model["name"] for model in served["models"]] == ["topics"]
    assert installed.json("predict", "topics", *texts) == expected
    assert "Stopped the server" in installed.call("lexport", "stop")
    assert sorted(path.name for path in installed.cwd.iterdir()) == ["model_store", "runs", "topics.csv"]
