"""The page and the picture of a map of words."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lexport.errors import InputError
from lexport.evaluation.vectors.map_options import Colour
from lexport.evaluation.vectors.mapping import WordMap
from lexport.reports.vectors import word_picture
from lexport.reports.vectors.projector import write_projector
from lexport.reports.vectors.word_map import page
from lexport.storage.progress import silent

from ..hostile import EVIL, check
from ..refusals import refused


def made(words: list[str], colour: Colour = Colour.FREQUENCY) -> WordMap:
    count = len(words)
    points = np.random.default_rng(0).random((count, 2), dtype=np.float32)
    near = [[((at + step) % count, 1 - step / 10) for step in range(1, min(count, 9))] for at in range(count)]
    kinds = [] if colour is Colour.FREQUENCY else ["one", "two"]
    kind = [at % 2 for at in range(count)] if kinds else list(range(count))
    return WordMap("tiny", "PCA", words, points, near, colour, kinds, kind)


def data(shown: str) -> dict[str, list[object]]:
    """What the script reads."""
    found = re.search(r'<pre id="data" hidden>(.*?)</pre>', shown, re.DOTALL)
    assert found
    read: dict[str, list[object]] = json.loads(html.unescape(found[1]))
    return read


def test_the_page_has_every_word_its_place_and_its_neighbours() -> None:
    own = made(["good", "bad", "好", "<b>", '"', "a&b"])
    read = data(page(own))
    assert read["words"] == ["good", "bad", "好", "<b>", '"', "a&b"]
    assert read["x"] == [round(float(value) * 10_000) for value in own.points[:, 0]]
    assert read["near"][0] == [1, 2, 3, 4, 5]
    assert read["cosine"][0] == [900, 800, 700, 600, 500]


def test_the_page_loads_nothing_and_runs_only_the_script_that_its_policy_names() -> None:
    shown = page(made(["good", "bad", "fine"]))
    [script] = re.findall(r"<script>(.*?)</script>", shown, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    assert f'<meta http-equiv="Content-Security-Policy" content="{policy}">' in shown
    assert shown.count("<script") == 1
    assert not re.search(r"<link|<img|\b(src|href)=|url\(|@import|://|\bon\w+=|innerHTML|\beval\b", shown)
    for style in ("color-scheme:light dark", "@media(prefers-color-scheme:dark)", "@media print"):
        assert shown.count(style) == 1


def test_five_thousand_words_stay_below_three_megabytes() -> None:
    assert len(page(made([f"word number {at}" for at in range(5000)])).encode()) < 3_000_000


def test_hostile_words_are_text() -> None:
    evil = f"{EVIL}\"'></pre></script><script>alert(1)</script>"
    shown = page(made([evil, "good", "bad"], Colour.LABEL))
    assert shown.count("<script") == 1
    check(shown)
    first = data(shown)["words"][0]
    assert isinstance(first, str)
    assert "</script><script>alert(1)" in first
    assert "\x1b" not in first
    assert "\u202e" not in first


def test_the_canvas_and_all_that_is_asked_for_can_be_reached_with_the_keyboard() -> None:
    shown = page(made(["good", "bad", "fine"]))
    assert re.search(r'<canvas id="map" tabindex="0" role="img" aria-label="Map of 3 words"', shown)
    assert '<label for="wanted">' in shown
    assert 'aria-live="polite"' in shown
    for key in ("ArrowLeft", "ArrowUp", '"+"', '"-"', '"0"', '"Enter"'):
        assert key in shown


def test_the_picture_is_of_a_slides_size_and_its_labels_do_not_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = pytest.importorskip("PIL.Image")
    boxes: list[Any] = []
    real = word_picture._label

    def label(*given: object) -> None:
        real(*given)  # type: ignore[arg-type]
        axes, renderer = given[3], given[4]
        boxes.extend(text.get_window_extent(renderer) for text in axes.texts)  # type: ignore[attr-defined]

    monkeypatch.setattr(word_picture, "_label", label)
    said: list[str] = []
    own = made([f"word{at}" for at in range(400)], Colour.CLUSTER)
    target = word_picture.write_picture(own, tmp_path / "map.png", font=None, say=said.append)
    with image.open(target) as picture:
        assert picture.size == (1920, 1080)
    assert said == []
    assert len(boxes) > 50
    for place, one in enumerate(boxes):
        assert one.x0 >= 0
        assert one.x1 <= 1920
        assert not any(one.overlaps(other) for other in boxes[:place])


def test_the_picture_is_the_same_each_time(tmp_path: Path) -> None:
    own = made(["good", "bad", "fine", "$x^2$", "a_b"])
    one, two = (
        word_picture.write_picture(own, tmp_path / f"{name}.png", font=None, say=silent).read_bytes() for name in "ab"
    )
    assert one == two


def test_chinese_has_a_font_and_what_has_none_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    word_picture.write_picture(made(["好", "电影", "good"]), tmp_path / "one.png", font=None, say=said.append)
    assert said == []
    rare = "\U0001f9ff\U00012345"
    word_picture.write_picture(made(["好", rare, "good"]), tmp_path / "two.png", font=None, say=said.append)
    assert len(said) == 1
    assert rare in said[0]
    assert "--font" in said[0]


def test_a_file_that_is_no_font_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.ttf").write_text("no font")
    with refused(InputError, "LX-VECTORS-115", "no.ttf"):
        word_picture.write_picture(made(["a", "b"]), tmp_path / "m.png", font=tmp_path / "no.ttf", say=silent)
    assert not (tmp_path / "m.png").exists()


def test_the_projectors_files_have_a_line_for_each_word(tmp_path: Path) -> None:
    vectors = np.array([[0.1, -2], [1e-8, 3e10], [0, 1]], np.float32)
    folder = write_projector(tmp_path / "projector", ["good", "a\tb\nc", "好"], vectors)
    lines = (folder / "vectors.tsv").read_text(encoding="utf-8").splitlines()
    read = np.array([[float(number) for number in line.split("\t")] for line in lines], np.float32)
    np.testing.assert_array_equal(read, vectors)
    assert (folder / "metadata.tsv").read_text(encoding="utf-8") == "good\na\\tb\\nc\n好\n"
    with refused(InputError, "LX-FILE-001", "projector"):
        write_projector(folder, ["good"], vectors[:1])
