"""Words that the project no longer uses must not come back: in code, messages, pages and README."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (
    *("api", "cli", "client", "data", "evaluation", "export", "handlers", "loadtest", "messages", "models"),
    *("reports", "serving", "storage", "training"),
)
# Each retired word with the word to use. See docs/glossary.md for the terms of the field.
RETIRED = {
    "crew": "process group",
    "does not hold": "failed verification",
    "door": "endpoint",
    "doors": "endpoints",
    "lab": "runner",
    "mend": "fix",
    "salads": "random texts",
    "surroundings": "environment",
    "suspicions": "label noise",
    "twins": "duplicates",
    "whereupon": "and then",
    "worn": "applied",
}


def _files() -> list[Path]:
    code = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".java"}]
    loose = [ROOT / name for name in ("__init__.py", "__main__.py", "errors.py", "config.properties", "README.md")]
    return [*code, *loose, *(ROOT / "docs").glob("*.md")]


def _words(text: str) -> str:
    """Return the text with identifiers as words: `explain_doors` and `explainDoors` as "explain doors"."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    return " ".join(re.sub("[_#]", " ", parts).lower().split())


def test_no_retired_word_is_used() -> None:
    pattern = re.compile(rf"\b({'|'.join(map(re.escape, RETIRED))})\b")
    found = [
        f"{path.relative_to(ROOT)}: {word!r}, use {RETIRED[word]!r}"
        for path in _files()
        for word in dict.fromkeys(pattern.findall(_words(path.read_text(encoding="utf-8"))))
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("text", ["pick_free(doors)", "class HealthDoor:", "# what does a\n# door do"])
def test_a_retired_word_is_found_in_names_strings_and_comments(text: str) -> None:
    assert re.search(r"\bdoors?\b", _words(text))


def test_the_glossary_is_sorted_and_linked() -> None:
    lines = (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    terms = [line.split("|")[1].strip() for line in lines if line.startswith("| ")][1:]
    assert terms == sorted(terms)
    assert all(line.rstrip(" |").endswith(".") for line in lines[lines.index("|--|--|") + 1 :])
    assert "(docs/glossary.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "(glossary.md)" in (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
