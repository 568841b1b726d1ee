"""The command `lexport expand`, for people and with --json for machines."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from lexport.__main__ import run as command_line
from lexport.models.run import Run, open_run

from .cases import words_file

Expand = Callable[..., tuple[int, str, str]]


@pytest.fixture
def expand(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Expand:
    """Run `lexport expand` to the folder out: (exit code, stdout, stderr)."""

    def command(run: Run, *options: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = command_line(["expand", str(run.folder), "--out", str(tmp_path / "out"), *options])
        return code, *capfd.readouterr()

    return command


@pytest.fixture
def reviews(tmp_path: Path) -> str:
    """Texts in two languages with words of their own, the second texts in a column of their own."""
    path = tmp_path / "reviews.csv"
    lines = ["body,more,lang", "zeta zeta alpha,sigma sigma,en", "omega omega,,back"]
    path.write_text("\n".join(lines).replace(",,", ",rho,") + "\n", encoding="utf-8")
    return str(path)


def added(before: Run, folder: Path) -> set[str]:
    return set(open_run(folder).encoder.vocabulary) - set(before.encoder.vocabulary)


def test_words_of_a_file_join(run_of: Callable[[str], Run], expand: Expand, tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "goalkeeper", "goal", "qi")
    code, out, err = expand(run, "--words", str(file))
    assert (code, err) == (0, "")
    count = len(run.encoder.vocabulary) + 2
    assert out.splitlines() == [
        "words.txt: 2 new words; 1 skipped: known already, or listed twice",
        "2 new words: 0 from vectors, 1 from words with a similar spelling, 1 random",
        f"{tmp_path / 'out'}: {count:,} words. Next: lexport export {tmp_path / 'out'}",
    ]
    assert expand(run, "--words", str(file))[0] == 2
    assert expand(run, "--words", str(file), "--force", "--limit", "1")[0] == 0
    assert added(run, tmp_path / "out") == {"goalkeeper"}


def test_json_has_stdout_to_itself(run_of: Callable[[str], Run], expand: Expand, tmp_path: Path) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "goalkeeper", "qi")
    code, out, err = expand(run, "--words", str(file), "--json")
    counts = {"words_added": 2, "from_vectors": 0, "from_neighbours": 1, "drawn": 1}
    assert code == 0
    assert json.loads(out) == {"run": str(tmp_path / "out"), "expanded": {"from": run.digest, **counts}}
    assert err == "2 new words: 0 from vectors, 1 from words with a similar spelling, 1 random\n"


def test_unknown_words_of_texts_join(
    run_of: Callable[[str], Run], expand: Expand, reviews: str, tmp_path: Path
) -> None:
    run = run_of("words")
    options = ["--from-oov", reviews, "--text-column", "body", "--json"]
    assert json.loads(expand(run, *options)[1])["expanded"]["words_added"] == 2
    assert added(run, tmp_path / "out") == {"zeta", "omega"}
    assert expand(run, *options, "--force", "--pair-column", "more")[0] == 0
    assert added(run, tmp_path / "out") == {"zeta", "omega", "sigma"}
    assert expand(run, *options, "--force", "--min-count", "1")[0] == 0
    assert added(run, tmp_path / "out") == {"zeta", "omega", "alpha"}


def test_only_texts_in_the_language_give_words(
    run_of: Callable[[str], Run], expand: Expand, reviews: str, tmp_path: Path
) -> None:
    run, options = run_of("languages"), ["--from-oov", reviews, "--text-column", "body", "--language", "back"]
    code, _, err = expand(run, *options)
    assert code == 2
    assert "reviews.csv names no language; new words can only come from texts in 'back'" in err
    assert "Name --language-column" in err
    assert not (tmp_path / "out").exists()
    code, out, _ = expand(run, *options, "--language-column", "lang", "--json")
    assert code == 0
    assert json.loads(out)["expanded"]["language"] == "back"
    assert added(run, tmp_path / "out") == {"omega"}


@pytest.mark.parametrize(
    "option",
    [("--min-count", "2"), ("--text-column", "text"), ("--language-column", "lang"), ("--pair-column", "more")],
)
def test_what_says_how_data_is_read_is_refused_beside_a_file_of_words(
    option: tuple[str, str], run_of: Callable[[str], Run], expand: Expand, tmp_path: Path
) -> None:
    file = words_file(tmp_path / "words.txt", "qi")
    code, out, err = expand(run_of("words"), "--words", str(file), *option)
    assert (code, out) == (2, "")
    assert option[0] in err
    assert not (tmp_path / "out").exists()


def test_words_come_from_a_file_or_from_a_server(
    run_of: Callable[[str], Run], expand: Expand, tmp_path: Path
) -> None:
    run, file = run_of("words"), words_file(tmp_path / "words.txt", "qi")
    code, _, err = expand(run, "--words", str(file), "--from-drift", "topics")
    assert code == 2
    assert "LX-CLI-081" in err
    code, _, err = expand(run, "--from-drift", "topics", "--state-dir", str(tmp_path / "none"))
    assert code == 3
    assert "LX-SERVE-056" in err
    assert not (tmp_path / "out").exists()
